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
        self._inner: VoiceSession | None = None
        """Takes commands. None while there is no connection, or while it is told what it missed."""
        self._held: deque[tuple[int, Command]] = deque()
        """Commands that came meanwhile, and how much audio came before each."""
        self._patches: dict[str, Configure] = {}
        self._lost_at: float | None = None
        self._lost_why: Fault | None = None
        self._lost_audio_ms = 0.0
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
        if isinstance(command, SendAudio):
            self._keep(command.pcm)
        try:
            if self._inner is not None:
                await self._pass(self._inner, command)
                return
        except SessionClosed:
            if self._closed:
                raise
        if not isinstance(command, SendAudio | ReportPlayed):
            self._held.append((self._audio.end, command))

    async def _pass(self, inner: VoiceSession, command: Command) -> None:
        addressed = self._generation.addressed(command)
        if addressed is None:  # it speaks of a response that went down with its connection
            if not isinstance(command, ReportPlayed):
                self._delivery.put(CommandSettled(command_id=command.id))
            return
        self._chronicle.sent(command)
        try:
            await inner.send(addressed)
        except VoiceBridgeError:
            self._chronicle.withdraw(command.id)
            raise
        if isinstance(command, Configure):
            self._patches[command.id] = command
        elif isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)

    def _keep(self, pcm: bytes) -> None:
        self._audio.add(pcm)
        oldest = max(self._audio.end - self._format.size(_KEPT_AUDIO_MS), self._format.size(self._replay.ms))
        self._audio.forget(before=oldest)

    # Connections

    async def _run(self) -> None:
        patience: Iterator[float] = iter(())
        failing_since: float | None = None
        while True:
            began_at = self._clock()
            fault = await self._one_connection()
            now = self._clock()
            if self._closed or fault is None:
                self._delivery.end(None)
                return
            if failing_since is None or now - began_at > self._policy.deadline_s:
                # The one before lasted: this is a new misfortune, with patience of its own.
                failing_since, patience = now, delays(self._policy, self._chance)
            delay_s = next(patience, None)
            wait_s = None
            if delay_s is not None:
                elapsed_s = now - failing_since
                wait_s = wait_before_retry(fault, delay_s=delay_s, elapsed_s=elapsed_s, policy=self._policy)
            if wait_s is None:
                self._give_up(fault)
                return
            await asyncio.sleep(wait_s)

    def _give_up(self, fault: Fault) -> None:
        self._closed = True
        for _, command in self._held:
            self._delivery.put(CommandSettled(command_id=command.id, fault=_CLOSED))
        self._delivery.end(fault)

    async def _one_connection(self) -> Fault | None:
        """Carry one connection until it ends. Why it did, or None: by our own close."""
        start_ms = self._replay.ms
        for turn_id in self._replay.unwritten:
            self._chronicle.withdraw(turn_id)
        self._replay.restart(start_ms)
        self._generation = Generation(self._generation.number + 1, start_ms)
        history = self._chronicle.items()
        try:
            async with self._backend.connect(self._config, history) as inner:
                if not self._opened.done():
                    self._opened.set_result(None)
                await self._carry(inner, self._format.size(start_ms), "text" if history else "none")
            return None
        except SessionFailed as error:
            fault = error.fault
        except VoiceBridgeError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            fault = error.fault
        if self._lost_at is None:
            self._lost_at, self._lost_why = self._clock(), fault
        return fault

    async def _carry(self, inner: VoiceSession, start: int, carried: Literal["text", "none"]) -> None:
        """Pass on the events of a connection, while it is told what it missed."""
        catching_up = asyncio.create_task(self._catch_up(inner, start), name="reconnecting: catch up")
        try:
            async for event in inner:
                await self._delivery.room()
                self._happened(event, carried)
        finally:
            self._inner = None
            catching_up.cancel()
            await asyncio.wait({catching_up})

    async def _catch_up(self, inner: VoiceSession, start: int) -> None:
        """Tell a new connection what it missed, in order: audio, and the commands that came between."""
        there = self._audio.since(start)
        self._lost_audio_ms = self._format.ms(self._audio.end - start - len(there))
        sent = self._audio.end - len(there)
        try:
            while self._held or sent < self._audio.end:
                upto = self._held[0][0] if self._held else self._audio.end
                if sent < upto:
                    pcm = self._audio.since(sent)[: upto - sent]
                    sent = upto
                    await inner.send(SendAudio(pcm=pcm))
                else:
                    await self._hand_over(inner, self._held.popleft()[1])
        except SessionClosed:
            return  # this one is over as well; the reader says why
        self._inner = inner  # nothing has waited since all was told

    async def _hand_over(self, inner: VoiceSession, command: Command) -> None:
        """Pass a command on that was taken already: what is wrong with it can only be told as its fate."""
        try:
            await self._pass(inner, command)
        except SessionClosed:
            self._held.appendleft((self._audio.end, command))
            raise
        except VoiceBridgeError as error:
            self._delivery.put(CommandSettled(command_id=command.id, fault=error.fault))

    # Events

    def _happened(self, event: Event, carried: Literal["text", "none"]) -> None:
        if isinstance(event, BackendError) and event.fatal:
            return  # told, if it can't be mended
        event = self._generation.told(event)
        self._replay.happened(event)
        self._chronicle.happened(event)
        if isinstance(event, CommandSettled) and (patch := self._patches.pop(event.command_id, None)):
            if event.fault is None:
                self._config = self._config.patched(patch.patch)
        elif isinstance(event, ResponseEnded) and event.status != "completed":
            self._delivery.purge(event.response_id)
        elif isinstance(event, SessionReady):
            self._capabilities = event.capabilities
            if self._generation.number > 1:
                event = self._restarted(event, carried)
            self._lost_at = None
        self._delivery.put(event)

    def _restarted(self, ready: SessionReady, carried: Literal["text", "none"]) -> SessionRestarted:
        now = self._clock()
        planned = self._lost_why is not None and self._lost_why.category == "planned_end"
        return SessionRestarted(
            ready=replace(ready, at=now),
            reason="expiry" if planned else "drop",
            carried=carried,
            gap_ms=0.0 if self._lost_at is None else (now - self._lost_at) * 1000,
            lost_audio_ms=self._lost_audio_ms,
        )

    async def aclose(self) -> None:
        """End the session. Takes at most three seconds."""
        self._closed = True
        task = self._task
        if task is None or task.done():
            self._delivery.end(None)
            return
        if self._inner is not None:
            await self._inner.aclose()
            await asyncio.wait({task}, timeout=_CLOSE_S)
        task.cancel()
        await asyncio.wait({task}, timeout=_CLOSE_S)
        for _, command in self._held:
            self._delivery.put(CommandSettled(command_id=command.id, fault=_CLOSED))
        self._held.clear()
        self._delivery.end(None)
