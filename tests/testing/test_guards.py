"""Guards: what is left behind, and what holds up the loop, fails with words that lead to it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import (
    Leak,
    loop_lag,
    no_leaked_sockets,
    no_leaked_tasks,
    no_leaked_threads,
    open_sockets,
)


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_task_that_ends_in_time_is_no_leak() -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            asyncio.create_task(asyncio.sleep(0.9))  # noqa: RUF006  # nobody may hold it

    run_in_virtual_time(main())


def test_a_task_that_was_there_before_is_no_leak() -> None:
    async def main() -> None:
        before = asyncio.create_task(forever())
        async with no_leaked_tasks():
            pass
        before.cancel()

    run_in_virtual_time(main())


def test_a_leaked_task_is_named_with_its_place_and_cancelled() -> None:
    async def main() -> asyncio.Task[None]:
        with pytest.raises(Leak, match=r"1 tasks(.|\n)*'keep-alive' \(forever\) waits at .*test_guards.py:\d+"):
            async with no_leaked_tasks():
                task = asyncio.create_task(forever(), name="keep-alive")
        await asyncio.sleep(0)
        return task

    assert run_in_virtual_time(main()).cancelled()


def test_an_error_inside_is_not_covered_up() -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            task = asyncio.create_task(forever())
            try:
                raise ZeroDivisionError
            finally:
                task.cancel()

    with pytest.raises(ZeroDivisionError):
        run_in_virtual_time(main())


def test_a_leaked_thread_is_named() -> None:
    over = threading.Event()
    with pytest.raises(Leak, match=r"1 threads(.|\n)*'worker' at "), no_leaked_threads(grace_s=0.05):
        threading.Thread(target=over.wait, name="worker").start()
    over.set()
    with no_leaked_threads():
        threading.Thread(target=time.sleep, args=(0.05,)).start()


def test_a_leaked_socket_is_told_by_its_addresses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            pytest.raises(Leak, match=rf"1 sockets(.|\n)*from \('127.0.0.1', \d+\) to \('127.0.0.1', {port}\)"),
            no_leaked_sockets(grace_s=0.05),
        ):
            client = socket.create_connection(("127.0.0.1", port))
        assert client.fileno() in open_sockets()
        client.close()
        with no_leaked_sockets():
            socket.create_connection(("127.0.0.1", port)).close()


def test_what_the_loop_closes_a_turn_later_is_no_leak() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with no_leaked_sockets(), no_leaked_threads():
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.to_thread(time.sleep, 0)
                writer.close()

    asyncio.run(main())


def test_a_socket_that_a_coroutine_leaks_is_told() -> None:
    async def main() -> socket.socket:
        with pytest.raises(Leak, match="1 sockets"):
            async with no_leaked_sockets(grace_s=0.05):
                leaked = socket.socket()
        return leaked

    asyncio.run(main()).close()


def test_what_holds_up_the_loop_is_shown() -> None:
    def decode_everything() -> None:
        time.sleep(0.3)

    async def main() -> None:
        async with loop_lag(0.1):
            await asyncio.sleep(0.03)
            decode_everything()

    with pytest.raises(Leak, match=r"held up for \d+ ms, by:(.|\n)*decode_everything"):
        asyncio.run(main())


def test_lag_can_be_measured_alone() -> None:
    async def main() -> float:
        async with loop_lag(None) as lag:
            await asyncio.sleep(0.03)
            time.sleep(0.05)  # noqa: ASYNC251  # the hold-up under test
        return lag.worst_s

    assert asyncio.run(main()) > 0.03
