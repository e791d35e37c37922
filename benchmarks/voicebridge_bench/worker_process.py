"""The other end of a worker: starts it, yields its rows, and ends it whatever happens."""

from __future__ import annotations

import collections
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .job import Job
from .rows import SessionRow, TurnRow, parse_row
from .worker import ALIVE

__all__ = ["WorkerFailed", "rows_of"]

_STUCK_S = 90.0
_TERM_S = 5.0
_TAIL = 5


class WorkerFailed(Exception):
    """The process ended, or hung, before it had finished its job."""


def rows_of(job: Job, log: Path, stuck_s: float = _STUCK_S) -> Iterator[TurnRow | SessionRow]:
    """The rows of a job as they come. What the process prints is appended to `log`.

    Raises:
        WorkerFailed: it ended early, wrote no rows, or its event loop stood still for `stuck_s` seconds.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "voicebridge_bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends the worker
        )
    assert process.stdin is not None
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_pump, args=(process.stdout, lines), name="bench worker reader")
    try:
        reader.start()
        process.stdin.write(job.model_dump_json())
        process.stdin.close()
        yield from _rows(lines, stuck_s)
        if process.wait(_TERM_S):
            raise WorkerFailed(f"The worker ended with status {process.returncode}: {_tail(log)}")
    except BrokenPipeError:
        raise WorkerFailed(f"The worker ended before it began: {_tail(log)}") from None
    finally:
        _end(process)
        reader.join()
        process.stdout.close()


def _rows(lines: queue.Queue[str | None], stuck_s: float) -> Iterator[TurnRow | SessionRow]:
    while True:
        try:
            line = lines.get(timeout=stuck_s)
        except queue.Empty:
            raise WorkerFailed(f"The backend blocked its event loop for {stuck_s:g} s.") from None
        if line is None:
            return
        if line.strip() == ALIVE:
            continue
        try:
            row = parse_row(line)
        except ValueError:
            raise WorkerFailed(f"The worker wrote what is no result: {line[:80]!r}.") from None
        yield row


def _pump(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_TERM_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        return " / ".join(line.strip() for line in collections.deque(file, _TAIL)) or "it said nothing"
