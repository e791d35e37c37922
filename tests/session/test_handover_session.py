"""A session that outlives its connections: what the application is told, and what the next connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Closed
from voicebridge.contract.commands import (
    Configure,
    Interrupt,
    ReportPlayed,
    Respond,
    SendText,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import (
    Line,
    agent,
    bench,
    fates,
    final,
    say,
    settle,
    turn,
    user,
    virtually,
    voice,
)

# What is told


@virtually
async def test_a_reset_in_the_middle_of_a_response() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 1000)
        first.tell(turn("t1", "speech", 100), turn("t1", "committed", 600), final("t1", "Tell me a story."))
        first.tell(ResponseStarted(response_id="r1", cause="user", answers=("t1",)))
        first.tell(OutputText(response_id="r1", delta="Once upon"), OutputText(response_id="r1", delta=" a time"))
        first.tell(OutputText(response_id="r1", delta="secret", kind="thought"))
        await settle()
        first.end()
        await say(b.session, 1000, 1500)
        assert [type(event).__name__ for event in b.events] == [
            "SessionReady",
            *["UserTurn"] * 2,
            "InputTranscript",
            "ResponseStarted",
            *["OutputText"] * 3,
            "ResponseEnded",
            "SessionRestarted",
        ]
        ended, restarted = b.of(ResponseEnded)[0], b.of(SessionRestarted)[0]
        assert (ended.response_id, ended.status, ended.fault and ended.fault.category) == ("r1", "lost", "network")
        assert (restarted.reason, restarted.carried, restarted.lost_audio_ms) == ("drop", "text", 0)
        assert restarted.gap_ms == pytest.approx(50), "half of the longest first wait"
        assert restarted.ready.session_id == "line"
        assert b.backend.histories == [(), (user("Tell me a story."), agent("Once upon a time"))]
        assert first.audio.startswith(voice(0, 1000)), "and perhaps more, before the loss was noticed"
        assert second.audio == voice(600, 1500), "from the end of the turn that is told as text"
        await settle(0.5)  # somebody may have been speaking
        (go_on,) = second.commands
        assert isinstance(go_on, Respond)
        assert "'Once upon a time'" in (go_on.instructions or ""), "it is asked to go on with what was lost"
        assert first.closed_by_client


@virtually
async def test_the_end_of_a_sessions_time_is_no_drop() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        first.end(Closed(by="peer", code=1001, reason="maximum duration"))
        await settle(1)
        assert [(one.reason, one.carried) for one in b.of(SessionRestarted)] == [("expiry", "none")]


@virtually
async def test_a_history_is_carried_on() -> None:
    first, second = Line(), Line()
    said = [user("Hello"), agent("Hi")]
    async with bench(first, second, history=said) as b:
        await b.session.send(SendText(text="A note", role="system", respond=False))
        await settle()
        first.end()
        await settle(1)
        assert b.backend.histories == [tuple(said), (*said, MessageItem(role="system", text="A note"))]
        assert second.commands == [], "and not as a command once more"


@virtually
async def test_names_and_times_of_a_later_connection_are_the_sessions_own() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 2000)
        for line in (first, second):
            line.tell(turn("t1", "speech", 100), turn("t1", "committed", 1000), final("t1", "Hello"))
            line.tell(ResponseStarted(response_id="r1", cause="user", answers=("t1", "c77")))
            line.tell(OutputAudio(response_id="r1", pcm=bytes(480), offset_ms=0))
            await settle(1)
            if line is first:
                line.end()
                await settle(1)
        assert [one.audio_ms for one in b.of(UserTurn)] == [100, 1000, 1100, 2000]
        assert [one.turn_id for one in b.of(InputTranscript)] == ["t1", "g2.t1"]
        assert [one.answers for one in b.of(ResponseStarted)] == [("t1", "c77"), ("g2.t1", "c77")]
        assert [one.response_id for one in b.of(OutputAudio)] == ["r1", "g2.r1"]
        running = Interrupt(response_id="g2.r1", heard={"r1": 5, "g2.r1": 7})
        lost = Interrupt(response_id="r1")
        every = Interrupt(heard={"r1": 5})
        await b.session.send(ReportPlayed(response_id="r1", ms=10))
        await b.session.send(ReportPlayed(response_id="g2.r1", ms=10))
        for command in (running, lost, every):
            await b.session.send(command)
        await settle()
        assert fates(b) == {running.id: None, lost.id: None, every.id: None}
        asked, *told = second.commands
        assert isinstance(asked, Respond)
        assert asked.instructions is None, "of the answer that was lost, nothing was heard"
        assert isinstance(told[0], ReportPlayed)
        assert told[0].response_id == "r1"
        assert told[1:] == [
            Interrupt(id=running.id, response_id="r1", heard={"r1": 7}),
            Interrupt(id=every.id, heard={}),
        ]


@virtually
async def test_a_setting_that_was_changed_survives_and_one_that_was_refused_does_not() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True) as b:
        good = Configure(patch={"instructions": "Be kind."})
        bad = Configure(patch={"instructions": "Be cruel."})
        unknown = Configure(patch={"instructions": "Be rude."})
        for command in (good, bad, unknown):
            await b.session.send(command)
        first.tell(CommandSettled(command_id=good.id))
        first.tell(CommandSettled(command_id=bad.id, fault=Fault(category="config", message="No such thing.")))
        await settle()
        first.end()
        await settle(1)
        assert b.backend.configs == [SessionConfig(), SessionConfig(instructions="Be kind.")]
        assert fates(b) == {good.id: None, bad.id: "config", unknown.id: "closed"}


# Texts of turns


@pytest.mark.parametrize("committed", [False, True])
def test_a_turn_that_is_heard_again_is_not_told_as_text(committed: bool) -> None:
    @virtually
    async def test() -> None:
        first, second, third = Line(), Line(), Line()
        async with bench(first, second, third) as b:
            await say(b.session, 0, 1000)
            first.tell(turn("t1", "speech", 0), InputTranscript(turn_id="t1", text="Tell me", final=False))
            first.tell(*[turn("t1", "committed", 900)] * committed)
            await settle()
            first.end()
            await settle(1)
            assert not b.backend.histories[-1]
            assert second.audio == voice(0, 1000)
            second.tell(turn("t1", "committed", 900), final("t1", "Tell me a story."))
            await settle()
            second.end()
            await settle(1)
            assert b.backend.histories[-1] == (user("Tell me a story."),)
            assert third.audio == voice(900, 1000)

    test()


@virtually
async def test_texts_that_come_out_of_order_or_not_at_all() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 4000)
        fault = Fault(category="content", message="Not understood.")
        first.tell(turn("t1", "committed", 1000), InputTranscript(turn_id="t1", text="", final=True, fault=fault))
        first.tell(turn("t2", "committed", 2000), turn("t3", "committed", 3000))
        first.tell(final("t3", "Third."), final("t2", "Second."))
        await settle()
        first.end()
        await settle(1)
        assert b.backend.histories[-1] == (user("Second."), user("Third."))
        assert second.audio == voice(3000, 4000)
        assert b.of(SessionRestarted)[0].lost_audio_ms == 0


@virtually
async def test_a_text_that_is_final_before_its_turn_is_over() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 1000)
        first.tell(final("t1", "First."), turn("t1", "committed", 500))
        await settle()
        first.end()
        await settle(1)
        assert b.backend.histories[-1] == (user("First."),)
        assert second.audio == voice(500, 1000)


@virtually
async def test_a_turn_that_was_discarded_is_neither_heard_nor_told() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 1000)
        first.tell(InputTranscript(turn_id="t1", text="Um", final=False), turn("t1", "discarded", 500))
        first.tell(final("t1", "Umm."))
        await settle()
        first.end()
        await settle(1)
        assert b.backend.histories[-1] == ()
        assert second.audio == voice(500, 1000)


@virtually
async def test_a_connection_that_writes_nothing_down_has_heard_a_committed_turn() -> None:
    silent = replace(LINE_CAPABILITIES, input_transcript="none")
    first, second = Line(ready=False), Line()
    first.tell(
        SessionReady(
            session_id="s", model="m", capabilities=silent, input_format=DOOR_FORMAT, output_format=DOOR_FORMAT
        )
    )
    async with bench(first, second) as b:
        await say(b.session, 0, 1000)
        first.tell(turn("t1", "committed", 500))
        await settle()
        first.end()
        await settle(1)
        assert second.audio == voice(500, 1000)


# What is not heard


@pytest.mark.parametrize("when", ["gap", "after"])
def test_an_interruption_reaches_audio_of_a_connection_that_is_gone(when: str) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second, reads=False) as b:
            first.tell(ResponseStarted(response_id="r1", cause="request"))
            first.tell(OutputAudio(response_id="r1", pcm=bytes(48_000), offset_ms=0))
            first.tell(ResponseEnded(response_id="r1", status="completed"))
            await settle()
            first.end()
            await settle(0.01 if when == "gap" else 1)
            assert (second.dialled_at is None) == (when == "gap")
            stop = Interrupt(response_id="r1")
            await b.session.send(stop)
            await settle(1)
            reader = asyncio.create_task(b.read())
            await settle()
            assert b.of(OutputAudio) == []
            assert fates(b) == {stop.id: None}
        await reader

    test()


@virtually
async def test_an_interruption_reaches_audio_that_waited_for_room() -> None:
    line = Line()
    async with bench(line, reads=False) as b:
        line.tell(ResponseStarted(response_id="r1", cause="request"))
        for second in range(130):
            line.tell(OutputAudio(response_id="r1", pcm=bytes(48_000), offset_ms=second * 1000))
        await settle(1)
        await b.session.send(Interrupt())
        reader = asyncio.create_task(b.read())
        await settle(1)
        assert b.of(OutputAudio) == []
    await reader
