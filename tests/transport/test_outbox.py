"""What waits to be written: nothing overtakes a commit, and only what is urgent passes audio."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.events import CommandSettled
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.outbox import Outbox, Outgoing


@dataclass(frozen=True)
class Put:
    kind: str
    """`audio`, `frame` or `urgent`."""
    count: int


STEPS = st.lists(
    st.none() | st.builds(Put, st.sampled_from(["audio", "frame", "urgent"]), st.integers(0, 3)), max_size=40
)
"""None takes."""


@given(STEPS)
def test_order_holds_for_any_interleaving(steps: list[Put | None]) -> None:
    outbox, put, taken = Outbox(100), list[str](), list[str]()

    def take() -> None:
        head = outbox.peek()
        assert head is not None
        assert outbox.peek() is head, "looking takes nothing"
        outbox.take()
        assert isinstance(head[0], str)
        taken.append(head[0])

    for step in steps:
        if step is None:
            if len(outbox):
                take()
            continue
        items = [f"{step.kind} {len(put) + number}" for number in range(step.count)]
        put += items
        if step.kind == "urgent":
            outbox.put_urgent(items)
        else:
            outbox.put(items, audio_bytes=10 if step.kind == "audio" else 0)
    while len(outbox):
        take()
    assert outbox.peek() is None
    assert outbox.audio_bytes == 0
    assert sorted(taken) == sorted(put), "all comes, and once"
    place = {item: number for number, item in enumerate(taken)}
    for number, earlier in enumerate(put):
        for later in put[number + 1 :]:
            may_pass = earlier.startswith("audio") and later.startswith("urgent")
            assert may_pass or place[earlier] < place[later], f"{later} has overtaken {earlier}"


def test_what_is_urgent_passes_the_audio_at_the_end_and_no_more() -> None:
    outbox = Outbox(1_000)
    outbox.put(["a1", "a2"], audio_bytes=10)
    outbox.put(["commit"])
    outbox.put(["a3"], audio_bytes=10)
    outbox.put_urgent(["stop", "cut"])
    outbox.put_urgent(["again"])
    taken: list[Outgoing] = []
    while head := outbox.peek():
        outbox.take()
        taken.append(head[0])
    assert taken == ["a1", "a2", "commit", "stop", "cut", "again", "a3"]


def test_events_wait_in_the_same_line() -> None:
    outbox, settled = Outbox(10), CommandSettled(command_id="c1")
    outbox.put(["frame", settled])
    outbox.put_urgent(["stop"])
    taken: list[Outgoing] = []
    while head := outbox.peek():
        outbox.take()
        taken.append(head[0])
    assert taken == ["frame", settled, "stop"]


async def waits(outbox: Outbox) -> bool:
    try:
        async with asyncio.timeout(1):
            await outbox.room()
    except TimeoutError:
        return True
    return False


def test_audio_is_bounded_and_all_else_is_not() -> None:
    async def test() -> None:
        outbox = Outbox(100)
        outbox.put(["a"] * 9, audio_bytes=11)
        assert not await waits(outbox)
        outbox.put(["x" * 1_000] * 1_000)
        outbox.put_urgent(["y"] * 1_000)
        assert not await waits(outbox)
        outbox.put(["b"], audio_bytes=1)
        assert (outbox.audio_bytes, await waits(outbox)) == (100, True)
        outbox.take()
        assert (outbox.audio_bytes, await waits(outbox)) == (89, False)
        outbox.put(["c"], audio_bytes=500)
        waiting = asyncio.create_task(outbox.room())
        assert await waits(outbox)
        outbox.clear()
        await waiting
        assert (len(outbox), outbox.audio_bytes) == (0, 0)

    run_in_virtual_time(test())


@pytest.mark.parametrize("how", ["put", "put_urgent", "wake"])
def test_the_writer_is_woken(how: str) -> None:
    async def test() -> None:
        outbox = Outbox(100)
        waiting = asyncio.create_task(outbox.changed())
        await asyncio.sleep(1)
        assert not waiting.done()
        outbox.wake() if how == "wake" else getattr(outbox, how)(["frame"])
        await waiting

    run_in_virtual_time(test())
