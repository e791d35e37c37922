"""Virtual time: it jumps, in order, and says so when nothing is left to happen."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.testing.clock import VirtualTimeLoop, run_in_virtual_time
from voicebridge.transport.thread import in_thread


def test_time_begins_at_nought_and_jumps() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        times = [loop.time()]
        for seconds in (0, 0.25, 3600.0, 1e6):
            await asyncio.sleep(seconds)
            times.append(loop.time())
        return times

    assert run_in_virtual_time(main()) == [0.0, 0.0, 0.25, 3600.25, 1_003_600.25]


def test_time_stands_still_while_code_runs() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        time.sleep(0.002)  # noqa: ASYNC251  # blocking is what is tested
        for _ in range(1000):
            await asyncio.sleep(0)
        assert loop.time() == before

    run_in_virtual_time(main())


@given(st.lists(st.integers(0, 20), max_size=12))
def test_timers_go_off_in_the_order_of_their_times(delays: list[int]) -> None:
    async def main() -> list[tuple[float, int]]:
        loop, seen = asyncio.get_running_loop(), []

        async def wait(number: int, delay: float) -> None:
            await asyncio.sleep(delay)
            seen.append((loop.time(), number))

        async with asyncio.TaskGroup() as tasks:
            for number, delay in enumerate(delays):
                tasks.create_task(wait(number, delay / 10))
        return seen

    seen = run_in_virtual_time(main())
    assert [delays[number] for _, number in seen] == sorted(delays)
    assert sorted(number for _, number in seen) == list(range(len(delays)))
    assert [at for at, _ in seen] == pytest.approx([delays[number] / 10 for _, number in seen])
    assert run_in_virtual_time(main()) == seen, "another run is the same run"


def test_timeouts_are_exact() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        first = loop.time()
        async with asyncio.timeout(5):
            await asyncio.sleep(4.5)
        return first, loop.time()

    assert run_in_virtual_time(main()) == (5.0, 9.5)


def test_callbacks_at_a_time() -> None:
    async def main() -> list[str]:
        loop, seen = asyncio.get_running_loop(), []
        loop.call_at(2.0, seen.append, "two")
        loop.call_later(1.0, seen.append, "one")
        cancelled = loop.call_at(1.5, seen.append, "never")
        loop.call_soon(seen.append, "now")
        cancelled.cancel()
        await asyncio.sleep(3)
        assert loop.time() == 3.0
        return seen

    assert run_in_virtual_time(main()) == ["now", "one", "two"]


def test_what_is_ready_goes_before_what_is_later() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def read() -> None:
            for _ in range(3):
                seen.append(await queue.get())

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        for word in ("a", "b", "c"):
            queue.put_nowait(word)
        await asyncio.sleep(0)
        seen.append("later")
        await reader
        return seen

    assert run_in_virtual_time(main()) == ["a", "b", "c", "later"]


def test_what_has_arrived_is_read_before_time_goes_on() -> None:
    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        with near, far:
            for end in (near, far):
                end.setblocking(False)
            far.send(b"here")
            async with asyncio.timeout(10):
                got = await loop.sock_recv(near, 100)
                far.send(b" and there")
                waiting = asyncio.ensure_future(loop.sock_recv(near, 100))
                await asyncio.sleep(0)
                return got + await waiting, loop.time()

    assert run_in_virtual_time(main()) == (b"here and there", 0.0)


def test_a_socket_wakes_a_loop_that_waits_for_a_timer() -> None:
    async def main() -> list[str]:
        loop, seen = asyncio.get_running_loop(), []
        near, far = socket.socketpair()
        with near, far:
            loop.add_reader(near, lambda: seen.append(f"{near.recv(10)!r} at {loop.time()}"))
            loop.call_later(1, far.send, b"x")
            await asyncio.sleep(2)
            loop.remove_reader(near)
        return seen

    assert run_in_virtual_time(main()) == ["b'x' at 1.0"]


def test_a_deadlock_is_an_error() -> None:
    cleaned = []

    async def main() -> None:
        await asyncio.sleep(1)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(RuntimeError, match="Nothing is left to happen"):
        run_in_virtual_time(main())
    assert cleaned == [True]


def test_two_tasks_that_wait_for_each_other() -> None:
    async def main() -> None:
        one, two = asyncio.Event(), asyncio.Event()

        async def wait(mine: asyncio.Event, other: asyncio.Event) -> None:
            await other.wait()
            mine.set()

        await asyncio.gather(wait(one, two), wait(two, one))

    with pytest.raises(RuntimeError, match="Nothing is left to happen"):
        run_in_virtual_time(main())


def test_results_and_errors_come_out() -> None:
    async def answer() -> int:
        await asyncio.sleep(1)
        return 42

    async def fail() -> None:
        raise KeyError("x")

    assert run_in_virtual_time(answer()) == 42
    with pytest.raises(KeyError):
        run_in_virtual_time(fail())


def test_the_loop_is_closed_and_tasks_are_cancelled() -> None:
    ended = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append(True)

    async def main() -> asyncio.AbstractEventLoop:
        main.task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = run_in_virtual_time(main())
    assert loop.is_closed()
    assert ended == [True]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_short_function_in_a_thread_takes_no_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                ticks.append(loop.time())
                await asyncio.sleep(1)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.5)
        assert await in_thread(lambda: time.sleep(0.02) or "done", "short") == "done"
        assert loop.time() == 0.5
        released = threading.Event()
        waiting = asyncio.create_task(in_thread(released.wait, "long"))
        await asyncio.sleep(100)
        assert not waiting.done(), "one that takes long holds nothing up"
        released.set()
        assert await waiting
        ticking.cancel()
        assert len(ticks) >= 100

    run_in_virtual_time(main())
