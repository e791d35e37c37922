"""One measurement of a client under steady load: so many calls on one event loop, audio both ways in real time."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from voicebridge_bench.live.load_probe import LoadProbe, Machine

from .arms.arm import Ears, phone
from .histogram import Histogram
from .memory import own_kb
from .opening import opened
from .pace import talk
from .stamp import now_ns, read

__all__ = ["measure_steady"]

_START_S = 20.0
"""Seconds until each call must have heard something."""
_CALM_S = 0.5
_CALM_EACH_S = 0.005
"""Seconds, and more for each session, after the collection of garbage until what it held up has been caught up with: a
loop that is busy for nine tenths of the time catches up with the rest."""

Tell = Callable[[dict[str, Any]], None]


class _Listener:
    """What all calls of the process hear."""

    def __init__(self) -> None:
        self.delays = Histogram()
        self.heard = self.unstamped = self.missing = self.repeated = 0
        self.measuring = False

    def ears(self, started: asyncio.Event) -> Ears:
        """Of one call."""
        expected = 0

        def hear(pcm: bytes) -> None:
            nonlocal expected
            at = now_ns()
            stamp = read(pcm)
            if stamp is None:
                self.unstamped += 1
                return
            number, sent = stamp
            if number != expected:
                self.missing += max(0, number - expected)
                self.repeated += number < expected
            expected = number + 1
            if self.measuring:
                self.delays.add(at - sent)
                self.heard += 1
            elif not started.is_set():
                started.set()

        return Ears(hear, lambda: None)


async def measure_steady(arm: str, port: int, job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Open the calls, wait until all of them hear something and the load is even, measure, hang up.

    Args:
        job: `sessions`, `warm_s`, `seconds`, `seed`.
        tell: gets a row when the measurement begins, and one when it ends.
    """
    listener, phases = _Listener(), random.Random(job["seed"])
    lateness = Histogram()
    async with AsyncExitStack() as stack:
        dial = await stack.enter_async_context(phone(arm, port))
        started = [asyncio.Event() for _ in range(job["sessions"])]
        calls = await opened(stack, [partial(dial, listener.ears(event)) for event in started])
        talking = [asyncio.create_task(talk(call, phases.random(), lateness)) for call in calls]
        try:
            async with asyncio.timeout(_START_S):
                await asyncio.gather(*(event.wait() for event in started))
            await asyncio.sleep(job["warm_s"])
            found = await _measured(listener, lateness, job, tell)
            failed = [task for task in talking if task.done()]
        finally:
            for task in talking:
                task.cancel()
            ended = await asyncio.gather(*talking, return_exceptions=True)
    errors = [repr(error) for error in ended if isinstance(error, Exception)]
    return found | {"broken": len(failed), "errors": errors[:3]}


async def _measured(listener: _Listener, lateness: Histogram, job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    gc.collect()  # now, and not when it falls due in the middle of the measurement
    await asyncio.sleep(_CALM_S + _CALM_EACH_S * job["sessions"])
    probe = LoadProbe()
    listener.unstamped = listener.missing = listener.repeated = 0
    lateness.clear()
    tell({"row": "begin"})
    probe.start()
    probe.begin()
    listener.measuring = True
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(job["seconds"])
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    listener.measuring = False
    tell({"row": "end"})
    machine: Machine = await probe.stop()
    return {
        "seconds": wall,
        "cpu_s": cpu,
        "heard": listener.heard,
        "unstamped": listener.unstamped,
        "missing": listener.missing,
        "repeated": listener.repeated,
        "delays_10us": listener.delays.to_json(),
        "send_lateness_10us": lateness.to_json(),
        "own_kb": own_kb(),
        "loop_lag_ms": _lag(machine),
        "others_cores": machine.others_cores,
        "stolen": machine.stolen,
        "load": machine.load_after,
    }


def _lag(machine: Machine) -> dict[str, float] | None:
    lag = machine.loop_lag_ms
    return None if lag is None else {"p50": lag.p50, "p99": lag.p99, "max": lag.max}
