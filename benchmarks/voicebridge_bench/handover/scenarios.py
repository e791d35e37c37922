"""What happens to the calls: each scenario holds one call and gives the milliseconds that its figure is about.

Delays that the proxy can't make are added: it delays bytes, but no TCP handshake.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebridge import Configure

from .caller import SPEC, Caller, NothingCame, Turn, calling
from .cascade import counted_cascade
from .network import ROUND_TRIP_MS, Network
from .tagged_audio import TagReader

__all__ = ["SCENARIOS", "Call", "Scenario"]

HALF_OPEN_AFTER_S = 1.25
"""`dead_after_s` of the calls whose line goes dead without a word. Its default is 20."""
STALLED_AFTER_S = 1.0
"""`between_outputs_timeout_s` of the calls whose backend stops in an answer. Its default is 20."""
_SETTLED_S = 0.3
"""Between turns."""


@dataclass(slots=True)
class Call:
    """One call to be held."""

    key: str
    """Shown to every server, which counts by it."""
    network: Network
    rng: random.Random
    found: dict[str, Any] = field(default_factory=dict)
    """What is left of it."""
    heard: TagReader = field(default_factory=TagReader)
    """Of the user's audio, in this process."""

    def options(self, url: str, **more: Any) -> dict[str, Any]:
        """Of `connect`, and of fallbacks and moves."""
        return {"base_url": url, "api_key": self.key, **more}


Scenario = Callable[[Call], Awaitable[float]]


# Lost connections


def _drop(how: str) -> Scenario:
    async def scenario(call: Call) -> float:
        """The connection is lost at a random place of an answer, until the agent is heard again."""
        line = await call.network.line("long")
        options = call.options(line.url)
        if how == "half-open":
            options["dead_after_s"] = HALF_OPEN_AFTER_S
        async with calling(call.found, **options) as caller:
            answer = await _speaking(caller, call.rng)
            caller.on_lost = lambda: line.blackhole(False)
            lost_at = asyncio.get_running_loop().time()
            {"RST": line.reset, "FIN": line.close, "half-open": line.blackhole}[how]()
            again = await caller.audible({answer}, 30.0)
            assert again.audible_at is not None
            await asyncio.sleep(1.0)
            return (again.audible_at - lost_at) * 1000 + ROUND_TRIP_MS

    return scenario


async def _speaking(caller: Caller, rng: random.Random) -> str:
    """Let the agent begin a long answer, and wait until it is somewhere in it."""
    caller.speak(0.6)
    await caller.spoken()
    answer = await caller.audible(set())
    await asyncio.sleep(rng.uniform(0.2, 4.0))
    return answer.response_id


# Planned moves


async def _renewal(call: Call) -> float:
    """Turns, while a session comes to its end: the silence that it puts into an answer, or before one."""
    line = await call.network.line("expiring")
    usual: list[float] = []
    near: list[float] = []
    silence_s = 0.0
    async with calling(call.found, **call.options(line.url)) as caller:
        while len(caller.restarts) < 1 or not near:
            before = len(caller.restarts)
            turn = await caller.turn()
            await asyncio.sleep(_SETTLED_S)
            silence_s = max(silence_s, turn.silence_s)
            (near if before else usual).append(turn.reply_s)
            if len(usual) > 8:
                raise NothingCame("the renewal: not within eight turns")
        call.found["reasons"] = [restarted.reason for _, restarted in caller.restarts]
    return max(0.0, silence_s, max(near) - statistics.median(usual)) * 1000


async def _renewal_in_answer(call: Call) -> float:
    """The session comes to its end while the agent speaks: from the last that is heard of it to the next."""
    line = await call.network.line("expiring-long")
    async with calling(call.found, **call.options(line.url)) as caller:
        caller.speak(0.6)
        await caller.spoken()
        answer = await caller.audible(set())
        await caller.moved()
        again = await caller.audible({answer.response_id})
        assert again.audible_at is not None
        call.found["reasons"] = [restarted.reason for _, restarted in caller.restarts]
        await asyncio.sleep(0.5)
        return max(0.0, again.audible_at - answer.ends_at, answer.silence_s) * 1000


def _move(begin: str, end: str, moment: str) -> Scenario:
    """`switch` at a moment: `idle`, while the `user` speaks, or the `agent`."""

    async def scenario(call: Call) -> float:
        """The silence that it puts into an answer, or before one."""
        first, then = await _backend(call, begin), await _backend(call, end)
        if begin == end:
            then["spec"] = "openai/gpt-realtime"

        async def move(caller: Caller) -> None:
            await caller.session.switch(then["spec"], **{k: v for k, v in then.items() if k != "spec"})

        return await _moved(call, first, move, moment)

    return scenario


def _voice(moment: str) -> Scenario:
    async def scenario(call: Call) -> float:
        """Another voice, which this vendor gives to new sessions alone."""

        async def change(caller: Caller) -> None:
            await caller.session.send(Configure(patch={"voice": "cedar"}))

        return await _moved(call, await _backend(call, "realtime"), change, moment)

    return scenario


