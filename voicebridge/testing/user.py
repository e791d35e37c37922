"""A user who speaks to a session at the pace of real time, and writes down what was sent and what came back.

async with scripted_conversation(llm=ScriptedModel(["Hello!"])) as user:
    last_sample_at = await user.speak(1000)
    audio = await user.until(OutputAudio)
    assert audio.at - last_sample_at == pytest.approx(0.2)

Whatever the test was about, at the end the conversation is held to what every session promises: see `User.check`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio
from voicebridge.contract.errors import SessionFailed
from voicebridge.contract.events import CommandSettled, Event, OutputAudio, ResponseEnded, ResponseStarted
from voicebridge.contract.session import VoiceSession
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.door import connect_raw

from .stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

__all__ = ["EAGER_MS", "FRAME_MS", "User", "scripted_conversation"]

FRAME_MS = 20
EAGER_MS = 40
_LOUD = b"\x00\x20"


class _Noted:
    """A session, and what was sent into it. Is a `VoiceSession`."""

    def __init__(self, session: VoiceSession) -> None:
        self._session = session
        self.settling: Counter[str] = Counter()
        """Commands taken that must be settled."""
        self.doubtful: set[str] = set()
        """Commands whose sending was cancelled: they were sent or not."""

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def send(self, command: Command) -> None:
        try:
            await self._session.send(command)
        except asyncio.CancelledError:
            self.doubtful.add(command.id)
            raise
        if not isinstance(command, SendAudio | ReportPlayed):
            self.settling[command.id] += 1

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._session)

    async def aclose(self) -> None:
        await self._session.aclose()


class User:
    """Speaks in whole frames; keeps every event.

    Args:
        session: what the user speaks to. From then on it is used through `User.session`.
    """

    def __init__(self, session: VoiceSession) -> None:
        self._noted = _Noted(session)
        self.session: VoiceSession = self._noted
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

    def check(self) -> None:
        """Assert what every session promises, of a conversation that is over.

        - Each command that was taken is settled exactly once (by the close, if by nothing else), and nothing else is.
          `SendAudio` and `ReportPlayed` are not settled; one whose `send` was cancelled may have been taken.
        - Each response starts once and ends once, in this order.
        - Its audio comes between the two.
        """
        settled = Counter(event.command_id for event in self.all(CommandSettled))
        sent = self._noted.settling
        for command_id in {*sent, *settled}:
            expected = (sent[command_id],) if command_id not in self._noted.doubtful else (0, 1)
            assert settled[command_id] in expected, (
                f"{command_id} was settled {settled[command_id]} times, not {expected[-1]}"
            )
        running: set[str] = set()
        started: set[str] = set()
        for event in self.events:
            if isinstance(event, ResponseStarted):
                assert event.response_id not in started, f"{event.response_id} started twice"
                started.add(event.response_id)
                running.add(event.response_id)
            elif isinstance(event, ResponseEnded):
                assert event.response_id in running, f"{event.response_id} ended without running"
                running.remove(event.response_id)
            elif isinstance(event, OutputAudio):
                assert event.response_id in running, f"audio of {event.response_id}, which does not run, at {event.at}"
        assert not running, f"{', '.join(sorted(running))} never ended"


@asynccontextmanager
async def scripted_conversation(
    *, stt: Any = None, llm: Any = None, tts: Any = None, detector: Any = None, **options: Any
) -> AsyncIterator[User]:
    """A user before a cascade of scripted stages, with 16 kHz in and 200 ms of silence unless told otherwise.

    At the end, unless the test failed already, `User.check` looks at the whole conversation, and no task may be left
    over.

    Args:
        stt, llm, tts, detector: in place of a scripted stage.
        options: of `voicebridge.connect_raw`.
    """
    backend = CascadeBackend(
        stt=stt or ScriptedRecogniser(["hello there"]),
        llm=llm or ScriptedModel(["Hi,", " nice to meet you."]),
        tts=tts or ScriptedVoice(),
        detector=detector or EnergyDetector(frame_ms=FRAME_MS, eager_ms=EAGER_MS),
    )
    options.setdefault("turns", {"silence_ms": 200})
    options.setdefault("input_format", PCM_16K)
    async with connect_raw(backend, **options) as session:
        user = User(session)
        try:
            yield user
        finally:
            await user.done()
    user.check()
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert not leaked, leaked
