"""Calls whose keys come from a pool, through the door: which key each connection has, and what a fault does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

import voicebridge
from voicebridge import (
    Agent,
    BackendError,
    ConfigError,
    Configure,
    Event,
    Fault,
    Item,
    KeyPool,
    Limit,
    ResponseEnded,
    SendText,
    SessionConfig,
    SessionNotice,
    SessionReady,
    SessionRestarted,
    VoiceBridgeError,
)
from voicebridge.pool import fingerprint
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend, ScriptedSession

from .managed_call import virtually

LOST = Fault(category="network", code="lost", message="It is gone.", retryable=True)
AUTH = Fault(category="auth", code="invalid_api_key", message="This key is refused.")


def rate(after_s: float | None = None) -> Fault:
    return Fault(category="rate", code="429", message="Too many.", retryable=True, retry_after_s=after_s)


class Vendor:
    """A `Backend` that knows keys: what becomes of each connection is written down for its key, the last for all
    further ones. A fault refuses it, a `ScriptedBackend` gives it."""

    def __init__(self, **fates: Sequence[Fault | ScriptedBackend]) -> None:
        self.fates = {key: list(given) for key, given in fates.items()}
        self.dialled: list[tuple[float, str]] = []
        self.open: list[str] = []
        self.most_open = 0
        self.capabilities = ScriptedBackend().capabilities

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ScriptedSession]:
        assert config.api_key is not None
        key = config.api_key.get_secret_value()
        self.dialled.append((now(), key))
        fates = self.fates[key]
        fate = fates.pop(0) if len(fates) > 1 else fates[0]
        if isinstance(fate, Fault):
            raise VoiceBridgeError(fate)
        async with fate.connect(config, history) as session:
            self.open.append(key)
            self.most_open = max(self.most_open, len(self.open))
            try:
                yield session
            finally:
                self.open.remove(key)

    @property
    def keys(self) -> list[str]:
        return [key for _, key in self.dialled]


def now() -> float:
    return asyncio.get_running_loop().time()


def hello(*moments: tuple[float, Event | Fault]) -> ScriptedBackend:
    return ScriptedBackend("Hello.", moments=moments)


def pool(*keys: str, **settings: Any) -> KeyPool:
    return KeyPool(keys, chance=lambda: 0.5, **{"linger_s": 0.0, **settings})


async def cause(keys: KeyPool, key: str) -> str:
    return (await keys.snapshot()).keys[fingerprint(key)].cause


async def taken(keys: KeyPool) -> list[int]:
    return [state.taken for state in (await keys.snapshot()).keys.values()]


@asynccontextmanager
async def calling(backend: Any, **options: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    events: list[Event] = []

    async def listen() -> None:
        async for event in session:
            events.append(event)

    async with voicebridge.connect(backend, **options) as session:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        yield session, events
    await listening


def of(events: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@virtually
async def test_a_refused_key_is_ejected_and_the_next_one_carries_the_call() -> None:
    vendor = Vendor(bad=[AUTH], good=[hello()])
    async with pool("bad", "good") as keys, calling(vendor, api_key=keys) as (_, events):
        await asyncio.sleep(5)
        assert vendor.keys == ["bad", "good"]
        assert [type(event) for event in events] == [SessionReady]
        assert await cause(keys, "bad") == "auth"
        assert await taken(keys) == [0, 1]


@virtually
async def test_a_key_that_is_told_to_wait_is_spared_for_just_so_long() -> None:
    vendor = Vendor(one=[rate(after_s=3), hello()])
    async with pool("one") as keys:
        async with calling(vendor, api_key=keys) as (_, events):
            await asyncio.sleep(5)
            assert [type(event) for event in events] == [SessionReady]
        (first, _), (second, _) = vendor.dialled
        assert 3 <= second - first < 3.5


@virtually
async def test_what_a_server_tells_of_its_limits_spares_the_key() -> None:
    notice = SessionNotice(limits=(Limit(name="requests", limit=100, remaining=0, reset_s=30),))
    vendor = Vendor(one=[hello((1.0, notice))])
    async with pool("one") as keys, calling(vendor, api_key=keys):
        assert await cause(keys, "one") == ""
        await asyncio.sleep(2)
        assert await cause(keys, "one") == "limit"
        await asyncio.sleep(30)
        assert await cause(keys, "one") == ""


@pytest.mark.parametrize("fault", [rate(after_s=20), AUTH], ids=lambda fault: str(fault.category))
def test_an_answer_that_fails_for_the_key_spares_it(fault: Fault) -> None:
    @virtually
    async def test() -> None:
        vendor = Vendor(one=[ScriptedBackend(Reply("", fault=fault))])
        async with pool("one") as keys, calling(vendor, api_key=keys) as (session, events):
            assert await cause(keys, "one") == ""
            await session.send(SendText(text="Are you there?"))
            await asyncio.sleep(1)
            assert of(events, ResponseEnded)[0].status == "failed"
            assert await cause(keys, "one") == fault.category

    test()


@virtually
async def test_an_error_that_ends_nothing_spares_the_key() -> None:
    vendor = Vendor(one=[hello((1.0, BackendError(fault=rate(after_s=20))))])
    async with pool("one") as keys, calling(vendor, api_key=keys):
        await asyncio.sleep(1)
        assert await cause(keys, "one") == "rate"


@pytest.mark.parametrize("code", ["stage_replaced", "stage_not_ready"])
def test_what_a_part_of_the_backend_could_not_do_and_another_did_says_nothing_of_the_key(code: str) -> None:
    @virtually
    async def test() -> None:
        mended = Fault(category="quota", code=code, message="The next one takes over from the voice.")
        vendor = Vendor(one=[hello((1.0, BackendError(fault=mended)))])
        async with pool("one") as keys, calling(vendor, api_key=keys):
            await asyncio.sleep(1)
            assert await cause(keys, "one") == ""

    test()


async def ended(vendor: Vendor, keys: KeyPool) -> None:
    """A call without patience goes on until it fails."""
    async with voicebridge.connect(vendor, api_key=keys, retry=voicebridge.RetryPolicy(tries=0)) as session:
        async for _ in session:
            pass


@virtually
async def test_a_connection_refused_for_its_rate_shows_how_many_slots_there_are() -> None:
    """The fault is told before the slot is given back: of the three that are taken, one is the refused one's."""
    vendor = Vendor(one=[hello(), hello(), rate(after_s=1), hello()])
    async with pool("one") as keys, calling(vendor, api_key=keys), calling(vendor, api_key=keys):
        with pytest.raises(VoiceBridgeError):
            await ended(vendor, keys)
        (state,) = (await keys.snapshot()).keys.values()
        assert (state.taken, state.slots) == (2, 2)