async def _backend(call: Call, name: str) -> dict[str, Any]:
    """Options of a connection to it."""
    if name == "cascade":
        return {"spec": counted_cascade(call.heard)}
    line = await call.network.line("short")
    return {"spec": SPEC, **call.options(line.url)}


async def _moved(call: Call, first: Mapping[str, Any], move: Callable[[Caller], Awaitable[None]], moment: str) -> float:
    turns = {"silence_ms": 200}  # the same on both sides: what differs is the move
    async with calling(call.found, turns=turns, **first) as caller:
        await caller.turn()
        await asyncio.sleep(_SETTLED_S)
        turn = await _turn_with_move(caller, move, moment, call.rng)
        restarted = await caller.moved()
        call.found["reasons"] = [restarted.reason]
        gaps: list[float] = [turn.silence_s]
        if moment == "agent":  # it is the next one that the new backend answers
            await asyncio.sleep(_SETTLED_S)
            turn = await caller.turn()
            gaps.append(turn.silence_s)
        await asyncio.sleep(_SETTLED_S)
        usual = await caller.turn()
        gaps.append(turn.reply_s - usual.reply_s)
        await asyncio.sleep(_SETTLED_S)
    return max(0.0, *gaps) * 1000


async def _turn_with_move(
    caller: Caller, move: Callable[[Caller], Awaitable[None]], moment: str, rng: random.Random
) -> Turn:
    if moment == "idle":
        await move(caller)
        return await caller.turn()
    known = set(caller.player.answers)
    caller.speak(1.2 if moment == "user" else 0.6)
    if moment == "user":
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        await move(caller)
        return await caller.answered(known)
    answering = asyncio.create_task(caller.answered(known))
    await caller.audible(known)
    await asyncio.sleep(rng.uniform(0.1, 0.9))
    await move(caller)
    return await answering


# Failover


def _failing_start(how: str) -> Scenario:
    async def scenario(call: Call) -> float:
        """The first backend can't be had: from `connect` until the second one is ready."""
        bad = await call.network.line("locked" if how == "401" else "short")
        good = await call.network.line("short")
        if how == "refused":
            await bad.refuse()
        elif how == "hangs":
            bad.blackhole()
        fallback = [{"backend": SPEC, **call.options(good.url)}]
        async with calling(call.found, fallback=fallback, **call.options(bad.url)) as caller:
            ready_ms: float = call.found["ready_ms"]
            await caller.turn()
        # Of TCP: to the first backend where it answers, and to the second.
        return ready_ms + ROUND_TRIP_MS * (1 if how == "hangs" else 2)

    return scenario


async def _gone_for_good(call: Call) -> float:
    """The backend goes in an answer, and does not come back: until the second one is heard."""
    bad, good = await call.network.line("long"), await call.network.line("long")
    fallback = [{"backend": SPEC, **call.options(good.url)}]
    async with calling(call.found, fallback=fallback, **call.options(bad.url)) as caller:
        answer = await _speaking(caller, call.rng)
        await bad.refuse()
        lost_at = asyncio.get_running_loop().time()
        bad.reset()
        again = await caller.audible({answer})
        assert again.audible_at is not None
        call.found["reasons"] = [restarted.reason for _, restarted in caller.restarts]
        await asyncio.sleep(0.5)
        return (again.audible_at - lost_at) * 1000 + 2 * ROUND_TRIP_MS


async def _stalls(call: Call) -> float:
    """The backend stops in an answer, and lives: from the last of it until the second one is heard."""
    bad, good = await call.network.line("stalling"), await call.network.line("long")
    fallback = [{"backend": SPEC, **call.options(good.url)}]
    options = call.options(bad.url, between_outputs_timeout_s=STALLED_AFTER_S)
    async with calling(call.found, fallback=fallback, **options) as caller:
        caller.speak(0.6)
        await caller.spoken()
        answer = await caller.audible(set())
        again = await caller.audible({answer.response_id})
        assert again.audible_at is not None
        call.found["reasons"] = [restarted.reason for _, restarted in caller.restarts]
        await asyncio.sleep(0.5)
        return (again.audible_at - answer.arrived_at) * 1000 + ROUND_TRIP_MS


_MOMENTS = ("idle", "user", "agent")
_MOVES = (("realtime", "cascade"), ("cascade", "realtime"), ("realtime", "realtime"))
SCENARIOS: dict[str, Scenario] = {
    **{f"drop, {how}": _drop(how) for how in ("RST", "FIN", "half-open")},
    "renewal, between turns": _renewal,
    "renewal, the agent speaks on": _renewal_in_answer,
    **{f"{a} to {b}, {moment}": _move(a, b, moment) for a, b in _MOVES for moment in _MOMENTS},
    **{f"voice, {moment}": _voice(moment) for moment in _MOMENTS},
    **{f"start, {how}": _failing_start(how) for how in ("refused", "401", "hangs")},
    "gone for good": _gone_for_good,
    "stalls": _stalls,
}
"""By name."""
