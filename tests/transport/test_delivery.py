"""Delivery: one reader, no event lost, audio bounded, and an end that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import ConcurrentIteration, SessionFailed
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.delivery import Delivery

FAULT = Fault(category="network", message="The line was cut.", code="cut")
SECOND = DOOR_FORMAT.size(1000)


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        run_in_virtual_time(test())

    return run


def made() -> Delivery:
    return Delivery(DOOR_FORMAT, asyncio.get_running_loop().time)


def settled(number: int) -> CommandSettled:
    return CommandSettled(command_id=f"c{number}")


def audio(seconds: float = 1.0, response_id: str = "r1") -> OutputAudio:
    return OutputAudio(response_id=response_id, pcm=bytes(DOOR_FORMAT.size(seconds * 1000)), offset_ms=0.0)


async def rest(delivery: Delivery) -> list[Event]:
    """What is there, and the end."""
    return [event async for event in delivery]


async def some_passes() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def numbers(events: list[Event]) -> list[str]:
    return [event.command_id for event in events if isinstance(event, CommandSettled)]


# Promise 3: one consumer, nothing lost


@virtually
async def test_events_come_in_order_and_are_stamped() -> None:
    delivery = made()
    delivery.put(settled(1))
    await asyncio.sleep(1.5)
    delivery.put(settled(2))
    delivery.end()
    assert await rest(delivery) == [CommandSettled(command_id="c1", at=0.0), CommandSettled(command_id="c2", at=1.5)]


@virtually
async def test_leave_the_loop_and_take_it_up_again() -> None:
    delivery = made()
    for number in range(6):
        delivery.put(settled(number))
    delivery.end()
    seen: list[Event] = []
    for _ in range(3):
        async for event in delivery:
            seen.append(event)
            if len(seen) % 2 == 0:
                break
    assert numbers(seen) == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert await rest(delivery) == []


@virtually
async def test_a_reader_that_waits_gets_what_comes() -> None:
    delivery = made()
    reader = asyncio.create_task(rest(delivery))
    for number in range(3):
        await some_passes()
        delivery.put(settled(number))
    await some_passes()
    delivery.end()
    assert numbers(await reader) == ["c0", "c1", "c2"]


@virtually
async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    delivery = made()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await anext(aiter(delivery))
    delivery.put(settled(1))
    delivery.end()
    assert numbers(await rest(delivery)) == ["c1"]


@pytest.mark.parametrize("order", ["put, cancel", "cancel, put"])
def test_a_wait_that_is_cancelled_while_the_event_arrives(order: str) -> None:
    async def test() -> None:
        delivery = made()
        waiting = asyncio.ensure_future(anext(aiter(delivery)))
        await some_passes()
        for act in order.split(", "):
            if act == "put":
                delivery.put(settled(1))
            else:
                waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert numbers([await anext(aiter(delivery))]) == ["c1"]

    run_in_virtual_time(test())


@virtually
async def test_a_wait_that_is_cancelled_in_the_pass_in_which_it_would_return() -> None:
    delivery = made()
    waiting = asyncio.ensure_future(anext(aiter(delivery)))
    await some_passes()
    loop = asyncio.get_running_loop()
    loop.call_soon(delivery.put, settled(1))
    loop.call_soon(waiting.cancel)
    await asyncio.wait([waiting])
    delivery.end()
    got = [] if waiting.cancelled() else [waiting.result()]
    assert numbers(got + await rest(delivery)) == ["c1"]


@virtually
async def test_two_waits_at_once_raise() -> None:
    delivery = made()
    first = asyncio.ensure_future(anext(aiter(delivery)))
    await some_passes()
    with pytest.raises(ConcurrentIteration, match="one reader") as caught:
        await anext(aiter(delivery))
    assert caught.value.category == "config"
    delivery.put(settled(1))
    assert numbers([await first]) == ["c1"], "the first one is not disturbed"
    delivery.put(settled(2))
    assert numbers([await anext(aiter(delivery))]) == ["c2"]


@virtually
async def test_a_second_wait_does_not_snatch_the_event_of_the_first() -> None:
    delivery = made()
    first = asyncio.ensure_future(anext(aiter(delivery)))
    await some_passes()
    delivery.put(settled(1))
    with pytest.raises(ConcurrentIteration):
        await anext(aiter(delivery))
    assert numbers([await first]) == ["c1"]


# Promise 4: audio is bounded, all else is not


@virtually
async def test_there_is_room_for_two_minutes_of_audio() -> None:
    delivery = made()
    for _ in range(119):
        delivery.put(audio())
        await asyncio.wait_for(delivery.room(), 1)
    delivery.put(audio())
    producer = asyncio.create_task(delivery.room())
    await some_passes()
    assert not producer.done()
    await anext(aiter(delivery))
    await asyncio.wait_for(producer, 1)


@virtually
async def test_exactly_two_minutes_leave_no_room() -> None:
    delivery = made()
    for seconds in (60, 1, 60):
        delivery.put(audio(seconds))
    reader = aiter(delivery)
    delivery.put(audio(59))
    await anext(reader)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(delivery.room(), 1)
    await anext(reader)
    await asyncio.wait_for(delivery.room(), 1)


@virtually
async def test_other_events_take_no_room_and_are_never_held_up() -> None:
    delivery = made()
    for _ in range(5_000):
        delivery.put(OutputText(response_id="r1", delta="x" * 100))
    await asyncio.wait_for(delivery.room(), 1)
    for _ in range(200):
        delivery.put(audio())
    delivery.put(settled(1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(delivery.room(), 1)
    delivery.purge()
    await asyncio.wait_for(delivery.room(), 1)
    delivery.end()
    events = await rest(delivery)
    assert len(events) == 5_001
    assert numbers(events) == ["c1"]


@virtually
async def test_the_bound_follows_the_format() -> None:
    delivery = Delivery(AudioFormat(encoding="ulaw", rate=8_000), asyncio.get_running_loop().time)
    delivery.put(OutputAudio(response_id="r1", pcm=bytes(120 * 8_000 - 1), offset_ms=0))
    await asyncio.wait_for(delivery.room(), 1)
    delivery.put(OutputAudio(response_id="r1", pcm=b"\x00", offset_ms=0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(delivery.room(), 1)


@pytest.mark.parametrize("failure", [None, FAULT])
def test_nobody_waits_for_room_after_the_end(failure: Fault | None) -> None:
    async def test() -> None:
        delivery = made()
        for _ in range(121):
            delivery.put(audio())
        producer = asyncio.create_task(delivery.room())
        await some_passes()
        delivery.end(failure)
        await asyncio.wait_for(producer, 1)

    run_in_virtual_time(test())


# Promise 5: what is stopped is not delivered


@virtually
async def test_purge_takes_the_audio_of_one_response() -> None:
    delivery = made()
    events = [
        ResponseStarted(response_id="r1", cause="user"),
        audio(1, "r1"),
        OutputText(response_id="r1", delta="Hi"),
        audio(2, "r2"),
        audio(4, "r1"),
        ResponseEnded(response_id="r1", status="interrupted"),
    ]
    for event in events:
        delivery.put(event)
    delivery.purge("r1")
    assert delivery.dropped_ms == 5000
    delivery.purge("r1")
    delivery.purge("r3")
    assert delivery.dropped_ms == 5000
    assert [await anext(aiter(delivery)) for _ in range(4)] == [events[0], events[2], events[3], events[5]]


@virtually
async def test_purge_takes_the_audio_of_all() -> None:
    delivery = made()
    delivery.put(audio(1, "r1"))
    delivery.put(settled(1))
    delivery.put(audio(2, "r2"))
    delivery.purge()
    assert delivery.dropped_ms == 3000
    delivery.put(audio(1, "r3"))
    delivery.end(FAULT)
    assert [type(await anext(aiter(delivery))) for _ in range(3)] == [CommandSettled, OutputAudio, BackendError]


@virtually
async def test_what_a_purge_frees_is_free_once() -> None:
    delivery = made()
    for _ in range(120):
        delivery.put(audio())
    delivery.purge()
    for _ in range(120):
        delivery.put(audio())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(delivery.room(), 1)


# Promise 7: the end


@virtually
async def test_our_own_end_just_stops() -> None:
    delivery = made()
    delivery.put(audio(2))
    delivery.put(settled(1))
    delivery.end()
    assert numbers(await rest(delivery)) == ["c1"]
    assert delivery.dropped_ms == 2000
    assert await rest(delivery) == []


@virtually
async def test_a_failure_is_the_last_event_and_then_raised() -> None:
    delivery = made()
    delivery.put(settled(1))
    delivery.put(audio(1))
    await asyncio.sleep(2)
    delivery.end(FAULT)
    seen = [await anext(aiter(delivery)) for _ in range(3)]
    assert [type(event) for event in seen] == [CommandSettled, OutputAudio, BackendError]
    with pytest.raises(SessionFailed) as caught:
        await rest(delivery)
    assert seen[-1] == BackendError(fault=FAULT, fatal=True, at=2.0)
    assert caught.value.fault is FAULT
    assert delivery.dropped_ms == 0
    for _ in range(2):
        with pytest.raises(SessionFailed):
            await anext(aiter(delivery))


@pytest.mark.parametrize("failure", [None, FAULT])
def test_the_end_wakes_the_reader(failure: Fault | None) -> None:
    async def test() -> None:
        delivery = made()
        waiting = asyncio.create_task(rest(delivery))
        await some_passes()
        delivery.end(failure)
        if failure is None:
            assert await waiting == []
        else:
            with pytest.raises(SessionFailed):
                await waiting

    run_in_virtual_time(test())


@virtually
async def test_nothing_comes_after_the_end() -> None:
    delivery = made()
    delivery.end()
    late = settled(1)
    await asyncio.sleep(3)
    delivery.put(late)
    delivery.put(audio(2))
    assert await rest(delivery) == []
    assert late.at == 0.0
    assert delivery.dropped_ms == 2000


@pytest.mark.parametrize(("first", "second"), [(None, FAULT), (FAULT, None), (FAULT, FAULT)])
def test_the_first_end_counts(first: Fault | None, second: Fault | None) -> None:
    async def test() -> None:
        delivery = made()
        delivery.put(audio(1))
        delivery.end(first)
        delivery.end(second)
        seen: list[Event] = []
        try:
            async for event in delivery:
                seen.append(event)
        except SessionFailed:
            assert first is FAULT
            assert [type(event) for event in seen] == [OutputAudio, BackendError]
        else:
            assert first is None
            assert seen == []

    run_in_virtual_time(test())


class Ledger(RuleBasedStateMachine):
    """Every byte of audio is delivered, dropped or still there; other events are never dropped."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.delivery = Delivery(AudioFormat(rate=11_025), lambda: 0.0)
        self.put_bytes = self.read_bytes = 0
        self.waiting: list[Event] = []
        self.dropped_bytes = 0
        self.over = False

    @rule(size=st.integers(0, 3_000_000), response=st.sampled_from(["r1", "r2"]))
    def put_audio(self, size: int, response: str) -> None:
        event = OutputAudio(response_id=response, pcm=bytes(size), offset_ms=0.0)
        self.delivery.put(event)
        if self.over:
            self.dropped_bytes += size
        else:
            self.waiting.append(event)

    @rule()
    def put_other(self) -> None:
        event = settled(len(self.waiting))
        self.delivery.put(event)
        if not self.over:
            self.waiting.append(event)

    @rule(response=st.sampled_from(["r1", "r2", None]))
    def purge(self, response: str | None) -> None:
        self.delivery.purge(response)
        self._dropped(response)

    def _dropped(self, response: str | None) -> None:
        gone = [
            event for event in self.waiting if isinstance(event, OutputAudio) and response in (None, event.response_id)
        ]
        self.dropped_bytes += sum(len(event.pcm) for event in gone)
        self.waiting = [event for event in self.waiting if not any(event is other for other in gone)]

    @rule()
    def read(self) -> None:
        if self.waiting:
            assert self.loop.run_until_complete(anext(aiter(self.delivery))) is self.waiting.pop(0)

    @rule()
    def end(self) -> None:
        self.delivery.end()
        if not self.over:
            self._dropped(None)
        self.over = True

    @invariant()
    def books_are_balanced(self) -> None:
        assert self.delivery.dropped_ms == AudioFormat(rate=11_025).ms(self.dropped_bytes)
        undelivered = sum(len(event.pcm) for event in self.waiting if isinstance(event, OutputAudio))
        assert self.loop.run_until_complete(self._has_room()) == (undelivered < 120 * 11_025 * 2)

    async def _has_room(self) -> bool:
        asking = asyncio.ensure_future(self.delivery.room())
        await some_passes()
        return asking.done() or not asking.cancel()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


