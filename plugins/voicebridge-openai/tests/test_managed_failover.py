"""A call whose backend is not there, or not any more: another one goes on, with another key or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.events import (
    BackendError,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
)
from voicebridge.contract.items import MessageItem
from voicebridge.core.retry import RetryPolicy
from voicebridge.pool.key_pool import KeyPool
from voicebridge.testing.chaos import ChaosProxy

from .managed_call import MODEL, Call, WatchedServer, call, nothing_left

STORY = "Once upon a time there was a voice that went on and on and would not stop for anyone."


def rival(server: WatchedServer) -> dict[str, Any]:
    return {"backend": MODEL, "base_url": server.url, "api_key": "any"}


def key_of(request: Any) -> str:
    return str(request.headers["authorization"].removeprefix("Bearer "))


# At the start


@pytest.mark.parametrize(
    "fault",
    [
        "handshake 401",
        "handshake 429 retry-after 30",
        "handshake 503",
        "handshake reset",
        "close 1008 gone",
        "handshake stall",
    ],
)
async def test_another_backend_begins_the_call_within_a_second(fault: str) -> None:
    broken, well = WatchedServer(fault), WatchedServer(pace=40)
    async with broken.serve(), well.serve():
        asked = asyncio.get_running_loop().time()
        async with call(broken, well, fallback=[rival(well)]) as talk:
            first = await talk.next(SessionReady)
            assert first.at - asked < 1.0
            await talk.say()
            assert (await talk.next(ResponseEnded)).status == "completed"
        assert len(well.lines) == 1
        assert len(well.heard) >= talk.sent - 24_000, "what was said meanwhile was heard"
    assert not talk.all(SessionRestarted), "one that carries the call from its beginning has not restarted it"


async def test_nobody_listens_there() -> None:
    well = WatchedServer(pace=40)
    async with well.serve(), ChaosProxy(well.url) as proxy:
        await proxy.refuse()
        async with call(well, base_url=proxy.url, fallback=[rival(well)]) as talk:
            await talk.say()
            assert (await talk.next(ResponseEnded)).status == "completed"


@pytest.mark.parametrize(
    ("fault", "category"),
    [("handshake 401", "auth"), ("handshake 403", "auth"), ("handshake 404", "config")],
)
async def test_what_trying_again_does_not_help_is_tried_once(fault: str, category: str) -> None:
    server = WatchedServer(fault)
    async with server.serve():
        async with voicebridge.connect(MODEL, base_url=server.url, api_key="sk-0123456789abcdef") as session:
            talk = Call(session)
            await talk.until(lambda: talk.failure)
            await talk.done()
        [last] = talk.all(BackendError, fatal=True)
        assert last.fault.category == category
        assert "0123456789abcdef" not in last.fault.message
        assert server.server.connections == 1
        assert talk.session.account.balanced


async def test_one_that_takes_calls_and_drops_them_is_given_up() -> None:
    server = WatchedServer("close 1008 policy on session.updated")
    async with server.serve():
        async with voicebridge.connect(MODEL, base_url=server.url, api_key="any") as session:
            talk = Call(session)
            await talk.until(lambda: talk.failure)
            began = asyncio.get_running_loop().time()
            await talk.done()
            assert asyncio.get_running_loop().time() - began < 1
        assert server.server.connections <= 1 + RetryPolicy().tries
        assert talk.session.account.balanced


# In the middle of a call


@pytest.mark.parametrize(
    "fault",
    [
        "reset on response.output_audio.delta occurrence 3",
        "close 1011 'server error' on response.output_audio.delta occurrence 3",
        "close 1013 'try later' on response.output_audio.delta occurrence 3",
    ],
)
async def test_another_backend_goes_on_with_the_call_and_the_preferred_one_comes_back(fault: str) -> None:
    server = WatchedServer(f"{fault} connection 1", pace=40, replies=(STORY,), ms_per_char=10)
    well = WatchedServer(pace=40, ms_per_char=10)
    async with server.serve(), well.serve(), call(server, well, fallback=[rival(well)]) as talk:
        await talk.say()
        lost = await talk.next(ResponseEnded)
        assert lost.status == "lost"
        over = await talk.next(SessionRestarted)
        assert over.reason in ("failover", "drop")
        await talk.next(ResponseEnded, 2)
        audio = next(event for event in talk.all(OutputAudio) if event.response_id != lost.response_id)
        assert audio.at - lost.at < 2
        assert well.lines
        returned = await talk.next(SessionRestarted, 2)
        await talk.next(OutputHeard, 2)
        await talk.say()
        await talk.next(ResponseEnded, 3)
    assert (returned.reason, returned.gap_ms) == ("failover", 0.0)
    assert returned.at - over.at >= 5
    assert len(well.lines) == 1
    seeded = server.lines[-1].seed
    history = [(item.role, item.text) for item in talk.session.history if isinstance(item, MessageItem)]
    assert history[: len(seeded)] == seeded


async def test_without_credit_the_call_goes_to_another_backend() -> None:
    server = WatchedServer(replies=({"fail": "insufficient_quota"},), pace=40)
    well = WatchedServer(pace=40)
    async with server.serve(), well.serve(), call(server, well, fallback=[rival(well)]) as talk:
        await talk.say()
        ended = await talk.next(ResponseEnded)
        again = await talk.next(ResponseEnded, 2)
        audio = await talk.next(OutputAudio)
        assert audio.at - ended.at < 3
    assert again.status == "completed"
    assert ended.fault is not None
    assert ended.fault.category == "quota"


# The line


# The line


@pytest.mark.parametrize("way", ["both", "up", "down"])
async def test_a_line_that_is_dead_without_a_word_is_noticed(way: str) -> None:
    server, well = WatchedServer(pace=40), WatchedServer(pace=40)
    given: dict[str, Any] = {"ping_interval_s": 0.5, "dead_after_s": 2.0, "speed": 1, "alone": False}
    async with (
        nothing_left(),
        server.serve(),
        well.serve(),
        ChaosProxy(server.url) as proxy,
        call(server, well, base_url=proxy.url, fallback=[rival(well)], **given) as talk,
    ):
        await talk.say()
        await talk.next(OutputHeard)
        cut_at = asyncio.get_running_loop().time()
        for toxics in {"both": (proxy.up, proxy.down), "up": (proxy.up,), "down": (proxy.down,)}[way]:
            toxics.blackhole = True
        await talk.say()
        restarted = await talk.next(SessionRestarted)
        await talk.next(ResponseEnded, 2)
    assert restarted.at - cut_at < 4.6
    assert restarted.lost_audio_ms == 0.0, "what nobody has confirmed is said again"
    assert not talk.session.account.input.dropped.get("too_old")


# Keys


async def test_a_key_over_its_limit_rests_and_another_one_opens_the_call_at_once() -> None:
    server = WatchedServer("handshake 429 retry-after 7 connection 1", pace=40)
    pool = KeyPool(["sk-one", "sk-two"], sessions_per_key=10)
    async with server.serve():
        began = asyncio.get_running_loop().time()
        async with call(server, api_key=pool) as talk:
            ready = await talk.next(SessionReady)
            assert ready.at - began < 0.5
            await talk.say()
            await talk.next(ResponseEnded)
        for _ in range(6):
            async with call(server, api_key=pool) as talk:
                await talk.next(SessionReady)
    let_in = [key_of(request) for _, request in server.asked]
    assert len(let_in) == 7
    assert len(set(let_in)) == 1, "the one that was refused is left alone"
    assert server.server.connections == 8
    await pool.aclose()


async def test_no_key_opens_more_than_its_sessions() -> None:
    server = WatchedServer(pace=40)
    pool = KeyPool(["sk-one", "sk-two"], sessions_per_key=10)
    async with server.serve():
        ready = asyncio.Barrier(20)

        async def one() -> None:
            async with voicebridge.connect(MODEL, base_url=server.url, api_key=pool) as session:
                async for event in session:
                    if isinstance(event, SessionReady):
                        break
                await ready.wait()

        async with asyncio.timeout(20):
            await asyncio.gather(*(one() for _ in range(20)))
    keys = [key_of(request) for _, request in server.asked]
    assert sorted(keys) == ["sk-one"] * 10 + ["sk-two"] * 10
    await pool.aclose()
