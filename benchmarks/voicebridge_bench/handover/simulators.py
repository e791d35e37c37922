"""The process of the simulated vendors: `python -m voicebridge_bench.handover.simulators`.

Several servers of the OpenAI Realtime wire that differ in what they do, and a count of the user's audio by the key that
each call shows. Orders and answers are lines of JSON, as those of `voicebridge_bench.realtime.server`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry

from .tagged_audio import TagReader

__all__ = ["SERVERS", "main"]

_SHORT = "I can do that for you."
"""A second and a half."""
_LONG = "Let me think about this for a moment, and then tell you all that I know of it in one go. " * 2
"""Nearly twelve seconds."""
_SOUND: dict[str, Any] = {"pace": 1.0, "delta_ms": 40}
"""No faster than it is played: nothing is there to bridge a gap with."""
SERVERS: dict[str, SimulatorSettings] = {
    "short": SimulatorSettings(options={**_SOUND, "replies": (_SHORT,) * 100}),
    "long": SimulatorSettings(options={**_SOUND, "replies": (_LONG,) * 100}),
    "expiring": SimulatorSettings(options={**_SOUND, "replies": (_SHORT,) * 100, "session_s": 14.0}),
    "expiring-long": SimulatorSettings(options={**_SOUND, "replies": (_LONG,) * 100, "session_s": 10.0}),
    "locked": SimulatorSettings(options={"keys": ("another",)}),
    "stalling": SimulatorSettings(
        faults=("stall on response.output_audio.delta occurrence 25",), options={**_SOUND, "replies": (_LONG,) * 100}
    ),
    "fast": SimulatorSettings(options={"pace": 40.0, "replies": (_SHORT,) * 5000}),
}
"""By name. `fast` is for time that is compressed."""


class _Counts:
    """What came of the user's audio, by the caller's key."""

    def __init__(self) -> None:
        self.by_key: dict[str, TagReader] = defaultdict(TagReader)
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def frame(self, asked: Any, frame: str | bytes) -> None:
        if isinstance(frame, bytes) or "input_audio_buffer.append" not in frame[:80]:
            return
        key = asked.headers.get("authorization", "").partition(" ")[2]
        if key.startswith("call-"):
            self.by_key[key].take(base64.b64decode(json.loads(frame)["audio"]))

    def watch(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def report(self) -> dict[str, Any]:
        wall = max(time.monotonic() - self._wall, 1e-9)
        heard = {
            key: {"runs": reader.runs, "strange": reader.strange, "samples": reader.samples}
            for key, reader in self.by_key.items()
        }
        return {"cores": (time.process_time() - self._cpu) / wall, "heard": heard}


async def _serve(cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    counts = _Counts()
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with AsyncExitStack() as stack:
        urls = {}
        for name, settings in SERVERS.items():
            simulator: Any = registry().simulator("openai-realtime", settings)
            simulator.frame_received = counts.frame
            urls[name] = await stack.enter_async_context(simulator.serve())
        _tell({"urls": urls})
        while line := await orders.readline():
            if json.loads(line)["do"] == "watch":
                counts.watch()
                _tell({})
            else:
                _tell(counts.report())


def _tell(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def main() -> None:
    """Serve until standard input ends. The first argument is the core to stay on, if there is one."""
    cpu = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(cpu))


if __name__ == "__main__":
    main()
