"""Where speech begins and ends in a recording.

The rule is `RULE`. Which windows of 10 ms are speech, `voicebridge.audio.level.speech_runs` says, here as for
`voicebridge ask`. The first speech sample is the first of the first run of them, the last one the last of the last.
The sample after it is the zero of every latency.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recording import Samples

__all__ = ["RULE", "Utterance", "speech", "utterances"]

RULE = (
    "10 ms RMS above 5 % of the clip's 99th percentile, above twice its 10th (or a quarter of the 99th, if that is "
    "less) and above -60 dBFS, in runs of 30 ms or more; less than 200 ms of such sound between pauses is no speech"
)
_WINDOW_MS = 10
_LEAST_MS = 200
_LONE_MS = 250
"""Milliseconds of silence on both sides that make a short sound stand alone."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech without a long pause, in samples of its clip."""

    start: int
    """The first speech sample."""
    end: int
    """The sample after the last speech sample."""
    longest_pause_ms: int
    """Of the pauses inside."""


def utterances(samples: Samples, rate: int, pause_ms: int = _LONE_MS) -> list[Utterance]:
    """The utterances of a clip at `rate` Hz, cut where the speaker pauses for `pause_ms` milliseconds or more."""
    from voicebridge.audio.level import rms_dbfs, speech_runs, window_samples

    window = window_samples(rate)
    whole = samples[: len(samples) // window * window]
    groups: list[list[tuple[int, int]]] = []
    for run in speech_runs(rms_dbfs(whole, rate)):
        if groups and (run[0] - groups[-1][-1][1]) * _WINDOW_MS < pause_ms:
            groups[-1].append(run)
        else:
            groups.append([run])
    return [_utterance(runs, window) for runs in groups if sum(b - a for a, b in runs) * _WINDOW_MS >= _LEAST_MS]


def speech(samples: Samples, rate: int) -> Utterance | None:
    """All that is spoken in a clip at `rate` Hz, from its first to its last speech sample; None where nothing is."""
    parts = utterances(samples, rate)
    if not parts:
        return None
    between = [(later.start - part.end) * 1000 // rate for part, later in itertools.pairwise(parts)]
    longest = max([part.longest_pause_ms for part in parts] + between)
    return Utterance(parts[0].start, parts[-1].end, longest)


def _utterance(runs: list[tuple[int, int]], window: int) -> Utterance:
    pauses = [(later[0] - run[1]) * _WINDOW_MS for run, later in itertools.pairwise(runs)]
    return Utterance(runs[0][0] * window, runs[-1][1] * window, max(pauses, default=0))
