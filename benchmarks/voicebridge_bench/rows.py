"""The lines of `results.jsonl`: one for each turn, one for each session, written as they happen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from voicebridge.contract.errors import ConfigError

from .live.load_probe import Machine, Spread
from .measures import TurnMeasures
from .word_errors import WordErrors

__all__ = ["SCHEMA_VERSION", "Row", "SessionRow", "TurnRow", "read_rows"]

SCHEMA_VERSION = 1

Kind = Literal["cold", "first", "later"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str
    silence_ms: int | None
    """The end-of-turn silence that was asked for; None: the backend's own."""
    session: str
    """The same for all turns of one session, different for any two sessions of a run."""


class TurnRow(_Row):
    """A turn."""

    row: Literal["turn"] = "turn"
    kind: Kind
    """`cold`: connected in a fresh process when the user's turn began. `first`: the first turn of a session that was
    ready. `later`: any other."""
    conversation: str
    turn: str
    index: int
    """Of the turn in its conversation, from 0."""
    longest_pause_ms: int
    """Of the user's, inside the turn."""
    reference: str | None
    accent: str | None = None
    speaker: str
    measures: TurnMeasures
    word_errors: WordErrors | None
    """None where the words are not known for certain."""
    lateness_ms: Spread | None
    """Of the frames sent in the turn."""
    times: dict[str, Any] = Field(default_factory=dict)
    """Every time stamp of the turn, in ms after its zero."""


class SessionRow(_Row):
    """A session."""

    row: Literal["session"] = "session"
    cold: bool
    conversation: str
    model: str | None
    ready_ms: float | None
    """From connecting until the backend listened."""
    process_ready_ms: float | None
    """The same from the start of the process; None where it was not the process's first session."""
    failure: str | None
    """Why it ended by itself, or never began."""
    category: str | None = None
    """Of the failure, as in `Fault`: `config`, `network`, ..."""
    lateness_ms: Spread | None
    """Of all frames sent."""
    delivery_ms: float
    """Milliseconds between the session's time stamp of an event and its arrival, at worst."""
    machine: Machine | None


Row = Annotated[TurnRow | SessionRow, Field(discriminator="row")]
_ROW: TypeAdapter[TurnRow | SessionRow] = TypeAdapter(Row)


def parse_row(line: str | bytes) -> TurnRow | SessionRow:
    """The row on a line."""
    return _ROW.validate_json(line)


def read_rows(path: Path) -> list[TurnRow | SessionRow]:
    """The rows of a file. A last line that was cut short by a crash is left out.

    Raises:
        ConfigError: there is no such file, it can't be read, or a line is no row of this version.
    """
    if not os.path.isfile(path):
        raise ConfigError(f"There is no {path}.")
    try:
        lines = path.read_bytes().splitlines()  # of text, it would also split inside a transcript
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.") from error
    rows: list[TurnRow | SessionRow] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parse_row(line))
        except ValidationError as error:
            if number == len(lines):
                break
            fault = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise ConfigError(f"{path}, line {number} is no result of this version: {fault}") from None
    return rows
