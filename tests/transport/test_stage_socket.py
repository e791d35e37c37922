"""A stage's websocket over real sockets: frames, and its end as a fault."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from websockets.asyncio.server import ServerConnection

from voicebridge.contract.codec import Closed, Endpoint
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.transport.spare import Spare
from voicebridge.transport.stage_socket import StageSocket

from .peers import free_port, hold, raw_server, refusal, reset, server

KEY = "sk-CANARY-0123456789abcdefghijklmnop"


async def echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


async def test_frames_go_out_and_in() -> None:
    with no_leaked_sockets():
        async with no_leaked_tasks(), server(echo) as url:
            one = await StageSocket.open(Endpoint(url=url))
            for frame in ("text 漢字", b"\x00\xff"):
                await one.send(frame)
                assert await one.receive() == frame
            assert one.is_open
            await one.aclose()
            await one.aclose()
            assert not one.is_open
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
async def test_the_peer_closes(code: int) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(code, f"no {KEY}")

    def classify(closed: Closed) -> Fault:
        return Fault(category="content", message=f"{closed.by} {closed.code} {KEY}", code=closed.reason)

    async with server(handler) as url:
        one = await StageSocket.open(Endpoint(url=url, headers={"api-key": KEY}), classify=classify)
        assert await one.receive() == "last words"
        for _ in range(2):
            with pytest.raises(VoiceBridgeError) as caught:
                await one.receive()
            assert caught.value.fault.message == f"peer {code} [hidden]"
            assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.fault)
        with pytest.raises(VoiceBridgeError):
            await one.send("more")
        assert not one.is_open
        await one.aclose()


async def test_the_connection_is_cut() -> None:
    async def handler(connection: ServerConnection) -> None:
        reset(connection)

    async with server(handler) as url:
        one = await StageSocket.open(Endpoint(url=url))
        with pytest.raises(VoiceBridgeError) as caught:
            await one.receive()
        assert (caught.value.category, caught.value.retryable) == ("network", True)
        await one.aclose()


@pytest.mark.parametrize(
    ("status", "category", "again"), [(401, "auth", False), (404, "config", False), (429, "rate", True)]
)
async def test_a_refusal(status: int, category: str, again: bool) -> None:
    answer = [("Retry-After", "7")]
    async with server(hold, lambda *_: refusal(status, answer, f"unknown {KEY}")) as url:
        with pytest.raises(VoiceBridgeError) as caught:
            await StageSocket.open(Endpoint(url=url, headers={"api-key": KEY}))
    found = caught.value.fault
    assert (found.category, found.retryable, found.retry_after_s) == (category, again, 7)
    assert KEY not in repr(found)


async def test_nothing_listens_and_nobody_answers() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(VoiceBridgeError) as caught:
        await StageSocket.open(Endpoint(url=f"ws://127.0.0.1:{free_port()}"))
    assert caught.value.fault.code == "refused"
    async with raw_server(silent) as url, no_leaked_tasks():
        with pytest.raises(VoiceBridgeError) as caught:
            await StageSocket.open(Endpoint(url=url), connect_s=0.1)
    assert (caught.value.fault.code, caught.value.retryable) == ("timeout", True)


async def test_a_key_goes_encrypted_or_not_at_all_and_an_empty_one_is_left_out() -> None:
    with pytest.raises(ConfigError, match="encrypted"):
        await StageSocket.open(Endpoint(url="ws://192.0.2.1/", headers={"Authorization": f"Token {KEY}"}))
    seen: list[str | None] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers.get("Authorization"))

    async with server(handler) as url:
        one = await StageSocket.open(Endpoint(url=url, headers={"Authorization": "Token "}))
        await one.aclose()
    assert seen == [None]


async def test_a_wait_that_is_cancelled_loses_no_frame() -> None:
    async with server(echo) as url:
        one = await StageSocket.open(Endpoint(url=url))
        waiting = asyncio.ensure_future(one.receive())
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await one.send("kept")
        assert await one.receive() == "kept"
        await one.aclose()


async def test_a_spare_one_that_the_peer_has_closed_is_not_handed_out() -> None:
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await echo(connection)

    async with no_leaked_tasks(), server(handler) as url:
        spare = Spare(lambda: StageSocket.open(Endpoint(url=url)), idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(0.1)
        assert len(connections) == 1
        await connections[0].close()
        await asyncio.sleep(0.05)
        one = await spare.take()
        await one.send("alive")
        assert await one.receive() == "alive"
        assert len(connections) == 2
        await one.aclose()
        await spare.aclose()


async def test_the_secret_part_of_an_address_is_sent_and_never_told() -> None:
    seen: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.path)
        await connection.close(1008, f"no {KEY}")

    async with server(handler) as url:
        for address in (url, f"{url}/x?language=en"):
            one = await StageSocket.open(Endpoint(url=address, secret_query=f"X-Signature={KEY}"))
            with pytest.raises(VoiceBridgeError) as caught:
                await one.receive()
            assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.fault)
    assert [path.partition("?")[2] for path in seen] == [f"X-Signature={KEY}", f"language=en&X-Signature={KEY}"]
    with pytest.raises(ConfigError):
        await StageSocket.open(Endpoint(url="ws://192.0.2.1", secret_query=f"X-Signature={KEY}"))
