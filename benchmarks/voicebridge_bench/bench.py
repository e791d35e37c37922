"""The whole of `voicebridge bench run`: plan, progress, results, report, exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voicebridge.contract.errors import ConfigError

from .command_line import command_line
from .corpus.speech import CorpusFacts, open_corpus
from .environment import describe
from .plan import Plan
from .progress import Progress
from .report import markdown, rich_report, write_between_markers
from .results import RESULTS, SUMMARY, ResultsFolder, new_folder
from .rows import SCHEMA_VERSION, SessionRow, TurnRow, read_rows
from .run import run
from .summary import Column, summarise

__all__ = ["Output", "bench", "exit_status", "report_again"]

MEASURED, FAILED, MISUSED, NO_CONNECTION, UNRELIABLE, INTERRUPTED = 0, 1, 2, 3, 5, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where figures go."""

    folder: Path | None = None
    """Of the results; None: a new one."""
    json: bool = False
    """Print the summary as JSON."""
    markdown: bool = False
    """Print the table as Markdown."""
    readme: Path | None = None
    """Write the table between the markers of this file."""


def bench(plan: Plan, output: Output) -> int:
    """Do a run and report it; the exit status. Ctrl-C keeps and reports what was measured.

    Raises:
        ConfigError: there is nothing to measure, or the corpus or the folder for the results can't be used.
    """
    from rich.console import Console

    if not plan.rounds and not plan.cold:
        raise ConfigError("There is nothing to measure: --sessions and --cold are both 0.")
    corpus = open_corpus(plan.corpus)
    if output.readme is not None:
        write_between_markers(output.readme, None)
    environment = describe()
    console = Console(stderr=True)
    interrupted = False
    folder = output.folder or new_folder(plan.backends)
    with ResultsFolder[TurnRow | SessionRow](folder) as results:
        try:
            with Progress(plan, corpus, console) as progress:
                run(plan, corpus, results, progress.tell)
        except KeyboardInterrupt:
            interrupted = True
        columns = summarise(results.rows, plan.seed)
        facts = corpus.facts()
        summary = {
            "schema_version": SCHEMA_VERSION,
            "command": command_line(plan),
            "interrupted": interrupted,
            "seed": plan.seed,
            "environment": environment,
            "corpus": asdict(facts),
            "columns": [asdict(column) for column in columns],
        }
        results.write_summary(summary)
    _show(summary, columns, facts, output)
    what = "Interrupted. What was measured until then is" if interrupted else "Results are"
    console.print(f"{what} in {results.path}", highlight=False)
    status = INTERRUPTED if interrupted else exit_status(columns)
    if status == UNRELIABLE:
        console.print(_disturbed(columns), highlight=False)
    return status


def report_again(folder: Path, output: Output) -> None:
    """Report an earlier run.

    Raises:
        ConfigError: the folder holds no run of this version.
    """
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        facts = CorpusFacts(**summary["corpus"])
        seed = summary["seed"]
        if summary["schema_version"] != SCHEMA_VERSION:
            raise ConfigError(f"The run in {folder} is of version {summary['schema_version']}, not {SCHEMA_VERSION}.")
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder} holds no finished run: its {SUMMARY} is missing or can't be read.") from None
    columns = summarise(read_rows(folder / RESULTS), seed)
    _show(summary | {"columns": [asdict(column) for column in columns]}, columns, facts, output)


def exit_status(columns: Sequence[Column]) -> int:
    """0 measured, 1 some turns got no reply, 2 asked for what is not there, 3 nothing was reached, 5 unreliable."""
    outcomes = [name for column in columns for counts in (column.outcomes, column.cold_outcomes) for name in counts]
    if set(outcomes) == {"not_reached"}:
        return MISUSED if any(column.misused for column in columns) else NO_CONNECTION
    if set(outcomes) & {"silent", "failed", "not_reached"}:
        return FAILED
    return UNRELIABLE if any(column.unreliable for column in columns) else MEASURED


def _disturbed(columns: Sequence[Column]) -> str:
    doubts = dict.fromkeys(doubt for column in columns for doubt in column.unreliable)
    return (
        f"Everything was measured, but {'; '.join(doubts)}. That is what exit status {UNRELIABLE} says: "
        "measure again when the machine is quiet, or read the figures as those of a busy one."
    )


def _show(summary: dict[str, Any], columns: Sequence[Column], facts: CorpusFacts, output: Output) -> None:
    from rich.console import Console

    text = markdown(columns, facts, summary["environment"], summary["command"], summary["interrupted"])
    if output.readme is not None:
        write_between_markers(output.readme, text)
    if output.json:
        json.dump(summary, sys.stdout, indent=1, ensure_ascii=False)
        print()
    elif output.markdown:
        print(text)
    else:
        Console().print(rich_report(columns, facts))
