"""A user with an agent in front of them, over scripted stages, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from voicebridge import Event, OutputText, VoiceAgent
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.testing.sound import FRAME_MS, ScriptedMicrophone, ScriptedSpeaker
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

__all__ = ["IN_FLIGHT_MS", "LONG", "Room", "one_question"]

IN_FLIGHT_MS = 10
"""What the speaker's device has taken is still heard when the rest is cleared."""
LONG = "a rather long answer that takes a while to say, "


class Room:
    """A user with an agent in front of them."""

    def __init__(
        self, *, stt: Any = None, llm: Any = None, tts: Any = None, speaker: Any = None, **settings: Any
    ) -> None:
        self.backend = CascadeBackend(
            stt=stt or ScriptedRecogniser(["hello there"]),
            llm=llm or ScriptedModel(["Hi,", " nice to meet you."]),
            tts=tts or ScriptedVoice(),
            detector=EnergyDetector(frame_ms=FRAME_MS, eager_ms=40),
        )
        settings.setdefault("turns", {"silence_ms": 200})
        self.agent = VoiceAgent(backend=self.backend, **settings)
        self.events: list[Event] = []
        self.speaker = speaker or ScriptedSpeaker()
        self.told_at: dict[int, float] = {}
        """Seconds since the speaker began, by the event's place among all."""
        self.began_at = 0.0
        self._test: asyncio.Task[Any] | None = None

    async def talk(self, script: Callable[[ScriptedMicrophone], Coroutine[Any, Any, None]]) -> None:
        """Until the user's script has ended."""
        playing = asyncio.create_task(self.speaker.run())
        self.began_at = began_at = asyncio.get_running_loop().time()

        def told(event: Event) -> None:
            self.told_at[len(self.events)] = asyncio.get_running_loop().time() - began_at
            self.events.append(event)

        try:
            await self.agent.run(ScriptedMicrophone(script), self.speaker, on_event=told)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            leaked = asyncio.all_tasks() - {asyncio.current_task(), self._test}
            assert not leaked, leaked

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """The events of a class whose fields have these values."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in fields.items())]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait."""
        for _ in range(6000):
            if found := condition():
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"it never came; got {self.events}")

    @property
    def said(self) -> str:
        return "".join(event.delta for event in self.all(OutputText))


async def one_question(user: ScriptedMicrophone) -> None:
    await user.say(1.0)
    await asyncio.sleep(5.0)
