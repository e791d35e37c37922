"""The user's voice on its way out: whole samples, and how many have gone."""

from __future__ import annotations

import pybase64

from voicebridge.contract.audio import AudioFormat

__all__ = ["InputAudio"]

_HEAD, _TAIL = '{"type":"input_audio_buffer.append","audio":"', '"}'
_LONGEST = 9 * 1024 * 1024
"""Bytes in one frame. The vendor takes 15 MiB of base64."""


class InputAudio:
    """Counts what was sent: the count of samples is the clock."""

    def __init__(self, audio: AudioFormat) -> None:
        self.format = audio
        self._odd = b""
        self._sent = 0
        self._taken = 0
        """Bytes that commits and clears have used up."""

    @property
    def sent_ms(self) -> float:
        """Milliseconds sent into this session."""
        return self.format.ms(self._sent)

    @property
    def pending_ms(self) -> float:
        """Milliseconds sent since the last commit."""
        return self.format.ms(self._sent - self._taken)

    def append(self, pcm: bytes) -> list[str]:
        """The frames of a piece of audio. An odd byte waits for the next one."""
        if self._odd:
            pcm = self._odd + pcm
        odd = len(pcm) % self.format.frame_bytes
        pcm, self._odd = (pcm[:-odd], pcm[-odd:]) if odd else (pcm, b"")
        self._sent += len(pcm)
        if 0 < len(pcm) <= _LONGEST:
            return [_HEAD + pybase64.b64encode_as_string(pcm) + _TAIL]
        pieces = (pcm[start : start + _LONGEST] for start in range(0, len(pcm), _LONGEST))
        return [_HEAD + pybase64.b64encode_as_string(piece) + _TAIL for piece in pieces]

    def take(self, until_ms: float | None = None) -> None:
        """The vendor's buffer is empty up to here: it was committed or cleared."""
        until = self._sent if until_ms is None else min(self._sent, self.format.size(min(until_ms, self.sent_ms)))
        self._taken = max(self._taken, until)
