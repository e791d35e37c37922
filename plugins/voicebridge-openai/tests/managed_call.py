"""A call over the simulator of which both ends are watched: what each connection got, sample by sample, and said."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

import voicebridge
from voicebridge.audio.converter import Converter
from voicebridge.contract.account import Account
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio
from voicebridge.contract.errors import SessionClosed, SessionFailed
from voicebridge.contract.events import CommandSettled, Event, OutputAudio, OutputText, ResponseEnded, ResponseStarted
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.session.managed import ManagedSession
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Wire
from voicebridge_openai.simulator import simulator

E = TypeVar("E", bound=Event)
MODEL = "openai/gpt-realtime-2"
FRAME = 480
"""Samples: 20 ms at 24 kHz."""
_LOUD = 0x2000
_PATIENCE_S = 12.0


# The user's voice: each sample says which one it is


def numbered(start: int, count: int, *, loud: bool) -> bytes:
    """Samples from the `start`th on. Four of them hold a number of 24 bits; so little is silence to a detector."""
    place = np.arange(start, start + count)
    part = place % 4
    value = (part << 6) | ((place // 4 >> (6 * part)) & 63)
    return (value + (_LOUD if loud else 0)).astype("<i2").tobytes()


def places(pcm: bytes) -> np.ndarray[Any, Any]:
    """Which samples these are."""
    value = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.int64) & (_LOUD - 1)
    part, six = value >> 6, value & 63
    found = np.full(len(value), -1, np.int64)
    whole = np.flatnonzero((part[:-3] == 0) & (part[1:-2] == 1) & (part[2:-1] == 2) & (part[3:] == 3))
    first = 4 * sum(six[whole + one] << (6 * one) for one in range(4))
    for one in range(4):
        found[whole + one] = first + one
    # Of a number that was cut in two, the neighbours say what it was.
    for at in range(1, len(found)):
        if found[at] < 0 <= found[at - 1]:
            found[at] = found[at - 1] + 1
    for at in range(len(found) - 2, -1, -1):
        if found[at] < 0 <= found[at + 1]:
            found[at] = found[at + 1] - 1
    return found


# The server's end


@dataclass
class Line:
    """One connection, as the server saw it."""

    number: int
    request: HttpRequest
    came_at: float
    got: list[dict[str, Any]] = field(default_factory=list)
    """Frames of the client, without the audio."""
    said: list[dict[str, Any]] = field(default_factory=list)
    """Frames of the server, before the faults of its script; without the audio."""
    pcm: bytearray = field(default_factory=bytearray)
    closed_at: float | None = None
    conversation: Any = None

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """What the client sent of one kind."""
        return [frame for frame in self.got if frame["type"] == kind]

    @property
    def seed(self) -> list[tuple[str, str]]:
        """Messages that it was given before anything was said on it: role and text."""
        return [_message(frame["item"]) for frame in self.frames("conversation.item.create")]

    @property
    def errors(self) -> list[str]:
        """Codes of the errors that the server told."""
        return [str(frame["error"]["code"]) for frame in self.said if frame["type"] == "error"]

    @property
    def conflicts(self) -> list[Any]:
        """Requests that came while a response ran of which the client could have known."""
        found, began = [], 0.0
        for frame in self.said:
            if frame["type"] == "response.created":
                began = frame["at"]
            elif frame["type"] == "error" and frame["error"]["code"] == _ACTIVE:
                asked, late_s = frame["error"]["event_id"], frame["at"] - began
                if asked and late_s > _RACE_S:
                    found.append((asked, late_s))
        return found

    @property
    def samples(self) -> set[int]:
        """Of the user's voice, those that it got."""
        return {int(one) for one in places(bytes(self.pcm))}


def _message(item: dict[str, Any]) -> tuple[str, str]:
    if item["type"] == "message":
        return item["role"], " ".join(part.get("text", "") for part in item["content"])
    return item["type"], item.get("output") or item.get("name") or ""


class _WatchedLink:
    """A `Link` that notes what goes out."""

    def __init__(self, link: Link, line: Line) -> None:
        self._link, self._line = link, line
        self.number = link.number

    async def send(self, kind: str, frame: str | bytes) -> None:
        said = json.loads(frame) | {"at": asyncio.get_running_loop().time()}
        if kind != "response.output_audio.delta":
            self._line.said.append(said)
        await self._link.send(kind, frame)

    async def close(self, code: int, reason: str) -> None:
        await self._link.close(code, reason)


