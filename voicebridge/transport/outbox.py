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
    """

    def __init__(self, max_audio_bytes: int) -> None:
        self._items: deque[tuple[Outgoing, int]] = deque()
        self._max_audio_bytes = max_audio_bytes
        self._change = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.audio_bytes = 0
        """Of the audio that waits."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Iterable[Outgoing], audio_bytes: int = 0) -> None:
        """Add to the end. With `audio_bytes`, each item is a piece of audio of that many bytes."""
        for item in items:
            self._items.append((item, audio_bytes))
            self.audio_bytes += audio_bytes
        self._changed()

    def put_urgent(self, items: Iterable[Outgoing]) -> None:
        """Add before the audio at the end."""
        audio: list[tuple[Outgoing, int]] = []
        while self._items and self._items[-1][1]:
            audio.append(self._items.pop())
        self._items.extend((item, 0) for item in items)
        self._items.extend(reversed(audio))
        self._changed()

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
        _, audio_bytes = self._items.popleft()
        if audio_bytes:
            self.audio_bytes -= audio_bytes
            if self.audio_bytes < self._max_audio_bytes:
                self._room.set()

    async def room(self) -> None:
        """Wait until there is room for audio."""
        await self._room.wait()

    def clear(self) -> None:
        """Forget all of it, and let nobody wait for room."""
        self._items.clear()
        self.audio_bytes = 0
        self._room.set()

    def _changed(self) -> None:
        if self.audio_bytes >= self._max_audio_bytes:
            self._room.clear()
        self.wake()
