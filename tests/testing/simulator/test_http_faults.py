"""Every fault as a client sees it in HTTP: pieces of a body are what frames are on a websocket."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from voicebridge.testing.simulator.connection import Connection
from voicebridge.testing.simulator.fault_run import FaultRun
from voicebridge.testing.simulator.fault_script import read_script

from .conftest import Caller, Serve, eventually

Call = Callable[[str], AbstractAsyncContextManager[Caller]]
STRANGE = 'event: unheard_of.event\ndata: {"type": "unheard_of.event", "unheard_of": {"since": 2099, "why": null}}\n\n'


def tokens(*numbers: int) -> str:
    return "".join(f"data: {n}\n\n" for n in numbers)


async def came(url: str, path: str = "/tokens") -> tuple[bytes, str]:
    """What came of the body, and how it ended: whole, broken, reset, or not at all."""
    body = b""
    async with httpx.AsyncClient(base_url=url, timeout=0.3) as http:
        try:
            async with http.stream("POST", path) as answer:
                async for piece in answer.aiter_raw():
                    body += piece
                return body, "whole"
        except httpx.RemoteProtocolError as error:
            return body, "no HTTP" if "status line" in str(error) else "broken"
        except httpx.ReadError:
            return body, "reset"
        except httpx.ReadTimeout:
            return body, "silent"


@pytest.mark.parametrize(
    ("fault", "body", "end"),
    [
        ("drop on token2", tokens(1, 3, 4, 5), "whole"),
        ("drop", tokens(2, 3, 4, 5), "whole"),
        ("drop on token? every", "", "whole"),
        ("duplicate on token2", tokens(1, 2, 2, 3, 4, 5), "whole"),
        ("reorder on token1", tokens(2, 1, 3, 4, 5), "whole"),
        ("delay 50ms on token1", tokens(1, 2, 3, 4, 5), "whole"),
        ("delay 50ms on response", tokens(1, 2, 3, 4, 5), "whole"),
        ("garbage on token2", tokens(1) + "data: }{ this is no JSON\n\n" + tokens(3, 4, 5), "whole"),
        ("garbage truncated on token2", tokens(1) + "data" + tokens(3, 4, 5), "whole"),
        ("unknown on token2", tokens(1) + STRANGE + tokens(2, 3, 4, 5), "whole"),
        ("stall 50ms on token2", tokens(1, 2, 3, 4, 5), "whole"),
        ("stall on token2", tokens(1), "silent"),
        ("stall after 2 frames", tokens(1, 2), "silent"),
        ("stall on response", "", "silent"),
        ("half-open on token2", tokens(1), "silent"),
        ("half-open at byte 11", tokens(1) + "da", "silent"),
        ("reset on token2", tokens(1), "reset"),
        ("cut on token2", tokens(1), "broken"),
        ("cut after 3 frames", tokens(1, 2, 3), "broken"),
        ("cut at byte 0", "", "broken"),
        ("cut at byte 11", tokens(1) + "da", "broken"),
        ("reset at byte 11", tokens(1) + "da", "reset"),
        ("cut on response", "", "broken"),
        ("reset on response", "", "reset"),
        ("drop on response", "", "silent"),
        ("garbage on response", "", "no HTTP"),
        ("duplicate on response", tokens(1, 2, 3, 4, 5), "whole"),
        ("close 1011 oops on token2", tokens(1), "broken"),
        ("handshake reset", "", "reset"),
        ("handshake garbage", "", "no HTTP"),
        ("handshake stall", "", "silent"),
        ("handshake stall 50ms", tokens(1, 2, 3, 4, 5), "whole"),
        ("drop on token2 connection 2", tokens(1, 2, 3, 4, 5), "whole"),
        ("drop on nothing every", tokens(1, 2, 3, 4, 5), "whole"),
    ],
)
async def test_a_fault_as_the_client_sees_it(talking: Serve, fault: str, body: str, end: str) -> None:
    async with talking(fault) as served:
        assert await came(served.url) == (body.encode(), end)


@pytest.mark.parametrize(
    ("kind", "garbage"), [("binary", bytes(range(256))), ("utf8", b"data: \xff\xfe\xfa\n\n")], ids=["binary", "utf8"]
)
async def test_garbage_that_is_no_text(talking: Serve, kind: str, garbage: bytes) -> None:
    async with talking(f"garbage {kind} on token1") as served:
        assert await came(served.url) == (garbage + tokens(2, 3, 4, 5).encode(), "whole")


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("drop on body", "broken"),  # less than its Content-Length
        ("duplicate on body", "whole"),  # what is more is no part of it, and the connection ends
        ("garbage truncated on body", "broken"),
        ("cut at byte 3", "broken"),
        ("unknown on body", "whole"),  # a JSON document has no kinds
    ],
)
async def test_a_body_with_a_length(talking: Serve, fault: str, end: str) -> None:
    async with talking(fault) as served:
        body, how = await came(served.url, "/whole")
        assert how == end
        assert (body == b'{"method":"POST","query":[],"bytes":0}') is (end == "whole")


async def test_faults_are_numbered_by_request(talking: Serve) -> None:
    async with talking("handshake 429 retry-after 7 connection 2", "drop on token1 connection 3") as served:
        async with httpx.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/tokens")).text == tokens(1, 2, 3, 4, 5)
            assert (await http.get("/simulator/turns")).status_code == 200  # is not counted
            refused = await http.get("/tokens")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
            assert (await http.get("/tokens")).text == tokens(2, 3, 4, 5)
            assert (await http.get("/tokens")).text == tokens(1, 2, 3, 4, 5)
        assert served.server.connections == 4
        assert len(served.records) == 3, "what the script refuses, the vendor does not see"


async def test_a_kept_connection_that_dies_before_the_answer(talking: Serve, call: Call) -> None:
    async with talking("handshake reset connection 2") as served, call(served.url) as caller:
        caller.say("GET /none HTTP/1.1")
        await caller.until(b"\r\n\r\n")
        caller.say("GET /none HTTP/1.1")
        with pytest.raises(ConnectionResetError):
            await caller.all()


async def test_chance_is_drawn_with_the_seed(talking: Serve) -> None:
    async def statuses(seed: int) -> list[int]:
        fault = "handshake 503 chance 50%"
        async with talking(fault, seed=seed) as served, httpx.AsyncClient(base_url=served.url) as http:
            return [(await http.get("/none")).status_code for _ in range(20)]

    first = await statuses(1)
    assert set(first) == {204, 503}
    assert first == await statuses(1) != await statuses(2)


async def test_a_stall_ends_with_its_client(talking: Serve, call: Call) -> None:
    async with talking("stall on token1") as served:
        async with call(served.url) as caller:
            caller.say("GET /tokens HTTP/1.1")
            await caller.until(b"chunked\r\n\r\n")
        await eventually(lambda: len(served.records) == 1)
        assert served.records[0].status == "cancelled"


def test_the_head_is_meant_by_its_name_alone() -> None:
    run = FaultRun(read_script(["drop on *", "cut", "reset on response", "stall on respons?"]), 1, 0)
    assert [mishap.action for mishap in run.before_head("response")] == ["reset"]
    assert [mishap.action for mishap in run.before("token")] == ["drop", "cut"]


async def test_a_client_that_is_gone_at_once_leaves_nothing_unstarted() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        nowhere: Any = object()
        link = Connection(nowhere, 1, FaultRun(read_script(["delay 1s on token", "reset after 0 frames"]), 1, 0))
        link.opened()
        await link.aclose()
        await asyncio.sleep(0.01)
        gc.collect()
    assert [str(one.message) for one in warned] == []
