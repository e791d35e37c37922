"""Figures about words for people: a table, the slots, the accents, the differences, and what a reader must know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from voicebridge_bench.intervals import Rate
from voicebridge_bench.word_errors import WordErrorRate

from .difference import Difference
from .figures import LEAST_SPEAKERS, LEAST_WORDS, Recognised
from .utterances import SpeechSet

__all__ = ["difference_lines", "notes", "share", "table"]

NOT_MEASURED = "not measured"


def table(columns: Sequence[Recognised]) -> list[tuple[str, list[str]]]:
    """The rows of the report: a label, and a cell for each recogniser."""
    rows: list[tuple[str, Callable[[Recognised], str]]] = [
        ("word error rate, pooled", lambda one: _pooled(one.words)),
        ("substituted, deleted, inserted", lambda one: _kinds(one.words)),
        ("mean of utterances", lambda one: _percent(one.words.mean_of_turns if one.words else None)),
        ("utterances without an error", lambda one: _percent(one.words.perfect if one.words else None)),
        ("without a transcript (all deleted)", _untranscribed),
        ("words heard where nothing was said", lambda one: str(one.words.inserted_in_empty) if one.words else "-"),
        ("word error rate, entity track", lambda one: _pooled(one.entities)),
        ("slots exactly right", lambda one: share(one.all_slots)),
    ]
    for kind in dict.fromkeys(kind for one in columns for kind in one.slots):
        rows.append((f"slots: {kind}", _slot_cell(kind)))
    for accent in dict.fromkeys(accent.name for one in columns for accent in one.accents):
        rows.append((f"accent: {accent}", _accent_cell(accent)))
    if any(one.accent_gap for one in columns):
        rows.append(("accents: worst to best", _accent_gap))
    rows.append(("time taken for a second of audio", lambda one: f"{one.real_time:.2f} s"))
    return [(label, [cell(one) for one in columns]) for label, cell in rows]


def difference_lines(found: Sequence[Difference]) -> list[str]:
    """A sentence for each pair."""
    lines = []
    for one in found:
        interval = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f} to {100 * one.high:+.1f}]"
        verdict = "can be told apart" if one.apart else "can't be told apart on this set"
        lines.append(
            f"{one.first} minus {one.second}: {100 * one.value:+.1f} points{interval}, {one.words:.0f} words, "
            f"drawn by {one.drawn_by} ({one.clusters}): {verdict}."
        )
    return lines


def notes(speech: SpeechSet, columns: Sequence[Recognised], environment: dict[str, Any], command: str) -> list[str]:
    """What a reader must know to judge the figures."""
    spoken = len(speech.utterances)
    synthetic = sum(one.synthetic is not None for one in speech.utterances)
    speakers = len({one.speaker for one in speech.utterances})
    kind = "synthetic voices" if synthetic == spoken else "speakers" if not synthetic else "speakers and voices"
    lines = [
        f"Set {speech.name}: {spoken} utterances by {speakers} {kind if speakers != 1 else kind.rstrip('s')}, "
        f"{sum(len(one.pcm) for one in speech.utterances) / 48_000:.0f} s of audio; {speech.source} "
        f"({speech.licence})." + (f" {synthetic} utterances are synthetic." if synthetic else ""),
        *speech.notes,
    ]
    if speech.unscored:
        lines.append(f"{speech.unscored} turns are left out: their words are not known for certain.")
    words = next((one.words for one in columns if one.words), None)
    entities = next((one.entities for one in columns if one.entities), None)
    if words and entities:
        lines.append(f"Words are compared by {words.normaliser}; on the entity track by {entities.normaliser}.")
    drawn = ", ".join(dict.fromkeys(one.drawn_by for one in columns))
    lines.append(f"In brackets: 95 % intervals, a bootstrap that draws by {drawn}.")
    if any(one.accents for one in columns):
        lines.append(f"An accent needs {LEAST_SPEAKERS} speakers and {LEAST_WORDS} words.")
    for one in columns:
        lines += [f"Fault ({one.recogniser}): {fault}" for fault in one.faults[:3]]
    revision = f", revision {environment['revision']}" if environment.get("revision") else ""
    lines.append(f"{environment['cpu']}, {environment['cores']} cores, {environment['python']}{revision}. `{command}`")
    return lines


def share(found: Rate | None) -> str:
    """How many of how many."""
    if found is None:
        return NOT_MEASURED
    interval = "" if found.low is None or found.high is None else f" [{found.low:.0%}–{found.high:.0%}]"
    return f"{found.count:.0f} of {found.of:.0f} ({found.value:.0%}{interval})"


def _pooled(found: WordErrorRate | None) -> str:
    return NOT_MEASURED if found is None else f"{_rate(found.pooled)}, {found.pooled.of:.0f} words"


def _rate(found: Rate) -> str:
    interval = "" if found.low is None or found.high is None else f" [{found.low:.1%}–{found.high:.1%}]"
    return f"{found.value:.1%}{interval}"


def _kinds(found: WordErrorRate | None) -> str:
    return NOT_MEASURED if found is None else f"{found.substituted}, {found.deleted}, {found.inserted}"


def _percent(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1%}"


def _untranscribed(one: Recognised) -> str:
    if one.words is None:
        return NOT_MEASURED
    failed = f", {one.failed} failed" if one.failed else ""
    return f"{one.words.untranscribed} of {one.words.turns}{failed}"


def _slot_cell(kind: Any) -> Callable[[Recognised], str]:
    return lambda one: share(one.slots.get(kind))


def _accent_cell(name: str) -> Callable[[Recognised], str]:
    def cell(one: Recognised) -> str:
        found = next((accent for accent in one.accents if accent.name == name), None)
        if found is None:
            return NOT_MEASURED
        if found.rate is None:
            return found.refused or NOT_MEASURED
        return f"{_rate(found.rate)}, {found.words} words, {found.speakers} speakers"

    return cell


def _accent_gap(one: Recognised) -> str:
    apart = one.accent_gap
    if apart is None:
        return NOT_MEASURED
    interval = "" if apart.low is None or apart.high is None else f" [{100 * apart.low:.1f}–{100 * apart.high:.1f}]"
    ratio = f"{one.worst_to_best:.1f} times, " if one.worst_to_best else ""
    return f"{ratio}{100 * apart.value:.1f} points{interval} apart"
