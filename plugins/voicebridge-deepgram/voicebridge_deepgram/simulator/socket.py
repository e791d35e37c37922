"""What the three wires have in common: identifiers, errors, a watch over silence, and work in order."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Coroutine
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.wire import HttpRequest, Link

__all__ = ["VendorSocket", "audio_format", "identifier", "read"]

_ENCODINGS = {"linear16": "pcm16", "mulaw": "ulaw", "alaw": "alaw"}


def identifier(*seed: object) -> str:
    """A name in the form that Deepgram gives, the same for the same seed."""
    return str(uuid.UUID(int=random.Random("/".join(map(str, seed))).getrandbits(128), version=4))


def audio_format(request: HttpRequest, default_rate: int) -> AudioFormat | None:
    """The format that the query names. None: there is no such format."""
    rate = request.query.get("sample_rate", str(default_rate))
    encoding = _ENCODINGS.get(request.query.get("encoding", "linear16"))
    if encoding is None or not rate.isdecimal() or not 8_000 <= int(rate) <= 48_000:
        return None
    return AudioFormat(encoding=encoding, rate=int(rate))  # type: ignore[arg-type]  # of the table above


class VendorSocket:
    """One client's connection.

    Args:
        idle_s: seconds without a sign of life until it is closed. None: never.
    """

    def __init__(self, link: Link, request: HttpRequest, idle_s: float | None) -> None:
        self.link = link
        self.request_id = identifier("request", link.number)
        self._idle_s = idle_s
        self._clock = asyncio.get_running_loop().time
        self._alive_at = self._clock()
        self._work: asyncio.Queue[Coroutine[Any, Any, None] | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    def opened(self) -> None:
        """Begin to work, and to watch."""
        self._worker = self._start(self._work_on())
        if self._idle_s is not None:
            self._start(self._watch(self._idle_s))

    def alive(self) -> None:
        """The client gave a sign of life."""
        self._alive_at = self._clock()

    def in_order(self, work: Coroutine[Any, Any, None]) -> None:
        """Do that after what was asked for before."""
        self._work.put_nowait(work)

    def forget_work(self) -> None:
        """Stop what is being done, and forget what waits."""
        while not self._work.empty():
            if (work := self._work.get_nowait()) is not None:
                work.close()
        if self._worker is not None:
            self._worker.cancel()
        self._worker = self._start(self._work_on())

    async def tell(self, kind: str, **fields: Any) -> None:
        """Send an object of that type."""
        await self.tell_as(kind, kind, **fields)

    async def tell_as(self, kind: str, type_: str, **fields: Any) -> None:
        """The same, where fault scripts mean it by another name."""
        await self.link.send(kind, orjson.dumps({"type": type_, **fields}).decode())

    async def aclose(self) -> None:
        """Stop all that runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._work.empty():
            if (work := self._work.get_nowait()) is not None:
                work.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="simulator: deepgram")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work_on(self) -> None:
        while (work := await self._work.get()) is not None:
            await work

    async def _watch(self, idle_s: float) -> None:
        while True:
            left = self._alive_at + idle_s - self._clock()
            if left <= 0:
                break
            await asyncio.sleep(left)
        reason = "NET-0001: Deepgram did not receive audio data or a text message within the timeout window."
        await self.link.close(1011, reason)


def read(frame: str | bytes) -> dict[str, Any] | None:
    """The object in a frame of text. None: there is none."""
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