# Handed on in the moment


@virtually
async def test_what_waits_is_handed_on_first_and_then_each_event_as_it_comes() -> None:
    delivery, downstream, got = made(), made(), list[Event]()
    delivery.put(settled(1))
    handing = asyncio.create_task(delivery.hand_to(got.append, downstream))
    await some_passes()
    delivery.put(settled(2))
    assert got == [settled(1), settled(2)]  # and nobody had to be woken
    with pytest.raises(ConcurrentIteration):
        await anext(delivery)
    delivery.end()
    await handing
    assert got == [settled(1), settled(2)]


@virtually
async def test_a_failure_is_handed_on_and_then_raised() -> None:
    delivery, got = made(), list[Event]()
    handing = asyncio.create_task(delivery.hand_to(got.append, made()))
    await some_passes()
    delivery.end(FAULT)
    with pytest.raises(SessionFailed) as failed:
        await handing
    assert failed.value.fault == FAULT
    assert got == [BackendError(fault=FAULT, fatal=True)]
    with pytest.raises(SessionFailed):
        await delivery.hand_to(got.append, made())


@virtually
async def test_whoever_takes_says_whether_there_is_room() -> None:
    delivery, downstream = made(), made()
    handing = asyncio.create_task(delivery.hand_to(downstream.put, downstream))
    await some_passes()
    for _ in range(120):
        delivery.put(audio())
    assert not delivery.has_room
    waiting = asyncio.create_task(delivery.room())
    await some_passes()
    assert not waiting.done()
    await anext(downstream)
    await waiting
    assert delivery.has_room
    handing.cancel()


@virtually
async def test_once_nobody_takes_any_more_events_are_kept_again() -> None:
    delivery, got = made(), list[Event]()
    handing = asyncio.create_task(delivery.hand_to(got.append, made()))
    await some_passes()
    handing.cancel()
    await asyncio.gather(handing, return_exceptions=True)
    delivery.put(settled(1))
    delivery.end()
    assert await rest(delivery) == [settled(1)]
    assert got == []
