"""Where speech begins and ends in a recording.

The rule, `RULE` in words: a block of 10 ms is speech when its level is above 5 % of the 99th percentile of the clip's
levels (and above twice its noise floor, the 10th percentile), in runs of 30 ms or more. The first speech sample is the
first of the first such run, the last one the last of the last. The sample after it is the zero of every latency.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicebridge_bench.gate import BLOCK_MS, block_rms, loud_runs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from voicebridge_bench.gate import Samples

__all__ = ["RULE", "Utterance", "speech", "utterances"]

RULE = (
    "10 ms RMS above 5 % of the clip's 99th percentile and above twice its 10th, in runs of 30 ms or more; "
    "less than 200 ms of such sound between pauses is no speech"
)
_OF_LOUD = 0.05
_OF_FLOOR = 2.0
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
    groups: list[list[tuple[int, int]]] = []
    for run in loud_runs(rms := block_rms(samples, rate), _level(rms)):
        if groups and (run[0] - groups[-1][-1][1]) * BLOCK_MS < pause_ms:
            groups[-1].append(run)
        else:
            groups.append([run])
    block = rate * BLOCK_MS // 1000
    return [_utterance(runs, block) for runs in groups if sum(b - a for a, b in runs) * BLOCK_MS >= _LEAST_MS]


def speech(samples: Samples, rate: int) -> Utterance | None:
    """All that is spoken in a clip at `rate` Hz, from its first to its last speech sample; None where nothing is."""
    parts = utterances(samples, rate)
    if not parts:
        return None
    between = [(later.start - part.end) * 1000 // rate for part, later in itertools.pairwise(parts)]
    longest = max([part.longest_pause_ms for part in parts] + between)
    return Utterance(parts[0].start, parts[-1].end, longest)


def _level(rms: npt.NDArray[np.float64]) -> float:
    import numpy as np

    if not len(rms):
        return 0.0
    return max(_OF_LOUD * float(np.percentile(rms, 99)), _OF_FLOOR * float(np.percentile(rms, 10)))


def _utterance(runs: list[tuple[int, int]], block: int) -> Utterance:
    pauses = [(later[0] - run[1]) * BLOCK_MS for run, later in itertools.pairwise(runs)]
    return Utterance(runs[0][0] * block, runs[-1][1] * block, max(pauses, default=0))
