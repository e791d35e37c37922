"""The processes of a run, seen from the one that runs it: the server, and an arm at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .arms.arm import OWN

__all__ = ["ArmFailed", "ServerProcess", "run_arm"]

_BOOTSTRAP = """
import sys, types
package = types.ModuleType("voicebridge_bench")
package.__path__ = [sys.argv[1]]
sys.modules["voicebridge_bench"] = package
from voicebridge_bench.realtime.arm_process import main
main()
"""
"""An interpreter that has a peer need not have voicebridge: the package is there without what its `__init__` needs."""
_PACKAGE = str(Path(__file__).parent.parent)
_TERM_S = 5.0
_TAIL = 300


class ArmFailed(Exception):
    """A client could not be measured; the message says why."""


class ServerProcess:
    """The server, from entering the context to leaving it.

    Args:
        cpu: the core to stay on.
        module: what runs in it; by default the lean server.
    """

    def __init__(self, cpu: int | None, module: str = "voicebridge_bench.realtime.server") -> None:
        self._cpu, self._module = cpu, module
        self.port = 0
        self.urls: dict[str, str] = {}
        """By name, where it serves more than one thing."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                self._module,
                *([] if self._cpu is None else [str(self._cpu)]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends it
        )
        row = self._read()
        self.port, self.urls = row.get("port", 0), row.get("urls", {})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        _end(self._process)

    def behave(self, **manner: Any) -> None:
        """How it treats the next connections: the fields of `server.Manner`."""
        self.order({"do": "behave", "manner": manner})

    def watch(self) -> None:
        """Count from now on."""
        self.order({"do": "watch"})

    def report(self) -> dict[str, Any]:
        """What was counted."""
        return self.order({"do": "report"})

    def order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Have it do something, and take its answer.

        Raises:
            ArmFailed: it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ArmFailed("The benchmark's server ended by itself; its last words are above.")
        row: dict[str, Any] = json.loads(line)
        return row


def run_arm(
    job: Mapping[str, Any],
    python: str,
    on_row: Callable[[str], None] = lambda row: None,
    limit_s: float = 120.0,
) -> dict[str, Any]:
    """Do a job in a process of its own, and give its result.

    Args:
        python: the interpreter for everything but our own arms.
        on_row: told the name of each row as it comes.

    Raises:
        ArmFailed: the client failed, or was not done after `limit_s` seconds.
    """
    process = _started(job, python)
    words: list[str] = []
    reader = threading.Thread(target=_keep_tail, args=(process.stderr, words), name="bench arm words")
    watchdog = threading.Timer(limit_s, process.kill)
    reader.start()
    watchdog.start()
    try:
        result = _result(process, job, on_row)
        if result is not None:
            return result
        process.wait()
        late = "" if watchdog.is_alive() else f" after {limit_s:g} s"
        raise ArmFailed(f"It ended{late} without a result: {''.join(words)[-_TAIL:].strip() or 'it said nothing'}")
    except BrokenPipeError:
        raise ArmFailed(f"It ended before it began: {''.join(words)[-_TAIL:].strip()}") from None
    finally:
        watchdog.cancel()
        _end(process)
        reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def _started(job: Mapping[str, Any], python: str) -> subprocess.Popen[str]:
    own = python == sys.executable or job.get("arm") in OWN
    module = [sys.executable, "-m", "voicebridge_bench.realtime.arm_process"]
    try:
        return subprocess.Popen(
            module if own else [python, "-c", _BOOTSTRAP, _PACKAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ArmFailed(f"{python} can't be started: {error.strerror}.") from None


def _result(
    process: subprocess.Popen[str], job: Mapping[str, Any], on_row: Callable[[str], None]
) -> dict[str, Any] | None:
    """What it says at last; None: it ended without."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        row: dict[str, Any] = json.loads(line)
        kind = row.pop("row")
        if kind == "done":
            return row
        if kind == "failed":
            raise ArmFailed(row["problem"])
        on_row(kind)
    return None


def _keep_tail(stream: Any, words: list[str]) -> None:
    for line in stream:
        words.append(line)
        del words[:-20]


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(1.0 if process.poll() is None else 0)
        return
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(_TERM_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
