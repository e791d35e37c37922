"""The end of a turn by how it sounds: Smart Turn v3 judges a pause, Silero finds it.

Its network (8.7 MB, BSD-2-Clause, trained by Daily) comes in the wheel of pipecat-ai, of which nothing else is used. It
hears the last 8 s and says how probable it is that the speaker has finished. Facts from that package: audio is padded
in front, evenness as Whisper's extractor has it, complete above 0.5, asked 200 ms after the voice stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voicebridge.contract.stages import DetectorTraits, TurnDetector, TurnSignal
from voicebridge.transport.thread import in_thread

from . import onnx
from .detector import Detector
from .endpoint import Policy
from .log_mel import RATE, log_mel
from .silero import Silero
from .weights import Weights, installed_folder

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["SmartTurn", "detector"]

_HEARD_S = 8
_COMPLETE = 0.5
"""Probability from which the speaker has finished."""
_ASKED_AT_MS = (200.0, 600.0)
"""Silence after which the network is asked; a second time, because more silence is more to go by."""
_LONGEST_MS = 1_500.0
"""Silence that ends a turn whatever the network says, where `silence_ms` says nothing."""
_FOLDER = ("audio", "turn", "smart_turn", "data", "smart-turn-v3.2-cpu.onnx")


class _Network:
    """Gives the probability that whoever spoke last has finished."""

    def __init__(self) -> None:
        path = installed_folder("pipecat", "smart-turn").joinpath(*_FOLDER)
        self._session = onnx.session(path, threads=1)
        self(np.zeros(RATE, np.float32))  # the first run is the slowest

    def __call__(self, samples: NDArray[np.float32]) -> float:
        """Of the last samples at 16 kHz, at most 8 s. Takes about 50 ms."""
        heard = np.zeros(_HEARD_S * RATE, np.float32)
        heard[-len(samples) :] = samples[-len(heard) :]
        outputs: list[Any] = self._session.run(None, {"input_features": log_mel(heard)[None]})
        return float(outputs[0].ravel()[0])


_weights = Weights("smart-turn-v3.2", _Network)


class SmartTurn:
    """A `TurnDetector`: pauses by another detector, which of them are ends by the network.

    Args:
        pauses: tells speech, eager ends, and ends after the longest silence. 16 kHz.
        judge: gives the probability for float samples from -1 to 1; runs in a thread. None: the installed network.
    """

    def __init__(self, pauses: TurnDetector, judge: Any = None) -> None:
        self._pauses, self._judge = pauses, judge
        self.traits: DetectorTraits = replace(pauses.traits, semantic=True)
        """How it works."""
        self._ended = False
        """The turn has ended by a verdict; the other detector still waits for more silence."""
        self._recent = bytearray()
        self._heard_bytes = 0
        self._pause: TurnSignal | None = None
        """The eager end that is being judged."""
        self._asked = 0
        """How often the network was asked in this pause."""
        self._verdict: asyncio.Task[float] | None = None

    def configure(self, config: SessionConfig) -> None:
        """Take `turns.silence_ms` as the longest silence, and the sensitivity."""
        turns = config.turns
        longest = round(_LONGEST_MS) if turns.silence_ms is None else turns.silence_ms
        self._pauses.configure(config.model_copy(update={"turns": turns.model_copy(update={"silence_ms": longest})}))

    async def warm(self) -> None:
        """Load both networks.

        Raises:
            MissingExtra: a package is not installed.
        """
        await self._pauses.warm()
        if self._judge is None:
            self._judge = await _weights.get()

    async def aclose(self) -> None:
        """Leave what is being judged. Its thread ends within 50 ms."""
        self._forget_pause()
        await self._pauses.aclose()

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """Take the next PCM16 at 16 kHz. See `TurnDetector.push`."""
        self._recent += pcm
        del self._recent[: -2 * _HEARD_S * RATE]
        self._heard_bytes += len(pcm)
        signals: list[TurnSignal] = []
        for signal in await self._pauses.push(pcm, text):
            self._forget_pause()
            self._pause = signal if signal.phase == "eager_end" else None
            if not self._ended:
                signals.append(signal)
            elif signal.phase != "end":
                signals.append(replace(signal, phase="speech"))  # another turn, though it has not noticed an end
            self._ended = False
        if end := await self._judged():
            signals.append(end)
        return signals

    async def _judged(self) -> TurnSignal | None:
        pause = self._pause
        if pause is None:
            return None
        if self._verdict is not None and self._verdict.done():
            confidence = await self._verdict
            self._verdict = None
            if confidence > _COMPLETE:
                self._forget_pause()
                self._ended = True
                return TurnSignal("end", pause.audio_ms, confidence)
        silence_ms = self.traits.format.ms(self._heard_bytes) - pause.audio_ms
        due = self._asked < len(_ASKED_AT_MS) and silence_ms >= _ASKED_AT_MS[self._asked]
        if due and self._verdict is None:
            self._asked += 1
            samples = np.frombuffer(bytes(self._recent), "<i2").astype(np.float32) / 32768
            judge = self._judge
            self._verdict = asyncio.create_task(
                in_thread(lambda: judge(samples), "voicebridge.local: judge a pause"), name="smart turn"
            )
        return None

    def _forget_pause(self) -> None:
        if self._verdict is not None:
            self._verdict.cancel()
        self._pause, self._asked, self._verdict = None, 0, None


def detector() -> SmartTurn:
    """The stage, for one session."""
    return SmartTurn(Detector(Silero(), Policy()))
