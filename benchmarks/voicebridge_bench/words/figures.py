"""From rows to the figures of a report: one `Recognised` for each recogniser, and how they differ. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from voicebridge_bench.intervals import Rate, rate
from voicebridge_bench.word_errors import WordErrorRate, pool

from .difference import Difference, Drawn, gap, paired
from .rows import WordRow, entity_normaliser
from .slots import KINDS, Kind

__all__ = ["LEAST_SPEAKERS", "LEAST_WORDS", "Accent", "Recognised", "differences", "figures"]

LEAST_SPEAKERS = 5
LEAST_WORDS = 300
"""Fewer say nothing about an accent: one voice is not an accent."""


@dataclass(frozen=True, slots=True)
class Accent:
    """The headline's figure for one accent."""

    name: str
    speakers: int
    words: int
    rate: Rate | None
    """Drawn by speaker. None: see `refused`."""
    refused: str | None
    """Why it is not measured."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """All figures of one recogniser."""

    recogniser: str
    words: WordErrorRate | None
    entities: WordErrorRate | None
    """On the entity track."""
    drawn_by: str
    """What the intervals of both draw: `speaker`, or `utterance` where there are fewer than 5 speakers."""
    slots: dict[Kind, Rate]
    """Slots that the transcript holds exactly, by kind; drawn by utterance."""
    all_slots: Rate | None
    accents: tuple[Accent, ...]
    worst_to_best: float | None
    """The highest rate of an accent by the lowest; None where fewer than two are measured, or the lowest is 0."""
    accent_gap: Drawn | None
    """Their difference."""
    failed: int
    """Utterances without a transcript because the recogniser failed. All their words count as deleted."""
    faults: tuple[str, ...]
    synthetic: int
    """Utterances that no person spoke."""
    real_time: float
    """Seconds taken for a second of audio, all utterances together."""


def figures(rows: Sequence[WordRow], seed: int) -> list[Recognised]:
    """Of each recogniser, in order of its first row."""
    names = dict.fromkeys(row.recogniser for row in rows)
    return [_recognised(name, [row for row in rows if row.recogniser == name], seed) for name in names]


def differences(rows: Sequence[WordRow], seed: int) -> list[Difference]:
    """Of each pair of recognisers, over the utterances that both were asked for."""
    by_name: dict[str, dict[str, WordRow]] = defaultdict(dict)
    for row in rows:
        by_name[row.recogniser][row.utterance] = row
    found = (_difference(first, second, by_name, seed) for first, second in combinations(by_name, 2))
    return [one for one in found if one]


def _difference(first: str, second: str, by_name: dict[str, dict[str, WordRow]], seed: int) -> Difference | None:
    both = [row for row in by_name[first].values() if row.utterance in by_name[second]]
    cluster, drawn_by = _clusters(both)
    sums: dict[str, tuple[float, float, float]] = defaultdict(lambda: (0.0, 0.0, 0.0))
    for row in both:
        one, other, words = sums[cluster(row)]
        against = by_name[second][row.utterance].errors.errors if row.errors.words else 0
        mine = row.errors.errors if row.errors.words else 0
        sums[cluster(row)] = (one + mine, other + against, words + row.errors.words)
    drawn = paired(sums, seed)
    if drawn is None:
        return None
    words = sum(words for _, _, words in sums.values())
    return Difference(first, second, drawn.value, drawn.low, drawn.high, words, drawn.clusters, drawn_by, seed)


def _recognised(name: str, rows: Sequence[WordRow], seed: int) -> Recognised:
    cluster, drawn_by = _clusters(rows)
    accents = tuple(_accents(rows, seed))
    ratio, apart = _spread(accents, rows, seed)
    return Recognised(
        recogniser=name,
        words=pool([(cluster(row), row.transcript, row.errors) for row in rows], seed),
        entities=pool([(cluster(row), row.transcript, row.entity_errors) for row in rows], seed, entity_normaliser()),
        drawn_by=drawn_by,
        slots={kind: found for kind in KINDS if (found := _slots(rows, kind, seed))},
        all_slots=_slots(rows, None, seed),
        accents=accents,
        worst_to_best=ratio,
        accent_gap=apart,
        failed=sum(row.fault is not None for row in rows),
        faults=tuple(dict.fromkeys(row.fault for row in rows if row.fault)),
        synthetic=sum(row.synthetic is not None for row in rows),
        real_time=sum(row.took_s for row in rows) / max(sum(row.audio_s for row in rows), 1e-9),
    )


def _clusters(rows: Sequence[WordRow]) -> tuple[Callable[[WordRow], str], str]:
    """What is drawn together: a speaker's utterances, unless there are too few speakers to draw from."""
    if len({row.speaker for row in rows}) >= LEAST_SPEAKERS:
        return (lambda row: row.speaker), "speaker"
    return (lambda row: row.utterance), "utterance"


def _slots(rows: Sequence[WordRow], kind: Kind | None, seed: int) -> Rate | None:
    clusters = {}
    for row in rows:
        slots = [slot for slot in row.slots if kind in (None, slot.kind)]
        if slots:
            clusters[row.utterance] = (float(sum(slot.right for slot in slots)), float(len(slots)))
    return rate(clusters, seed)


def _accents(rows: Sequence[WordRow], seed: int) -> Iterable[Accent]:
    for name in sorted({row.accent for row in rows if row.accent}):
        by_speaker = _by_speaker(rows, name)
        words = int(sum(words for _, words in by_speaker.values()))
        short = []
        if len(by_speaker) < LEAST_SPEAKERS:
            short.append(f"{len(by_speaker)} of at least {LEAST_SPEAKERS} speakers")
        if words < LEAST_WORDS:
            short.append(f"{words} of at least {LEAST_WORDS} words")
        refused = f"not measured: {', '.join(short)}" if short else None
        yield Accent(name, len(by_speaker), words, None if short else rate(by_speaker, seed), refused)


def _by_speaker(rows: Sequence[WordRow], accent: str) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for row in rows:
        if row.accent == accent and row.errors.words:
            errors, words = found[row.speaker]
            found[row.speaker] = (errors + row.errors.errors, words + row.errors.words)
    return dict(found)


def _spread(accents: Sequence[Accent], rows: Sequence[WordRow], seed: int) -> tuple[float | None, Drawn | None]:
    measured = sorted((one.rate.value, one.name) for one in accents if one.rate)
    if len(measured) < 2:
        return None, None
    (lowest, best), (highest, worst) = measured[0], measured[-1]
    ratio = highest / lowest if lowest else None
    return ratio, gap(_by_speaker(rows, worst), _by_speaker(rows, best), seed)
