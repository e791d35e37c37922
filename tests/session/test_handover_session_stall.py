"""A line that takes nothing more: who speaks is not held up, hears of it, and goes on over another one."""

from __future__ import annotations

import asyncio
import random

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Command, EndTurn, Interrupt, Respond, SendAudio, SendText
from voicebridge.contract.events import BackendError, SessionRestarted

from .lines import Bench, Line, bench, settle, virtually, voice


async def speak(b: Bench, start_ms: float, end_ms: float) -> float:
    """In real time. The longest that a `send` took, in seconds."""
    clock, longest = asyncio.get_running_loop().time, 0.0
    for at in range(int(start_ms), int(end_ms), 20):
        before = clock()
        await b.session.send(SendAudio(pcm=voice(at, at + 20)))
        longest = max(longest, clock() - before)
        await asyncio.sleep(0.02)
    return longest


def alarms(b: Bench) -> list[BackendError]:
    return [event for event in b.of(BackendError) if event.fault.code == "unconfirmed"]


@virtually
async def test_who_speaks_is_not_held_up_and_goes_on_over_another_line() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await speak(b, 0, 2_000)
        first.answers_pings = False
        began = asyncio.get_running_loop().time()
        longest = await speak(b, 2_000, 12_000)
        assert longest < 0.02
        await settle(3)
        await settle()
        (alarm,) = alarms(b)
        assert not alarm.fatal
        assert alarm.fault.retryable
        assert alarm.fault.category == "network"
        assert alarm.at - began <= 4.0, "at most a second from ping to ping, and 3 s after that"
        (restarted,) = b.of(SessionRestarted)
        assert restarted.reason == "drop"
        assert restarted.at - alarm.at < 0.1
        assert restarted.gap_ms == pytest.approx((restarted.at - began) * 1000, abs=1_100)
        assert restarted.lost_audio_ms == 0.0
        assert second.audio == voice(0, 12_000)
        assert first.closed_by_client
    assert b.session.account().input.dropped == {}


@virtually
async def test_one_that_recovers_gets_what_waited_in_order_and_keeps_the_call() -> None:
    first, second = Line(), Line(ready=False)  # nobody answers there
    async with bench(first, second) as b:
        await speak(b, 0, 2_000)
        first.answers_pings = False
        assert await speak(b, 2_000, 8_000) < 0.02
        end = EndTurn()
        await b.session.send(end)
        assert await speak(b, 8_000, 10_000) < 0.02
        assert len(alarms(b)) == 1
        first.answers_pings = True
        for pong in first.pings:
            if not pong.done():
                pong.set_result(0.0)
        await speak(b, 10_000, 11_000)
        await settle(1)
        assert first.heard == [voice(0, 8_000), end, voice(8_000, 11_000)]
        assert b.of(SessionRestarted) == []
        assert second.closed_by_client or not second.written
        first.answers_pings = False  # a second outage is a second alarm
        await speak(b, 11_000, 16_000)
        assert len(alarms(b)) == 2


@virtually
async def test_an_interruption_goes_by_what_waits() -> None:
    first, second = Line(), Line(ready=False)
    async with bench(first, second) as b:
        await speak(b, 0, 1_000)
        first.answers_pings = False
        await speak(b, 1_000, 7_000)
        stop = Interrupt()
        await b.session.send(stop)
        await settle()
        assert first.commands == [stop]


@virtually
async def test_who_sends_faster_than_is_taken_has_to_wait_and_loses_nothing() -> None:
    line = Line()
    async with bench(line) as b:
        line.takes.clear()
        sending = asyncio.create_task(flood(b, 60_000))
        await asyncio.sleep(1)
        assert not sending.done()
        line.takes.set()
        await sending
        await asyncio.sleep(3)
        await settle(1)
        assert line.audio == voice(0, 60_000)
    assert b.session.account().input.dropped == {}


async def flood(b: Bench, end_ms: int) -> None:
    for at in range(0, end_ms, 100):
        await b.session.send(SendAudio(pcm=voice(at, at + 100)))


@virtually
async def test_a_line_that_answers_and_says_nothing_is_no_alarm() -> None:
    async with bench(Line()) as b:
        await speak(b, 0, 15_000)
        await settle(30)
        assert alarms(b) == []


@virtually
async def test_the_gap_of_a_line_found_dead_counts_from_when_it_died() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await settle(10)
        first.answers_pings = False
        await settle(40)
        (restarted,) = b.of(SessionRestarted)
        assert restarted.gap_ms >= 20_000
        assert DOOR_FORMAT.size(restarted.lost_audio_ms) == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_line_takes_when_all_comes_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)

    @virtually
    async def test() -> None:
        line = Line()
        given: list[bytes | Command] = []
        async with bench(line, Line(ready=False)) as b:
            for at in range(0, 20_000, 20):
                if chance.random() < 0.01:
                    line.takes.clear()
                if chance.random() < 0.01:
                    line.takes.set()
                if chance.random() < 0.02:
                    command = chance.choice([EndTurn(respond=False), SendText(text="Hi.", respond=False), Respond()])
                    await b.session.send(command)
                    given.append(command)
                await b.session.send(SendAudio(pcm=voice(at, at + 20)))
                given.append(voice(at, at + 20))
                await asyncio.sleep(0.02)
            line.takes.set()
            await settle(3)
            told = [one for one in given if not isinstance(one, bytes)]
            assert line.commands == told
            assert line.audio == voice(0, 20_000)
            assert _merged(given) == line.heard
        assert b.session.account().input.dropped == {}

    test()


def _merged(given: list[bytes | Command]) -> list[bytes | Command]:
    merged: list[bytes | Command] = []
    for one in given:
        if isinstance(one, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += one
        else:
            merged.append(one)
    return merged
