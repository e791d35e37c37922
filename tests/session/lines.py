"""A backend whose connections are the test's own: each dial gets the next line of a list."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.codec import Closed, Endpoint, Timeouts
from voicebridge.contract.commands import Command, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionFailed
from voicebridge.contract.events import CommandSettled, Event, InputTranscript, SessionReady, UserTurn
from voicebridge.contract.items import Item, MessageItem
from voicebridge.contract.lines import dump, load
from voicebridge.contract.session import VoiceSession
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.retry import RetryPolicy
from voicebridge.session.candidate import Candidate
from voicebridge.session.handover_session import HandoverSession, handing_over
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.line_codec import LINE_CAPABILITIES, LineCodec, ready_line
from voicebridge.testing.memory_wire import MemoryWire
from voicebridge.transport.link import open_link
from voicebridge.transport.wire import WireClosed

__all__ = [
    "AUTH",
    "NETWORK",
    "STREAM",
    "ULAW",
    "Bench",
    "Line",
    "Lines",
    "Refusal",
    "agent",
    "bench",
    "fates",
    "final",
    "ready_for",
    "say",
    "settle",
    "turn",
    "user",
    "virtually",
    "voice",
]

E = TypeVar("E", bound=Event)


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test runs in virtual time, and may leave no task behind."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def guarded() -> None:
            async with no_leaked_tasks():
                await test(*args, **kwargs)

        run_in_virtual_time(guarded())

    return run


async def settle(seconds: float = 0.01) -> None:
    """Let everything happen that can."""
    await asyncio.sleep(seconds)


class Line(MemoryWire):
    """A connection that the server's side of a test can read."""

    def __init__(self, *events: Event, ready: bool = True, format: AudioFormat = DOOR_FORMAT) -> None:
        self.format = format
        self.ready_line = ready_line(replace(LINE_CAPABILITIES, formats_in=(format,)))
        super().__init__(*([self.ready_line] if ready else []), *map(dump, events))
        self.dialled_at: float | None = None

    async def dial(self, endpoint: Endpoint) -> Line:
        self.dialled_at = asyncio.get_running_loop().time()
        await super().dial(endpoint)
        return self

    def tell(self, *events: Event) -> None:
        self.say(*map(dump, events))

    @property
    def heard(self) -> list[bytes | Command]:
        """What came, in order, pieces of audio that follow one another as one."""
        heard: list[bytes | Command] = []
        for frame in self.written:
            fields = json.loads(frame)
            if fields["type"].endswith("_item"):
                continue
            command = load(frame)
            if not isinstance(command, SendAudio):
                heard.append(command)
            elif heard and isinstance(heard[-1], bytes):
                heard[-1] += command.pcm
            else:
                heard.append(command.pcm)
        return heard

    @property
    def audio(self) -> bytes:
        return b"".join(one for one in self.heard if isinstance(one, bytes))

    @property
    def commands(self) -> list[Command]:
        return [one for one in self.heard if isinstance(one, Command)]


@dataclass
class Refusal:
    """A dial that fails."""

    closed: Closed
    after_s: float = 0.05
    dialled_at: float | None = None

    async def dial(self, endpoint: Endpoint) -> Line:
        self.dialled_at = asyncio.get_running_loop().time()
        await asyncio.sleep(self.after_s)
        raise WireClosed(self.closed)


@dataclass
class Lines:
    """A `Backend`."""

    lines: list[Line | Refusal]
    capabilities: Capabilities = LINE_CAPABILITIES
    timeouts: Timeouts = field(default_factory=Timeouts)
    settles: bool = False
    """The server settles commands."""
    configs: list[SessionConfig] = field(default_factory=list)
    histories: list[tuple[Item, ...]] = field(default_factory=list)

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        number = len(self.configs)
        self.configs.append(config)
        self.histories.append(tuple(history))
        dial: Callable[[Endpoint], Awaitable[Line]] = self.lines[number].dial
        formats = self.capabilities.formats_in
        wire = (config.input_format,) if config.input_format in formats else formats
        capabilities = replace(self.capabilities, formats_in=wire)
        codec = LineCodec(capabilities=capabilities, timeouts=self.timeouts, settles=self.settles)
        return open_link(codec, config, history, dial=dial)


@dataclass
class Bench:
    """A session, and all that it told."""

    session: HandoverSession
    backend: Lines
    events: list[Event] = field(default_factory=list)
    failure: SessionFailed | None = None
    over: bool = False

    async def read(self) -> None:
        try:
            async for event in self.session:
                self.events.append(event)
        except SessionFailed as error:
            self.failure = error
        self.over = True

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def bench(
    *lines: Line | Refusal,
    policy: RetryPolicy | None = None,
    chance: Callable[[], float] = lambda: 0.5,
    history: Sequence[Item] = (),
    reads: bool = True,
    backend: Lines | None = None,
    config: SessionConfig = SessionConfig(),  # noqa: B008 - frozen
    fallbacks: Sequence[Lines] = (),
    **settings: Any,
) -> AsyncIterator[Bench]:
    backend = backend or Lines(list(lines), **settings)
    candidates = [Candidate.of(one, config) for one in (backend, *fallbacks)]
    async with handing_over(config, candidates, Chronicle(history), policy=policy, chance=chance) as session:
        bench = Bench(session, backend)
        reader = asyncio.create_task(bench.read()) if reads else None
        await settle()
        yield bench
    if reader is not None:
        await reader


ULAW = AudioFormat(encoding="ulaw", rate=8_000)
STREAM = random.Random(1).randbytes(DOOR_FORMAT.size(100_000))
"""The user's voice, of which no two places are alike."""
NETWORK = Closed(by="peer", status=503)
AUTH = Closed(by="peer", status=401)


def ready_for(seconds: float | None, capabilities: Capabilities = LINE_CAPABILITIES) -> SessionReady:
    """What a server says first that ends a session after so many seconds."""
    return SessionReady(
        session_id="line",
        model="test/line",
        capabilities=capabilities,
        input_format=DOOR_FORMAT,
        output_format=DOOR_FORMAT,
        expires_in_s=seconds,
    )


def voice(start_ms: float, end_ms: float) -> bytes:
    return STREAM[DOOR_FORMAT.size(start_ms) : DOOR_FORMAT.size(end_ms)]


async def say(session: VoiceSession, start_ms: int, end_ms: int, step_ms: int = 100) -> None:
    """The user speaks, in real time."""
    for at in range(start_ms, end_ms, step_ms):
        await session.send(SendAudio(pcm=voice(at, min(at + step_ms, end_ms))))
        await asyncio.sleep(step_ms / 1000)


def turn(name: str, phase: str, audio_ms: float, source: str = "server") -> UserTurn:
    return UserTurn(turn_id=name, phase=phase, audio_ms=audio_ms, source=source)  # type: ignore[arg-type]  # some of them


def final(name: str, text: str) -> InputTranscript:
    return InputTranscript(turn_id=name, text=text, final=True)


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str) -> MessageItem:
    return MessageItem(role="assistant", text=text)


def fates(bench: Bench) -> dict[str, str | None]:
    """Of each command, once."""
    settled = bench.of(CommandSettled)
    told: dict[str, str | None] = {one.command_id: one.fault.category if one.fault else None for one in settled}
    assert len(told) == len(settled), "a command is settled once"
    return told
