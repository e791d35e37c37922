"""What is said: turns of the corpus as files of PCM, so that a client's interpreter needs nothing to read them.

A `sharp` clip ends in a loud sound, half a frame before the end of one: no detector can be in doubt where. It is for
figures of a few milliseconds. A `spoken` one is as it was recorded, with the end that the manifest annotates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge_bench.corpus.speech import SpokenTurn, open_corpus

__all__ = ["AFTER_SHARP_MS", "RATES", "Clip", "sharpened", "write_clips"]

RATES = (16_000, 24_000)
Samples: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int16]]"
AFTER_SHARP_MS = 10.0
"""What is left of a microphone's frame after the end of a sharp clip: silence is seen from there on."""
_FRAME = DOOR_FORMAT.rate // 50
_LEVEL = 10 ** (-15 / 20) * 32768
"""RMS of the loudest frame of a clip: the level of a microphone that is well set."""
_LOUD = 10 ** (-26 / 20) * 32768
"""RMS of a frame that every detector takes for speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One turn in files."""

    id: str
    paths: dict[str, str]
    """PCM16 by sample rate."""
    spoken_s: float
    """Seconds from the first sample to the last one of speech."""
    longest_pause_ms: int


def write_clips(folder: Path, turns: tuple[str, ...], *, sharp: bool, corpus: str = "default") -> list[Clip]:
    """Write the turns of a corpus, by their ids.

    Raises:
        ConfigError: the corpus is not there.
    """
    known = {turn.turn.id: turn for conversation in open_corpus(corpus).conversations for turn in conversation.turns}
    return [_written(folder, known[name], sharp) for name in turns]


def _written(folder: Path, spoken: SpokenTurn, sharp: bool) -> Clip:
    samples, end = _levelled(np.frombuffer(spoken.pcm, dtype="<i2")), spoken.speech_end
    if sharp:
        samples, end = sharpened(samples, end)
    paths = {}
    for rate in RATES:
        converter = Converter(DOOR_FORMAT, AudioFormat(rate=rate))
        path = folder / f"{spoken.turn.id}-{'sharp' if sharp else 'spoken'}-{rate}.pcm"
        path.write_bytes(converter.convert(samples.tobytes()) + converter.flush())
        paths[str(rate)] = str(path)
    return Clip(
        id=spoken.turn.id,
        paths=paths,
        spoken_s=end / DOOR_FORMAT.rate,
        longest_pause_ms=spoken.turn.longest_pause_ms,
    )


def _levels(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """RMS of each frame."""
    frames = samples[: len(samples) // _FRAME * _FRAME].astype(np.float64).reshape(-1, _FRAME)
    levels: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt(np.mean(frames * frames, axis=1))
    return levels


def _levelled(samples: Samples) -> Samples:
    louder = samples * (_LEVEL / max(float(_levels(samples).max()), 1.0))
    return np.clip(np.round(louder), -32768, 32767).astype("<i2")


def sharpened(samples: Samples, end: int) -> tuple[Samples, int]:
    """The samples up to the middle of the last loud frame before `end`, and where that is: there is nothing behind."""
    [loud] = np.nonzero(_levels(samples[:end]) >= _LOUD)
    if not len(loud):
        raise ValueError("There is no loud frame.")
    cut = int(loud[-1]) * _FRAME + _FRAME // 2
    return samples[:cut], cut
