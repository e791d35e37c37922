"""One client's connection: what a wire sends goes out here, through the faults of the script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from .fault_run import FaultRun
from .fault_script import Mishap

__all__ = ["Connection", "Outlet"]

_QUEUE = 256
"""Frames that wait behind a fault."""
_LAST_WORDS_S = 1.0
"""How long a close waits for the frames before it."""
_logger = logging.getLogger("voicebridge.simulator")


class Outlet(Protocol):
    """Where frames leave, and what a fault can do to it: a websocket, or the body of an answer in HTTP."""

    @property
    def half_open(self) -> bool:
        """Nothing is read or written any more."""

    async def send(self, frame: str | bytes) -> None:
        """Write a frame. Raises `ConnectionClosed` after the end."""

    async def close(self, code: int, reason: str) -> None:
        """End it as the protocol has it."""

    def reset(self) -> None:
        """End the connection at once with RST."""

    def cut(self) -> None:
        """End the connection with FIN, after what has been written."""

    def go_half_open(self) -> None:
        """Fall silent without a word: the client can't know."""

    def write_part(self, frame: str | bytes, size: int) -> None:
        """Write the first `size` bytes of a frame, as they count in `wire_size`."""

    def wire_size(self, frame: str | bytes) -> int:
        """Bytes of a frame, as faults count them."""

    def garbage(self, kind: str, frame: str | bytes) -> str | bytes | None:
        """What comes in the place of a frame. None: what is no text at all, by `write_no_text`."""

    def write_no_text(self) -> int:
        """Write a text that is none; its size."""

    def unheard_of(self, frame: str | bytes) -> str | bytes | None:
        """A frame as this one, of a kind that no client knows. None: frames have no kind here."""


class Connection:
    """Is a `Link`. Without faults a frame goes straight to the socket.

    With faults it waits in a queue, as on a slow network: the wire reads and works on, until the queue is full.
    """

    def __init__(self, socket: Outlet, number: int, faults: FaultRun) -> None:
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
            self._keep(self._write_queue)

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

    async def written(self) -> None:
        """Wait until all that was sent has gone out, or can't any more."""
        if self._faults.idle or self.closed.is_set():
            return
        gone = asyncio.ensure_future(self.closed.wait())
        done = asyncio.ensure_future(self._queue.join())
        try:
            await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            done.cancel()

    async def happen_to_head(self, kind: str) -> str:
        """What the script has for the head of an answer: `drop`, `garbage`, or nothing more."""
        what = ""
        async with self._order:
            for mishap in self._faults.before_head(kind):
                if mishap.action in ("drop", "garbage"):
                    what = mishap.action
                elif mishap.action not in ("duplicate", "reorder", "unknown"):
                    await self._happen(mishap)
        return what

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
        self._keep(partial(self._alone, mishap))

    def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _alone(self, mishap: Mishap) -> None:
        if mishap.action == "stall":
            async with self._order:
                await self._happen(mishap)
        else:
            await self._happen(mishap)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong with a fault, the client is not left to wait for what will never come."""
        try:
            await work()
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
                if (strange := self._socket.unheard_of(frame)) is not None:
                    await self._counted(strange)
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
        size = self._socket.wire_size(frame)
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
        if (garbage := self._socket.garbage(kind, frame)) is not None:
            await self._counted(garbage)
        elif not self.closed.is_set():
            await self._after(self._socket.write_no_text())
