"""One client's connection: what a wire sends goes out here, through the faults of the script."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed

from .fault_run import FaultRun
from .fault_script import Mishap
from .server_socket import ServerSocket

__all__ = ["Connection"]

_QUEUE = 256
"""Frames that wait behind a fault."""
_LAST_WORDS_S = 1.0
"""How long a close waits for the frames before it."""
_NO_TEXT = b"\xff\xfe\xfa"
"""No UTF-8."""
_logger = logging.getLogger("voicebridge.simulator")


class Connection:
    """Is a `Link`. Without faults a frame goes straight to the socket.

    With faults it waits in a queue, as on a slow network: the wire reads and works on, until the queue is full.
    """

    def __init__(self, socket: ServerSocket, number: int, faults: FaultRun) -> None:
        self.number = number
        self.closed = asyncio.Event()
        """The connection is over, or only looks alive (half open): nothing more is sent."""
        self._socket = socket
        self._faults = faults
        self._order = asyncio.Lock()
        self._timers: list[asyncio.TimerHandle] = []
        self._held: tuple[str, str | bytes] | None = None
        """A frame that waits for the one behind it."""
        self._queue: asyncio.Queue[tuple[str, str | bytes]] = asyncio.Queue(_QUEUE)
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self) -> None:
        """The handshake is done: the clock of the script starts."""
        loop = asyncio.get_running_loop()
        for mishap in self._faults.timed:
            self._timers.append(loop.call_later(mishap.after_s or 0.0, self._start, mishap))
        for mishap in self._faults.due_by_count():
            self._start(mishap)
        if not self._faults.idle:
            self._keep(self._write_queue())

    async def send(self, kind: str, frame: str | bytes) -> None:
        """See `Link.send`."""
        if self.closed.is_set():
            return
        if self._faults.idle:
            await self._write(frame)
            return
        await self._queue.put((kind, frame))

    async def close(self, code: int, reason: str) -> None:
        """See `Link.close`."""
        with suppress(TimeoutError):  # behind a stall, nothing can be waited for
            await asyncio.wait_for(self._queue.join(), _LAST_WORDS_S)
        await self._close(code, reason)

    async def _close(self, code: int, reason: str) -> None:
        self.closed.set()
        if not self._socket.half_open:
            await self._socket.close(code, reason)

    async def aclose(self) -> None:
        """Stop the clock of the script and what waits for it."""
        self.closed.set()
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, mishap: Mishap) -> None:
        self._keep(self._alone(mishap))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _alone(self, mishap: Mishap) -> None:
        if mishap.action == "stall":
            async with self._order:
                await self._happen(mishap)
        else:
            await self._happen(mishap)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong with a fault, the client is not left to wait for what will never come."""
        try:
            await work
        except Exception as error:
            _logger.error("The faults of connection %d failed: %s", self.number, error)
            self.closed.set()
            self._socket.reset()

    async def _write_queue(self) -> None:
        while not self.closed.is_set():
            kind, frame = await self._queue.get()
            async with self._order:
                await self._send_with_faults(kind, frame)
            self._queue.task_done()

    async def _send_with_faults(self, kind: str, frame: str | bytes) -> None:
        times = 1
        for mishap in self._faults.before(kind):
            if mishap.action == "drop":
                times = 0
            elif mishap.action == "duplicate":
                times = 2
            elif mishap.action == "reorder" and self._held is None:
                self._held, times = (kind, frame), 0
            elif mishap.action == "garbage":
                await self._write_garbage(mishap.garbage, frame)
                times = 0
            elif mishap.action == "unknown":
                await self._counted(_unheard_of(frame))
            else:
                await self._happen(mishap)
        for _ in range(times):
            await self._counted(frame)
        if times and self._held is not None:
            (_, late), self._held = self._held, None
            await self._counted(late)

    async def _happen(self, mishap: Mishap) -> None:
        """What is about the connection, not about one frame."""
        match mishap.action:
            case "delay":
                await asyncio.sleep(mishap.seconds or 0.0)
            case "stall" if mishap.seconds is not None:
                await asyncio.sleep(mishap.seconds)
            case "stall":
                await self.closed.wait()
            case "reset":
                self.closed.set()
                self._socket.reset()
            case "cut":
                self.closed.set()
                self._socket.cut()
            case "half-open":
                self.closed.set()
                self._socket.go_half_open()
            case "close":
                await self._close(mishap.code, mishap.reason)

    async def _counted(self, frame: str | bytes) -> None:
        if self.closed.is_set():
            return
        size = _wire_size(frame)
        if found := self._faults.cutting(size):
            mishap, part = found
            self._socket.write_part(frame, part)
            # What was written must leave before a reset throws it away.
            await asyncio.sleep(0.01)
            await self._happen(mishap)
            return
        await self._write(frame)
        await self._after(size)

    async def _after(self, size: int) -> None:
        """So many bytes have gone out as a frame."""
        for mishap in self._faults.sent(size):
            await self._happen(mishap)

    async def _write(self, frame: str | bytes) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            self.closed.set()

    async def _write_garbage(self, kind: str, frame: str | bytes) -> None:
        if kind == "truncated":
            await self._counted(frame[: len(frame) // 2])
        elif kind == "binary":
            await self._counted(bytes(range(256)))
        elif kind != "utf8":
            await self._counted("}{ this is no JSON")
        elif not self.closed.is_set():
            self._socket.write_text_bytes(_NO_TEXT)
            await self._after(_wire_size(_NO_TEXT))


def _unheard_of(frame: str | bytes) -> str:
    """A message as this one, of a type that nobody knows; on wires whose messages have no type, one of nothing else."""
    try:
        fields = json.loads(frame)
    except ValueError:
        fields = None
    typed = fields if isinstance(fields, dict) and "type" in fields else {}
    return json.dumps({**typed, "type": "unheard_of.event", "unheard_of": {"since": 2099, "why": None}})


def _wire_size(frame: str | bytes) -> int:
    """Bytes of a frame with its header, as a server sends it: not masked."""
    size = len(frame.encode() if isinstance(frame, str) else frame)
    return size + (2 if size < 126 else 4 if size < 65536 else 10)
