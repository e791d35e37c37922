"""Stands in for the sounddevice package: a microphone in which somebody says one thing, and a speaker for nobody.

With FAKE_SOUND=none in the environment there is no device at all.
"""

from __future__ import annotations

import math
import os
import struct
import threading
import time
from types import SimpleNamespace
from typing import Any

SPEAKS_S = (0.3, 0.9)


class PortAudioError(Exception):
    """As the real one."""


def query_devices(device: Any, kind: str) -> dict[str, Any]:
    if os.environ.get("FAKE_SOUND") == "none":
        raise PortAudioError("Error querying device -1")
    return {"default_samplerate": 24_000.0, "max_input_channels": 1, "max_output_channels": 2}


class _Stream:
    latency = 0.01

    def __init__(self, *, samplerate: int, blocksize: int, callback: Any, finished_callback: Any, **_: Any) -> None:
        self.rate, self.frames = samplerate, blocksize or samplerate // 50
        self.callback, self.finished = callback, finished_callback
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def abort(self) -> None:
        self._stop.set()
        self._thread.join()
        self.finished()

    def close(self) -> None: ...

    def _run(self) -> None:
        began, count = time.monotonic(), 0
        while not self._stop.wait(max(0.0, began + count * self.frames / self.rate - time.monotonic())):
            now = time.monotonic()
            self.pass_on(count * self.frames, SimpleNamespace(currentTime=now, outputBufferDacTime=now + 0.01))
            count += 1

    def pass_on(self, at: int, clock: Any) -> None:
        raise NotImplementedError


class RawInputStream(_Stream):
    def pass_on(self, at: int, clock: Any) -> None:
        seconds = [(at + n) / self.rate for n in range(self.frames)]
        samples = [
            int(9000 * math.sin(s * 2000)) if SPEAKS_S[0] <= s < SPEAKS_S[1] and os.environ.get("FAKE_SOUND") else 0
            for s in seconds
        ]
        self.callback(struct.pack(f"<{self.frames}h", *samples), self.frames, clock, None)


class RawOutputStream(_Stream):
    def pass_on(self, at: int, clock: Any) -> None:
        self.callback(bytearray(2 * self.frames), self.frames, clock, None)
