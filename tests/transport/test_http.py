"""Requests over real sockets: what is sent, which connections are used, and how they are let go."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.transport.body import JsonBody
from voicebridge.transport.http import HttpApi, HttpCall, HttpFile

from .web import KEY, Asked, Raw, all_of, chunked, head, plain, web


def api(url: str, *, idle_s: float = 30.0, **headers: str) -> HttpApi:
    return HttpApi(url, headers=headers, idle_s=idle_s)


async def hello(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"he", b"llo"))


# What is sent


async def test_a_request_with_json() -> None:
    async with web(hello) as seen:
        one = api(seen.url + "/?api-version=7", Authorization=f"Bearer {KEY}")
        call = HttpCall(
            path="/chat:run", json={"say": "Grüße"}, query={"a": "1 2", "b": ["3", "4"]}, headers={"X-Extra": "1"}
        )
        assert await all_of(one, call) == b"hello"
        await one.aclose()
    [asked] = seen.asked
    assert (asked.method, asked.target) == ("POST", "/v1/chat:run?api-version=7&a=1+2&b=3&b=4")
    assert json.loads(asked.body) == {"say": "Grüße"}
    host = seen.url.split("/")[2]
    assert asked.headers == {
        "host": host,
        "user-agent": "voicebridge",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "x-extra": "1",
        "content-length": str(len(asked.body)),
    }


async def test_a_request_with_files() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        file = HttpFile(field="file", filename="a.wav", content=b"RIFF\x00\xff", mime="audio/wav")
        await all_of(one, HttpCall(path="up", form={"model": "m", "include[]": ["x", "y"]}, files=[file]))
        await all_of(one, HttpCall(path="form", form={"a": "1", "b": ["2", "3"]}))
        await all_of(one, HttpCall(path="raw", content=b"\x00\x01", headers={"content-type": "audio/pcm"}))
        await all_of(one, HttpCall(path="", method="GET"))
        await one.aclose()
    upload, form, raw, empty = seen.asked
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    for part in (
        b'name="model"\r\n\r\nm\r\n',
        b'name="include[]"\r\n\r\nx',
        b'filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\x00\xff\r\n',
    ):
        assert part in upload.body
    assert form.body == b"a=1&b=2&b=3"
    assert (raw.body, raw.headers["content-type"]) == (b"\x00\x01", "audio/pcm")
    assert (empty.method, empty.target, empty.body) == ("GET", "/v1", b"")
    assert seen.opened == 1


async def test_a_header_without_its_key_is_left_out() -> None:
    async with web(hello) as seen:
        one = api(seen.url, Authorization="Bearer ", xi_api_key="")
        await all_of(one)
        await one.aclose()
    assert not {"authorization", "xi_api_key"} & set(seen.asked[0].headers)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ws://127.0.0.1",
        "http://",
        "https:///v1",
        "http://127.0.0.1:99999",
        "http://[::1",
        "https://a b/",
        "https://host/#x",
        "http://127.0.0.1:port",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url must look like") as caught:
        api(url)
    assert caught.value.fault.code == "bad_base_url"


@pytest.mark.parametrize(
    "url", ["https://me:secret@host/v1", "https://host/v1?key=secret", "https://host/?API_KEY=secret"]
)
def test_an_address_that_holds_a_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="holds a secret") as caught:
        api(url)
    assert "secret@" not in str(caught.value)
    assert "=secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Authorization", "xi-api-key", "api-key", "X-Token"])
def test_a_key_goes_to_another_machine_encrypted_or_not_at_all(name: str) -> None:
    with pytest.raises(ConfigError, match="encrypted"):
        HttpApi("http://192.0.2.1/v1", headers={name: KEY}, idle_s=30)
    HttpApi("http://192.0.2.1/v1", headers={"Accept": "audio/*", name: ""}, idle_s=30)
    HttpApi("https://192.0.2.1/v1", headers={name: KEY}, idle_s=30)
    HttpApi("http://[::1]/v1", headers={name: KEY}, idle_s=30)


async def test_a_key_of_one_request_goes_to_another_machine_encrypted_or_not_at_all() -> None:
    one = HttpApi("http://192.0.2.1/v1", headers={}, idle_s=30)
    with pytest.raises(ConfigError, match="encrypted"):
        await all_of(one, HttpCall(path="x", headers={"Authorization": KEY}))


@pytest.mark.parametrize("value", [KEY + "\n", KEY + "\r\nX: 1", "\u201c" + KEY, KEY + "\x00", " " + KEY])
def test_a_key_that_was_not_copied_alone(value: str) -> None:
    with pytest.raises(ConfigError, match="copied alone") as caught:
        HttpApi("https://host/v1", headers={"api-key": value}, idle_s=30)
    assert KEY not in str(caught.value)


async def test_what_is_no_request() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        for call in (HttpCall(path="x", method="A B"), HttpCall(path="x\x00y")):
            with pytest.raises(ConfigError, match="no request"):
                await all_of(one, call)
        await one.aclose()
    assert seen.asked == []


# Which connections are used


async def test_a_connection_is_kept_for_the_next_request_and_shared_by_stages_of_one_origin() -> None:
    async with web(hello) as seen:
        first, second = api(seen.url), api(seen.url.replace("/v1", "/v2"))
        for one in (first, second, first):
            assert await all_of(one) == b"hello"
        await first.aclose()
        assert await all_of(second) == b"hello", "the other still uses it"
        assert (seen.opened, [asked.connection for asked in seen.asked]) == (1, [1] * 4)
        await second.aclose()
        await asyncio.wait_for(seen.ended[0].wait(), 1)


async def test_stages_with_another_patience_for_idle_connections_do_not_share() -> None:
    async with web(hello) as seen:
        first, second = api(seen.url, idle_s=30), api(seen.url, idle_s=5)
        await all_of(first)
        await all_of(second)
        await first.aclose()
        await second.aclose()
    assert seen.opened == 2


async def test_a_connection_is_opened_ahead_and_asked_for_nothing() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        await one.get_ready()
        await one.get_ready()
        await asyncio.sleep(0.02)
        assert (seen.opened, seen.asked) == (1, [])
        await all_of(one)
        await one.get_ready()
        await all_of(one)
        assert [asked.connection for asked in seen.asked] == [1, 1]
        await one.aclose()


async def test_each_stage_that_gets_ready_has_a_connection() -> None:
    async with web(hello) as seen:
        stages = [api(seen.url) for _ in range(3)]
        await asyncio.gather(*(one.get_ready() for one in stages))
        await asyncio.sleep(0.02)
        assert seen.opened == 3
        await asyncio.gather(*map(all_of, stages))
        assert (seen.opened, sorted(asked.connection for asked in seen.asked)) == (3, [1, 2, 3])
        for one in stages:
            await one.aclose()


async def test_a_stage_that_was_dropped_expects_nothing() -> None:
    """As one does whose settings changed, and which talks to a new address from then on."""
    async with web(hello) as seen:
        for _ in range(3):
            await api(seen.url).get_ready()
            gc.collect()
        assert seen.opened == 1
        one = api(seen.url)
        assert await all_of(one) == b"hello"
        assert seen.opened == 1
        await one.aclose()
        await asyncio.wait_for(seen.ended[0].wait(), 1)


async def test_a_request_takes_the_connection_that_is_being_opened() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        opening = asyncio.create_task(one.get_ready())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await all_of(one)
        await opening
        assert seen.opened == 1
        await one.aclose()


async def test_a_request_that_is_cancelled_leaves_what_is_being_opened_to_the_next() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        opening = asyncio.create_task(one.get_ready())
        await asyncio.sleep(0)
        asking = asyncio.create_task(all_of(one))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await opening
        assert await all_of(one) == b"hello"
        assert seen.opened == 1
        await one.aclose()


async def test_nothing_is_told_of_a_failed_opening_until_a_request() -> None:
    async with web(hello) as seen:
        gone = seen.url
    one = api(gone)
    await one.get_ready()
    with pytest.raises(VoiceBridgeError) as caught:
        await all_of(one)
    assert caught.value.fault.code == "refused"
    await one.aclose()


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async with web(hello) as seen:
        one = api(seen.url)
        assert await asyncio.gather(*(all_of(one) for _ in range(20))) == [b"hello"] * 20
        assert seen.opened == 20
        await asyncio.gather(*(all_of(one) for _ in range(20)))
        assert seen.opened == 20
        await one.aclose()


async def test_an_answer_that_says_so_ends_its_connection() -> None:
    async def close(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"bye", connection="close"))

    async with web(close) as seen:
        one = api(seen.url)
        assert await all_of(one) == b"bye"
        assert await all_of(one) == b"bye"
        assert seen.opened == 2
        await one.aclose()


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def close(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + b"to the end")
        writer.close()

    async with web(close) as seen:
        one = api(seen.url)
        assert await all_of(one) == b"to the end"
        await one.aclose()


async def test_what_a_server_says_unasked_is_no_answer_to_the_next_request() -> None:
    async def twice(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"mine"))
        await asyncio.sleep(0.02)
        writer.write(plain(b"smuggled"))

    async with web(twice) as seen:
        one = api(seen.url)
        assert await all_of(one) == b"mine"
        await asyncio.sleep(0.05)
        assert await all_of(one) == b"mine"
        assert seen.opened == 2
        await one.aclose()


async def test_what_a_server_says_behind_its_answer_is_no_answer_to_the_next_request() -> None:
    async def twice(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b"mine") + plain(b"smuggled"))

    async with web(twice) as seen:
        one = api(seen.url)
        assert [await all_of(one), await all_of(one)] == [b"mine"] * 2
        assert seen.opened == 2
        await one.aclose()


async def test_news_before_the_answer() -> None:
    async def early(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + plain(b"{}"))

    async with web(early) as seen:
        one = api(seen.url)
        assert await all_of(one) == b"{}"
        await one.aclose()


async def test_a_large_answer_waits_in_the_network_while_nobody_reads_it() -> None:
    written = 0

    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(head(content_length=str(64 * 1_000_000)))
        for _ in range(64):
            writer.write(bytes(1_000_000))
            await writer.drain()
            written += 1

    async with web(pour) as seen:
        one = api(seen.url)
        answer = one.ask(HttpCall(path="x"), Raw())
        size = len(await anext(answer))
        await asyncio.sleep(0.3)
        assert written < 32
        size += sum([len(piece) async for piece in answer])
        assert size == 64 * 1_000_000
        await one.aclose()


async def test_json() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b'{"text": "hi"}'))

    async with web(answer) as seen:
        one = api(seen.url)
        outputs = one.ask(HttpCall(path="x"), JsonBody(lambda value: [value["text"]]))
        assert [output async for output in outputs] == ["hi"]
        await one.aclose()
