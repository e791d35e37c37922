"""The process of the simulated vendors and the network: `python -m voicebridge_bench.cascade.simulators`.

Orders and answers are lines of JSON, as those of `voicebridge_bench.realtime.server`:

    {"do": "serve", "vendors": {name: fields of SimulatorSettings and `simulator`}, "round_trip_ms": 50}
                          -> {"urls": {name: {"direct": url, "far": url behind the network}}}; earlier ones have ended
    {"do": "watch"}       -> {}: count from now on
    {"do": "report"}      -> {"cores": ..., "turns": [records of turns that ended since, each with `vendor`]}

It shares `CLOCK_MONOTONIC` with the clients, and its timers are exact: see `precise_loop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.chaos import ChaosProxy

from .precise_loop import precise_loop

__all__ = ["main"]


class _Street:
    """The vendors that are served now."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._simulators: dict[str, Any] = {}
        self._seen: dict[str, int] = {}
        self.watch()

    async def serve(self, vendors: dict[str, Any], round_trip_ms: float) -> dict[str, Any]:
        """Serve these, and no others any more."""
        await self.aclose()
        urls = {}
        for name, fields in vendors.items():
            settings = SimulatorSettings(profile=fields["profile"], seed=fields["seed"], options=fields["options"])
            simulator: Any = registry().simulator(fields["simulator"], settings)
            served = await self._stack.enter_async_context(simulator.serve())
            direct, url = (served.replace("ws://", f"{scheme}://", 1) for scheme in ("http", fields["scheme"]))
            line = await self._stack.enter_async_context(ChaosProxy(url))
            line.up.latency_s = line.down.latency_s = round_trip_ms / 2000
            line.handshake_s = round_trip_ms / 1000
            self._simulators[name] = simulator
            urls[name] = {"direct": direct, "far": line.url}
        return {"urls": urls}

    def watch(self) -> None:
        """Count from now on."""
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def report(self) -> dict[str, Any]:
        """What was counted."""
        elapsed = max(time.monotonic() - self._wall, 1e-9)
        turns = [
            asdict(record) | {"vendor": name}
            for name, simulator in self._simulators.items()
            for record in simulator.turns.turns
            if record.stamps.get("requested", 0.0) >= self._wall
        ]
        return {"cores": (time.process_time() - self._cpu) / elapsed, "turns": turns}

    async def aclose(self) -> None:
        """End them."""
        self._simulators.clear()
        await self._stack.aclose()


async def _serve(cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    street = _Street()
    _tell({})
    try:
        while line := await orders.readline():
            order = json.loads(line)
            if order["do"] == "serve":
                _tell(await street.serve(order["vendors"], order["round_trip_ms"]))
            elif order["do"] == "watch":
                street.watch()
                _tell({})
            else:
                _tell(street.report())
    finally:
        await street.aclose()


def _tell(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def main() -> None:
    """Serve until standard input ends. The first argument is the core to stay on, if there is one."""
    cpu = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_serve(cpu))


if __name__ == "__main__":
    main()
