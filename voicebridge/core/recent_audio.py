"""The latest audio of a stream, addressed by its place in the whole of it."""

from __future__ import annotations

from voicebridge.contract.audio import AudioFormat

__all__ = ["RecentAudio"]


class RecentAudio:
    """Grows at its end and forgets its beginning. Offsets are bytes from the first sample of the stream."""

    def __init__(self, format: AudioFormat) -> None:
        self._data = bytearray()
        self._start = 0
        self._frame = format.frame_bytes
        self._slack = format.size(1_000)

    @property
    def start(self) -> int:
        """The offset of the oldest byte that is still there."""
        return self._start

    @property
    def end(self) -> int:
        """Bytes that the stream has had."""
        return self._start + len(self._data)

    def add(self, pcm: bytes) -> None:
        """The stream goes on."""
        self._data += pcm

    def since(self, offset: int) -> bytes:
        """The audio from an offset on, as far back as it is still there."""
        return bytes(self._data[max(0, offset - self._start) :])

    def forget(self, before: int) -> None:
        """Let go of what lies before an offset; a second of it at a time, since moving memory costs."""
        dropped = before - self._start
        if dropped >= self._slack:
            dropped -= dropped % self._frame
            del self._data[:dropped]
            self._start += dropped
