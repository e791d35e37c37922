"""A user who speaks to a session at the pace of real time, and writes down what comes back.

async with scripted_conversation(llm=ScriptedModel(["Hello!"])) as user:
    last_sample_at = await user.speak(1000)
    audio = await user.until(OutputAudio)
    assert audio.at - last_sample_at == pytest.approx(0.2)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.errors import SessionFailed
from voicebridge.contract.events import Event
from voicebridge.contract.session import VoiceSession
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.door import connect

from .stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

__all__ = ["EAGER_MS", "FRAME_MS", "User", "scripted_conversation"]

FRAME_MS = 20
EAGER_MS = 40
_LOUD = b"\x00\x20"


class User:
    """Speaks in whole frames; keeps every event."""

    def __init__(self, session: VoiceSession) -> None:
        self.session = session
        self.events: list[Event] = []
        self.failure: Exception | None = None
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.session:
                self.events.append(event)
        except SessionFailed as error:
            self.failure = error

    async def _send(self, sample: bytes, ms: float) -> None:
        frame = sample * (PCM_16K.size(FRAME_MS) // 2)
        for _ in range(round(ms / FRAME_MS)):
            await asyncio.sleep(FRAME_MS / 1000)
            await self.session.send(SendAudio(pcm=frame))

    async def speak(self, ms: float) -> float:
        """Speak; the loop's time at the last sample."""
        await self._send(_LOUD, ms)
        return asyncio.get_running_loop().time()

    async def pause(self, ms: float) -> None:
        """Keep silent, with the microphone on."""
        await self._send(b"\x00\x00", ms)

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """The events of a class whose fields have these values."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in fields.items())]

    async def until(self, kind: type[Any], count: int = 1, **fields: Any) -> Any:
        """Keep silent until `count` such events have come; the last of them."""
        for _ in range(3000):
            if len(found := self.all(kind, **fields)) >= count:
                return found[count - 1]
            await self.pause(FRAME_MS)
        raise AssertionError(f"no {kind.__name__} {fields} came; got {self.events}")

    async def done(self) -> None:
        """Close, and read what is left."""
        await self.session.aclose()
        await self._reader


@asynccontextmanager
async def scripted_conversation(
    *, stt: Any = None, llm: Any = None, tts: Any = None, detector: Any = None, **options: Any
) -> AsyncIterator[User]:
    """A user before a cascade of scripted stages, with 16 kHz in and 200 ms of silence unless told otherwise.

    At the end no task may be left over.

    Args:
        stt, llm, tts, detector: in place of a scripted stage.
        options: of `voicebridge.connect`.
    """
    backend = CascadeBackend(
        stt=stt or ScriptedRecogniser(["hello there"]),
        llm=llm or ScriptedModel(["Hi,", " nice to meet you."]),
        tts=tts or ScriptedVoice(),
        detector=detector or EnergyDetector(frame_ms=FRAME_MS, eager_ms=EAGER_MS),
    )
    options.setdefault("turns", {"silence_ms": 200})
    options.setdefault("input_format", PCM_16K)
    async with connect(backend, **options) as session:
        user = User(session)
        try:
            yield user
        finally:
            await user.done()
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert not leaked, leaked
