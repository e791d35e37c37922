"""What waits to be written to a socket: one queue, in order, with a bound on audio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from voicebridge.contract.codec import Frame
from voicebridge.contract.events import Event

__all__ = ["Outbox", "Outgoing"]

Outgoing = Frame | Event
"""A frame to write, or what is to be told once all before it is on the wire."""


class Outbox:
    """One writer takes from it; commands and the codec put into it.

    Nothing overtakes a commit: only what `put_urgent` puts passes anything, and it passes audio alone, never another
    frame that is no audio.

    Args:
        max_audio_bytes: of audio (as it was sent, not as it is written) for which there is room.
        max_bytes: of frames of any kind.
    """

    def __init__(self, max_audio_bytes: int, max_bytes: int = 4 * 1024 * 1024) -> None:
        self._items: deque[tuple[Outgoing, int]] = deque()
        self._max_audio_bytes, self._max_bytes = max_audio_bytes, max_bytes
        self._bytes = 0
        self._change = asyncio.Event()
        self._room, self._space = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._space.set()
        self.audio_bytes = 0
        """Of the audio that waits."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Iterable[Outgoing], audio_bytes: int = 0) -> None:
        """Add to the end. With `audio_bytes`, each item is a piece of audio of that many bytes."""
        for item in items:
            self._items.append((item, audio_bytes))
            self._count(item, audio_bytes)
        self._change.set()

    def put_urgent(self, items: Iterable[Outgoing]) -> None:
        """Add before the audio at the end."""
        audio: list[tuple[Outgoing, int]] = []
        while self._items and self._items[-1][1]:
            audio.append(self._items.pop())
        for item in items:
            self._items.append((item, 0))
            self._count(item, 0)
        self._items.extend(reversed(audio))
        self._change.set()

    def peek(self) -> tuple[Outgoing, int] | None:
        """The first item and its bytes of audio, left where it is."""
        return self._items[0] if self._items else None

    async def changed(self) -> None:
        """Wait until something is put in, or `wake` is called."""
        self._change.clear()
        await self._change.wait()

    def wake(self) -> None:
        """Let the writer look again."""
        self._change.set()

    def take(self) -> None:
        """Remove the first item."""
        item, audio_bytes = self._items.popleft()
        self._count(item, audio_bytes, -1)

    def has_room(self, *, audio: bool) -> bool:
        """Whether a command may put more in."""
        return self._space.is_set() and (not audio or self._room.is_set())

    async def room(self, *, audio: bool = True) -> None:
        """Wait until a command may put more in."""
        while not self.has_room(audio=audio):
            await self._space.wait()
            if audio:
                await self._room.wait()

    def clear(self) -> None:
        """Forget all of it, and let nobody wait for room."""
        self._items.clear()
        self._bytes = self.audio_bytes = 0
        self._room.set()
        self._space.set()

    def _count(self, item: Outgoing, audio_bytes: int, sign: int = 1) -> None:
        if not isinstance(item, Event):
            self._bytes += sign * len(item)
            _tell(self._space, self._bytes < self._max_bytes)
        if audio_bytes:
            self.audio_bytes += sign * audio_bytes
            _tell(self._room, self.audio_bytes < self._max_audio_bytes)


def _tell(event: asyncio.Event, holds: bool) -> None:
    if not holds:
        event.clear()
    elif not event.is_set():
        event.set()
