"""`voicebridge contract`: does a backend keep what every session promises? One row for each check."""

from __future__ import annotations

import asyncio
import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from voicebridge.audio.file import read_recording
from voicebridge.contract.config import SessionConfig, checked
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import About, Seat
from voicebridge.registry.spec import CascadeSpec, parse
from voicebridge.session.door import backend_of
from voicebridge.testing.contract import CHECKS, Check, Subject, Verdict, run_check

from .ending import FAILED, STOPPED
from .settings import Settings

__all__ = ["Questions", "contract"]

_OPENS = "opens"
_SIGNS = {"pass": "[green]pass[/]", "fail": "[bold red]FAIL[/]", "not applicable": "[dim]n/a[/]", "skipped": "skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What gets a backend to do what some checks are about. See the fields of `Subject` by these names."""

    tool_prompt: str | None = None
    parallel_prompt: str | None = None
    recall: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says."""

    spec: str
    settings: Settings
    questions: Questions
    wav: Path | None


def contract(
    spec: str,
    settings: Settings,
    questions: Questions,
    *,
    wav: Path | None,
    only: Sequence[str],
    yes: bool,
    json: bool,
) -> int:
    """Run the command; its exit status: 1 when a check failed, 130 when it was stopped before the last one.

    Raises:
        VoiceBridgeError: the backend, the settings or the recording can't be used, or no check has that name.
    """
    checks, subject = _checks(only), _subject(_Asked(spec, settings, questions, wav))
    if not (yes or _agreed(spec, subject, len(checks))):
        return STOPPED
    verdicts: list[Verdict] = []
    rows = _Rows(checks, Console(highlight=False, stderr=json))
    stopped = False
    try:
        for verdict in _run(checks, subject):
            verdicts.append(verdict)
            rows.show(verdict)
    except KeyboardInterrupt:
        stopped = True
    if json:
        counts = Counter(verdict.status for verdict in verdicts)
        told = {"backend": spec, "complete": not stopped, "counts": counts, "checks": list(map(asdict, verdicts))}
        print(json_format.dumps(told, indent=2))
    else:
        _sum_up(spec, verdicts, len(checks), rows.console)
    if stopped:
        return STOPPED
    return FAILED if any(verdict.status == "fail" for verdict in verdicts) else 0


def _checks(only: Iterable[str]) -> list[Check]:
    for name in only:
        if name not in CHECKS:
            near = get_close_matches(name, CHECKS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(CHECKS)}."
            raise ConfigError(f"There is no check {name!r}. {hint}", code="no_check")
    return [check for name, check in CHECKS.items() if name in only or not only]


def _subject(asked: _Asked) -> Subject:
    given = {name: value for name, value in asked.settings.arguments().items() if value is not None}
    own = {name: value for name, value in given.items() if name not in SessionConfig.model_fields}
    config = {name: value for name, value in given.items() if name in SessionConfig.model_fields}
    if own:
        config["options"] = own
    settings = checked(config)  # a misfit is told now, and not once for each check
    if settings.model is not None:
        raise BadOption("The model is part of the spec: write vendor/model.")
    subject = Subject(backend=backend_of(asked.spec), config=config, **asdict(asked.questions))
    if asked.wav is None:
        return subject
    recording = read_recording(asked.wav)
    return replace(subject, speech=recording.samples.tobytes(), speech_format=recording.format)


def _agreed(spec: str, subject: Subject, count: int) -> bool:
    """Whether money may be spent.

    Raises:
        ConfigError: there is nobody to ask.
    """
    keys = sorted({about.key for about in _abouts(spec) if about.key})
    if "api_key" in subject.config:
        keys.append("api_key")
    if not keys:
        return True
    warning = (
        f"{spec} uses a key ({', '.join(keys)}): {count} checks open about {3 * count} sessions, which may cost money."
    )
    if not sys.stdin.isatty():
        raise ConfigError(f"{warning} To agree, add --yes.", code="not_agreed")
    print(f"{warning} Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _abouts(spec: str) -> list[About]:
    parsed = parse(spec)
    if not isinstance(parsed, CascadeSpec):
        return [registry().backend_row(parsed.name, parsed.model).about]
    seats: list[tuple[Seat, tuple[str, ...]]] = [("stt", parsed.stt), ("llm", parsed.llm), ("tts", parsed.tts)]
    return [registry().stage_row(seat, name).about for seat, names in seats for name in names]


def _run(checks: Sequence[Check], subject: Subject) -> Iterator[Verdict]:
    """Each check on an event loop of its own. Of a backend that does not open, no more is asked."""
    errors = Console(stderr=True, highlight=False)
    opens = True
    for number, check in enumerate(checks, 1):
        if not opens:
            reason = "the session does not open"
            yield Verdict(check=check.name, promise=check.promise, status="skipped", reason=reason)
            continue
        with errors.status(f"{number}/{len(checks)} {check.name}"):
            verdict = asyncio.run(run_check(check, subject))
        opens = (check.name, verdict.status) != (_OPENS, "fail")
        yield verdict


class _Rows:
    """A row for each check, shown as soon as there is a verdict."""

    def __init__(self, checks: Sequence[Check], console: Console) -> None:
        self.console = console
        self._width = max(len(check.name) for check in checks)

    def show(self, verdict: Verdict) -> None:
        """Write a row."""
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=self._width, no_wrap=True)
        row.add_column(width=7, no_wrap=True)
        row.add_column(width=6, no_wrap=True, justify="right")
        row.add_column(overflow="fold")
        told = verdict.reason or verdict.promise
        if verdict.status == "pass" and verdict.reason:
            told = f"{verdict.promise} ({verdict.reason})"
        row.add_row(verdict.check, _SIGNS[verdict.status], f"{verdict.seconds:.1f} s", _plain(told))
        self.console.print(row)
        self.console.file.flush()


def _sum_up(spec: str, verdicts: Sequence[Verdict], asked: int, console: Console) -> None:
    """Say what went in and came out where a check failed, and how many came to what."""
    for verdict in verdicts:
        if verdict.status == "fail":
            console.print(f"\n{verdict.check}: {_plain(verdict.promise)}", style="bold")
            console.print(f"  {_plain(verdict.reason)}")
            for line in verdict.trace:
                console.print(f"  {_plain(line)}", soft_wrap=True)
    counts = [f"{count} {status}" for status, count in Counter(verdict.status for verdict in verdicts).items()]
    if left := asked - len(verdicts):
        counts.append(f"{left} not run: stopped")
    console.print(f"\n{spec}: " + ", ".join(counts))


def _plain(text: Any) -> str:
    from rich.markup import escape

    return escape(str(text))
