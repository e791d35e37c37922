"""Finds speech by its level: for clients that bring no detector of their own, and for the plain loops."""

from __future__ import annotations

import numpy as np

__all__ = ["LevelGate"]

_THRESHOLD = 10 ** (-40 / 20) * 32768
_FRAME_MS = 20
_ONSET_MS = 80
"""Of sound that opens an utterance."""
_LEAD_FRAMES = 10
"""Before it that are kept."""


class LevelGate:
    """Takes frames of 20 ms of PCM16, keeps those of the utterance."""

    def __init__(self) -> None:
        self.speaking = False
        self.silence_ms = 0
        """Since the last frame of speech, in an utterance."""
        self._frames: list[bytes] = []
        self._onset_ms = 0

    def push(self, pcm: bytes) -> None:
        """The next frame."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        loud = float(np.sqrt(np.mean(samples * samples))) >= _THRESHOLD
        self._frames.append(pcm)
        if self.speaking:
            self.silence_ms = 0 if loud else self.silence_ms + _FRAME_MS
            return
        self._onset_ms = self._onset_ms + _FRAME_MS if loud else 0
        self.speaking = self._onset_ms >= _ONSET_MS
        del self._frames[: -_LEAD_FRAMES - _ONSET_MS // _FRAME_MS]

    def audio(self) -> bytes:
        """The utterance so far."""
        return b"".join(self._frames)

    def reset(self) -> None:
        """It is over."""
        self.speaking, self.silence_ms, self._onset_ms = False, 0, 0
        self._frames.clear()
