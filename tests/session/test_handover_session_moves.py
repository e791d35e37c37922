"""A session that outlives its connections: planned moves, the next connection made before the old one is left."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import (
    Command,
    Configure,
    EndTurn,
    Interrupt,
    ReportPlayed,
    SendAudio,
    SendText,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.session.candidate import Candidate

from .exchange import ENDS, answer, exchange, moved
from .lines import (
    AUTH,
    NETWORK,
    Line,
    Lines,
    Refusal,
    agent,
    bench,
    fates,
    say,
    settle,
    turn,
    user,
    virtually,
    voice,
)


def swap(backend: Lines, **own: object) -> Configure:
    return Configure(patch={"backend": Candidate.of(backend, SessionConfig()), **own})


@virtually
async def test_a_swap_while_the_agent_speaks_waits_for_the_answer() -> None:
    first, other = Line(), Line()
    async with bench(first) as b:
        await exchange(b, first)
        first.tell(*answer("r2", "A long", ended=False))
        await settle()
        backend = Lines([other])
        command = swap(backend)
        await b.session.send(command)
        await settle(2)
        assert other.dialled_at is not None
        assert not fates(b)
        first.tell(OutputText(response_id="r2", delta=" story"), ResponseEnded(response_id="r2", status="completed"))
        await settle()
        assert fates(b) == {command.id: None}
        assert moved(b) == [("swap", 0, 0)]
        assert first.closed_by_client
        await say(b.session, 1000, 2000)
        assert other.audio == voice(1000, 2000)
        assert backend.histories == [(user("Hello"), agent("Hi"))]
        (told,) = other.commands
        assert isinstance(told, SendText)
        assert (told.role, told.text, told.respond) == ("assistant", "A long story", False)


@virtually
async def test_a_swap_while_the_user_speaks_lets_the_other_one_hear_the_whole_turn() -> None:
    first, other = Line(), Line()
    async with bench(first) as b:
        await exchange(b, first)
        first.tell(turn("t2", "speech", 2500))
        await say(b.session, 1000, 4000)
        backend = Lines([other])
        command = swap(backend, instructions="Be brief.")
        await b.session.send(command)
        await say(b.session, 4000, 5000)
        assert fates(b) == {command.id: None}
        assert [(one.turn_id, one.phase) for one in b.of(UserTurn)][-1] == ("t2", "discarded")
        assert other.heard == [voice(1000, 5000)]
        assert backend.histories == [(user("Hello"), agent("Hi"))]
        assert [config.instructions for config in backend.configs] == ["Be brief."]
        other.tell(turn("t1", "committed", 3000))
        await settle()
        assert b.of(UserTurn)[-1].audio_ms == 4000
        await settle(100)
        assert len(moved(b)) == 1, "the one that was left is not returned to"


@pytest.mark.parametrize("how", ["refused", "hangs"])
def test_a_swap_that_can_not_be_done_leaves_the_old_one_as_it_is(how: str) -> None:
    @virtually
    async def test() -> None:
        first, other = Line(), Line()
        async with bench(first) as b:
            await exchange(b, first)
            dial = Refusal(AUTH) if how == "refused" else Line(ready=False)
            command = swap(Lines([dial]), instructions="Be brief.")
            await b.session.send(command)
            await say(b.session, 1000, 2000)
            await settle(40)
            assert fates(b) == {command.id: "auth" if how == "refused" else "network"}
            assert first.audio == voice(0, 2000)
            assert not moved(b)
            assert b.session.settings()["instructions"] is None
            again = swap(Lines([other]))
            await b.session.send(again)
            await settle(1)
            assert fates(b)[again.id] is None
            assert moved(b) == [("swap", 0, 0)]

    test()


@virtually
async def test_of_two_swaps_the_later_one_is_made_and_both_are_settled() -> None:
    first, left, other = Line(), Line(ready=False), Line()
    async with bench(first) as b:
        await exchange(b, first)
        commands = [swap(Lines([left]), instructions="Be brief."), swap(Lines([other]), language="de")]
        for command in commands:
            await b.session.send(command)
        await settle(1)
        assert fates(b) == {commands[0].id: "closed", commands[1].id: None}
        assert left.closed_by_client
        assert left.heard == []
        assert len(moved(b)) == 1
        settings = b.session.settings()
        assert (settings["instructions"], settings["language"]) == ("Be brief.", "de")
        await say(b.session, 1000, 2000)
        assert other.audio == voice(1000, 2000)


@virtually
async def test_a_swap_while_a_loss_is_being_mended() -> None:
    first, second, other = Line(), Line(ready=False), Line()
    async with bench(first, second) as b:
        await exchange(b, first)
        first.end()
        await settle(0.2)
        assert second.dialled_at is not None
        held = SendText(text="Wait", respond=False)
        await b.session.send(held)
        command = swap(Lines([other]))
        await b.session.send(command)
        await say(b.session, 1000, 2000)
        assert fates(b) == {command.id: None, held.id: None}
        assert [reason for reason, _, _ in moved(b)] == ["swap"]
        assert other.commands == [held], "and not lost with the one that was left"
        assert other.audio == voice(1000, 2000)
        await settle(3)
        assert second.closed_by_client


@virtually
async def test_a_backend_that_is_none_is_refused_in_words() -> None:
    first = Line()
    async with bench(first) as b:
        with pytest.raises(ConfigError, match="backend is a spec"):
            await b.session.send(Configure(patch={"backend": 7}))
        with pytest.raises(BadOption):
            await b.session.send(Configure(patch={"speed": "fast"}))
        await say(b.session, 0, 500)
        assert first.audio == voice(0, 500)
        assert not fates(b)


# Other settings


@virtually
async def test_a_change_that_can_be_made_while_it_runs_is() -> None:
    first = Line()
    async with bench(first) as b:
        command = Configure(patch={"instructions": "Be brief."})
        await b.session.send(command)
        await settle()
        assert first.commands == [command]
        assert fates(b) == {command.id: None}
        assert b.session.settings()["instructions"] == "Be brief."


@pytest.mark.parametrize("refused", [False, True])
def test_a_change_that_can_not_be_made_while_it_runs_takes_another_connection(refused: bool) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second, settles=True) as b:
            await exchange(b, first)
            patch = {"instructions": "Be brief."} if refused else {"voice": "amy"}
            command = Configure(patch=patch)
            await b.session.send(command)
            await settle()
            if refused:
                assert first.commands == [command]
                fault = Fault(category="unsupported", message="Not while it runs.")
                first.tell(CommandSettled(command_id=command.id, fault=fault))
            await settle(1)
            assert b.backend.configs[-1] == SessionConfig(**patch)
            assert b.backend.histories[-1] == (user("Hello"), agent("Hi"))
            assert fates(b) == {command.id: None}
            assert moved(b) == [("reconfigure", 0, 0)]

    test()


@virtually
async def test_a_change_in_the_middle_of_a_renewal_reaches_the_next_connection() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await settle(10)
        first.tell(turn("t1", "speech", 0), ENDS)
        await settle(1)
        assert second.dialled_at is not None
        command = Configure(patch={"instructions": "Be brief."})
        await b.session.send(command)
        await settle()
        first.tell(turn("t1", "discarded", 0))
        await settle(1)
        assert moved(b) == [("expiry", 0, 0)]
        assert [one.patch for one in second.commands if isinstance(one, Configure)] == [{"instructions": "Be brief."}]
        assert fates(b) == {command.id: None}


@virtually
async def test_a_change_that_was_asked_for_before_a_swap_holds_after_it() -> None:
    first, other = Line(), Line()
    async with bench(first, settles=True) as b:
        change = Configure(patch={"instructions": "Be brief."})
        await b.session.send(change)
        await b.session.send(swap(Lines([other])))
        await settle(1)
        first.tell(CommandSettled(command_id=change.id))
        await settle(1)
        assert moved(b) == [("swap", 0, 0)]
        assert [one.patch for one in other.commands if isinstance(one, Configure)] == [{"instructions": "Be brief."}]
        assert b.session.settings()["instructions"] == "Be brief."


# What is left behind


@virtually
async def test_what_a_leg_says_after_the_call_was_taken_from_it_is_not_told() -> None:
    first, other = Line(), Line()
    async with bench(first) as b:
        await exchange(b, first)
        await b.session.send(swap(Lines([other])))
        for _ in range(40):  # the loop's turns: not a moment later than it is
            await asyncio.sleep(0)
            if moved(b):
                break
        before = len(b.events)
        first.tell(*answer("r9", "Nobody listens"), OutputAudio(response_id="r9", pcm=bytes(480), offset_ms=0))
        await settle(1)
        assert [event for event in b.events[before:] if not isinstance(event, CommandSettled)] == []
        stop = Interrupt(response_id="r1", heard={"r1": 10})
        await b.session.send(ReportPlayed(response_id="r1", ms=10))
        await b.session.send(stop)
        await settle()
        assert fates(b)[stop.id] is None
        assert other.commands == []


@virtually
async def test_a_greeting_of_the_next_backend_is_none_of_the_call() -> None:
    first, other = Line(), Line()
    async with bench(first) as b:
        await exchange(b, first)
        first.tell(*answer("r2", "A long story", ended=False))
        await settle()
        await b.session.send(swap(Lines([other])))
        await settle(1)
        other.tell(*answer("r1", "Welcome!", ended=False), OutputAudio(response_id="r1", pcm=bytes(480), offset_ms=0))
        await settle()
        first.tell(ResponseEnded(response_id="r2", status="completed"))
        await settle()
        assert isinstance(other.commands[0], Interrupt), "it is told to stop"
        other.tell(OutputAudio(response_id="r1", pcm=bytes(480), offset_ms=10))
        other.tell(ResponseEnded(response_id="r1", status="completed"))
        other.tell(*answer("r2", "Yes?"))
        await settle()
        assert not b.of(OutputAudio)
        assert [one.response_id for one in b.of(ResponseStarted)] == ["r1", "r2", "g2.r2"]
        assert [one.response_id for one in b.of(ResponseEnded)] == ["r1", "r2", "g2.r2"]


@virtually
async def test_audio_that_waits_for_a_leg_that_is_left_goes_to_the_next_one() -> None:
    first, other = Line(), Line()
    async with bench(first) as b:
        first.takes.clear()

        async def speak() -> None:
            for at in range(0, 29_000, 100):
                await b.session.send(SendAudio(pcm=voice(at, at + 100)))

        speaking = asyncio.create_task(speak())
        await settle(1)
        assert not speaking.done()
        command = swap(Lines([other]))
        await b.session.send(command)
        await settle(20)
        assert speaking.done()
        assert other.audio == voice(0, 29_000)
        assert fates(b) == {command.id: None}


@pytest.mark.parametrize("phase", ["dialling", "waiting", "catching up", "left", "hangs", "renewing"])
def test_closing_in_the_middle_of_a_move_leaves_nothing_behind(phase: str) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        other: Line | Refusal = Line()
        if phase == "dialling":
            other = Refusal(NETWORK, 100)
        elif phase == "hangs":
            other = Line(ready=False)
        elif phase == "catching up" and isinstance(other, Line):
            other.takes.clear()
        async with bench(first, second) as b:
            await exchange(b, first)
            if phase in ("waiting", "renewing"):
                first.tell(*answer("r2", "A long", ended=False))
                await settle()
            if phase == "renewing":
                await settle(10)
                first.tell(ENDS)
            commands: list[Command] = [] if phase == "renewing" else [swap(Lines([other]))]
            for command in [*commands, *([EndTurn()] if phase == "catching up" else [])]:
                await b.session.send(command)
                commands = commands if command in commands else [*commands, command]
            await say(b.session, 1000, 1500)
            before = asyncio.get_running_loop().time()
            await b.session.aclose()
            assert asyncio.get_running_loop().time() - before < 3
        assert b.over
        assert b.failure is None
        assert set(fates(b)) == {command.id for command in commands}
        ledger = b.session.account()
        assert ledger.closed
        assert ledger.input.pending == 0
        assert ledger.input.captured == ledger.input.delivered + sum(ledger.input.dropped.values())

    test()
