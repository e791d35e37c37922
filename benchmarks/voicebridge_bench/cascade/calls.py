"""One cell of a run in the process of a client: so many conversations on one event loop."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from voicebridge_bench.live.load_probe import LoadProbe
from voicebridge_bench.realtime.memory import own_kb
from voicebridge_bench.realtime.opening import opened

from .arms.arm import ARMS, Setup, phone
from .control import round_trips_ms
from .conversation import Conversation, SpokenClip
from .microphone import FRAME_S, Microphone

__all__ = ["measure_cascade"]

_PINGS = 20
"""Of each vendor, before the calls."""
_SPREAD_S = 0.06
"""For each session, in which they begin to speak at random: a hundred callers do not finish at the same moment."""
_WARM_TURNS = 1
"""Of each session, before those that count: imports, connections, caches."""


async def measure_cascade(job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Open the calls, hold the conversations, hang up.

    Args:
        job: `arm`, `setup` (fields of `Setup`), `clips`, `keys`, `turns`, `boards`, `silences_s`, `seed`.
        tell: gets a row when the measurement begins, and one when it ends.
    """
    spec, rng = ARMS[job["arm"]], random.Random(job["seed"])
    clips = _clips(job["clips"], spec.rate)
    talks = [Conversation(key, job["boards"], random.Random(rng.random())) for key in job["keys"]]
    round_trips = [ms for url in set(job["setup"]["urls"].values()) for ms in await round_trips_ms(url, _PINGS)]
    async with AsyncExitStack() as stack:
        dial = await stack.enter_async_context(phone(job["arm"], Setup(**job["setup"])))
        calls = await opened(stack, [partial(dial, talk.ears(), talk.key) for talk in talks])
        began = asyncio.get_running_loop().time() + 0.1
        microphones = [Microphone(call.send, spec.rate, began=began + rng.random() * FRAME_S) for call in calls]
        talking = [asyncio.create_task(microphone.run()) for microphone in microphones]
        stack.callback(lambda: [task.cancel() for task in talking])
        first = 1 + _WARM_TURNS
        rounds = (range(1, first), range(first, first + job["turns"]))
        found: dict[str, Any] = {}
        for number, turns in enumerate(rounds):
            begins = [rng.uniform(0, _SPREAD_S * len(talks)) for _ in talks]
            holding = asyncio.gather(
                *(
                    talk.hold(call, microphone, clips, turns, job["silences_s"], after_s)
                    for talk, call, microphone, after_s in zip(talks, calls, microphones, begins, strict=True)
                )
            )
            if number == 0:
                await _unless_broken(holding, talking)
                gc.collect()  # now, and not when it falls due in the middle
                gc.freeze()  # as a server that cares: what was loaded once is not searched again and again
            else:
                found = await _measured(holding, talking, tell)
    return found | {"round_trip_ms": min(round_trips)}


def _clips(listed: list[dict[str, Any]], rate: int) -> list[SpokenClip]:
    return [SpokenClip(clip["id"], Path(clip["paths"][str(rate)]).read_bytes(), clip["spoken_s"]) for clip in listed]


async def _measured(
    holding: asyncio.Future[list[list[dict[str, Any]]]],
    talking: list[asyncio.Task[None]],
    tell: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    probe = LoadProbe()
    tell({"row": "begin"})
    probe.start()
    probe.begin()
    cpu, wall = time.process_time(), time.monotonic()
    rows = await _unless_broken(holding, talking)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    tell({"row": "end"})
    machine = await probe.stop()
    lag = machine.loop_lag_ms
    return {
        "turns": [row for session in rows for row in session],
        "seconds": wall,
        "cpu_s": cpu,
        "own_kb": own_kb(),
        "loop_lag_ms": None if lag is None else {"p50": lag.p50, "p99": lag.p99, "max": lag.max},
        "others_cores": machine.others_cores,
        "stolen": machine.stolen,
        "load": machine.load_after,
    }


async def _unless_broken(holding: asyncio.Future[Any], talking: list[asyncio.Task[None]]) -> Any:
    """What the conversations gave; if a microphone's session breaks off, why it did."""
    await asyncio.wait((holding, *talking), return_when=asyncio.FIRST_COMPLETED)
    for task in talking:
        if task.done():
            holding.cancel()
            await task
    return await holding
