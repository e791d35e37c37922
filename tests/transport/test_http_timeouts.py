"""Time-outs of requests, over real sockets in virtual time: what counts, and what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Speech, Transcript, Usage
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.body import SseBody
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts
from voicebridge.transport.http_patience import Patience, is_useful
from voicebridge.transport.sse import SseEvent

from .peers import raw_server
from .web import Asked, Handler, all_of, chunk, head, in_thread, plain, web

OUTPUTS: dict[str, object] = {
    "text": "hello",
    "empty text": "",
    "empty bytes": b"",
    "usage": Usage({"text_out": 1}),
    "end": "end",
}


def outputs(event: SseEvent) -> Iterable[object]:
    return [OUTPUTS[event.data]]


def script(*steps: str | float, status: int = 200) -> Handler:
    """Waits for so many seconds, or sends such a line, by turns."""

    async def handler(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, transfer_encoding="chunked"))
        for step in steps:
            if isinstance(step, str):
                line = f"data: {step}\n\n" if step in OUTPUTS else f": {step}\n\n"
                writer.write(chunk(line.encode()))
            else:
                await asyncio.sleep(step)
        writer.write(b"0\r\n\r\n")

    return handler


def asking(one: HttpApi) -> AsyncGenerator[object]:
    return one.ask(HttpCall(path="x"), SseBody(outputs))


async def _asked(
    url: str, limits: HttpTimeouts, reads: Callable[[object], Awaitable[None]]
) -> tuple[list[object], str, float]:
    loop, got = asyncio.get_running_loop(), []
    one, began, code = HttpApi(url, headers={}, idle_s=30, timeouts=limits), loop.time(), ""
    try:
        async for output in asking(one):
            got.append(output)
            await reads(output)
    except VoiceBridgeError as error:
        code = f"{error.category} {error.fault.code} {'again' if error.retryable else 'no'}"
    took = loop.time() - began
    await one.aclose()
    return got, code, took


async def _at_once(output: object) -> None:
    pass


def outcome(
    handler: Handler,
    limits: HttpTimeouts = HttpTimeouts(),  # noqa: B008 - frozen
    reads: Callable[[object], Awaitable[None]] = _at_once,
) -> tuple[list[object], str, float]:
    """What came, the fault, and the seconds."""

    async def main() -> tuple[list[object], str, float]:
        async with web(handler) as seen:
            got = await _asked(seen.url, limits, reads)
            await asyncio.wait_for(seen.ended[0].wait(), 0.1)
            return got

    return run_in_virtual_time(main())


KEEP_ALIVES: list[str | float] = [1.0, "keep-alive"] * 200


@pytest.mark.parametrize("noise", ["keep-alive", "empty text", "empty bytes", "usage"])
def test_what_comes_without_a_useful_output_does_not_help(noise: str) -> None:
    got, code, took = outcome(script(*[1.0, noise] * 200))
    assert code == "busy first_output_timeout again"
    assert took == pytest.approx(5, abs=0.1)
    assert len(got) <= 5


def test_a_server_that_does_not_even_begin() -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1000)

    assert outcome(silent)[1:] == ("busy first_output_timeout again", pytest.approx(5, abs=0.1))


def test_a_server_that_stops_in_the_middle() -> None:
    got, code, took = outcome(script(2.0, "text", *KEEP_ALIVES))
    assert (got, code) == (["hello"], "busy between_outputs_timeout again")
    assert took == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("noise", ["keep-alive", "empty text", "usage"])
def test_noise_between_outputs_does_not_help(noise: str) -> None:
    _, code, took = outcome(script("text", *[1.0, noise] * 200))
    assert code == "busy between_outputs_timeout again"
    assert took == pytest.approx(5, abs=0.1)


def test_each_useful_output_gives_new_time() -> None:
    got, code, took = outcome(script(*[4.0, "text"] * 10))
    assert (len(got), code) == (10, "")
    assert took == pytest.approx(40, abs=0.5)


def test_the_whole_has_its_time() -> None:
    got, code, took = outcome(script(*[1.0, "text"] * 500))
    assert code == "busy total_timeout again"
    assert took == pytest.approx(120, abs=1)
    assert 115 <= len(got) <= 120


def test_a_flood_of_keep_alives_is_no_answer() -> None:
    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, transfer_encoding="chunked"))
        while True:
            writer.write(chunk(b": keep-alive\n\n" * 1000))
            await writer.drain()
            await asyncio.sleep(0.01)

    assert outcome(pour)[1:] == ("busy first_output_timeout again", pytest.approx(5, abs=0.1))


def test_time_in_which_nobody_reads_does_not_count() -> None:
    async def slow(output: object) -> None:
        await asyncio.sleep(200)

    got, code, took = outcome(script(*[1.0, "text"] * 5), reads=slow)
    assert (got, code) == (["hello"] * 5, "")
    assert took == pytest.approx(1001, abs=5)


def test_a_server_that_stopped_while_nobody_read_gets_its_time() -> None:
    async def slow(output: object) -> None:
        await asyncio.sleep(200)

    got, code, took = outcome(script("text", 1000.0, "text"), reads=slow)
    assert (got, code) == (["hello"], "busy between_outputs_timeout again")
    assert took == pytest.approx(205, abs=1)


def test_time_to_connect() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main(limits: HttpTimeouts) -> tuple[list[object], str, float]:
        async with raw_server(silent) as url:
            return await _asked(url.replace("ws:", "https:"), limits, _at_once)

    for limits, seconds in ((HttpTimeouts(), 3), (HttpTimeouts(connect_s=1), 1), (HttpTimeouts(first_output_s=2), 2)):
        got, code, took = run_in_virtual_time(main(limits))
        assert (got, code, took) == ([], "network timeout again", pytest.approx(seconds, abs=0.1))


def test_what_came_in_time_is_not_late_though_the_loop_was_busy() -> None:
    async def main(url: str) -> list[object]:
        one = HttpApi(url, headers={}, idle_s=30, timeouts=HttpTimeouts(first_output_s=0.3, between_outputs_s=0.3))
        answer = asking(one)
        first = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0.02)
        time.sleep(0.6)  # noqa: ASYNC251 - something holds up the loop, and that is the point
        got = [await first]
        got += [output async for output in answer]
        await one.aclose()
        return got

    with in_thread(script(0.1, "text", 0.1, "text")) as url:
        assert asyncio.run(main(url)) == ["hello", "hello"]


# How long connections are kept


def test_a_connection_that_was_unused_for_too_long_is_not_used() -> None:
    async def hello(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"hello"))

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        async with web(hello) as seen:
            one = HttpApi(seen.url, headers={}, idle_s=30)
            opened = []
            for wait_s in (0, 29, 29, 31):
                await asyncio.sleep(wait_s)
                await all_of(one)
                opened.append(seen.opened)
            await asyncio.sleep(31)
            await one.get_ready()
            await asyncio.sleep(0.1)
            opened.append(seen.opened)
            began = loop.time()
            await asyncio.sleep(29)
            await one.get_ready()
            await all_of(one)
            opened.append(seen.opened)
            assert loop.time() - began < 30
            await one.aclose()
            return opened

    assert run_in_virtual_time(main()) == [1, 1, 1, 2, 3, 3]


def test_a_connection_that_waits_for_too_long_is_closed_though_nobody_asks() -> None:
    async def hello(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"hello"))

    async def main() -> None:
        async with web(hello) as seen:
            one = HttpApi(seen.url, headers={}, idle_s=30)
            await all_of(one)
            await asyncio.sleep(29)
            assert not seen.ended[0].is_set()
            await asyncio.sleep(2)
            assert seen.ended[0].is_set()
            await one.aclose()

    run_in_virtual_time(main())


# The policy alone


@pytest.mark.parametrize(
    ("output", "useful"),
    [
        ("a", True),
        ("", False),
        (b"a", True),
        (b"", False),
        (None, False),
        (Usage({"text_in": 1}), False),
        (Speech(b"", ""), False),
        (Speech(b"\0\0"), True),
        (Speech(b"", "word"), True),
        (Transcript(""), False),
        (Transcript("", final=True), True),
        (Transcript("so"), True),
        ({"any": "thing"}, True),
    ],
    ids=str,
)
def test_what_is_useful(output: Any, useful: bool) -> None:
    assert is_useful(output) is useful


def test_patience() -> None:
    now = 100.0
    patience = Patience(HttpTimeouts(first_output_s=5, between_outputs_s=2, total_s=9), lambda: now)
    assert patience.begin() == 105
    now = 104.0
    patience.end()
    now = 1000.0  # nobody reads
    assert patience.left_s == 1
    patience.got("")
    assert patience.left_s == 1
    patience.got("text")
    assert patience.left_s == 2
    assert patience.begin() == 1002
    now = 1001.5
    patience.end()
    patience.got("text")
    assert patience.begin() == 1003.5
    now = 1003.4
    patience.end()
    patience.got("text")
    assert patience.left_s == pytest.approx(1.6), "of the whole"
    assert patience.fault().code == "total_timeout"
