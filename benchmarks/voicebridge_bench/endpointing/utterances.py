"""Turns of a corpus as they were spoken, and the same with a pause put into the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.stages import PCM_16K
from voicebridge_bench.corpus.speech import Corpus, SpokenTurn

__all__ = ["PAUSES_MS", "TAIL_MS", "Utterance", "utterances"]

PAUSES_MS = (0, 400, 800, 1200, 2000)
"""Pauses that are put in. 0: the turn as it was spoken."""
TAIL_MS = 3_000
"""Silence behind each turn: longer than any detector here waits."""
_WINDOW_MS = 30
_MIDDLE = (0.3, 0.7)
"""The part of the speech in which its quietest place is looked for."""
_EDGE_MS = 5
"""Of the pause: a fade, so that the cut clicks at no place."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn of a user, 16 kHz PCM16 with silence behind it."""

    turn: str
    speaker: str
    pause_ms: int
    pcm: bytes
    speech_end_ms: float
    """Where the last sample of speech has passed."""


def utterances(corpus: Corpus, seed: int) -> Iterator[Utterance]:
    """Every turn with every pause. A pause is noise as quiet as the turn's quietest 30 ms; the seed draws it."""
    rng = np.random.default_rng(seed)
    for conversation in corpus.conversations:
        for turn in conversation.turns:
            samples, start, end = _at_16k(turn)
            for pause_ms in PAUSES_MS:
                yield _with_pause(turn, samples[:end], start, pause_ms, rng)


def _at_16k(turn: SpokenTurn) -> tuple[NDArray[np.int16], int, int]:
    converter = Converter(DOOR_FORMAT, PCM_16K)
    pcm = converter.convert(turn.pcm) + converter.flush()
    factor = PCM_16K.rate / DOOR_FORMAT.rate
    return np.frombuffer(pcm, "<i2"), round(turn.speech_start * factor), round(turn.speech_end * factor)


def _with_pause(
    turn: SpokenTurn, samples: NDArray[np.int16], start: int, pause_ms: int, rng: np.random.Generator
) -> Utterance:
    window = _samples(_WINDOW_MS)
    loudness = [float(np.std(samples[at : at + window])) for at in range(0, len(samples) - window, window)]
    floor = max(min(loudness, default=1.0), 1.0)

    def room(length_ms: int) -> NDArray[np.int16]:
        return rng.normal(0, floor, _samples(length_ms)).astype("<i2")

    parts = [samples]
    if pause_ms:
        at = _quietest(samples, start)
        edge = np.linspace(1, 0, _samples(_EDGE_MS))
        before, after = samples[:at].copy(), samples[at:].copy()
        before[-len(edge) :] = before[-len(edge) :] * edge
        after[: len(edge)] = after[: len(edge)] * edge[::-1]
        parts = [before, room(pause_ms), after]
    spoken = np.concatenate(parts)
    pcm = np.concatenate([spoken, room(TAIL_MS)]).astype("<i2").tobytes()
    return Utterance(turn.turn.id, turn.speaker, pause_ms, pcm, len(spoken) * 1000 / PCM_16K.rate)


def _quietest(samples: NDArray[np.int16], start: int) -> int:
    """The sample in the middle of the speech where least is cut through."""
    window, length = _samples(_WINDOW_MS), len(samples) - start
    low, high = (start + int(length * part) for part in _MIDDLE)
    places = range(low, max(high - window, low + 1), window // 3)
    return min(places, key=lambda at: float(np.std(samples[at : at + window]))) + window // 2


def _samples(ms: int) -> int:
    return ms * PCM_16K.rate // 1000
