"""All calls of a run, so many at the same time, in the process of the calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge_bench.live.load_probe import LoadProbe

from .caller import NothingCame, calling
from .cascade import counted_cascade
from .network import network
from .scenarios import SCENARIOS, Call
from .tagged_audio import TagReader

__all__ = ["measure_calls"]

_LIMIT_S = 90.0
"""Of one call."""


async def measure_calls(job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Hold the calls in a random order.

    Args:
        job: `urls` of the simulators, `calls` by scenario, `together`, `seed`.
        tell: gets a row as each call ends.
    """
    rng = random.Random(job["seed"])
    wanted = [name for name, count in job["calls"].items() for _ in range(count)]
    rng.shuffle(wanted)
    free = asyncio.Semaphore(job["together"])
    await _warm_up(job["urls"])
    probe = LoadProbe()
    probe.start()
    probe.begin()

    async def held(number: int, name: str) -> dict[str, Any]:
        async with free:
            row = await _held(number, name, job["urls"], rng.randrange(1 << 30))
            tell({"row": "call"})
            return row

    rows = await asyncio.gather(*(held(number, name) for number, name in enumerate(wanted)))
    machine = await probe.stop()
    lag = machine.loop_lag_ms
    return {
        "calls": rows,
        "others_cores": machine.others_cores,
        "own_cores": machine.own_cores,
        "stolen": machine.stolen,
        "loop_lag_ms": None if lag is None else {"p50": lag.p50, "p99": lag.p99, "max": lag.max},
    }


async def _warm_up(urls: dict[str, str]) -> None:
    """What is imported when the first call needs it is imported now."""
    for options in ({"base_url": urls["short"], "api_key": "warm"}, {"spec": counted_cascade(TagReader())}):
        async with calling({}, **options):
            pass


async def _held(number: int, name: str, urls: dict[str, str], seed: int) -> dict[str, Any]:
    """One call: `ms`, or `problem`, and what is left of it."""
    row: dict[str, Any] = {"scenario": name, "key": f"call-{number}", "seed": seed, "ms": None, "problem": None}
    async with network(urls) as lines:
        call = Call(row["key"], lines, random.Random(seed))
        try:
            async with asyncio.timeout(_LIMIT_S):
                row["ms"] = round(await SCENARIOS[name](call), 2)
        except (NothingCame, VoiceBridgeError, TimeoutError) as error:
            row["problem"] = f"{type(error).__name__}: {error}".removesuffix(": ")
    return row | call.found | {"runs": call.heard.runs, "strange": call.heard.strange}
