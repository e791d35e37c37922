"""Threads that run jobs, and let go of those that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from voicebridge_local.worker import Stop, Stopped, Worker


@pytest.fixture
def worker() -> Worker:
    return Worker("test worker")


def test_a_job_returns_and_raises(worker: Worker) -> None:
    async def main() -> None:
        assert await worker.run(lambda stop: threading.current_thread().name) == "test worker 1"
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda stop: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await worker.run(lambda stop: next(iter(())))
        assert await worker.run(lambda stop: 2) == 2

    asyncio.run(main())
    worker.close()


def test_jobs_run_one_by_one_and_urgent_ones_first(worker: Worker) -> None:
    done: list[str] = []

    async def main() -> None:
        began, go_on = threading.Event(), threading.Event()

        def block(stop: Stop) -> None:
            began.set()
            go_on.wait(10)

        blocking = asyncio.create_task(worker.run(block))
        await asyncio.to_thread(began.wait, 10)
        later = [
            asyncio.create_task(worker.run(lambda stop: done.append("idle"), urgent=False)),
            asyncio.create_task(worker.run(lambda stop: done.append("first"))),
            asyncio.create_task(worker.run(lambda stop: done.append("second"))),
        ]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(blocking, *later)

    asyncio.run(main())
    assert done == ["first", "second", "idle"]
    worker.close()


def test_a_cancelled_job_is_told_and_one_that_waits_never_runs(worker: Worker) -> None:
    ran: list[str] = []

    async def main() -> None:
        began, ended = threading.Event(), threading.Event()

        def work(stop: Stop) -> None:
            stopped = threading.Event()
            stop.on_set(stopped.set)
            began.set()
            assert stopped.wait(10)
            ended.set()
            raise Stopped

        running = asyncio.create_task(worker.run(work))
        waiting = asyncio.create_task(worker.run(lambda stop: ran.append("waiting")))
        await asyncio.to_thread(began.wait, 10)
        for task in (waiting, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.to_thread(ended.wait, 10)
        await worker.run(lambda stop: ran.append("next"))

    asyncio.run(main())
    assert ran == ["next"]
    worker.close()


def test_a_stop_that_was_set_before_is_noticed() -> None:
    stop, calls = Stop(), []
    assert stop.wanted
    stop.set()
    stop.on_set(lambda: calls.append(1))
    assert not stop.wanted
    assert calls == [1]


def test_several_threads_when_there_is_much_to_do() -> None:
    worker = Worker("test worker", threads=2)

    async def main() -> None:
        meeting = threading.Barrier(2)
        await asyncio.gather(*(worker.run(lambda stop: meeting.wait(10)) for _ in range(2)))

    asyncio.run(main())
    worker.close()


def test_a_loop_that_is_gone_disturbs_nobody(worker: Worker) -> None:
    """Its session was torn down while the model ran."""
    go_on = threading.Event()

    async def leave() -> None:
        task = asyncio.create_task(worker.run(lambda stop: go_on.wait(10)))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(worker.run(lambda stop: "alive")) == "alive"
    worker.close()


def test_closed_it_ends_its_threads_and_takes_no_more(worker: Worker) -> None:
    asyncio.run(worker.run(lambda stop: None))
    worker.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "test worker 1" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(worker.run(lambda stop: None))
