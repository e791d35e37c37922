"""One connection of a call: from the dial to its end, its audio in the formats of the call.

what it owns                from                        until
the task that carries it    `start`                     the connection ends, or `close` and at most 3 s
the backend's session       its dial                    the same task leaves its context
the task that catches up    the call is handed to it    everything is told, the call is taken from it, or its end
a use of a key of the call  before the dial             after the connection is closed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    Event,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    SessionReady,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.core.answer_failures import MENDED
from voicebridge.core.backlog import Due
from voicebridge.core.ledger import SentPlaces
from voicebridge.transport.books import Books
from voicebridge.transport.link import LinkSession

from .call_keys import CallKey, CallKeys
from .candidate import Candidate
from .door_session import DoorSession
from .generation import Generation

__all__ = ["Leg", "LegOwner"]

_CLOSE_S = 3.0
_log = logging.getLogger("voicebridge")


class LegOwner(Protocol):
    """Whom a leg tells what happens to it."""

    def leg_opened(self, leg: Leg) -> None:
        """Its session is there. It may not be ready."""

    def leg_told(self, leg: Leg, event: Event) -> None:
        """Its session told something."""

    def leg_ended(self, leg: Leg, fault: Fault | None) -> None:
        """It is over. None: it was closed by us."""

    @property
    def has_room(self) -> bool:
        """Whether somebody takes the events."""

    async def room(self) -> None:
        """Wait until somebody does."""


class Leg:
    """One attempt to carry a call.

    Args:
        attempt: the number that the handover gave it.
        seed: what it is told of the conversation when it is opened.
        keys: those of the call, where the candidate has a pool.
    """

    def __init__(
        self,
        attempt: int,
        candidate: Candidate,
        config: SessionConfig,
        seed: tuple[Item, ...],
        owner: LegOwner,
        keys: CallKeys,
    ) -> None:
        self.attempt, self.candidate, self.config, self.seed = attempt, candidate, config, seed
        self._owner, self._keys = owner, keys
        self.session: DoorSession | None = None
        self.ready: SessionReady | None = None
        self.skipped = 0
        """Items of the conversation before `seed` that it is not told: there were too many for it."""
        self.expires_at: float | None = None
        """Seconds on the clock: when it will end, if it said so."""
        self.had_call = False
        """It has the call, or had it."""
        self.names = Generation(1, 0.0)
        """As long as nothing was handed to it, its own."""
        self.sent = SentPlaces()
        """What it was given of the user's audio."""
        self.strays: set[str] = set()
        """Answers and turns that it began before it had the call: they are none of the call's."""
        self.unsettled: dict[str, Due | None] = {}
        """Commands that it has, or is just being given, and has not settled; None for those of the session's making
        and those that an earlier leg had."""
        self.giving: set[str] = set()
        """Of these, the ones that it may not have taken yet."""
        self.caught_up = False
        """It was told what it missed, and takes commands."""
        self.lags = False
        """It was, and takes the user's audio more slowly than it comes: it is told what waits for that."""
        self.answered_at = 0.0
        """When it last finished an answer."""
        self.broken: Fault | None = None
        """Why it could not be told what it missed."""
        self.error: Exception | None = None
        """What its backend raised."""
        self._key: CallKey | None = None
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._catching_up: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[None]] = set()
        """The tasks that catch up and are not over: it may still be giving up the one before."""
        self._close_task: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._books: Books | None = None
        """What is open on a session that keeps no books itself."""
        self._committed = 0
        """Bytes of the user's audio that lie in turns which it took as over."""

    @property
    def delivered_bytes(self) -> int:
        """Of the user's audio, what it has certainly received. Of a session that can't tell: what is in turns that it
        took as over, and everything once it is closed in order."""
        session = self.session
        confirmed_ms = None if session is None else session.delivered_ms
        if self._books is not None and self._closing and self.broken is None and self.error is None:
            return self.sent.size  # there is no line on which anything could be lost
        if confirmed_ms is None:
            return min(self.sent.size, self._committed)
        return min(self.sent.size, self.config.input_format.size(confirmed_ms))

    @property
    def delivered_place(self) -> int:
        """The place in the user's audio up to which it has certainly received what it was given."""
        return self.sent.place(self.delivered_bytes)

    def start(self) -> None:
        """Dial."""
        self._task = asyncio.create_task(self._run(), name=f"leg {self.attempt}")

    def got_ready(self, ready: SessionReady, now: float) -> None:
        """It said that it can be spoken to."""
        self.ready = ready
        self.expires(ready.expires_in_s, now)
        self._is_ready.set()

    async def until_ready(self) -> None:
        """Wait until it can be spoken to. Ends with the connection: who waits is cancelled."""
        await self._is_ready.wait()

    def expires(self, in_s: float | None, now: float) -> None:
        """It said when it will end."""
        if in_s is not None:
            self.expires_at = now + in_s

    def catch_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Tell it what it missed. What it was being told before that is left."""
        self._stop_catching_up()
        self._catching_up = task = asyncio.create_task(work, name=f"leg {self.attempt}: catch up")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _stop_catching_up(self) -> None:
        if self._catching_up is not None and self._catching_up is not asyncio.current_task():
            self._catching_up.cancel()

    def put_aside(self) -> None:
        """The call is handed to another one: it is told nothing more."""
        self.caught_up = self.lags = False
        self._stop_catching_up()

    def close(self) -> None:
        """Begin to end it; `closed` waits for that."""
        if self._close_task is None:
            self._closing = True
            self.put_aside()
            self._close_task = asyncio.create_task(self._close(), name=f"leg {self.attempt}: close")

    async def closed(self) -> None:
        """Wait until it has let go of everything."""
        self.close()
        assert self._close_task is not None
        await asyncio.shield(self._close_task)

    async def _close(self) -> None:
        if self.session is not None:
            try:
                await asyncio.wait_for(self.session.aclose(), _CLOSE_S)
            except TimeoutError:
                _log.warning("A connection did not close within %s s", _CLOSE_S)
            except Exception:
                _log.exception("A connection failed to close")
        tasks = {task for task in (self._task, *self._work) if task is not None and not task.done()}
        if self.session is not None and tasks:
            _, tasks = await asyncio.wait(tasks, timeout=_CLOSE_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)

    async def _run(self) -> None:
        fault: Fault | None = None
        try:
            await self._carry()
            fault = self.broken
        except VoiceBridgeError as error:
            fault = error.fault
            self.error = error
            if self._key is not None:
                fault = await self._of_the_key(fault)
        except Exception as error:
            _log.exception("A backend failed")
            fault, self.error = failed(error), error
        finally:  # also where it had to be cancelled
            self.put_aside()
            self._owner.leg_ended(self, None if self._closing else fault or self.broken)

    async def _of_the_key(self, fault: Fault) -> Fault:
        """A key that is refused or over its limit says nothing against the backend, while the pool has another one."""
        keys = self.candidate.keys
        if keys is None or fault.category not in ("rate", "quota", "auth"):
            return fault
        try:
            free = any(not key.cause for key in (await keys.snapshot()).keys.values())
        except VoiceBridgeError:
            return fault
        return replace(fault, category="network", retryable=True, retry_after_s=None) if free else fault

    async def _carry(self) -> None:
        """The connection, with a key from its pool, if there is one, for as long as it is there."""
        pool = self.candidate.keys
        if pool is None:
            await self._connected(self.config)
            return
        key = self._key = await self._keys.take(pool)
        try:
            await self._connected(self.config.patched({"api_key": key.lease.key}))
        except VoiceBridgeError as error:
            key.fault(error.fault, connecting=self.ready is None)
            raise
        finally:
            self._keys.leave(key)

    async def _connected(self, config: SessionConfig) -> None:
        async with self.candidate.backend.connect(config, self.seed) as raw:
            self.session = DoorSession(raw, config.input_format, config.output_format)
            if not isinstance(raw, LinkSession):
                self._books = Books()
            self._owner.leg_opened(self)
            await self.session.hand_to(self._take, self._owner)
        if self.broken is None and not self._closing:
            self.broken = Fault(category="network", code="lost", message="The session ended.", retryable=True)

    def _take(self, event: Event) -> None:
        """Its session tells something. What we fail at ends the connection, and is no concern of the session's."""
        try:
            if self._books is not None and type(event) in _IN_BOOKS and not self._books.admit(event):
                return
            if type(event) is UserTurn and event.phase == "committed":
                self._committed = max(self._committed, self.config.input_format.size(event.audio_ms))
            if self._key is not None and type(event) in _OF_KEYS:
                self._tell_pool(self._key, event)
            self._owner.leg_told(self, event)
            if self._books is not None and type(event) is BackendError and event.fatal:
                self._give_up(event.fault)  # it should end by itself, and may not
        except Exception as error:
            _log.exception("An event of a backend could not be taken")
            self.error = error
            self._give_up(failed(error))

    def _give_up(self, fault: Fault) -> None:
        """It is of no use any more."""
        self.broken = fault
        if self._giving_up is None and self.session is not None:
            self._giving_up = asyncio.create_task(self._leave(self.session), name=f"leg {self.attempt}: give up")

    async def _leave(self, session: DoorSession) -> None:
        try:
            await asyncio.wait_for(session.aclose(), _CLOSE_S)
        except Exception:
            _log.debug("A connection that was given up did not close in order", exc_info=True)
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=_CLOSE_S)
            self._task.cancel()

    def _tell_pool(self, key: CallKey, event: Event) -> None:
        """What an event says of the key."""
        if isinstance(event, SessionReady):
            key.proven = True
        elif isinstance(event, SessionNotice) and event.limits:
            key.lease.limits(event.limits)
        elif isinstance(event, BackendError) and event.fatal:
            pass  # the connection ends of it
        elif isinstance(event, ResponseEnded | BackendError) and event.fault is not None:
            if event.fault.code in MENDED:
                return  # of one stage of several, which may well have a key of its own
            key.fault(event.fault, connecting=False)


_IN_BOOKS = frozenset({OutputAudio, ResponseStarted, ResponseEnded})
_OF_KEYS = frozenset({SessionReady, SessionNotice, ResponseEnded, BackendError})


def failed(error: Exception) -> Fault:
    """A plugin raised what it should not."""
    what = f"The backend's plugin failed ({type(error).__name__}). Report it."
    return Fault(category="protocol", code="backend_failed", message=what, retryable=True)