@pytest.mark.parametrize("linger_s", [0.0, 2.0])
def test_a_call_that_drops_keeps_its_key_from_newcomers(linger_s: float) -> None:
    @virtually
    async def test() -> None:
        vendor = Vendor(one=[hello((5.0, LOST)), LOST, hello()])
        async with pool("one", sessions_per_key=1, linger_s=linger_s) as keys:
            async with calling(vendor, api_key=keys) as (_, events):
                newcomer = asyncio.create_task(keys.acquire(deadline_s=None))
                await asyncio.sleep(10)
                (restarted,) = of(events, SessionRestarted)
                assert restarted.gap_ms < 500
                assert not newcomer.done()
            await asyncio.sleep(linger_s)
            assert (await newcomer).key.get_secret_value() == "one"

    test()


@virtually
async def test_two_calls_share_a_pool_and_the_third_waits_for_one_of_them() -> None:
    vendor = Vendor(one=[hello()], two=[hello()])
    async with pool("one", "two", sessions_per_key=1) as keys:
        async with calling(vendor, api_key=keys), calling(vendor, api_key=keys):
            assert sorted(vendor.open) == ["one", "two"]
            third = asyncio.create_task(keys.acquire(deadline_s=8))
            await asyncio.sleep(1)
            assert not third.done()
        (await third).release()


@pytest.mark.parametrize("move", ["renewal", "setting", "switch"])
def test_a_full_pool_is_in_the_way_of_no_move_of_a_call(move: str) -> None:
    @virtually
    async def test() -> None:
        goodbye = SessionNotice(expires_in_s=20.0)
        vendor = Vendor(one=[hello(*([(1.0, goodbye)] if move == "renewal" else [])), hello()])
        async with pool("one", sessions_per_key=1, linger_s=2.0) as keys:
            async with calling(vendor, api_key=keys) as (session, events):
                if move == "setting":
                    await session.send(Configure(patch={"speed": 1.5}))
                elif move == "switch":
                    await session.switch(vendor, speed=1.5)
                await asyncio.sleep(20)
                assert len(of(events, SessionRestarted)) == 1
                assert of(events, SessionRestarted)[0].gap_ms == 0
                assert vendor.keys == ["one", "one"]
                assert vendor.most_open == 2, "make before break"
                assert vendor.open == ["one"]
                assert await taken(keys) == [1]
            assert await taken(keys) == [1], "it lingers"
            await asyncio.sleep(2)
            assert await taken(keys) == [0]

    test()


@virtually
async def test_a_key_that_is_spared_while_it_serves_is_left_at_the_next_move() -> None:
    vendor = Vendor(one=[hello((1.0, BackendError(fault=AUTH)))], two=[hello()])
    async with pool("one", "two", sessions_per_key=1) as keys, calling(vendor, api_key=keys) as (session, _):
        await asyncio.sleep(1)
        await session.switch(vendor, speed=1.5)
        await asyncio.sleep(1)
        assert vendor.open == ["two"]
        assert await taken(keys) == [0, 1]


