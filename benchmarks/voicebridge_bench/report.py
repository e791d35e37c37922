"""The figures for people: one table, in the terminal and as Markdown, and what a reader must know beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicebridge.contract.errors import ConfigError

from .corpus.speech import CorpusFacts
from .intervals import Quantile, Rate
from .summary import Column, Latency, Waterfall
from .text_file import read_text, write_text
from .word_errors import WordErrorRate

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["BEGIN", "END", "markdown", "rich_report", "table", "write_between_markers"]

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_FAULTS = 5
"""Different ones of a column that are shown."""


def table(columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
    """The rows of the report: a label, and a cell for each column."""
    rows: list[tuple[str, Callable[[Column], str]]] = [
        ("first reply, cold start", _cold),
        ("first reply, ready session: median", lambda column: _middle(column.first)),
        ("later replies: median", lambda column: _middle(column.later)),
        ("later replies: p90", lambda column: _percentile(column.later, column.later.p90)),
        ("later replies: p25 to p75", lambda column: _half(column.later)),
        ("all warm replies: median", lambda column: _middle(column.warm)),
        ("all warm replies: p90", lambda column: _percentile(column.warm, column.warm.p90)),
        ("all warm replies: p25 to p75", lambda column: _half(column.warm)),
        ("medians after end of speech", lambda column: _steps(column.waterfall)),
        ("end-of-turn signal to first byte: median", lambda column: _ms(column.waterfall.commit_to_byte)),
        ("turns cut off too early", _cut_off),
        ("turns talked over", lambda column: _share(column.talked_over)),
        ("turns without a reply", _failed),
        ("word error rate", lambda column: _words(column.words)),
        (
            "gaps in warm replies, from late audio",
            lambda column: str(column.underruns) if column.warm.n else "not measured",
        ),
        ("connect to ready, new process", lambda column: _range_s(column.ready_ms)),
        ("start of the process to ready", lambda column: _range_s(column.process_ready_ms)),
        ("memory of the process, peak", _memory),
        ("event loop stood still while getting ready", lambda column: _ms(column.start_lag_ms)),
        ("event loop late once ready, p99", lambda column: _ms(column.loop_lag_p99_ms)),
        ("audio sent late, p99", lambda column: _ms(column.lateness_p99_ms)),
        ("load average", _load),
    ]
    return [(label, [cell(column) for column in columns]) for label, cell in rows]


def heading(column: Column) -> str:
    """What a column is about."""
    return column.backend if column.silence_ms is None else f"{column.backend}, {column.silence_ms} ms silence"


def markdown(
    columns: Sequence[Column], facts: CorpusFacts, environment: dict[str, Any], command: str, interrupted: bool = False
) -> str:
    """The table with its notes, for a README."""
    heads = ["", *(f"`{column.backend}`, {_silence(column)}" for column in columns)]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + " --- |" * len(heads)]
    lines += [" | ".join(["", label, *cells, ""]).strip() for label, cells in table(columns)]
    return "\n".join([*lines, "", *_notes(columns, facts, environment, command, interrupted)])


def _notes(
    columns: Sequence[Column], facts: CorpusFacts, environment: dict[str, Any], command: str, interrupted: bool
) -> list[str]:
    words = next((column.words for column in columns if column.words), None)
    revision = environment.get("revision")
    notes = [
        f"Written by {_code(command)} on {environment['utc'][:10]}"
        + (f", revision {revision}" if revision else "")
        + f": {environment['cpu']}, {environment['cores']} cores, {environment['python']}.",
        "Latency is from the last speech sample, as annotated in the corpus, to the first audible sample of the reply "
        "when it leaves the speaker. n: replies. In brackets: 95 % intervals, as if turns were independent; the same "
        "utterances are repeated, so they are somewhat too narrow.",
        f"Corpus {facts.name}: {facts.turns} turns in {facts.conversations} conversations, "
        f"{facts.speakers} {'speaker' if facts.speakers == 1 else 'speakers'}, {facts.speech_s:g} s of speech, "
        f"{facts.words} words; {facts.source} ({facts.licence}).",
    ]
    notes += [f"Models: {' / '.join(column.models)}." for column in columns[:1] if column.models]
    notes += [f"Words are compared by {words.normaliser}."] if words else []
    notes += ["The run was interrupted: these are the turns measured until then."] if interrupted else []
    for column in columns:
        notes += [f"Fault ({heading(column)}): {fault}" for fault in column.faults[:_FAULTS]]
        notes += [f"Unreliable ({heading(column)}): {doubt}." for doubt in column.unreliable]
    return [line for note in notes for line in (note, "")][:-1]


def _code(text: str) -> str:
    """A code span on one line, whatever is in it."""
    text = " ".join(text.split())
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def rich_report(columns: Sequence[Column], facts: CorpusFacts) -> RenderableType:
    """The same table for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(title="voicebridge bench", title_justify="left", show_lines=False)
    grid.add_column("")
    for column in columns:
        grid.add_column(heading(column), overflow="fold")
    for label, cells in table(columns):
        grid.add_row(Text(label), *(Text(cell) for cell in cells))
    lines = [Text(f"Corpus {facts}", style="dim")]
    for column in columns:
        lines += [Text(f"{heading(column)}: {fault}", style="red") for fault in column.faults[:_FAULTS]]
        lines += [Text(f"Unreliable: {heading(column)}: {doubt}", style="yellow") for doubt in column.unreliable]
    return Group(grid, *lines)


