"""Connections of requests over real sockets: replaced when they died, closed or kept when they are let go."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.transport.http import HttpApi, HttpCall

from .peers import reset
from .web import KEY, Asked, Raw, all_of, chunk, chunked, head, in_thread, plain, web


def api(url: str, **headers: str) -> HttpApi:
    return HttpApi(url, headers=headers, idle_s=30)


async def hello(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"he", b"llo"))


# Connections that died while they were kept


@pytest.mark.parametrize("opened_ahead", [True, False], ids=["opened ahead", "used before"])
@pytest.mark.parametrize("way", ["fin", "reset", "after the request", "408"])
async def test_a_kept_connection_that_is_dead_is_replaced_at_once(opened_ahead: bool, way: str) -> None:
    """The server closes it when it gets the request, or just before: a race that no client can win."""
    dies = {1}

    async def die(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.connection in dies and (opened_ahead or len(seen.asked) > 1):
            if way == "408":
                writer.write(plain(b"", 408, connection="close"))
            elif way == "reset":
                reset(writer)
            else:
                writer.close()
            return
        writer.write(plain(b"well"))

    async with web(die) as seen:
        one = api(seen.url)
        await (one.get_ready() if opened_ahead else all_of(one))
        if way == "fin":
            await asyncio.sleep(0.02)
            seen.writers[0].close()
        assert await all_of(one) == b"well"
        assert seen.opened == 2
        await one.aclose()


async def test_a_fresh_connection_that_dies_is_not_replaced() -> None:
    async def die(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with web(die) as seen:
        one = api(seen.url)
        with pytest.raises(VoiceBridgeError) as caught:
            await all_of(one)
        assert (caught.value.fault.category, caught.value.retryable) == ("network", True)
        assert seen.opened == 1
        await one.aclose()


async def test_a_kept_connection_is_replaced_only_once() -> None:
    async def die(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(seen.asked) > 1:
            writer.close()
        else:
            writer.write(plain())

    async with web(die) as seen:
        one = api(seen.url)
        await all_of(one)
        with pytest.raises(VoiceBridgeError):
            await all_of(one)
        assert len(seen.asked) == 3
        await one.aclose()


async def test_a_kept_connection_that_dies_in_the_answer_is_not_replaced() -> None:
    async def die(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(seen.asked) > 1:
            writer.write(b"HTTP/1.1 2")
            await writer.drain()
            writer.close()
        else:
            writer.write(plain())

    async with web(die) as seen:
        one = api(seen.url)
        await all_of(one)
        with pytest.raises(VoiceBridgeError):
            await all_of(one)
        assert len(seen.asked) == 2
        await one.aclose()


# How they are let go


async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"one", end=False))
    await asyncio.sleep(30)
    writer.write(chunk(b"two"))


@pytest.mark.parametrize("how", ["aclose", "cancel", "stage"])
async def test_an_answer_that_is_given_up_is_closed_upstream(how: str) -> None:
    async with web(drip) as seen:
        one = api(seen.url)
        answer = one.ask(HttpCall(path="x"), Raw())
        assert await anext(answer) == b"one"
        if how == "aclose":
            await answer.aclose()
        elif how == "cancel":
            reading = asyncio.ensure_future(anext(answer))
            await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            reading = asyncio.ensure_future(anext(answer))
            await asyncio.sleep(0.02)
            await one.aclose()
            with pytest.raises(VoiceBridgeError) as caught:
                await reading
            assert caught.value.fault.category == "closed"
        await asyncio.wait_for(seen.ended[0].wait(), 0.1)
        await one.aclose()


async def test_a_request_that_is_given_up_before_its_answer_is_closed_upstream() -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with web(silent) as seen:
        one = api(seen.url)
        asking = asyncio.create_task(all_of(one))
        await seen.came.wait()
        asking.cancel()
        await asyncio.wait_for(seen.ended[0].wait(), 0.1)
        await one.aclose()


async def test_an_answer_whose_end_has_come_keeps_its_connection_though_nobody_reads_on() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        answer = one.ask(HttpCall(path="x"), Raw())
        assert await anext(answer) == b"hello"
        await answer.aclose()
        await all_of(one)
        assert seen.opened == 1
        await one.aclose()


async def test_a_connection_is_free_for_the_next_request_while_the_last_outputs_are_read() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        answer = one.ask(HttpCall(path="x"), Raw())
        assert await anext(answer) == b"hello"
        assert await all_of(one) == b"hello"
        assert [piece async for piece in answer] == []
        assert seen.opened == 1
        await one.aclose()


async def test_what_has_served_is_taken_before_what_was_opened_ahead_and_of_that_the_oldest() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain())

    async with web(answer) as seen:
        stages = [api(seen.url) for _ in range(3)]
        for stage in stages:
            await stage.get_ready()
        await all_of(stages[2])
        await all_of(stages[1])
        assert [asked.connection for asked in seen.asked] == [1, 1], "the first that was opened, then the same again"
        for stage in stages:
            await stage.aclose()


async def test_a_stage_that_was_closed_asks_nothing() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        await one.aclose()
        await one.aclose()
        await one.get_ready()
        with pytest.raises(VoiceBridgeError) as caught:
            await all_of(one)
        assert caught.value.fault.category == "closed"
        assert seen.opened == 0


async def test_a_body_that_fails_closes_the_connection() -> None:
    async with web(drip) as seen:
        one = api(seen.url)

        class Bad(Raw):
            def feed(self, data: bytes) -> tuple[bytes, ...]:
                raise KeyError(f"choices of {KEY}")

        one._headers["api-key"] = KEY
        with pytest.raises(VoiceBridgeError) as caught:
            await anext(one.ask(HttpCall(path="x"), Bad()))
        assert (caught.value.fault.category, caught.value.fault.code) == ("protocol", "bad_answer")
        assert KEY not in str(caught.value)
        await asyncio.wait_for(seen.ended[0].wait(), 0.1)
        await one.aclose()


async def test_requests_that_are_given_up_at_any_moment_leave_nothing_and_disturb_nobody() -> None:
    draw = random.Random(7)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        number = asked.target.rpartition("/")[2].encode()
        writer.write(head(200, transfer_encoding="chunked"))
        for _ in range(3):
            writer.write(chunk(number + b","))
            await asyncio.sleep(0.002)
        writer.write(b"0\r\n\r\n")

    async with web(answer) as seen:
        stages = [api(seen.url) for _ in range(3)]

        async def ask(number: int) -> None:
            one = stages[number % 3]
            if draw.random() < 0.3:
                await one.get_ready()
            assert await all_of(one, HttpCall(path=f"/{number}")) == f"{number},".encode() * 3

        async def ask_or_not(number: int) -> None:
            asking = asyncio.create_task(ask(number))
            await asyncio.wait([asking], timeout=draw.uniform(0, 0.03) if number % 2 else None)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if number % 2 == 0:
                asking.result()

        for first in range(0, 200, 20):
            await asyncio.gather(*(ask_or_not(number) for number in range(first, first + 20)))
        for one in stages:
            await one.aclose()
        await asyncio.wait_for(asyncio.gather(*(ended.wait() for ended in seen.ended)), 1)


# Event loops


def test_one_stage_in_two_event_loops() -> None:
    with in_thread(hello) as url:
        one = api(url)

        async def ask(*, close: bool) -> bytes:
            got = await all_of(one)
            if close:
                await one.aclose()
            return got

        assert asyncio.run(ask(close=False)) == b"hello"
        assert asyncio.run(ask(close=True)) == b"hello", "the first loop is closed, and its connections with it"


def test_stages_in_two_event_loops_at_once() -> None:
    async def ask(url: str) -> list[bytes]:
        one = api(url)
        got = [await all_of(one) for _ in range(20)]
        await one.aclose()
        return got

    with in_thread(hello) as url, ThreadPoolExecutor(2) as threads:
        got = [threads.submit(asyncio.run, ask(url)) for _ in range(2)]
        assert [one.result(10) for one in got] == [[b"hello"] * 20] * 2
