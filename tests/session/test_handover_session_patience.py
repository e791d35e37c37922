"""A session that outlives its connections: how long it tries, and what ends a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from voicebridge.contract.codec import Closed, Endpoint, Timeouts
from voicebridge.contract.commands import Command, EndTurn, SendAudio, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    BackendError,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
)
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.core.retry import RetryPolicy

from .lines import Line, Lines, Refusal, bench, fates, say, settle, turn, virtually, voice

NO_HOST = Closed(by="nobody", problem="no_such_host")


class Silent(Line):
    """A server that takes the connection and says nothing."""

    async def dial(self, endpoint: Endpoint) -> Line:
        self.dialled_at = asyncio.get_running_loop().time()
        await asyncio.sleep(1e6)
        raise AssertionError


@pytest.mark.parametrize("deadline_s", [0.5, 8.0])
@pytest.mark.parametrize("line", [Silent, lambda: Line(ready=False)], ids=["no handshake", "not ready"])
def test_the_deadline_bounds_a_connection_that_never_gets_ready(line: Any, deadline_s: float) -> None:
    @virtually
    async def test() -> None:
        first = Line()
        async with bench(first, *[line() for _ in range(5)], policy=RetryPolicy(deadline_s=deadline_s)) as b:
            await settle(20)
            first.end()
            await settle(deadline_s - 0.01)
            assert not b.over
            await settle(0.02)
            assert b.over
            assert b.failure is not None
            assert (b.failure.fault.category, b.failure.fault.code) == ("network", "timeout")

    test()


@virtually
async def test_the_deadline_ends_no_connection_that_is_ready() -> None:
    first, second = Line(), Line()
    async with bench(first, second, policy=RetryPolicy(deadline_s=1)) as b:
        first.end()
        await settle(60)
        await say(b.session, 0, 500)
        assert second.audio == voice(0, 500)


@virtually
async def test_the_first_dial_has_the_time_that_the_backend_gives_it() -> None:
    line = Line(ready=False)
    async with bench(line, policy=RetryPolicy(deadline_s=1), timeouts=Timeouts(connect_s=30)) as b:
        await settle(20)
        line.say(line.ready_line)
        await settle()
        assert not b.over
        assert len(b.events) == 1


@pytest.mark.parametrize(("lived_s", "again"), [(1.5, False), (2.5, True), (7.9, True)])
def test_a_connection_that_lived_a_while_may_be_lost_as_well(lived_s: float, again: bool) -> None:
    @virtually
    async def test() -> None:
        lines = [Line(), Line(), Line()]
        async with bench(*lines, policy=RetryPolicy(tries=1)) as b:
            await settle(60)
            lines[0].end()
            await settle(0.05)  # half of the first wait
            await settle(lived_s)
            lines[1].end()
            await settle(2)
            assert len(b.of(SessionRestarted)) == (2 if again else 1)
            assert b.over != again

    test()


@virtually
async def test_a_name_that_is_not_found_any_more_is_looked_up_again() -> None:
    first, second = Line(), Line()
    async with bench(first, Refusal(NO_HOST), second) as b:
        first.end()
        await settle(1)
        assert len(b.of(SessionRestarted)) == 1


@virtually
async def test_a_name_that_never_was_found_is_wrong() -> None:
    async with bench(Refusal(NO_HOST), Line()) as b:
        await settle(1)
        assert b.failure is not None
        assert b.failure.fault.category == "config"
        assert len(b.backend.configs) == 1


# What ends a connection


@dataclass
class Clumsy:
    """A session that fails in its own way on some of what it is sent. Is a `VoiceSession`."""

    session: VoiceSession
    fails_on: type[Command]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def __aiter__(self) -> Any:
        return aiter(self.session)

    async def send(self, command: Command) -> None:
        if isinstance(command, self.fails_on):
            raise RuntimeError("a bug")
        await self.session.send(command)


@dataclass
class SometimesClumsy(Lines):
    """Its second connection is."""

    fails_on: type[Command] = SendAudio

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        opened = super().connect(config, history, resume)
        if len(self.configs) != 2:
            return opened

        @asynccontextmanager
        async def clumsy() -> Any:
            async with opened as session:
                yield Clumsy(session, self.fails_on)

        return clumsy()


@pytest.mark.parametrize("fails_on", [SendAudio, SendText])
def test_a_connection_that_can_not_be_told_what_it_missed_is_over(fails_on: type[Command]) -> None:
    @virtually
    async def test() -> None:
        first, second, third = Line(), Line(), Line()
        backend = SometimesClumsy([first, second, third], fails_on=fails_on)
        async with bench(backend=backend) as b:
            await say(b.session, 0, 500)
            first.end()
            await settle()
            held = SendText(text="Hello")
            await b.session.send(held)
            await settle(3)
            assert second.closed_by_client
            assert third.audio == voice(0, 500)
            assert not b.over
            if fails_on is SendText:
                assert fates(b) == {held.id: "protocol"}, "it is not what the next connection fails on"
                assert third.commands == []
            else:
                assert third.commands == [held]
                assert fates(b) == {held.id: None}

    test()


# What waits


def audio(number: int) -> OutputAudio:
    return OutputAudio(response_id="r1", pcm=bytes(48_000), offset_ms=number * 1000)


@virtually
async def test_an_application_that_does_not_read_holds_the_server_back() -> None:
    line = Line()
    async with bench(line, reads=False) as b:
        line.tell(ResponseStarted(response_id="r1", cause="request"))
        taken = 0

        def waiting() -> int:
            return line._inbox.qsize()

        for number in range(400):
            line.tell(audio(number))
            await settle(0.1)
            if waiting() > 20:
                break
            taken = number
        # Two minutes here, and none in the connection.
        assert 118 <= taken <= 155
        reader = asyncio.create_task(b.read())
        await settle(5)
        assert waiting() == 0
        assert not b.of(BackendError)
    await reader


@virtually
async def test_a_command_that_was_being_told_stands_where_it_stood() -> None:
    first, second, third = Line(), Line(), Line()
    backend = Halting([first, second, third])
    async with bench(backend=backend) as b:
        await say(b.session, 0, 300)
        first.end()
        await settle()
        commands = [SendText(text="1"), SendText(text="2")]
        for number, command in enumerate(commands):
            await b.session.send(SendAudio(pcm=voice(300 + number * 100, 400 + number * 100)))
            await b.session.send(command)
        await settle(1)
        assert second.heard == [voice(0, 400)], "the first command halts"
        second.end()
        await settle(2)
        assert third.heard == [voice(0, 400), commands[0], voice(400, 500), commands[1]]
        assert fates(b) == {command.id: None for command in commands}


class Halting(SometimesClumsy):
    """Its second connection takes no text: that waits until the connection is over."""

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        opened = super(SometimesClumsy, self).connect(config, history, resume)
        if len(self.configs) != 2:
            return opened

        class Halted(Clumsy):
            async def send(self, command: Command) -> None:
                if isinstance(command, SendText):
                    await asyncio.Event().wait()
                await self.session.send(command)

        @asynccontextmanager
        async def halted() -> Any:
            async with opened as session:
                yield Halted(session, SendText)

        return halted()


@virtually
async def test_what_a_connection_had_before_it_was_ready_comes_first() -> None:
    first, second, third = Line(), Line(ready=False), Line()
    async with bench(first, second, third) as b:
        first.end()
        await settle(0.2)
        assert second.dialled_at is not None
        early = [SendText(text="1"), SendText(text="2")]
        for command in early:
            await b.session.send(command)
        second.end()
        await settle()
        late = SendText(text="3")
        await b.session.send(late)
        await settle(2)
        assert third.commands == [*early, late]


@virtually
async def test_a_server_that_never_answers_is_not_asked_for_ever() -> None:
    lines = [Line() for _ in range(9)]
    async with bench(*lines, timeouts=Timeouts(first_output_s=10)) as b:
        for line, name in zip(lines, ("t1", "t2"), strict=False):
            await say(b.session, 0, 500)
            await b.session.send(EndTurn())
            line.tell(turn(name, "committed", 500), ResponseStarted(response_id="r1", cause="user", answers=(name,)))
            await settle(12)
        assert len(b.of(SessionRestarted)) == 1
        assert b.failure is not None
        assert b.failure.fault.category == "busy"


@virtually
async def test_a_server_that_stalls_now_and_then_is_asked_again() -> None:
    lines = [Line() for _ in range(6)]
    async with bench(*lines, timeouts=Timeouts(first_output_s=10)) as b:
        for line in lines[:5]:
            await settle(5)
            line.tell(ResponseStarted(response_id="r0", cause="user"))
            line.tell(ResponseEnded(response_id="r0", status="completed"))
            line.tell(ResponseStarted(response_id="r1", cause="user"))
            await settle(12)
        assert len(b.of(SessionRestarted)) == 5
        assert not b.over
