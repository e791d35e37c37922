"""Turn detection: audio in pieces of any length, through a model, to the policy that makes signals of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from voicebridge.contract.stages import DetectorTraits, TurnSignal
from voicebridge.transport.thread import in_thread

from .endpoint import BLOCK, Endpointer, Policy

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["Detector", "SpeechModel"]

_SILENT = 0.001
"""Level, full scale is 1 (-60 dBFS), below which nobody is asked whether it is speech while nobody speaks."""
_LEAD_IN = 4
"""Silent frames that a model hears after all when sound comes: it remembers what it has heard."""
_FRAMES_AT_ONCE = 8
"""After so many the event loop gets a turn: a millisecond of work."""


class SpeechModel(Protocol):
    """Tells speech from other sounds, frame by frame."""

    frame: int
    """Samples in one frame, at 16 kHz."""

    def load(self) -> None:
        """Get ready. Runs in a thread.

        Raises:
            MissingExtra: its package is not installed.
        """

    def probability(self, pcm: bytes) -> float:
        """How probable it is, from 0 to 1, that there is speech in the next frame of PCM16."""


class Detector:
    """A `TurnDetector` stage over a `SpeechModel`, for one session."""

    def __init__(self, model: SpeechModel, policy: Policy) -> None:
        self._model, self._policy = model, policy
        self._endpointer = Endpointer(policy)
        self._pcm = bytearray()
        self._block_at = 0
        self._frame_at = 0
        self._unasked: deque[bytes] = deque(maxlen=_LEAD_IN)
        """The latest silent frames, which the model has not heard."""

    @property
    def traits(self) -> DetectorTraits:
        """How it works."""
        return DetectorTraits()

    def configure(self, config: SessionConfig) -> None:
        """Take the silence that ends a turn, and the sensitivity."""
        policy, turns = self._policy, config.turns
        if turns.silence_ms is not None:
            policy = replace(policy, silence_ms=float(turns.silence_ms))
        if turns.sensitivity is not None:
            # 0.5 is the default; the ends are where the model is sure of itself either way.
            policy = replace(policy, start=0.9 - 0.8 * turns.sensitivity)
        self._endpointer.policy = policy

    async def warm(self) -> None:
        """Load the model.

        Raises:
            MissingExtra: its package is not installed.
        """
        await in_thread(self._model.load, "voicebridge.local: load the turn detector")

    async def aclose(self) -> None:
        """Nothing to do: the model goes with this object."""

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """Take the next PCM16 at 16 kHz. See `TurnDetector.push`."""
        self._pcm += pcm
        signals: list[TurnSignal] = []
        frames = 0
        have = len(self._pcm) // 2
        while (step := min(self._block_at + BLOCK, self._frame_at + self._model.frame)) <= have:
            if step == self._block_at + BLOCK:
                signals += self._endpointer.block(_level(self._samples(self._block_at, BLOCK)))
                self._block_at = step
            if step == self._frame_at + self._model.frame:
                asked, probability = self._probability(step)
                signals += self._endpointer.frame(probability, self._model.frame)
                self._frame_at = step
                frames += asked
                if frames % _FRAMES_AT_ONCE == 0:
                    await asyncio.sleep(0)
        self._forget()
        return signals

    def _probability(self, end: int) -> tuple[int, float]:
        """Of the frame that ends there, and how many frames the model had to hear for it.

        A call is mostly silence on this side, and a network costs more than all else that listens.
        """
        frame = bytes(self._pcm[2 * self._frame_at : 2 * end])
        if not self._endpointer.speaking and _level(np.frombuffer(frame, "<i2")) < _SILENT:
            self._unasked.append(frame)
            return 0, 0.0
        heard = [self._model.probability(one) for one in (*self._unasked, frame)]
        self._unasked.clear()
        return len(heard), heard[-1]

    def _samples(self, start: int, count: int) -> NDArray[np.int16]:
        return np.frombuffer(bytes(self._pcm[2 * start : 2 * (start + count)]), "<i2")

    def _forget(self) -> None:
        done = min(self._block_at, self._frame_at)
        del self._pcm[: 2 * done]
        self._block_at -= done
        self._frame_at -= done


def _level(samples: NDArray[np.int16]) -> float:
    """Root mean square, full scale is 1."""
    numbers = samples.astype(np.float32)
    return float(np.sqrt(np.dot(numbers, numbers) / len(numbers))) / 32768
