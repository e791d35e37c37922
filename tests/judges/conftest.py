"""A user with a microphone, before clients that others wrote, and the simulator as the only server.

The clients are in the extra `judges`, best in an environment of their own. Where one is missing, its tests skip.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

RATE = 24_000
FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
_PATIENCE_S = 20
QUESTION = "Please tell me, how is the weather in Paris today, and what should I wear there?"
"""What the simulator takes every spoken turn for. Its echo of it lasts about four seconds; a tool that is called
`weather` it calls instead."""
SIMULATE = (
    "voicebridge.cli simulate openai-realtime --port 0 -o voice=tone -o detector=energy -o pace=2 -o ms_per_char=45"
)
"""Twice as fast as it is spoken: an interruption may come before the response has ended, or while it still plays."""


def _voice() -> list[bytes]:
    """Frames of noise in bursts, dips of 40 ms between them: to a level meter, someone speaks."""
    samples = np.random.default_rng(5).normal(0, 0.15, RATE * 240 // 1000)
    samples[RATE // 5 :] *= 0.02
    pcm = (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
    return [pcm[at : at + FRAME * 2] for at in range(0, len(pcm), FRAME * 2)]


class Microphone:
    """Sends 20 ms frames of 24 kHz PCM16 at the pace of real time: silence, unless told to speak.

    Args:
        send: what a frame is handed to.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[object]]) -> None:
        self._send = send
        self._voice = _voice()
        self._left = 0
        self._said = asyncio.Event()

    async def speak(self, ms: float) -> None:
        """Speak. Returns after the last frame of it."""
        self._left = round(ms / FRAME_MS)
        self._said.clear()
        await self._said.wait()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame = bytes(FRAME * 2)
            if self._left:
                frame = self._voice[self._left % len(self._voice)]
                self._left -= 1
                if not self._left:
                    self._said.set()
            await self._send(frame)
            due += FRAME_MS / 1000
            await asyncio.sleep(due - loop.time())


async def _until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the condition is about events of many kinds of clients
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not come in {_PATIENCE_S} s") from None


@pytest.fixture
def microphone() -> type[Microphone]:
    return Microphone


@pytest.fixture
def until() -> Callable[[Callable[[], object], str], Awaitable[None]]:
    """Wait for something: `await until(lambda: heard, "a reply")`."""
    return _until


@dataclass(frozen=True)
class Server:
    """The simulator, in a process of its own."""

    ws: str
    http: str
    log: Path

    def turns(self) -> list[dict[str, Any]]:
        """What it did in each turn so far: see `voicebridge.testing.simulator.turn_log`."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("simulator") / "turns.jsonl"
    script = ["--log", str(log), "-o", f"transcripts={json.dumps([QUESTION] * 9)}"]
    process = subprocess.Popen(
        [sys.executable, "-m", *SIMULATE.split(), *script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        url = re.search(r"ws://\S+", first)
        if url is None:
            pytest.fail(f"the simulator did not start: {first}{process.stdout.read()}")
        yield Server(ws=url[0], http=url[0].replace("ws:", "http:"), log=log)
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=10)
    assert "Traceback" not in rest, rest


@pytest.fixture
def simulator(_running: Server) -> Server:
    """The server, its log cleared."""
    _running.log.write_text("")
    return _running