class _WatchedWire:
    """A `Wire` that notes what comes in."""

    def __init__(self, wire: Any, line: Line) -> None:
        self._wire, self._line = wire, line
        line.conversation = wire._stage.conversation

    async def opened(self) -> None:
        await self._wire.opened()

    async def received(self, frame: str | bytes) -> None:
        got = json.loads(frame)
        if got["type"] == "input_audio_buffer.append":
            self._line.pcm += base64.b64decode(got["audio"])
        else:
            self._line.got.append(got)
        await self._wire.received(frame)

    async def aclose(self) -> None:
        self._line.closed_at = asyncio.get_running_loop().time()
        await self._wire.aclose()


class WatchedServer:
    """The simulator, with a record of each connection.

    Args:
        faults: of its script.
        options: of its wire; by default it speaks by tones and hears by loudness.
    """

    def __init__(self, *faults: str, **options: Any) -> None:
        self.lines: list[Line] = []
        self.asked: list[tuple[float, HttpRequest]] = []
        """Handshakes, and when they came."""
        given = {"voice": "tone", "detector": "energy", "transcripts": TRANSCRIPTS} | options
        profile = given.pop("profile", "instant")
        plain = simulator(SimulatorSettings(options=given, faults=faults, profile=profile))
        make = plain._vendor
        plain._vendor = lambda log: _WatchedVendor(make(log), self)
        self.server: SimulatedServer = plain
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[WatchedServer]:
        """Serve until the context is left."""
        async with self.server.serve() as self.url:
            yield self

    @property
    def heard(self) -> set[int]:
        """Samples of the user's voice that any connection got."""
        return set().union(*(line.samples for line in self.lines))

    @property
    def errors(self) -> list[str]:
        """Codes of all errors told."""
        return [code for line in self.lines for code in line.errors]


class _WatchedVendor:
    """A `Vendor`."""

    def __init__(self, vendor: Any, server: WatchedServer) -> None:
        self._vendor, self._server = vendor, server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vendor, name)

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        self._server.asked.append((asyncio.get_running_loop().time(), request))
        refusal: HttpAnswer | None = self._vendor.refusal(request)
        return refusal

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        line = Line(link.number, request, asyncio.get_running_loop().time())
        self._server.lines.append(line)
        return _WatchedWire(self._vendor.wire(_WatchedLink(link, line), request), line)


TRANSCRIPTS = tuple(f"this is turn {number}" for number in range(1, 40))


# The user's end


