"""Requests that fail, over real sockets: each as a fault that says what to do, and none that shows the key."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.transport.http import HttpApi, HttpCall

from .peers import reset
from .web import KEY, QUICK, Asked, Handler, Raw, all_of, answering, chunk, chunked, fault, head, plain, web


@pytest.mark.parametrize(
    ("status", "category", "again"),
    [
        (302, "config", False),
        (400, "config", False),
        (401, "auth", False),
        (402, "quota", False),
        (403, "auth", False),
        (404, "config", False),
        (408, "network", True),
        (422, "config", False),
        (429, "rate", True),
        (500, "network", True),
        (502, "network", True),
        (503, "busy", True),
        (529, "network", True),
    ],
)
async def test_a_refusal(status: int, category: str, again: bool) -> None:
    async with web(answering(plain(b'{"error": "not today"}', status))) as seen:
        found = await fault(seen.url)
    assert (found.category, found.retryable, found.code) == (category, again, f"http_{status}")
    assert "not today" in found.message
    assert len(seen.asked) == 1, "whether to try again is decided elsewhere"


async def test_a_quota_that_comes_as_a_rate() -> None:
    async with web(answering(plain(b'{"error": {"code": "insufficient_quota"}}', 429))) as seen:
        assert (await fault(seen.url)).category == "quota"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        (1000, 1000),
        (-1000, 0),
        ("soon", None),
    ],
    ids=["seconds", "a fraction", "a date", "a date that has passed", "neither"],
)
@pytest.mark.parametrize("explained", [True, False])
async def test_how_long_a_server_asks_to_wait(value: str | int, seconds: float | None, explained: bool) -> None:
    if isinstance(value, int):  # a date so many seconds from now, which is when the test runs
        value = formatdate(time.time() + value, usegmt=True)
    mine = Fault(category="rate", message="mine", retryable=True)
    async with web(answering(plain(b"", 429, Retry_After=value))) as seen:
        found = await fault(seen.url, (lambda status, text: mine) if explained else None)
    assert found.retry_after_s == (
        seconds if seconds is None else pytest.approx(seconds, abs=60 if seconds > 10 else 0)
    )
    assert (found.message == "mine") == explained


async def test_what_the_vendor_means_comes_first() -> None:
    def explain(status: int, text: str) -> Fault | None:
        return Fault(category="content", code="refused", message=f"{status}: {text}") if "policy" in text else None

    async with web(answering(plain(b"against policy", 400))) as seen:
        found = await fault(seen.url, explain)
        assert (found.category, found.message) == ("content", "400: against policy")
    async with web(answering(plain(b"else", 400))) as seen:
        assert (await fault(seen.url, explain)).category == "config"


async def test_a_reader_of_refusals_that_fails_leaves_them_to_the_common_table() -> None:
    def explain(status: int, text: str) -> Fault | None:
        raise KeyError(text)

    async with web(answering(plain(b"<html>", 502))) as seen:
        assert (await fault(seen.url, explain)).code == "http_502"


@pytest.mark.parametrize(
    "echo",
    [
        f"Incorrect API key provided: {KEY}.",
        "x" * 490 + KEY + "y" * 100,
        "x" * (16 * 1024 - 20) + KEY,
        f"no {KEY[:-3]}",
    ],
    ids=["whole", "across what is shown", "across what is read", "in part"],
)
async def test_a_key_that_a_server_repeats_is_shown_nowhere(echo: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with web(answering(plain(echo.encode(), 401, X_Echo=KEY))) as seen:
        found = await fault(seen.url, lambda status, text: Fault(category="auth", message=text, code=text))
        await fault(seen.url)
    assert seen.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY[3:15] not in repr(found)
    assert KEY[3:15] not in caplog.text


async def test_the_text_of_a_refusal_is_bounded_and_not_waited_for_for_long() -> None:
    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(500, transfer_encoding="chunked") + chunk(b"because"))
        await asyncio.sleep(30)

    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(500, transfer_encoding="chunked"))
        while True:
            writer.write(chunk(b"x" * 100_000))
            await writer.drain()

    for handler in (endless, pour):
        async with web(handler) as seen:
            found = await asyncio.wait_for(fault(seen.url), 4)
        assert found.code == "http_500"
        assert len(found.message) < 1000


async def test_no_redirect_is_followed() -> None:
    async with web(answering(plain())) as other, web(answering(plain(b"", 307, Location=other.url))) as seen:
        found = await fault(seen.url)
        assert found.code == "http_307"
        assert other.opened == 0


# Answers that break off, and what is no answer


async def cut_short(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(head(content_length="10") + b"12345")
    writer.close()


async def cut_chunked(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"12345", end=False))
    writer.close()


async def cut_in_a_chunk(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(end=False) + b"a\r\n12345")
    writer.close()


async def cut_hard(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"12345", end=False))
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)


@pytest.mark.parametrize("cut", [cut_short, cut_chunked, cut_in_a_chunk, cut_hard])
async def test_an_answer_that_breaks_off(cut: Handler) -> None:
    async with web(cut) as seen:
        one = HttpApi(seen.url, headers={}, idle_s=30)
        got: list[bytes] = []

        async def read() -> None:
            async for piece in one.ask(HttpCall(path="x"), Raw()):
                got.append(piece)

        with pytest.raises(VoiceBridgeError) as caught:
            await read()
        assert b"".join(got) == b"12345", "what came before counts"
        assert (caught.value.category, caught.value.retryable, caught.value.fault.code) == ("network", True, "reset")
        await one.aclose()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"220 mail.example ESMTP\r\n", "garbage"),
        (b"\x00\x01\xff\r\n" * 50, "garbage"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "garbage"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "garbage"),
        (chunked(end=False) + b"not a size\r\n", "garbage"),
        (head(content_length="-1"), "garbage"),
        (head(content_length="1", transfer_encoding="chunked") + b"0\r\n\r\n", ""),
        (plain(b"\x1f\x8b", content_encoding="gzip"), "compressed"),
    ],
    ids=["mail", "noise", "long head", "upgrade", "bad chunk", "bad length", "two lengths", "compressed"],
)
async def test_what_is_no_answer(answer: bytes, code: str) -> None:
    async with web(answering(answer)) as seen:
        one = HttpApi(seen.url, headers={}, idle_s=30, timeouts=QUICK)
        if not code:
            assert await all_of(one) == b"", "chunked wins (RFC 9112, section 6.3)"
        else:
            with pytest.raises(VoiceBridgeError) as caught:
                await all_of(one)
            assert (caught.value.category, caught.value.retryable, caught.value.fault.code) == ("protocol", False, code)
            assert "websocket" not in str(caught.value)
        await one.aclose()


async def test_an_endless_head_is_bounded() -> None:
    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with web(pour) as seen:
        assert (await asyncio.wait_for(fault(seen.url), 2)).code == "garbage"
