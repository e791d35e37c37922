"""Keys from a pool, over the wire: refused, told to wait, and kept by a call that loses its connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import voicebridge
from voicebridge import Agent, KeyPool
from voicebridge.contract.commands import SendText
from voicebridge.contract.events import Event, ResponseEnded, SessionReady, SessionRestarted
from voicebridge.pool import fingerprint

from .managed_call import MODEL, WatchedServer, nothing_left

BAD, GOOD = "sk-refused", "sk-let-in"


def keys_of(server: WatchedServer) -> list[str]:
    """What each handshake showed."""
    return [request.headers["authorization"].removeprefix("Bearer ") for _, request in server.asked]


async def until(session: Any, kind: type[Event]) -> Any:
    async with asyncio.timeout(12):
        async for event in session:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


async def test_a_refused_key_is_ejected_and_a_lost_connection_keeps_its_key() -> None:
    server = WatchedServer("reset on response.output_audio.delta connection 2", keys=(GOOD,), replies=("One two.",))
    async with nothing_left(), server.serve(), KeyPool([BAD, GOOD], sessions_per_key=1) as pool:
        given: dict[str, Any] = {"base_url": server.url, "api_key": pool}
        async with voicebridge.connect(MODEL, **given) as session:
            await until(session, SessionReady)
            states = (await pool.snapshot()).keys
            assert (states[fingerprint(BAD)].cause, states[fingerprint(GOOD)].taken) == ("auth", 1)
            newcomer = asyncio.create_task(pool.acquire(deadline_s=None))
            await asyncio.sleep(0)
            await session.send(SendText(text="Count."))
            restarted = await until(session, SessionRestarted)
            assert restarted.reason == "drop"
            ended = await until(session, ResponseEnded)
            assert ended.status == "completed"
            assert keys_of(server) == [BAD, GOOD, GOOD]
            assert not newcomer.done()
            newcomer.cancel()


async def test_one_session_too_many_waits_as_long_as_the_server_says() -> None:
    server = WatchedServer(keys=(GOOD,), max_connections=1, retry_after_s=1)
    async with nothing_left(), server.serve(), KeyPool([GOOD], sessions_per_key=2, linger_s=0) as pool:
        async with voicebridge.connect(MODEL, base_url=server.url, api_key=pool) as first:
            await until(first, SessionReady)
            async with voicebridge.connect(MODEL, base_url=server.url, api_key=pool) as second:
                for _ in range(1000):
                    state = (await pool.snapshot()).keys[fingerprint(GOOD)]
                    if state.cause == "rate":
                        break
                    await asyncio.sleep(0.005)
                assert state.cause == "rate"
                assert state.slots == 1, "it is known now how many there are"
                await first.aclose()
                await until(second, SessionReady)
        times = [at for at, _ in server.asked]
        assert times[2] - times[1] >= 1


async def test_what_is_wrong_with_a_later_agent_is_told_before_a_handshake() -> None:
    server = WatchedServer()
    async with nothing_left(), server.serve(), KeyPool([GOOD]) as pool:
        agents = [Agent("desk"), Agent("billing", options={"nonsense": 1})]
        with pytest.raises(voicebridge.BadOption, match=r"The agent 'billing' can't be used: .*nonsense"):
            async with voicebridge.connect(MODEL, base_url=server.url, api_key=pool, agents=agents):
                pass
        assert not server.asked
