"""The process of one client: reads a job from standard input, writes rows as lines of JSON.

Started by `arm_host`, with the interpreter that has the client. Whatever a library prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from voicebridge_bench.cascade.precise_loop import precise_loop

from .arms.arm import ARMS

__all__ = ["main"]


def main() -> None:
    """Do the job that standard input holds."""
    sys.stdout.flush()
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def tell(row: dict[str, Any]) -> None:
        print(json.dumps(row), file=rows)

    job = json.loads(sys.stdin.readline())
    if job["kind"] in ("versions", "cascade_versions"):
        tell({"row": "done", "python": platform.python_version(), "arms": _versions(job)})
        return
    if job["cpu"] is not None:
        os.sched_setaffinity(0, {job["cpu"]})
    try:
        with asyncio.Runner(loop_factory=precise_loop if job["kind"] == "cascade" else None) as runner:
            found = runner.run(_do(job, tell))
    except Exception as error:
        tell({"row": "failed", "problem": f"{type(error).__name__}: {error}"})
        raise
    tell({"row": "done", **found})
    rows.flush()
    os._exit(0)  # a library's threads and open sessions are none of our business any more


async def _do(job: dict[str, Any], tell: Any) -> dict[str, Any]:
    if job["kind"] == "steady":
        from .steady import measure_steady

        return await measure_steady(job["arm"], job["port"], job, tell)
    if job["kind"] == "recovery":
        from .recovery import measure_recovery

        return await measure_recovery(job["port"], job)
    if job["kind"] == "cascade":
        from voicebridge_bench.cascade.calls import measure_cascade

        return await measure_cascade(job, tell)
    if job["kind"] == "handover_calls":
        from voicebridge_bench.handover.calls import measure_calls

        return await measure_calls(job, tell)
    if job["kind"] == "long_call":
        from voicebridge_bench.handover.long_call import measure_long_call

        return await measure_long_call(job, tell)
    from .first_audio import measure_first_audio

    return await measure_first_audio(job["arm"], job["port"], job)


def _versions(job: dict[str, Any]) -> dict[str, dict[str, str] | None]:
    """Of each arm, its distributions' versions; None where it is not installed."""
    table: Mapping[str, Any] = ARMS
    if job["kind"] == "cascade_versions":
        from voicebridge_bench.cascade.arms.arm import ARMS as table
    return {name: _version(table[name]) for name in job["arms"]}


def _version(spec: Any) -> dict[str, str] | None:
    try:
        if not all(find_spec(module) for module in spec.needs):
            return None
        return {package: version(package) for package in spec.packages}
    except Exception:  # a package that can't be imported can't be measured, whatever it raises
        return None


if __name__ == "__main__":
    main()