def write_between_markers(path: Path, text: str | None) -> None:
    """Put a text into a file, between the lines that mark its place. None only checks that they are there.

    Raises:
        ConfigError: the file is not there, can't be read or written, or lacks the markers.
    """
    if not os.path.isfile(path):
        raise ConfigError(f"There is no {path} to write the table to.")
    content = read_text(path)
    if content.count(BEGIN) != 1 or content.count(END) != 1 or content.index(BEGIN) > content.index(END):
        raise ConfigError(f"{path} needs the lines {BEGIN} and {END}, once each: the table is written between them.")
    head, _, rest = content.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if text is not None:
        write_text(path, f"{head}{BEGIN}\n{text}\n{END}{tail}")


def _silence(column: Column) -> str:
    return "its own end of turn" if column.silence_ms is None else f"{column.silence_ms} ms of silence end a turn"


def _middle(latency: Latency) -> str:
    return _percentile(latency, latency.p50)


def _cold(column: Column) -> str:
    """The cold starts, and how many of them gave a reply where not all did."""
    begun = sum(column.cold_outcomes.values())
    if column.cold.n == begun:
        return _middle(column.cold)
    if not column.cold.n:
        return f"no reply, n 0 of {begun}"
    return f"{_middle(column.cold)} of {begun}"


def _percentile(latency: Latency, found: Quantile | None) -> str:
    """The percentile with its interval; with too few values for one, their range."""
    if found is not None:
        return f"{found.value:.0f} ms [{found.low:.0f}–{found.high:.0f}], n {found.n}"
    if latency.smallest is None or latency.largest is None:
        return "not measured"
    return f"{latency.smallest:.0f}–{latency.largest:.0f} ms (all), n {latency.n}"


def _half(latency: Latency) -> str:
    if latency.p25 is None or latency.p75 is None:
        return "too few"
    return f"{latency.p25.value:.0f}–{latency.p75.value:.0f} ms"


def _steps(waterfall: Waterfall) -> str:
    steps = {
        "turn end": waterfall.eou,
        "transcript": waterfall.transcript,
        "first words": waterfall.text,
        "first byte": waterfall.first_byte,
        "audible": waterfall.audible,
    }
    return ", ".join(f"{name} {value:.0f}" for name, value in steps.items() if value is not None) or "not reported"


def _share(found: Rate | None) -> str:
    if found is None:
        return "not measured"
    interval = "" if found.low is None or found.high is None else f" [{found.low:.0%}–{found.high:.0%}]"
    return f"{found.count:.0f} of {found.of:.0f} ({found.value:.0%}{interval})"


def _cut_off(column: Column) -> str:
    found = column.cut_off
    if found is None or column.silence_ms is None:
        return _share(found)
    return f"{_share(found)}; {column.bound_to_be_cut} of {found.of:.0f} pause that long"


def _failed(column: Column) -> str:
    missing = {name: count for name, count in column.outcomes.items() if name not in ("answered", "talked_over")}
    total = sum(column.outcomes.values())
    why = f" ({', '.join(f'{count} {name}' for name, count in missing.items())})" if missing else ""
    return f"{sum(missing.values())} of {total}{why}"


def _words(found: WordErrorRate | None) -> str:
    if found is None:
        return "not measured"
    pooled = found.pooled
    interval = "" if pooled.low is None or pooled.high is None else f" [{pooled.low:.1%}–{pooled.high:.1%}]"
    return f"{pooled.value:.1%}{interval}, {pooled.of:.0f} words"


def _range_s(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return "not measured"
    low, high = min(values_ms) / 1000, max(values_ms) / 1000
    return f"{low:.1f} s" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f}–{high:.1f} s"


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0f} ms"


def _memory(column: Column) -> str:
    if column.peak_rss_mb is None:
        return "not measured"
    own = "" if column.own_memory_mb is None else f" ({column.own_memory_mb:.0f} MB without mapped files)"
    return f"{column.peak_rss_mb:.0f} MB{own}"


def _load(column: Column) -> str:
    return "not measured" if column.load_average is None else "{:.1f}–{:.1f}".format(*column.load_average)
