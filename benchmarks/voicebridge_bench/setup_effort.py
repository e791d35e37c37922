"""What it takes to start with a backend, and to change to another, counted from examples that run.

A logical line is a statement. The examples are the files in `examples/`; the tests run them, hosted ones against
simulators. How long an engineer takes can't be counted, so no figure here is a time.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

from voicebridge.contract.errors import ConfigError
from voicebridge.registry.registry import registry
from voicebridge.registry.spec import CascadeSpec, parse

from .claims import load as load_claims
from .claims import verdict
from .text_file import read_text

__all__ = [
    "EXAMPLES",
    "Effort",
    "Request",
    "backend_of",
    "changed_lines",
    "effort",
    "logical_lines",
    "show_setup",
    "variables",
]

EXAMPLES = Path(__file__).with_name("examples")
COUNTED = 0
_METRICS = ("set-up time, experienced engineer", "lines of code to start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    json: bool = False
    markdown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What one example takes."""

    example: str
    """The name of its file."""
    backend: str
    lines: int
    """Logical ones, imports included."""
    variables: tuple[str, ...]
    """Of the environment, that hold keys."""
    swaps: dict[str, int]
    """Lines that change from this one to each other example, by its name."""


def logical_lines(source: str) -> int:
    """Statements of a program, at any depth; docstrings are none."""
    tree = ast.parse(source)
    statements = sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
    bodies = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef))
    return statements - sum(ast.get_docstring(node, clean=False) is not None for node in bodies)


def changed_lines(one: str, other: str) -> int:
    """Logical lines that differ between two programs, however they are laid out. A changed line counts once."""
    before, after = (ast.unparse(ast.parse(source)).splitlines() for source in (one, other))
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in steps if tag != "equal")


def backend_of(source: str) -> str:
    """The spec that a program passes as `backend=`.

    Raises:
        ConfigError: there is no such literal, or more than one.
    """
    found = [
        word.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "backend" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    ]
    if len(found) != 1:
        raise ConfigError(f'An example names its backend once, as `backend="..."`; this one {len(found)} times.')
    return found[0]


def variables(spec: str) -> tuple[str, ...]:
    """The environment variables that hold the keys which a spec needs.

    Raises:
        BackendNotFound, BrokenPlugin: a part of it can't be had.
    """
    meant, known = parse(spec), registry()
    if isinstance(meant, CascadeSpec):
        keys = [known.stage_row("stt", name).about.key for name in meant.stt]
        keys += [known.stage_row("llm", name).about.key for name in meant.llm]
        keys += [known.stage_row("tts", name).about.key for name in meant.tts]
    else:
        keys = [known.backend_row(meant.name, meant.model).about.key]
    return tuple(dict.fromkeys(key for key in keys if key))


def effort(folder: Path = EXAMPLES) -> list[Effort]:
    """What each example in a folder takes, by name.

    Raises:
        ConfigError: a file can't be read, is no Python, or names no backend.
    """
    sources = {path.stem: read_text(path) for path in sorted(folder.glob("*.py"))}
    found = []
    for name, source in sources.items():
        try:
            backend = backend_of(source)
        except SyntaxError as error:
            raise ConfigError(f"The example {name} is no Python: {error.msg}, line {error.lineno}.") from None
        swaps = {other: changed_lines(source, text) for other, text in sources.items() if other != name}
        found.append(
            Effort(
                example=name,
                backend=backend,
                lines=logical_lines(source),
                variables=variables(backend),
                swaps=swaps,
            )
        )
    return found


def show_setup(request: Request) -> int:
    """Count, report, and give the exit status.

    Raises:
        ConfigError: as in `effort`.
    """
    found, claims = effort(), load_claims()
    told = [(claim, verdict(claim, None, "computed")) for claim in claims.claims if claim.metric in _METRICS]
    if request.json:
        claimed = [
            {"id": claim.id, "column": claim.column, "claim": str(claim), "verdict": said.word, "reason": said.reason}
            for claim, said in told
        ]
        json.dump(
            {"schema_version": 1, "examples": [asdict(one) for one in found], "claims": claimed}, sys.stdout, indent=1
        )
        print()
        return COUNTED
    rows: list[tuple[str, ...]] = [
        (one.example, one.backend, str(one.lines), ", ".join(one.variables) or "none", _swaps(one)) for one in found
    ]
    head = ("example", "backend", "logical lines", "keys in the environment", "lines to change for another")
    _show(head, rows, markdown=request.markdown)
    print()
    rows = [(claim.metric, claim.column, str(claim), str(said)) for claim, said in told]
    _show(("the article says", "of", "claim", "verdict"), rows, markdown=request.markdown)
    print("\nCounted from voicebridge's own examples, which its tests run. Nothing here is a time.")
    return COUNTED


def _swaps(one: Effort) -> str:
    return ", ".join(f"{other} {lines}" for other, lines in one.swaps.items())


def _show(head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> None:
    if markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a file has no width
        console = Console(width=200)
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
