"""The folder of a run: `results.jsonl` grows line by line, `summary.json` and the worker's log stand beside it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel

from voicebridge.contract.errors import ConfigError

__all__ = ["ResultsFolder", "new_folder"]

R = TypeVar("R", bound=BaseModel)

RESULTS = "results.jsonl"
SUMMARY = "summary.json"
LOG = "worker.log"
"""The files of a run's folder."""


def new_folder(backends: tuple[str, ...]) -> Path:
    """A name under `bench-results`, from the time in UTC and the first backend."""
    name = "".join(sign if sign.isalnum() else "-" for sign in backends[0])
    return Path("bench-results") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"


class ResultsFolder(Generic[R]):
    """Holds what is measured, at once and whatever comes after. A context manager.

    Raises:
        ConfigError: the folder can't be written, or already holds the results of a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[R] = []
        if os.path.exists(path / RESULTS):
            raise ConfigError(f"{path} already holds the results of a run: name another folder.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._file = (path / RESULTS).open("a", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"Results can't be written to {path}: {error.strerror}.") from error

    @property
    def log(self) -> Path:
        """Where the workers' own output goes."""
        return self.path / LOG

    def add(self, row: R) -> None:
        """Keep a row: it is on disk when this returns."""
        self._file.write(row.model_dump_json() + "\n")
        self._file.flush()
        self.rows.append(row)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`, in one step."""
        part = self.path / f"{SUMMARY}.part"
        part.write_text(json.dumps(summary, indent=1, default=_plain, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(self.path / SUMMARY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no place in a summary")