@virtually
async def test_where_no_other_key_is_free_the_call_waits_until_its_own_is_spared_no_more() -> None:
    vendor = Vendor(one=[hello((1.0, BackendError(fault=rate(after_s=4)))), hello()])
    async with pool("one", sessions_per_key=1) as keys, calling(vendor, api_key=keys) as (session, _):
        await asyncio.sleep(1)
        await session.switch(vendor, speed=1.5)
        assert vendor.dialled[1][0] == pytest.approx(5, abs=0.1)


@virtually
async def test_a_second_session_that_the_vendor_refuses_leaves_the_call_as_it_is() -> None:
    vendor = Vendor(one=[hello(), rate(after_s=1)])
    async with pool("one", sessions_per_key=1) as keys, calling(vendor, api_key=keys) as (session, events):
        with pytest.raises(VoiceBridgeError, match="Too many"):
            await session.switch(vendor, speed=1.5)
        await session.send(SendText(text="Are you there?"))
        await asyncio.sleep(2)
        assert of(events, ResponseEnded)[0].status == "completed"
        (state,) = (await keys.snapshot()).keys.values()
        assert (state.taken, state.slots) == (1, 1)


@virtually
async def test_a_backend_that_is_left_gives_its_key_back() -> None:
    near, far = Vendor(near=[hello((1.0, AUTH))]), Vendor(far=[hello()])
    async with pool("near") as keys, pool("far") as others:
        async with calling(near, api_key=keys, fallback=[{"backend": far, "api_key": others}]) as (session, _):
            assert (await taken(keys), await taken(others)) == ([1], [0])
            await asyncio.sleep(5)
            assert session.settings()["api_key"] is others
            assert (await taken(keys), await taken(others)) == ([0], [1])
        assert (await taken(keys), await taken(others)) == ([0], [0])


@virtually
async def test_a_move_that_fails_gives_its_key_back() -> None:
    near, far = Vendor(near=[hello()]), Vendor(far=[AUTH])
    async with pool("near") as keys, pool("far") as others, calling(near, api_key=keys) as (session, _):
        with pytest.raises(VoiceBridgeError, match="refused"):
            await session.switch(far, api_key=others)
        await asyncio.sleep(0.1)
        assert (await taken(keys), await taken(others)) == ([1], [0])


@virtually
async def test_a_pool_for_what_a_call_is_switched_to_and_a_key_in_place_of_a_pool() -> None:
    near, far = Vendor(near=[hello()], own=[hello()]), Vendor(far=[hello()])
    async with pool("near") as keys, pool("far") as others, calling(near, api_key=keys) as (session, _):
        await session.switch(far, api_key=others)
        await asyncio.sleep(1)
        assert (await taken(keys), await taken(others)) == ([0], [1])
        await session.switch(near, api_key="own")
        await asyncio.sleep(1)
        assert (await taken(keys), await taken(others)) == ([0], [0])
        await session.send(Configure(patch={"api_key": keys}))
        await asyncio.sleep(1)
        assert (near.keys, far.keys) == (["near", "own", "near"], ["far"])


@virtually
async def test_an_agent_with_a_pool_of_its_own_and_back_to_the_calls() -> None:
    def talk(said: tuple[Item, ...]) -> Reply | str:
        handed = sum("speaks from here on" in str(item) for item in said)
        to = ("billing", "desk", "")[min(handed, 2)]
        return Reply("One moment.", calls=(Call("handoff", f'{{"agent": "{to}"}}'),)) if to else "Done."

    vendor = Vendor(call=[ScriptedBackend(talk)], own=[ScriptedBackend(talk)])
    async with pool("call") as keys, pool("own") as others:
        agents = [Agent("desk"), Agent("billing", options={"api_key": others})]
        async with calling(vendor, api_key=keys, agents=agents) as (session, _):
            await session.send(SendText(text="My invoice is wrong."))
            await asyncio.sleep(10)
            assert vendor.keys == ["call", "own", "call"]
            assert session.agent == "desk"
            assert (await taken(keys), await taken(others)) == ([1], [0])


@virtually
async def test_no_key_is_shown_by_what_carries_it() -> None:
    secret = "sk-secret"
    shown = [Configure(patch={"api_key": secret}), Agent("a", options={"api_key": secret})]
    vendor = Vendor(one=[hello()], **{secret: [hello()]})
    async with calling(vendor, api_key="one", fallback=[{"backend": vendor, "api_key": secret}]) as (session, _):
        await session.switch(vendor, api_key=secret)
        shown += [session.settings(), session._setup]
    assert vendor.keys == ["one", secret]
    assert secret not in repr(shown)
    assert SecretStr(secret) == shown[0].patch["api_key"]  # type: ignore[attr-defined]  # it is a Configure


@virtually
async def test_what_is_no_key_is_refused_in_words() -> None:
    async with calling(hello()) as (session, _):
        for key in (7, [pool("one")]):
            with pytest.raises(ConfigError, match="api_key"):
                await session.switch(hello(), api_key=key)
