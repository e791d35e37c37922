"""The latest audio of a stream, addressed by its place in the whole of it."""

from __future__ import annotations

from collections import deque

from voicebridge.contract.audio import AudioFormat

__all__ = ["RecentAudio"]


class RecentAudio:
    """Grows at its end and forgets its beginning. Offsets are bytes from the first sample of the stream."""

    def __init__(self, format: AudioFormat) -> None:
        self._pieces: deque[bytes] = deque()
        """As they came: nothing is copied until somebody asks."""
        self.start = 0
        """The offset of the oldest byte that is still there."""
        self.end = 0
        """Bytes that the stream has had."""
        self._frame = format.frame_bytes
        self._slack = format.size(1_000)

    def add(self, pcm: bytes) -> None:
        """The stream goes on."""
        self._pieces.append(pcm)
        self.end += len(pcm)

    def since(self, offset: int) -> bytes:
        """The audio from an offset on, as far back as it is still there."""
        skipped, wanted = self.start, []
        for piece in self._pieces:
            if skipped + len(piece) > offset:
                wanted.append(piece[max(0, offset - skipped) :])
            skipped += len(piece)
        return b"".join(wanted)

    def forget(self, before: int) -> None:
        """Let go of whole frames that lie before an offset; a second of them at a time."""
        dropped = min(before, self.end) - self.start
        if dropped < self._slack:
            return
        dropped -= dropped % self._frame
        self.start += dropped
        while dropped:
            piece = self._pieces.popleft()
            if len(piece) > dropped:
                self._pieces.appendleft(piece[dropped:])
                break
            dropped -= len(piece)
