"""Guards around a test: nothing may be left behind, and nothing may hold up the event loop.

    async with no_leaked_tasks():
        async with voicebridge.connect(backend) as session:
            ...

Each raises `Leak`, an `AssertionError`, with what was left and where it came from. A guard that saw an exception pass
keeps quiet: the exception is the news.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Lag",
    "Leak",
    "loop_lag",
    "no_leaked_sockets",
    "no_leaked_tasks",
    "no_leaked_threads",
    "open_files",
    "open_sockets",
    "running_threads",
]

_LOOK_S = 0.01


class Leak(AssertionError):
    """Something was left behind, or the loop was held up."""


@asynccontextmanager
async def no_leaked_tasks(grace_s: float = 1.0) -> AsyncIterator[None]:
    """No task that begins inside may outlive it.

    Args:
        grace_s: seconds of the loop's clock in which tasks may still end.

    Raises:
        Leak: names each task that is left, and shows where it waits. The tasks are cancelled.
    """
    before = asyncio.all_tasks()
    yield
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    while (left := asyncio.all_tasks() - before) and loop.time() < deadline:
        await asyncio.wait(left, timeout=deadline - loop.time())
    if left:
        told = [_task_told(task) for task in sorted(left, key=lambda task: task.get_name())]
        for task in left:
            task.cancel()
        raise Leak(f"{len(left)} tasks were left running:\n" + "\n".join(told))


def _task_told(task: asyncio.Task[object]) -> str:
    frames = task.get_stack(limit=1)
    where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "nowhere"
    return f"  {task.get_name()!r} ({getattr(task.get_coro(), '__qualname__', task.get_coro())}) waits at {where}"


class _Guard:
    """Compares what there is after its block with what there was before.

    Args:
        look: what there is, each with what tells it from another.
        tell: one of them in words.
    """

    def __init__(
        self, what: str, look: Callable[[], dict[Any, str]], tell: Callable[[Any, str], str], grace_s: float
    ) -> None:
        self._what, self._look, self._tell, self._grace_s = what, look, tell, grace_s
        self._before: dict[Any, str] = {}

    def _left(self) -> dict[Any, str]:
        return {one: mark for one, mark in self._look().items() if self._before.get(one) != mark}

    def _judge(self) -> None:
        if left := self._left():
            told = sorted(f"  {self._tell(one, mark)}" for one, mark in left.items())
            raise Leak(f"{len(left)} {self._what}:\n" + "\n".join(told))

    def __enter__(self) -> None:
        self._before = self._look()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            return
        deadline = time.monotonic() + self._grace_s
        while self._left() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        self._judge()

    async def __aenter__(self) -> None:
        self._before = self._look()

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            return
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._grace_s
        while self._left() and clock() < deadline:  # noqa: ASYNC110  # nothing tells when a socket is gone
            await asyncio.sleep(_LOOK_S)
        self._judge()


def no_leaked_threads(grace_s: float = 2.0) -> _Guard:
    """No thread that begins inside may outlive it. Threads of the event loop's own pool, which it keeps, don't count.

    In a coroutine write `async with`: a plain `with` holds up the loop while it waits, and so what the loop would end.

    Raises:
        Leak: names each thread that is left, and shows where it is.
    """
    return _Guard(
        "threads were left running",
        lambda: {thread: thread.name for thread in running_threads()},
        lambda thread, name: f"{name!r} at {_place(thread.ident)}",
        grace_s,
    )


def running_threads() -> set[threading.Thread]:
    """This process's threads but for those of event loops' own pools, which grow with use and are kept."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def _place(ident: int | None) -> str:
    frame = sys._current_frames().get(ident or -1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "nowhere"


def no_leaked_sockets(grace_s: float = 2.0) -> _Guard:
    """No socket that is opened inside may outlive it. On systems that don't list open files it sees none.

    In a coroutine write `async with`: a plain `with` holds up the loop, which closes a socket a turn after it is told.

    Raises:
        Leak: tells each socket that is left by its two addresses.
    """
    return _Guard("sockets were left open", open_sockets, lambda fd, told: f"file {fd}: {told}", grace_s)


def open_sockets() -> dict[int, str]:
    """This process's open sockets by file descriptor, each with what it joins."""
    found: dict[int, str] = {}
    for fd in open_files():
        with suppress(OSError):
            status = os.fstat(fd)
            if stat.S_ISSOCK(status.st_mode):
                found[fd] = f"{_addresses(fd)}, inode {status.st_ino}"
    return found


def open_files() -> list[int]:
    """This process's open file descriptors; none on systems that don't list them."""
    folder = Path("/dev/fd")
    return [int(name) for name in os.listdir(folder) if name.isdigit()] if folder.is_dir() else []


def _addresses(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as copy:
        try:
            far = copy.getpeername()
        except OSError:
            far = "nobody"
        return f"{copy.family.name} from {copy.getsockname()!r} to {far!r}"


@dataclass
class Lag:
    """How late the loop was while a guard watched."""

    worst_s: float = 0.0
    """Seconds by which a timer came too late at the most."""
    stack: list[str] = field(default_factory=list)
    """What the loop's thread did during the longest hold-up, innermost call last."""


@asynccontextmanager
async def loop_lag(limit_s: float | None = 0.1, *, every_s: float = 0.01) -> AsyncIterator[Lag]:
    """Nothing may hold up the event loop for longer. In real time only.

    Args:
        limit_s: None measures and never raises.
        every_s: how often to look.

    Raises:
        Leak: tells for how long, and what the thread was doing.
    """
    lag, watch = Lag(), _Watch(threading.get_ident(), limit_s if limit_s is not None else 0.1)
    beat = asyncio.create_task(_beat(lag, watch, every_s), name="loop_lag")
    watch.start()
    try:
        yield lag
        await asyncio.sleep(every_s)  # a hold-up just before the end counts as well
    finally:
        watch.stop()
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
    if limit_s is not None and lag.worst_s > limit_s:
        where = "".join(lag.stack) or "  (it was over before anyone looked)\n"
        raise Leak(f"the event loop was held up for {lag.worst_s * 1000:.0f} ms, by:\n{where}")


async def _beat(lag: Lag, watch: _Watch, every_s: float) -> None:
    while True:
        due = time.monotonic() + every_s
        watch.seen = time.monotonic()
        await asyncio.sleep(every_s)
        late = time.monotonic() - due
        if late > lag.worst_s:
            lag.worst_s = late
            lag.stack = watch.caught
        watch.caught = []


class _Watch(threading.Thread):
    """Looks from outside at a thread whose beat does not come."""

    def __init__(self, watched: int, limit_s: float) -> None:
        super().__init__(name="loop_lag", daemon=True)
        self.seen = time.monotonic()
        self.caught: list[str] = []
        self._watched, self._limit_s = watched, limit_s
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._limit_s / 4):
            late = time.monotonic() - self.seen > self._limit_s / 2
            if late and not self.caught and (frame := sys._current_frames().get(self._watched)):
                self.caught = traceback.format_stack(frame)[-6:]

    def stop(self) -> None:
        self._over.set()
        self.join()