class Call:
    """One who speaks, and hears the agent at the pace of a real player.

    Args:
        session: what is spoken to.
        speed: the microphone runs so many times faster than real time.
    """

    def __init__(self, session: ManagedSession, *, speed: float = 4.0) -> None:
        self.session = session
        self.events: list[Event] = []
        self.failure: Exception | None = None
        self.sent = 0
        """Samples of the microphone."""
        self.commands: list[Command] = []
        self._speed = speed
        self._door = Converter(DOOR_FORMAT, session.account.input_format)
        self._loud = 0
        self._spoken = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="reader")
        self._microphone = asyncio.create_task(self._run(), name="microphone")
        self.on_event: Callable[[Event], None] = lambda event: None
        self.mute = False

    async def _read(self) -> None:
        try:
            async for event in self.session:
                self.events.append(event)
                self.on_event(event)
        except SessionFailed as error:
            self.failure = error

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self.mute:
                loud = self._loud > 0
                pcm = self._door.convert(numbered(self.sent, FRAME, loud=loud))
                if loud:
                    self._loud -= 1
                    if not self._loud:
                        self._spoken.set()
                try:
                    await self.session.send(SendAudio(pcm=pcm))
                except SessionClosed:
                    return
                self.sent += FRAME
            due = max(due + 0.02 / self._speed, loop.time() - 0.1)
            await asyncio.sleep(due - loop.time())

    async def say(self, ms: float = 400) -> None:
        """Speak; returns behind the last sample."""
        self._spoken.clear()
        self._loud = round(ms / 20)
        await self._spoken.wait()

    async def send(self, command: Command) -> None:
        """Give a command."""
        self.commands.append(command)
        await self.session.send(command)

    def all(self, kind: type[E], **fields: Any) -> list[E]:
        """What was told of one kind."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in fields.items())]

    async def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for something."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not (found := condition()):  # noqa: ASYNC110  # the condition is about many things
                    await asyncio.sleep(0.005)
                return found
        except TimeoutError:
            raise AssertionError(f"it never came: {what}; told: {self.story()}") from None

    async def next(self, kind: type[E], count: int = 1, **fields: Any) -> E:
        """Wait for the `count`th event of a kind."""
        await self.until(lambda: len(self.all(kind, **fields)) >= count, f"{count} {kind.__name__} {fields}")
        return self.all(kind, **fields)[count - 1]

    def audio_ms(self, response_id: str) -> float:
        """Of a response, so far."""
        size = sum(len(event.pcm) for event in self.all(OutputAudio, response_id=response_id))
        return self.session.account.output_format.ms(size)

    def words(self, response_id: str) -> str:
        """Of a response."""
        return "".join(event.delta for event in self.all(OutputText, response_id=response_id))

    def story(self) -> list[str]:
        """For people."""
        told: list[str] = []
        for event in self.events:
            if isinstance(event, OutputAudio):
                if not told or told[-1] != f"audio {event.response_id}":
                    told.append(f"audio {event.response_id}")
            elif not isinstance(event, OutputText):
                told.append(str(event)[:200])
        return told

    async def done(self) -> None:
        """Hang up."""
        self._microphone.cancel()
        with suppress(asyncio.CancelledError):
            await self._microphone
        await self.session.aclose()
        await self._reader

    def check(self, *servers: WatchedServer, exact: bool = True) -> Account:
        """What every call must hold to, however it went: the ledger, the fates, the responses, the wire."""
        account = self.session.account
        self._check_ledger(account, servers if exact else ())
        self._check_fates()
        self._check_responses()
        for line in (line for server in servers for line in server.lines):
            bad = [code for code in line.errors if code not in _ALLOWED]
            assert not bad, f"the server had to complain: {bad}: {line.got[-6:]}"
            assert not line.conflicts, f"it was asked for two responses at once: {line.conflicts}"
        return account

    def _check_ledger(self, account: Account, servers: tuple[WatchedServer, ...]) -> None:
        assert account.closed
        assert account.balanced, account
        assert account.input.pending == account.output.pending == 0
        if account.input_format == DOOR_FORMAT:
            assert account.input.captured in (self.sent, self.sent + FRAME), (account, self.sent)
        if servers:
            true = len(set().union(*(server.heard for server in servers)))
            dropped = sum(account.input.dropped.values())
            assert account.input.delivered <= true, (account, true)
            assert account.input.captured - true <= dropped, (account, true)

    def _check_fates(self) -> None:
        fates = Counter(event.command_id for event in self.all(CommandSettled))
        due = Counter(one.id for one in self.commands if not isinstance(one, SendAudio | ReportPlayed))
        assert fates == due

    def _check_responses(self) -> None:
        running: set[str] = set()
        known: set[str] = set()
        for event in self.events:
            if isinstance(event, ResponseStarted):
                assert event.response_id not in known
                known.add(event.response_id)
                running.add(event.response_id)
            elif isinstance(event, ResponseEnded):
                assert event.response_id in running, f"{event.response_id} ended twice"
                running.remove(event.response_id)
            elif isinstance(event, OutputAudio | OutputText):
                assert event.response_id in running, f"{event.response_id} speaks though it does not run"
        assert not running, f"never ended: {running}"


_ACTIVE = "conversation_already_has_active_response"
_ALLOWED = {"response_cancel_not_active", "cannot_update_voice", "input_audio_buffer_commit_empty", _ACTIVE}
"""Races that the wire can't avoid: a response may end while its cancel is on its way, one that the server begins by
itself may meet a request, and the server may have ended a turn that is ended by hand. A voice is tried first."""
_RACE_S = 0.2
"""So long a frame may be on its way, on a busy machine."""


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task and no socket outlives it."""
    async with no_leaked_sockets(), no_leaked_tasks():
        yield


@asynccontextmanager
async def call(
    server: WatchedServer,
    *others: WatchedServer,
    speed: float = 4.0,
    alone: bool = True,
    exact: bool = True,
    **options: Any,
) -> AsyncIterator[Call]:
    """A call to a server. At its end, all that `Call.check` says holds, and nothing is left behind.

    Args:
        alone: no other call runs at the same time, whose tasks would seem to be left.
        exact: the servers get each sample as it was sent, so that they can be counted.
    """
    async with AsyncExitStack() as stack:
        if alone:
            await stack.enter_async_context(nothing_left())
        for one in (server, *others):
            if not one.url:
                await stack.enter_async_context(one.serve())
        given: dict[str, Any] = {"base_url": server.url, "api_key": "any", "turns": {"silence_ms": 200}} | options
        spec = given.pop("spec", MODEL)
        session = await stack.enter_async_context(voicebridge.connect(spec, **given))
        talk = Call(session, speed=speed)
        try:
            yield talk
        finally:
            await talk.done()
    talk.check(server, *others, exact=exact)


__all__ = ["MODEL", "TRANSCRIPTS", "Call", "Line", "WatchedServer", "call", "nothing_left", "numbered", "places"]
