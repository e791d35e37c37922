"""One link for all codecs: a session over a websocket.

The codec knows the wire; the link moves its frames and keeps the promises that have nothing to do with a wire: commands
are settled once, responses end once, no audio follows an interruption, nothing is lost while connecting, and whatever a
codec raises or a network does ends as an event.

what it owns             from                 until
the reading task         `start`              the connection or the session ends; `aclose` cancels it
the writing task         the dial succeeded   likewise (see writer.py)
the socket               the dial succeeded   closed by `aclose`, within a second
the beat (a timer)       the dial succeeded   `aclose` cancels it
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.codec import Closed, Codec, Endpoint, Frame, Tick
from voicebridge.contract.commands import Command, Configure, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    ProviderEvent,
    ResponseEnded,
    SessionReady,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.core.deadlines import Deadlines

from .books import Books
from .delivery import Delivery, Room
from .early import EarlyCommands
from .outbox import Outgoing
from .secrets import Secrets
from .wire import Dial, Wire, WireClosed, dial
from .writer import Writer

__all__ = ["LinkSession", "open_link"]

_TICK_S = 0.05
_BEAT_S = 0.25
_EARLY_AUDIO_MS = 30_000
_PIECE_MS = 200
"""A longer piece of audio is cut, so that the window of unconfirmed audio holds for it as well."""
_UNDECODABLE_IN_A_ROW = 25
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
_generations = itertools.count(1)
_log = logging.getLogger("voicebridge")


@asynccontextmanager
async def open_link(
    codec: Codec, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None, *, dial: Dial = dial
) -> AsyncIterator[LinkSession]:
    """A session over the codec's wire. It is there at once and dials meanwhile; what goes wrong is told as events.

    Args:
        dial: opens the connection. Another one is for tests.

    Raises:
        ConfigError: the codec can't make a connection of this config.
    """
    session = LinkSession(codec, codec.endpoint(config), config, codec.open(config, history, resume), dial)
    session.start()
    try:
        yield session
    finally:
        await session.aclose()


class LinkSession:
    """A `VoiceSession` over one connection. Made by `open_link`."""

    def __init__(
        self, codec: Codec, endpoint: Endpoint, config: SessionConfig, opening: Sequence[Frame], dial: Dial
    ) -> None:
        self._codec, self._endpoint, self._config, self._opening, self._dial = codec, endpoint, config, opening, dial
        self.generation = next(_generations)
        """Tells this connection from all others of the process."""
        capabilities = codec.capabilities
        # A wire without audio still gets a format, to count by.
        self._format_in = (*capabilities.formats_in, config.input_format)[0]
        self._piece_bytes = self._format_in.size(_PIECE_MS)
        self._clock = asyncio.get_running_loop().time
        self._delivery = Delivery((*capabilities.formats_out, config.output_format)[0], self._clock)
        self._books = Books()
        self._secrets = Secrets.of(endpoint)
        self._early = EarlyCommands(self._format_in.size(_EARLY_AUDIO_MS))
        self._line = asyncio.Lock()
        """Held by the one who waits for room: who comes later waits behind."""
        self._writer = Writer(self._format_in, endpoint.liveness, self._clock, self._tell, self._heard)
        self._deadlines = Deadlines(endpoint.timeouts)
        self._deadlines.auto_respond = config.turns.auto_respond and config.turns.mode != "manual"
        self._ready = self._closed = False
        self._undecodable = self._undecodable_in_a_row = 0
        self._idle_s = 0.0
        self.dead_s = 0.0
        """For how many seconds it had been dead, when that was found out; 0: it was not."""
        self._wire: Wire | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counter[str]:
        """What was dropped, by the word for it: `undecodable`, `late_audio`, `settled_twice`, ..."""
        return self._books.dropped + Counter(undecodable=self._undecodable)

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do now."""
        return self._codec.capabilities

    @property
    def delivered_ms(self) -> float:
        """Milliseconds of the audio sent that the peer has certainly received."""
        return self._writer.delivered_ms

    @property
    def confirms(self) -> bool:
        """Whether the peer says in good time what it has received."""
        return self._writer.confirms

    @property
    def has_room(self) -> bool:
        """Whether `send` takes audio without a wait."""
        return not self._line.locked() and (self._writer.has_room(audio=True) if self._ready else self._early.has_room)

    @property
    def unconfirmed_ms(self) -> float:
        """Milliseconds of the audio sent of which nobody knows yet whether it arrived."""
        return self._writer.unconfirmed_ms

    def start(self) -> None:
        """Begin to dial."""
        self._spawn(self._read, "read")

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    async def hand_to(self, take: Callable[[Event], None], downstream: Room) -> None:
        """See `Delivery.hand_to`."""
        await self._delivery.hand_to(take, downstream)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        self._refuse_if_closed(command)
        self._codec.check(command)
        if isinstance(command, Interrupt | ReportPlayed) or (self._has_room(command) and not self._line.locked()):
            self._take(command)
            return
        async with self._line:
            while not self._has_room(command):
                await self._room(command)
            self._refuse_if_closed(command)
            self._take(command)

    def _has_room(self, command: Command) -> bool:
        audio = isinstance(command, SendAudio)
        return self._closed or (
            self._writer.has_room(audio=audio) if self._ready else not audio or self._early.has_room
        )

    async def _room(self, command: Command) -> None:
        if self._ready:
            await self._writer.room(audio=isinstance(command, SendAudio))
        else:
            await self._early.room()

    def _take(self, command: Command) -> None:
        """Nothing waits here, so that a `send` which is cancelled has sent all or nothing."""
        if not isinstance(command, SendAudio | ReportPlayed):
            self._books.commands[command.id] = None
        if not self._ready:
            self._early.add(command)
            return
        try:
            self._carry_out(command)
        except BaseException:
            self._books.commands.pop(command.id, None)
            raise

    def _refuse_if_closed(self, command: Command) -> None:
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)

    def _carry_out(self, command: Command) -> None:
        """Turn a command into what is written. Raises what is wrong with it before anything has happened."""
        if isinstance(command, SendAudio):
            self._send_audio(command)
            return
        outgoing = self._encoded(command)
        self._deadlines.sent(command, self._clock())
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)
            self._books.silence(command.response_id, command.id)
        elif isinstance(command, Configure) and "turns" in command.patch:
            turns = self._config.patched(command.patch).turns
            self._deadlines.auto_respond = turns.auto_respond and turns.mode != "manual"
        for one in outgoing:
            self._writer.put(one, urgent=isinstance(command, Interrupt))

    def _send_audio(self, command: SendAudio) -> None:
        pcm, limit = command.pcm, self._piece_bytes
        for start in range(0, len(pcm), limit):
            piece = command if len(pcm) <= limit else replace(command, pcm=pcm[start : start + limit])
            outgoing = self._encoded(piece)
            frames = sum(not isinstance(one, Event) for one in outgoing)
            left = len(piece.pcm)
            for one in outgoing:
                share = 0 if isinstance(one, Event) else -(-left // frames)
                left, frames = left - share, frames - (share > 0)
                self._writer.put(one, audio_bytes=share)

    def _encoded(self, command: Command) -> Sequence[Outgoing]:
        try:
            return self._codec.encode(command)
        except VoiceBridgeError:
            raise
        except Exception as error:
            _log.exception("The codec failed on %s", type(command).__name__)
            message = f"The backend's plugin failed on {type(command).__name__} ({type(error).__name__}). Report it."
            fault = Fault(category="protocol", code="codec_failed", message=message)
            raise VoiceBridgeError(fault, command_id=command.id) from error

    def _release_early(self) -> None:
        """The backend is ready: what came before goes out, in order."""
        for command in self._early.release():
            try:
                self._carry_out(command)
            except VoiceBridgeError as error:
                if isinstance(command, SendAudio):
                    self._tell(BackendError(fault=error.fault))
                else:
                    self._tell(CommandSettled(command_id=command.id, fault=error.fault))

    # The connection

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._endpoint.timeouts.connect_s):
                self._wire = wire = await self._dial(self._endpoint)
                self._connected()
                while not self._ready:
                    self._received(await wire.recv())
        except TimeoutError:
            raise WireClosed(Closed(by="nobody", problem="timeout")) from None
        while True:
            if not self._delivery.has_room:
                await self._delivery.room()
            self._received(await wire.recv())

    def _connected(self) -> None:
        assert self._wire is not None
        for frame in self._opening:
            self._writer.put(frame)
        self._spawn(partial(self._writer.run, self._wire), "write")
        self._schedule_beat(self._clock())

    def _meaning(self, closed: Closed) -> Fault:
        try:
            return self._codec.classify(closed)
        except Exception:
            _log.exception("The codec failed to say what the end of the connection means")
            return Fault(category="network", code="lost", message="The connection was lost.", retryable=True)

    def _received(self, received: Frame | Tick) -> None:
        """Let the codec say what it means, and do it."""
        if not isinstance(received, Tick):
            self._heard()
        try:
            for outcome in self._codec.decode(received):
                if isinstance(outcome, Event):
                    self._tell(outcome)
                else:
                    self._writer.put(outcome)
            if not isinstance(received, Tick):
                self._undecodable_in_a_row = 0
        except Exception as error:
            self._drop_undecodable(error)

    def _heard(self) -> None:
        """The peer lives."""
        self._idle_s = 0.0

    def _drop_undecodable(self, error: Exception) -> None:
        """Dropped alone. A server of which nothing can be understood any more is given up."""
        _log.debug("A frame could not be decoded", exc_info=error)
        self._undecodable += 1
        self._undecodable_in_a_row += 1
        message = f"A frame could not be understood ({type(error).__name__}). It was dropped."
        fault = Fault(category="protocol", code="undecodable", message=message, retryable=True)
        if self._undecodable_in_a_row >= _UNDECODABLE_IN_A_ROW:
            self._end(fault)
        else:
            self._tell(BackendError(fault=fault))

    def _tell(self, event: Event) -> None:
        """Pass an event on, if it may come now."""
        if self._closed or not self._books.admit(event):
            return
        if isinstance(event, OutputAudio):  # fifty times a second: nothing below is about it
            self._deadlines.goes_on(event.response_id, self._clock())
            self._delivery.put(event)
            return
        event = self._secrets.hidden(event)
        if isinstance(event, ResponseEnded) and event.status != "completed":
            self._delivery.purge(event.response_id)
        elif isinstance(event, BackendError) and event.fatal:
            self._end(event.fault)
            return
        self._deadlines.happened(event, self._clock())
        if isinstance(event, ProviderEvent) and not self._config.provider_events:
            return
        if isinstance(event, SessionReady):
            if self._ready:
                return  # comes once; what follows it is told by other events
            self._measure_by(event)
        self._delivery.put(event)
        if isinstance(event, SessionReady):
            self._ready = True
            self._release_early()

    def _measure_by(self, ready: SessionReady) -> None:
        """From here on audio is what was negotiated, which may not be what was asked for."""
        self._format_in = ready.input_format
        self._piece_bytes = ready.input_format.size(_PIECE_MS)
        self._writer.measure_by(ready.input_format)
        self._delivery.measure_by(ready.output_format)

    # The beat

    def _schedule_beat(self, before: float) -> None:
        period = _TICK_S if self._codec.ticks else _BEAT_S
        self._beat = asyncio.get_running_loop().call_later(period, self._on_beat, before, period)

    def _on_beat(self, before: float, period: float) -> None:
        """Time passes: for the codec, for the deadlines, and for a socket of which nothing is heard."""
        now = self._clock()
        # Of a time in which nothing could be read, because this loop stood still or because nobody took the events,
        # no more than a beat counts.
        deaf_s = max(0.0, now - before - (2 * period if self._delivery.has_room else 0.0))
        if deaf_s:
            self._deadlines.shift(deaf_s)
            self._writer.shift(deaf_s)
        self._idle_s += now - before - deaf_s
        if self._codec.ticks:
            self._received(Tick(at=now))
        self._mind_deadlines(now)
        if not self._closed:
            self._writer.beat(now)
            self._schedule_beat(now)

    def _mind_deadlines(self, now: float) -> None:
        silent_s = max(self._idle_s, self._writer.stalled_s(now))
        if silent_s > self._endpoint.liveness.dead_after_s:
            self.dead_s = silent_s
            self._end(self._meaning(Closed(by="nobody", problem="silent")))
            return
        if fault := self._deadlines.expired(now):
            self._end(fault)
            return
        if fault := self._deadlines.unanswered(now):
            self._tell(BackendError(fault=fault))
        late, fault = self._deadlines.unacknowledged(now)
        for command_id in late:
            self._tell(CommandSettled(command_id=command_id, fault=fault))

    # The end

    async def aclose(self) -> None:
        """End the session. Takes at most two seconds; cancelled, it goes on all the same."""
        self._end(None)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    def _end(self, fault: Fault | None) -> None:
        """Tell the end of everything that is open, and refuse what comes; then let go of tasks and socket."""
        if self._closed:
            return
        for response_id in list(self._books.responses):
            self._tell(ResponseEnded(response_id=response_id, status="lost", fault=fault))
        for command_id in list(self._books.commands):
            self._tell(CommandSettled(command_id=command_id, fault=_CLOSED))
        self._closed = True
        self._early.release()
        self._writer.clear()
        self._delivery.end(fault)
        if self._beat is not None:
            self._beat.cancel()
        self._closing = asyncio.create_task(self._let_go(), name=f"link {self.generation}: close")

    async def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        if self._wire is not None:
            await self._wire.close()

    def _spawn(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        task = asyncio.create_task(self._guarded(work), name=f"link {self.generation}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """However the work ends, the session does."""
        try:
            await work()
        except WireClosed as lost:
            self._end(self._meaning(lost.closed))
        except VoiceBridgeError as error:
            self._end(error.fault)
        except Exception as error:
            _log.exception("The link failed")
            self._end(Fault(category="protocol", code="link_failed", message=f"The link failed: {error}"))
