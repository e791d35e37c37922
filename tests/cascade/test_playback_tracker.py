"""Playback of a cascade: told once it is final, told again when corrected, and the history true to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from voicebridge.cascade.playback_tracker import PlaybackTracker
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.events import OutputAudio, OutputHeard
from voicebridge.contract.items import MessageItem
from voicebridge.core.history import History
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.delivery import Delivery

TEXT = "One two three four."


class Stage:
    """A tracker with one response of a second, all received at 0 s."""

    def __init__(self) -> None:
        self.history = History()
        self.delivery = Delivery(DOOR_FORMAT, asyncio.get_running_loop().time)
        self.tracker = PlaybackTracker(self.history, self.delivery)
        self.receive("r1")

    def receive(self, response_id: str, ms: float = 1000, text: str = TEXT) -> None:
        self.history.open_response(response_id)
        self.history.say(response_id, text)
        self.tracker.received(response_id, ms, text, ())

    async def told(self) -> list[tuple[str, float, str, str]]:
        """What was told since the last time, times rounded."""
        events = []
        while self.delivery._events:
            events.append(await anext(self.delivery))
        assert all(isinstance(e, OutputHeard) for e in events)
        return [(e.response_id, round(e.heard_ms), e.text, e.basis) for e in events]

    @property
    def remembered(self) -> list[tuple[str, bool]]:
        return [(item.text, item.interrupted) for item in self.history.items() if isinstance(item, MessageItem)]


def staged(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Stage())

        run_in_virtual_time(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@staged
async def test_an_answer_that_nobody_reports_on(stage: Stage) -> None:
    stage.tracker.response_ended("r1", whole=True)
    await asyncio.sleep(0.99)
    assert await stage.told() == []
    assert stage.tracker.unsettled() == ("r1",)
    await asyncio.sleep(0.02)
    assert await stage.told() == [("r1", 1000, TEXT, "estimated")]
    assert stage.tracker.unsettled() == ()
    assert stage.remembered == [(TEXT, False)]
    assert not stage.tracker._timer


@staged
async def test_while_more_may_come_nothing_is_final(stage: Stage) -> None:
    await asyncio.sleep(10)
    assert await stage.told() == []
    stage.tracker.report("r1", 1000)
    assert await stage.told() == []


@staged
async def test_reports_to_the_end(stage: Stage) -> None:
    stage.tracker.report("r1", 500)
    stage.tracker.response_ended("r1", whole=True)
    stage.tracker.report("r1", 970)
    assert await stage.told() == []
    stage.tracker.report("r1", 985)
    assert await stage.told() == [("r1", 1000, TEXT, "measured")]
    stage.tracker.report("r1", 1000)
    await asyncio.sleep(10)
    assert await stage.told() == [], "nothing new"


@staged
async def test_a_report_before_the_end_is_known_is_enough(stage: Stage) -> None:
    stage.tracker.report("r1", 1000)
    stage.tracker.response_ended("r1", whole=True)
    assert await stage.told() == [("r1", 1000, TEXT, "measured")]
    assert not stage.tracker._timer


@staged
async def test_a_player_that_gets_on_is_waited_for(stage: Stage) -> None:
    stage.tracker.response_ended("r1", whole=True)
    for ms in range(100, 1000, 100):
        await asyncio.sleep(1)
        stage.tracker.report("r1", ms)
        if ms == 100:
            await stage.told()  # by the estimate
    assert await stage.told() == []
    stage.tracker.report("r1", 1000)
    assert await stage.told() == [("r1", 1000, TEXT, "measured")]


@staged
async def test_one_that_has_stopped_is_not(stage: Stage) -> None:
    stage.tracker.report("r1", 450)
    stage.tracker.response_ended("r1", whole=True)
    await asyncio.sleep(2.9)
    assert await stage.told() == []
    await asyncio.sleep(0.2)
    assert await stage.told() == [("r1", 450, "One two", "measured")]
    assert stage.remembered == [("One two", True)]


@staged
async def test_a_player_that_turns_out_to_be_slower_than_was_assumed(stage: Stage) -> None:
    stage.tracker.response_ended("r1", whole=True)
    await asyncio.sleep(1.1)
    assert await stage.told() == [("r1", 1000, TEXT, "estimated")]
    stage.tracker.report("r1", 500)
    assert stage.tracker.unsettled() == ("r1",), "it may still be cut"
    stage.tracker.cut(["r1"], {})
    assert await stage.told() == [("r1", 500, "One two", "measured")]
    assert stage.remembered == [("One two", True)]


@staged
async def test_cutting_by_the_estimate_and_correcting_it(stage: Stage) -> None:
    await asyncio.sleep(0.5)
    stage.tracker.cut(["r1", "nobody"], {})
    assert await stage.told() == [("r1", 500, "One two", "estimated")]
    stage.tracker.report("r1", 500.5)
    assert await stage.told() == [], "less than a millisecond is no news"
    stage.tracker.report("r1", 800)
    assert await stage.told() == [("r1", 800, "One two three", "measured")]
    assert stage.remembered == [("One two three", True)]


@staged
async def test_cutting_by_what_the_application_says(stage: Stage) -> None:
    stage.tracker.report("r1", 900)
    stage.tracker.cut(["r1"], {"r1": 0.0, "r2": 5.0})
    assert await stage.told() == [("r1", 0, "", "measured")]
    assert stage.remembered == []


@staged
async def test_what_waits_behind_a_cut_plays_at_once(stage: Stage) -> None:
    stage.receive("r2")
    stage.tracker.response_ended("r1", whole=True)
    stage.tracker.response_ended("r2", whole=True)
    await asyncio.sleep(0.5)
    stage.tracker.cut(["r1"], {})
    await asyncio.sleep(0.2)
    stage.tracker.cut(["r2"], {})
    assert await stage.told() == [("r1", 500, "One two", "estimated"), ("r2", 200, "One", "estimated")]


@staged
async def test_undelivered_audio_of_what_is_cut_is_dropped(stage: Stage) -> None:
    for response_id in ("r1", "r2"):
        stage.delivery.put(OutputAudio(response_id=response_id, pcm=bytes(480), offset_ms=0))
    stage.tracker.cut(["r1"], {})
    kept = [event.response_id for event in stage.delivery._events if isinstance(event, OutputAudio)]
    assert kept == ["r2"]


@staged
async def test_an_answer_that_broke_off_is_remembered_as_far_as_it_was_spoken(stage: Stage) -> None:
    stage.history.say("r1", " Five six")
    stage.tracker.response_ended("r1", whole=False)
    await asyncio.sleep(1.1)
    assert await stage.told() == [("r1", 1000, TEXT, "estimated")]
    assert stage.remembered == [(TEXT, True)]


@staged
async def test_nothing_was_heard(stage: Stage) -> None:
    stage.history.open_response("r2")
    stage.history.say("r2", "Never spoken.")
    assert not stage.tracker.sounds("r2")
    assert stage.tracker.sounds("r1")
    stage.tracker.heard_nothing("r2")
    assert await stage.told() == [("r2", 0, "", "measured")]
    assert stage.remembered == [(TEXT, False)]


@staged
async def test_reports_of_nobody(stage: Stage) -> None:
    stage.tracker.report("nobody", 5)
    stage.tracker.response_ended("nobody", whole=True)
    assert await stage.told() == []
    assert not stage.tracker._timer


@staged
async def test_after_the_close_nothing_is_told(stage: Stage) -> None:
    stage.tracker.response_ended("r1", whole=True)
    stage.tracker.close()
    await asyncio.sleep(10)
    assert await stage.told() == []


@pytest.mark.parametrize("reported", [None, 100.0])
def test_timers_are_let_go(reported: float | None) -> None:
    async def main() -> None:
        stage = Stage()
        for number in range(2, 100):
            stage.receive(f"r{number}", ms=50)
            stage.tracker.response_ended(f"r{number}", whole=True)
            if reported is not None:
                stage.tracker.report(f"r{number}", reported)
        await asyncio.sleep(100)
        assert not stage.tracker._timer

    run_in_virtual_time(main())
