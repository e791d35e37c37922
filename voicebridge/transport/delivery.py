"""From a session to the one who reads its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConcurrentIteration, SessionFailed
from voicebridge.contract.events import BackendError, Event, OutputAudio
from voicebridge.contract.fault import Fault

__all__ = ["Delivery", "Room"]

_MAX_UNDELIVERED_MS = 120_000


class Room(Protocol):
    """Says whether more audio should come."""

    @property
    def has_room(self) -> bool:
        """Whether it may."""

    async def room(self) -> None:
        """Wait until it may."""


class Delivery:
    """An unbounded queue of events with a bound on audio, one consumer, and an end.

    It is an iterator, not a generator: leaving an `async for`, or cancelling the wait of one, loses no event.

    Args:
        format: of the audio in `OutputAudio`, to count it.
        clock: monotonic seconds, for `Event.at`.
    """

    def __init__(self, format: AudioFormat, clock: Callable[[], float]) -> None:
        self._format = format
        self._clock = clock
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._audio_bytes = self._dropped_bytes = 0
        self._limit = format.size(_MAX_UNDELIVERED_MS)
        self._ended = False
        self._failure: Fault | None = None
        self._take: Callable[[Event], None] | None = None
        """Gets each event, in place of the queue."""
        self._downstream: Room | None = None
        self.on_dropped: Callable[[str, int], None] | None = None
        """Is told of audio that will not be delivered: its response, and how many bytes."""
        self.on_taken: Callable[[OutputAudio], None] | None = None
        """Is told of each piece of audio when somebody has it."""

    def measure_by(self, format: AudioFormat) -> None:
        """From here on audio is in that format."""
        self._format, self._limit = format, format.size(_MAX_UNDELIVERED_MS)

    @property
    def dropped_ms(self) -> float:
        """Milliseconds of audio that were never delivered: purged by an interruption, or too late for the end."""
        return self._format.ms(self._dropped_bytes)

    def put(self, event: Event) -> None:
        """Add an event and stamp it. Nothing is added after the end."""
        if self._ended:
            if isinstance(event, OutputAudio):
                self._drop(event.response_id, len(event.pcm))
            return
        # Nobody else has seen the event yet, and a copy of each would cost ten times as much.
        object.__setattr__(event, "at", self._clock())
        if self._take is not None:
            self._take(event)
            if self.on_taken is not None and isinstance(event, OutputAudio):
                self.on_taken(event)
            return
        self._events.append(event)
        if isinstance(event, OutputAudio):
            self._audio_bytes += len(event.pcm)
            if self._audio_bytes >= self._limit:
                self._room.clear()
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether nothing is added any more."""
        return self._ended

    @property
    def has_room(self) -> bool:
        """Whether less than two minutes of audio are undelivered."""
        return self._room.is_set() if self._downstream is None else self._downstream.has_room

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for an event, and there is none."""
        return self._waiter is not None and not self._events

    async def room(self) -> None:
        """Wait until less than two minutes of audio are undelivered."""
        if self._downstream is not None:
            await self._downstream.room()
        else:
            await self._room.wait()

    def purge(self, response_id: str | None = None) -> None:
        """Drop the undelivered audio of a response, or of all."""
        kept: deque[Event] = deque()
        dropped: dict[str, int] = {}
        for event in self._events:
            if isinstance(event, OutputAudio) and response_id in (None, event.response_id):
                self._left(event)
                dropped[event.response_id] = dropped.get(event.response_id, 0) + len(event.pcm)
            else:
                kept.append(event)
        self._events = kept
        for dropped_id, size in dropped.items():
            self._drop(dropped_id, size)

    def _drop(self, response_id: str, size: int) -> None:
        self._dropped_bytes += size
        if self.on_dropped is not None:
            self.on_dropped(response_id, size)

    def end(self, failure: Fault | None = None, *, told: bool = False) -> None:
        """No more events. With a failure, a fatal `BackendError` is the last one and the iterator then raises.

        Args:
            told: that one has been put already.
        """
        if self._ended:
            return
        if failure is not None:
            if not told:
                self.put(BackendError(fault=failure, fatal=True))
        else:
            self.purge()
        self._ended, self._failure = True, failure
        self._room.set()
        self._wake()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._waiter is not None:
            raise ConcurrentIteration("Another task already waits for this session's events. Share one reader.")
        while not self._events:
            if self._ended:
                if self._failure is not None:
                    raise SessionFailed(self._failure)
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._events.popleft()
        if isinstance(event, OutputAudio):
            self._left(event)
            if self.on_taken is not None:
                self.on_taken(event)
        return event

    async def hand_to(self, take: Callable[[Event], None], downstream: Room) -> None:
        """Give each event to `take` in the moment in which it comes, in place of iterating: that saves waking a task.

        Ends as iterating does. Cancelled, what comes is kept again.

        Args:
            take: must not raise.
            downstream: whoever keeps what was taken; its room counts.
        """
        if self._waiter is not None:
            raise ConcurrentIteration("Another task already waits for this session's events. Share one reader.")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, OutputAudio):
                    self._left(event)
                take(event)
                if self.on_taken is not None and isinstance(event, OutputAudio):
                    self.on_taken(event)
            if not self._ended:
                self._take, self._downstream = take, downstream
                await self._waiter
        finally:
            self._waiter = self._take = self._downstream = None
        if self._failure is not None:
            raise SessionFailed(self._failure)

    def _left(self, event: OutputAudio) -> None:
        """It waits no longer."""
        self._audio_bytes -= len(event.pcm)
        if self._audio_bytes < self._limit:
            self._room.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
