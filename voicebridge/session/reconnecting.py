"""A session that dials again: when the connection is lost, or its time is up, another one is told what was said.

The conversation goes over as text, and the user's voice since the last turn whose text is known as audio. An answer
that was being spoken is over (`lost`); commands that were under way are settled with a fault.

what it owns             from                        until
the carrying task        `start`                     it gives up, or `aclose`
the inner session        each time it dials          its connection ends, or `aclose`
the user's latest audio  30 s of it, always
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, SessionFailed, VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.backlog import Due
from voicebridge.core.briefing import Briefing
from voicebridge.core.retry import Patience, RetryPolicy
from voicebridge.transport.delivery import Delivery

from .generation import Generation

__all__ = ["ReconnectingSession", "reconnecting"]

_CLOSE_S = 3.0
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
_TOO_LATE = Fault(category="network", code="timeout", message="No connection was ready in time.", retryable=True)
_log = logging.getLogger("voicebridge")


@asynccontextmanager
async def reconnecting(
    backend: Backend,
    config: SessionConfig,
    history: Sequence[Item] = (),
    *,
    policy: RetryPolicy | None = None,
    chance: Callable[[], float] = random.random,
) -> AsyncIterator[ReconnectingSession]:
    """A session that survives its connections, as long as the policy's patience lasts.

    Args:
        chance: gives numbers from 0 to 1, for the random part of waits.

    Raises:
        ConfigError: the backend refuses the config.
    """
    session = ReconnectingSession(backend, config, history, policy or RetryPolicy(), chance)
    try:
        await session.start()
        yield session
    finally:
        await session.aclose()


class ReconnectingSession:
    """A `VoiceSession` over one connection after another. Made by `reconnecting`.

    It takes audio in one format, however often it dials: the config's where the backend has that, else the backend's
    first. A connection that wants another one gets it converted.
    """

    def __init__(
        self,
        backend: Backend,
        config: SessionConfig,
        history: Sequence[Item],
        policy: RetryPolicy,
        chance: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._patience = Patience(policy, chance)
        self._clock = asyncio.get_running_loop().time
        self._capabilities = declared = backend.capabilities
        self._format = _spoken(declared.formats_in, config.input_format)
        self._delivery = Delivery(_spoken(declared.formats_out, config.output_format), self._clock)
        self._briefing = Briefing(config, history, self._format, declared)
        self._backlog, self._turn_ends = self._briefing.backlog, self._briefing.turn_ends
        self._generation = Generation(0, 0.0, self._format)
        self._connection: VoiceSession | None = None
        """The one there is, from the dial to its end."""
        self._inner: VoiceSession | None = None
        """The same, when it was told what it missed: it takes commands."""
        self._ready_at: float | None = None
        """When the connection became ready; None: it has not."""
        self._answered_at = 0.0
        """When it last finished an answer."""
        self._was_ready = False
        """Whether any connection has."""
        self._limit = asyncio.timeout(None)
        """Of the time until the connection is ready."""
        self._broken: Fault | None = None
        """Why the connection could not be told what it missed."""
        self._lost_at: float | None = None
        self._lost_why: Fault | None = None
        self._closed = False
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The backend took the config the first time, or raised what it has against it."""
        self._task: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do now, the first format of its input that of this session."""
        return self._seen_from_here(self._capabilities if self._inner is None else self._inner.capabilities)

    def _seen_from_here(self, inner: Capabilities) -> Capabilities:
        heard = inner.formats_in
        return replace(inner, formats_in=(self._format,)) if heard and heard[0] != self._format else inner

    async def start(self) -> None:
        """Begin to dial.

        Raises:
            ConfigError: the backend refuses the config.
        """
        self._task = asyncio.create_task(self._run(), name="reconnecting")
        await asyncio.shield(self._opened)

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)
        if isinstance(command, ReportPlayed | Interrupt):
            self._briefing.heeded(command)
        while (inner := self._inner) is not None:
            try:
                await self._pass(inner, Due(self._backlog.audio.end, command))
                return
            except SessionClosed:
                if self._closed:
                    raise
                if inner is self._inner:
                    break  # lost, and nobody has noticed yet
        self._hold(command)

    def _hold(self, command: Command) -> None:
        """Keep a command for the next connection."""
        if isinstance(command, SendAudio):
            self._briefing.heard(command.pcm)
            return
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)
        if not isinstance(command, ReportPlayed):
            self._backlog.hold(command)

    async def _pass(self, inner: VoiceSession, due: Due) -> None:
        command = due.command
        if isinstance(command, SendAudio):
            await self._speak(inner, command)
            self._briefing.heard(command.pcm)  # not before it was taken: a `send` that was cancelled comes again
            return
        if due.again:
            await inner.send(command)
            return
        addressed = self._generation.addressed(command)
        if addressed is not None:
            await self._give(inner, due, addressed)
            if self._ready_at is None and not isinstance(command, ReportPlayed):
                self._backlog.given_early(due)
        elif not isinstance(command, ReportPlayed):  # it speaks of a response that went down with its connection
            self._delivery.put(CommandSettled(command_id=command.id))
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)

    async def _speak(self, inner: VoiceSession, command: SendAudio) -> None:
        try:
            await inner.send(self._generation.audio(command))
        except BaseException:
            self._generation.not_taken()
            raise

    async def _give(self, inner: VoiceSession, due: Due, addressed: Command) -> None:
        self._briefing.given(due)
        try:
            await inner.send(addressed)
        except BaseException:
            self._briefing.forget(due.command)
            raise

    # Connections

    async def _run(self) -> None:
        try:
            fault = await self._connections()
        except Exception as error:
            _log.exception("A session that reconnects failed")
            fault = Fault(category="protocol", code="reconnect_failed", message=f"The backend failed: {error}")
            if not self._opened.done():
                self._opened.set_exception(error)
        self._finish(fault)

    async def _connections(self) -> Fault | None:
        """One after another, as long as there is patience. Why there is none any more; None: by our own close."""
        while True:
            fault = await self._one_connection()
            if self._closed or fault is None:
                return None
            now = self._clock()
            # One that stalled was well until its last answer, not until now: else it would be asked again for ever.
            well_until = self._answered_at if fault.category == "busy" else now
            lasted_s = None if self._ready_at is None else well_until - self._ready_at
            fault = self._patience.meaning(fault, lasted_s=lasted_s)
            wait_s = self._patience.wait_after(fault, lasted_s=lasted_s, now=now)
            if wait_s is None:
                return fault
            await asyncio.sleep(wait_s)

    def _finish(self, fault: Fault | None) -> None:
        """The end, for what waits as well."""
        self._closed = True
        self._briefing.take_back()
        for due in self._backlog.give_up():
            self._delivery.put(CommandSettled(command_id=due.command.id, fault=_CLOSED))
        self._delivery.end(fault)

    async def _one_connection(self) -> Fault | None:
        """Carry one connection until it ends. Why it did, or None: by our own close."""
        self._ready_at = self._broken = None
        opening = self._briefing.open()
        self._generation = Generation(self._generation.number + 1, opening.start_ms, self._format)
        self._limit = limit = asyncio.timeout_at(self._patience.deadline)
        try:
            async with limit, self._backend.connect(opening.config, opening.history) as inner:
                self._generation.hears(_spoken(inner.capabilities.formats_in[:1], self._format))
                if not self._opened.done():
                    self._opened.set_result(None)
                await self._carry(inner, "text" if opening.history else "none")
            return None
        except TimeoutError:
            if not limit.expired():
                raise
            self._lost(_TOO_LATE)
            return _TOO_LATE
        except VoiceBridgeError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            self._lost(error.fault)
            return error.fault

    def _lost(self, fault: Fault) -> None:
        if self._lost_at is None:
            self._lost_at, self._lost_why = self._clock(), fault

    async def _carry(self, inner: VoiceSession, carried: Literal["text", "none"]) -> None:
        """Pass on the events of a connection, while it is told what it missed."""
        self._connection = inner
        catching_up = asyncio.create_task(self._catch_up(inner), name="reconnecting: catch up")
        try:
            async for event in inner:
                self._happened(event, carried)
                await self._delivery.room()
            if self._broken is not None:
                raise SessionFailed(self._broken)
        except SessionFailed as error:
            self._lost(error.fault)  # and not when it is closed as well
            for event in self._briefing.lost():
                self._delivery.put(event)
            raise
        finally:
            self._connection = self._inner = None
            catching_up.cancel()
            await asyncio.wait({catching_up})
            self._briefing.take_back()

    async def _catch_up(self, inner: VoiceSession) -> None:
        """Tell a new connection what it missed, in order: audio, and the commands that came between."""
        try:
            while (told := self._backlog.next()) is not None:
                if isinstance(told, bytes):
                    await self._send_kept(inner, told)
                else:
                    await self._hand_over(inner, told)
        except SessionClosed:
            pass  # this one is over as well; the reader says why
        except Exception as error:
            _log.exception("A connection could not be told what it missed")
            self._broken = _failed(error)
            await inner.aclose()
        else:
            self._inner = inner  # nothing has waited since all was told

    async def _send_kept(self, inner: VoiceSession, pcm: bytes) -> None:
        try:
            await self._speak(inner, SendAudio(pcm=pcm))
        except SessionClosed:
            raise
        except VoiceBridgeError as error:  # its `send` is long over
            self._delivery.put(BackendError(fault=error.fault))

    async def _hand_over(self, inner: VoiceSession, due: Due) -> None:
        """Pass a command on that was taken already: what is wrong with it can only be told as its fate."""
        try:
            await self._pass(inner, due)
        except (SessionClosed, asyncio.CancelledError):
            self._backlog.put_back(due)
            raise
        except VoiceBridgeError as error:
            self._failed(due.command.id, error.fault)
        except Exception as error:
            self._failed(due.command.id, _failed(error))
            raise

    def _failed(self, command_id: str, fault: Fault) -> None:
        """Tell a command's fate; one that had a good one before has only failed to end a turn again."""
        if self._turn_ends.was_told(command_id):
            self._turn_ends.withdraw(command_id)
            self._delivery.put(BackendError(fault=fault))
        else:
            self._delivery.put(CommandSettled(command_id=command_id, fault=fault))

    # Events

    def _happened(self, event: Event, carried: Literal["text", "none"]) -> None:
        if isinstance(event, BackendError) and event.fatal:
            return  # told, if it can't be mended
        if isinstance(event, CommandSettled) and (self._backlog.gives_back(event) or self._was_told(event)):
            return
        event = self._generation.told(event)
        self._briefing.happened(event)
        if isinstance(event, ResponseEnded) and event.status == "completed":
            self._answered_at = self._clock()
        elif isinstance(event, ResponseEnded):
            self._delivery.purge(event.response_id)
        elif isinstance(event, SessionReady):
            event = self._became_ready(event, carried)
        self._delivery.put(event)

    def _was_told(self, settled: CommandSettled) -> bool:
        """Whether an earlier connection settled the command. That it could not be done again is news all the same."""
        told = self._turn_ends.was_told(settled.command_id)
        if told and settled.fault is not None and settled.fault.category != "closed":
            self._failed(settled.command_id, settled.fault)
        return told

    def _became_ready(self, ready: SessionReady, carried: Literal["text", "none"]) -> SessionReady | SessionRestarted:
        self._capabilities = ready.capabilities
        self._ready_at = self._answered_at = self._clock()
        if not self._limit.expired():
            self._limit.reschedule(None)
        self._generation.hears(ready.input_format)
        if self._inner is None:
            self._backlog.pass_over_lost()
        ready = replace(ready, input_format=self._format, capabilities=self._seen_from_here(ready.capabilities))
        told = self._restarted(ready, carried) if self._was_ready else ready
        self._briefing.ready(ready.capabilities)
        self._was_ready, self._lost_at = True, None
        return told

    def _restarted(self, ready: SessionReady, carried: Literal["text", "none"]) -> SessionRestarted:
        now = self._clock()
        planned = self._lost_why is not None and self._lost_why.category == "planned_end"
        return SessionRestarted(
            ready=replace(ready, at=now),
            reason="expiry" if planned else "drop",
            carried=carried,
            gap_ms=0.0 if self._lost_at is None else (now - self._lost_at) * 1000,
            lost_audio_ms=self._format.ms(self._backlog.lost_bytes),
        )

    async def aclose(self) -> None:
        """End the session. Takes some seconds at the most."""
        self._closed = True
        self._delivery.purge()  # nothing waits for room any more
        task = self._task
        if task is not None and not task.done():
            if self._connection is not None:
                await self._connection.aclose()
                await asyncio.wait({task}, timeout=_CLOSE_S)
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSE_S)
        self._finish(None)


def _spoken(formats: Sequence[AudioFormat], wanted: AudioFormat) -> AudioFormat:
    """The format in which a backend that has these is spoken to. One that has none still gets one, to count by."""
    return wanted if wanted in formats or not formats else formats[0]


def _failed(error: Exception) -> Fault:
    what = f"The backend's plugin failed ({type(error).__name__}). Report it."
    return Fault(category="protocol", code="backend_failed", message=what, retryable=True)
