"""The whole of `voicebridge bench wer` for recognisers: set, progress, results, report, exit status."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge_bench.bar import bar
from voicebridge_bench.corpus.speech import open_corpus
from voicebridge_bench.environment import describe
from voicebridge_bench.results import ResultsFolder, new_folder

from .difference import Difference
from .figures import Recognised, differences, figures
from .recogniser import chosen_stage
from .rows import SCHEMA_VERSION, WordRow
from .run import run
from .show import show
from .table import difference_lines, notes, table
from .utterances import SpeechSet, of_corpus
from .voices import entity_speech

__all__ = ["Request", "bench_wer", "open_set"]

MEASURED, FAILED, MISUSED, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 3, 130
ENTITIES = "entities"
"""The set that is made when it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    recognisers: tuple[str, ...] = ("installed",)
    set: str = "default"
    options: Mapping[str, Any] = field(default_factory=dict)
    """For every recogniser: settings of a session and options of the stage."""
    seed: int = 7
    """Of the generated set, and of all resampling."""
    out: Path | None = None
    json: bool = False
    markdown: bool = False
    command: str = "voicebridge bench wer"


def open_set(name: str, seed: int) -> SpeechSet:
    """A bundled corpus, a folder with a manifest, or `entities`.

    Raises:
        ConfigError: it can't be used; the message says what to do.
    """
    if name != ENTITIES:
        return of_corpus(open_corpus(name))
    from rich.console import Console

    with Console(stderr=True).status("The sentences are read out."):
        return asyncio.run(entity_speech(seed))


def bench_wer(request: Request) -> int:
    """Measure, report, and give the exit status. Ctrl-C keeps and reports what was measured.

    Raises:
        VoiceBridgeError: the set or the folder for results can't be used, or there is no such recogniser.
    """
    recognisers = tuple(dict.fromkeys(map(chosen_stage, request.recognisers)))
    speech = open_set(request.set, request.seed)
    environment = describe()
    interrupted, refused = False, list[VoiceBridgeError]()
    with ResultsFolder[WordRow](request.out or new_folder((f"wer-{recognisers[0]}",))) as results:
        try:
            with bar(len(recognisers) * sum(len(one.pcm) for one in speech.utterances) / 48_000) as tell:
                refused = asyncio.run(run(recognisers, request.options, speech.utterances, results, tell))
        except KeyboardInterrupt:
            interrupted = True
        columns = figures(results.rows, request.seed)
        apart = differences(results.rows, request.seed)
        summary = _summary(request, speech, environment, columns, apart, interrupted)
        results.write_summary(summary)
    _show(request, speech, environment, columns, apart, summary)
    what = "Interrupted. What was measured until then is" if interrupted else "Results are"
    print(f"{what} in {results.path}", file=sys.stderr)
    return INTERRUPTED if interrupted else _status(columns, refused)


def _status(columns: Sequence[Recognised], refused: Sequence[VoiceBridgeError]) -> int:
    """0 measured, 1 some utterances failed, 2 asked for what is not there, 3 no recogniser was reached."""
    if refused and len(refused) == len(columns):
        asked_wrong = any(error.category in ("config", "auth", "unsupported") for error in refused)
        return MISUSED if asked_wrong else NO_CONNECTION
    return FAILED if any(one.failed for one in columns) else MEASURED


def _summary(
    request: Request,
    speech: SpeechSet,
    environment: dict[str, Any],
    columns: Sequence[Recognised],
    apart: Sequence[Difference],
    interrupted: bool,
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "words",
        "command": request.command,
        "interrupted": interrupted,
        "seed": request.seed,
        "environment": environment,
        "set": {
            "name": speech.name,
            "source": speech.source,
            "licence": speech.licence,
            "identity": speech.identity,
            "utterances": len(speech.utterances),
            "speakers": len({one.speaker for one in speech.utterances}),
            "synthetic": sum(one.synthetic is not None for one in speech.utterances),
            "unscored": speech.unscored,
            "notes": list(speech.notes),
        },
        "recognisers": [asdict(one) for one in columns],
        "differences": [asdict(one) | {"apart": one.apart} for one in apart],
    }


def _show(
    request: Request,
    speech: SpeechSet,
    environment: dict[str, Any],
    columns: Sequence[Recognised],
    apart: Sequence[Difference],
    summary: dict[str, Any],
) -> None:
    if request.json:
        json.dump(summary, sys.stdout, indent=1, ensure_ascii=False)
        print()
        return
    lines = [*difference_lines(apart), *notes(speech, columns, environment, request.command)]
    if summary["interrupted"]:
        lines.insert(0, "The run was interrupted: these are the utterances measured until then.")
    show("voicebridge bench wer", [one.recogniser for one in columns], table(columns), lines, request.markdown)
