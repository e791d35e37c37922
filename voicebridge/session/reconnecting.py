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
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Configure, Interrupt, ReportPlayed, SendAudio
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
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.recent_audio import RecentAudio
from voicebridge.core.replay_point import ReplayPoint
from voicebridge.core.retry import RetryPolicy, delays, wait_before_retry
from voicebridge.transport.delivery import Delivery

from .generation import Generation

__all__ = ["ReconnectingSession", "reconnecting"]

_KEPT_AUDIO_MS = 30_000
_CLOSE_S = 3.0
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
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
    """A `VoiceSession` over one connection after another. Made by `reconnecting`."""

    def __init__(
        self,
        backend: Backend,
        config: SessionConfig,
        history: Sequence[Item],
        policy: RetryPolicy,
        chance: Callable[[], float],
    ) -> None:
        self._backend, self._config, self._policy, self._chance = backend, config, policy, chance
        self._capabilities = backend.capabilities
        self._clock = asyncio.get_running_loop().time
        self._format = (*self._capabilities.formats_in, config.input_format)[0]
        self._delivery = Delivery((*self._capabilities.formats_out, config.output_format)[0], self._clock)
        self._chronicle = Chronicle(history)
        self._audio = RecentAudio(self._format)
        self._replay = ReplayPoint(transcribes=self._capabilities.input_transcript != "none")
        self._generation = Generation(0, 0.0)
        self._connection: VoiceSession | None = None
        """The one there is, from the dial to its end."""
        self._inner: VoiceSession | None = None
        """The same, when it was told what it missed: it takes commands."""
        self._ready_at: float | None = None
        """When the connection became ready; None: it has not."""
        self._was_ready = False
        """Whether any connection has."""
        self._held: deque[tuple[int, Command]] = deque()
        """Commands that no connection has, and how much audio came before each."""
        self._early: list[tuple[int, Command]] = []
        """Commands that the connection took before it was ready. If it never is, another one gets them."""
        self._patches: dict[str, Configure] = {}
        self._told = 0
        """Up to where the connection has the user's audio, in bytes, while it is told what it missed."""
        self._wanted: int | None = None
        """From where the next connection that gets ready should hear it."""
        self._lost_bytes = 0
        """Of the audio since then, what was not there any more."""
        self._lost_at: float | None = None
        self._lost_why: Fault | None = None
        self._closed = False
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The backend took the config the first time, or raised what it has against it."""
        self._task: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do now."""
        return self._capabilities if self._inner is None else self._inner.capabilities

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
        while (inner := self._inner) is not None:
            try:
                await self._pass(inner, self._audio.end, command)
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
            self._keep(command.pcm)
            return
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)
        if not isinstance(command, ReportPlayed):
            self._held.append((self._audio.end, command))

    async def _pass(self, inner: VoiceSession, place: int, command: Command) -> None:
        if isinstance(command, SendAudio):
            await inner.send(command)
            self._keep(command.pcm)  # not before it was taken: a `send` that was cancelled comes again
            return
        addressed = self._generation.addressed(command)
        if addressed is not None:
            await self._give(inner, command, addressed)
            if self._ready_at is None and not isinstance(command, ReportPlayed):
                self._early.append((place, command))
        elif not isinstance(command, ReportPlayed):  # it speaks of a response that went down with its connection
            self._delivery.put(CommandSettled(command_id=command.id))
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)

    async def _give(self, inner: VoiceSession, command: Command, addressed: Command) -> None:
        self._chronicle.sent(command)
        if isinstance(command, Configure):
            self._patches[command.id] = command
        try:
            await inner.send(addressed)
        except BaseException:
            self._forget(command)
            raise

    def _forget(self, command: Command) -> None:
        """It was not taken after all."""
        self._chronicle.withdraw(command.id)
        self._patches.pop(command.id, None)

    def _keep(self, pcm: bytes) -> None:
        self._audio.add(pcm)
        self._audio.forget(before=max(self._audio.end - self._format.size(_KEPT_AUDIO_MS), self._replay_from()))

    def _replay_from(self) -> int:
        """The first byte of what a new connection has to hear. A server may claim to have heard what was never sent."""
        return min(self._format.size(self._replay.ms), self._audio.end)

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
        patience: Iterator[float] = iter(())
        failing_since: float | None = None
        while True:
            fault = await self._one_connection()
            if self._closed or fault is None:
                return None
            now = self._clock()
            lasted_s = 0.0 if self._ready_at is None else now - self._ready_at
            if failing_since is None or lasted_s > self._policy.deadline_s:
                # The one before lasted: this is a new misfortune, with patience of its own.
                failing_since, patience = now, delays(self._policy, self._chance)
            delay_s = next(patience, None)
            wait_s = None
            if delay_s is not None:
                elapsed_s = now - failing_since
                wait_s = wait_before_retry(fault, delay_s=delay_s, elapsed_s=elapsed_s, policy=self._policy)
            if wait_s is None:
                return fault
            await asyncio.sleep(wait_s)

    def _finish(self, fault: Fault | None) -> None:
        """The end, for what waits as well."""
        self._closed = True
        self._take_back()
        for _, command in self._held:
            self._delivery.put(CommandSettled(command_id=command.id, fault=_CLOSED))
        self._held.clear()
        self._delivery.end(fault)

    async def _one_connection(self) -> Fault | None:
        """Carry one connection until it ends. Why it did, or None: by our own close."""
        self._ready_at = None
        history = self._begin_generation()
        try:
            async with self._backend.connect(self._config, history) as inner:
                if not self._opened.done():
                    self._opened.set_result(None)
                await self._carry(inner, "text" if history else "none")
            return None
        except SessionFailed as error:
            self._lost(error.fault)
            return error.fault
        except VoiceBridgeError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            self._lost(error.fault)
            return error.fault

    def _begin_generation(self) -> tuple[Item, ...]:
        """Decide from where on the next connection hears the user's audio; what was said before, it is told."""
        for turn_id in self._replay.unwritten:
            self._chronicle.withdraw(turn_id)
        wanted = self._replay_from()
        if self._wanted is None:
            self._wanted = wanted
        self._told = max(wanted, self._audio.start)
        self._lost_bytes = self._told - self._wanted
        start_ms = self._format.ms(self._told)
        self._replay.restart(start_ms)
        self._generation = Generation(self._generation.number + 1, start_ms)
        return self._chronicle.items()

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
        except SessionFailed as error:
            self._lost(error.fault)  # and not when it is closed as well
            raise
        finally:
            self._connection = self._inner = None
            catching_up.cancel()
            await asyncio.wait({catching_up})
            self._take_back()

    def _take_back(self) -> None:
        """The connection was never ready: what it took goes to the next one."""
        for _, command in self._early:
            self._forget(command)
        self._held.extendleft(reversed(self._early))
        self._early.clear()

    async def _catch_up(self, inner: VoiceSession) -> None:
        """Tell a new connection what it missed, in order: audio, and the commands that came between."""
        try:
            while self._held or self._told < self._audio.end:
                upto = self._held[0][0] if self._held else self._audio.end
                self._pass_over_lost()
                if self._told < upto:
                    pcm = self._audio.since(self._told)[: upto - self._told]
                    self._told = upto
                    await self._send_kept(inner, pcm)
                else:
                    await self._hand_over(inner, *self._held.popleft())
        except SessionClosed:
            return  # this one is over as well; the reader says why
        self._inner = inner  # nothing has waited since all was told

    def _pass_over_lost(self) -> None:
        """What was to be told next may be too old to be there."""
        gone = max(0, self._audio.start - self._told)
        self._told += gone
        self._lost_bytes += gone

    async def _send_kept(self, inner: VoiceSession, pcm: bytes) -> None:
        try:
            await inner.send(SendAudio(pcm=pcm))
        except SessionClosed:
            raise
        except VoiceBridgeError as error:  # its `send` is long over
            self._delivery.put(BackendError(fault=error.fault))

    async def _hand_over(self, inner: VoiceSession, place: int, command: Command) -> None:
        """Pass a command on that was taken already: what is wrong with it can only be told as its fate."""
        try:
            await self._pass(inner, place, command)
        except (SessionClosed, asyncio.CancelledError):
            self._held.appendleft((place, command))
            raise
        except VoiceBridgeError as error:
            self._delivery.put(CommandSettled(command_id=command.id, fault=error.fault))

    # Events

    def _happened(self, event: Event, carried: Literal["text", "none"]) -> None:
        if isinstance(event, BackendError) and event.fatal:
            return  # told, if it can't be mended
        if isinstance(event, CommandSettled) and self._comes_again(event):
            return
        event = self._generation.told(event)
        self._replay.happened(event)
        self._chronicle.happened(event)
        if isinstance(event, CommandSettled) and (patch := self._patches.pop(event.command_id, None)):
            if event.fault is None:
                self._config = self._config.patched(patch.patch)
        elif isinstance(event, ResponseEnded) and event.status != "completed":
            self._delivery.purge(event.response_id)
        elif isinstance(event, SessionReady):
            event = self._became_ready(event, carried)
        self._delivery.put(event)

    def _comes_again(self, settled: CommandSettled) -> bool:
        """Whether a connection that was never ready gives a command back."""
        if all(command.id != settled.command_id for _, command in self._early):
            return False
        if settled.fault is not None and settled.fault.category == "closed":
            return True
        self._early = [(place, command) for place, command in self._early if command.id != settled.command_id]
        return False

    def _became_ready(self, ready: SessionReady, carried: Literal["text", "none"]) -> SessionReady | SessionRestarted:
        self._capabilities = ready.capabilities
        self._replay.transcribes = ready.capabilities.input_transcript != "none"
        self._ready_at = self._clock()
        self._early.clear()
        if self._inner is None:
            self._pass_over_lost()
        told = self._restarted(ready, carried) if self._was_ready else ready
        self._was_ready = True
        self._lost_at = self._wanted = None
        return told

    def _restarted(self, ready: SessionReady, carried: Literal["text", "none"]) -> SessionRestarted:
        now = self._clock()
        planned = self._lost_why is not None and self._lost_why.category == "planned_end"
        return SessionRestarted(
            ready=replace(ready, at=now),
            reason="expiry" if planned else "drop",
            carried=carried,
            gap_ms=0.0 if self._lost_at is None else (now - self._lost_at) * 1000,
            lost_audio_ms=self._format.ms(self._lost_bytes),
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
