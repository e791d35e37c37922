"""The voice activity detector of WebRTC: no weights, a few microseconds a frame, easily fooled by noise."""

from __future__ import annotations

from collections import deque
from typing import Any

from .detector import Detector
from .endpoint import RATE, Policy
from .weights import required

__all__ = ["WebRtc", "detector"]

_STRICT = 2
"""From 0, which lets everything through, to 3."""
_MEMORY = 8
"""Frames of yes and no that are averaged to a probability: 80 ms."""


class WebRtc:
    """The detector and its memory of one stream."""

    frame = RATE // 100

    def __init__(self) -> None:
        self._detector: Any = None
        self._said: deque[bool] = deque(maxlen=_MEMORY)

    def load(self) -> None:
        """Make the detector.

        Raises:
            MissingExtra: `webrtcvad-wheels` is not installed.
        """
        if self._detector is None:
            self._detector = required("webrtcvad").Vad(_STRICT)

    def probability(self, pcm: bytes) -> float:
        """The share of the last 80 ms that it takes for speech."""
        self._said.append(bool(self._detector.is_speech(pcm, RATE)))
        return sum(self._said) / len(self._said)


def detector() -> Detector:
    """The stage, for one session."""
    return Detector(WebRtc(), Policy())
