"""A session that outlives its connections: when there is no other connection, and how it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

import voicebridge
from voicebridge.contract.codec import Closed, Timeouts
from voicebridge.contract.commands import (
    Command,
    Configure,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, SessionClosed, SessionFailed, Unsupported
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    SessionReady,
    SessionRestarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem
from voicebridge.contract.session import VoiceSession
from voicebridge.core.handover_effects import Effect
from voicebridge.core.retry import RetryPolicy
from voicebridge.session.candidate import Candidate
from voicebridge.session.door import connect_raw
from voicebridge.session.handover_session import handing_over
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import (
    AUTH,
    NETWORK,
    Bench,
    Line,
    Lines,
    Refusal,
    bench,
    fates,
    say,
    settle,
    turn,
    virtually,
    voice,
)

# When there is no other connection


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_tries_are_few_and_their_waits_are_short(chance: float) -> None:
    @virtually
    async def test() -> None:
        first, refusals = Line(), [Refusal(NETWORK, 0) for _ in range(5)]
        async with bench(first, *refusals, chance=lambda: chance) as b:
            started = asyncio.get_running_loop().time()
            first.end()
            await settle()
            held = SendText(text="Hello")
            if not b.session._closed:
                await b.session.send(held)
            await settle(10)
            at = [one.dialled_at - started for one in refusals if one.dialled_at is not None]
            assert at == pytest.approx([chance * sum([0.1, 0.2, 0.4, 0.8][: n + 1]) for n in range(4)], abs=0.001)
            assert b.failure is not None
            assert b.failure.fault.category == "busy"
            assert b.events[-1] == BackendError(fault=b.failure.fault, fatal=True, at=b.events[-1].at)
            assert set(fates(b).values()) <= {"closed"}
            with pytest.raises(SessionClosed):
                await b.session.send(SendAudio(pcm=b"\x00\x00"))

    test()


@virtually
async def test_what_was_held_is_settled_when_there_is_no_hope() -> None:
    first = Line()
    async with bench(first, Refusal(NETWORK, 1), Refusal(AUTH, 1)) as b:
        first.end()
        await settle()
        commands = [SendText(text="Hello"), EndTurn(), Interrupt()]
        for command in commands:
            await b.session.send(command)
            await asyncio.sleep(0.9)
        await settle(5)
        assert b.failure is not None
        assert b.failure.fault.category == "auth"
        assert fates(b) == {command.id: "closed" for command in commands}
        assert isinstance(b.events[-1], BackendError)


@virtually
async def test_what_can_not_be_mended_is_not_tried_again() -> None:
    line = Line()
    async with bench(line) as b:
        line.end(Closed(by="peer", code=1008, reason="revoked"))
        await settle()
        assert b.failure is not None
        assert (b.failure.fault.category, b.failure.fault.retryable) == ("auth", False)
        assert len(b.backend.configs) == 1


@virtually
async def test_a_servers_wish_to_wait_is_heeded() -> None:
    first, second = Line(), Line()
    busy = Refusal(Closed(by="peer", status=429, retry_after_s=3), 0)
    async with bench(first, busy, second) as b:
        first.end()
        await settle(6)
        assert busy.dialled_at is not None
        assert second.dialled_at == pytest.approx(busy.dialled_at + 3)
        assert b.of(SessionRestarted)[0].gap_ms == pytest.approx(3050)


@virtually
async def test_a_wait_beyond_the_deadline_is_none() -> None:
    line = Line()
    async with bench(line, Refusal(Closed(by="peer", status=429, retry_after_s=30), 0)) as b:
        line.end()
        await settle(1)
        assert b.failure is not None
        assert b.failure.fault.category == "rate"


@virtually
async def test_a_server_that_never_gets_ready_is_given_up() -> None:
    lines = [Line(ready=False) for _ in range(9)]
    async with bench(Line(), *lines, timeouts=Timeouts(connect_s=10)) as b:
        first = b.backend.lines[0]
        assert isinstance(first, Line)
        first.end()
        await settle(200)
        assert b.failure is not None
        assert len(b.backend.configs) <= 5


@virtually
async def test_a_server_that_dies_as_soon_as_it_is_ready_is_given_up() -> None:
    async with bench(*[Line() for _ in range(20)]) as b:
        for _ in range(20):
            if b.over:
                break
            await settle(0.01)
            lines = [line for line in b.backend.lines if isinstance(line, Line) and line.dialled_at is not None]
            lines[-1].end()
            await settle(2)
        assert b.failure is not None
        assert len(b.backend.configs) == 5


@virtually
async def test_each_misfortune_has_patience_of_its_own() -> None:
    lines = [Line() for _ in range(12)]
    async with bench(*lines) as b:
        for line in lines[:-1]:
            await settle(70)
            line.end()
        await settle(70)
        assert len(b.of(SessionRestarted)) == 11
        assert not b.over


# Errors


@virtually
async def test_a_config_that_does_not_fit_is_raised_at_once() -> None:
    class Picky(Lines):
        def connect(
            self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
        ) -> AbstractAsyncContextManager[VoiceSession]:
            raise ConfigError("This backend has no voices.")

    with pytest.raises(ConfigError, match="no voices"):
        async with voicebridge.connect(Picky([])):
            pass


@pytest.mark.parametrize("later", [False, True])
def test_a_backend_that_fails_in_its_own_way(later: bool) -> None:
    @virtually
    async def test() -> None:
        line = Line()

        class Broken(Lines):
            def connect(
                self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
            ) -> AbstractAsyncContextManager[VoiceSession]:
                if later and not self.configs:
                    return super().connect(config, history, resume)
                raise RuntimeError("a bug")

        if not later:
            with pytest.raises(RuntimeError, match="a bug"):
                async with handing_over(SessionConfig(), [Candidate.of(Broken([]), SessionConfig())]):
                    pass
            return
        async with handing_over(SessionConfig(), [Candidate.of(Broken([line]), SessionConfig())]) as session:
            b = Bench(session, Lines([]))
            reader = asyncio.create_task(b.read())
            await settle()
            line.end()
            await settle(2)
            assert b.failure is not None
            assert b.failure.fault.category == "protocol"
        await reader

    test()


@virtually
async def test_a_command_that_can_not_be_done_is_refused_or_that_is_its_fate() -> None:
    deaf = replace(LINE_CAPABILITIES, formats_in=(), inputs=frozenset({"text"}))
    first, second = Line(), Line()
    async with bench(first, second, capabilities=deaf) as b:
        with pytest.raises(Unsupported):
            await b.session.send(SendAudio(pcm=bytes(480)))
        first.end()
        await settle()
        await b.session.send(SendAudio(pcm=bytes(480)))  # nobody is there to refuse it
        hello = SendText(text="Hello")
        await b.session.send(hello)
        await settle(1)
        assert second.commands == [hello], "the session goes on"
        assert [one.fault.category for one in b.of(BackendError)] == ["unsupported"]
        with pytest.raises(Unsupported):
            await b.session.send(SendAudio(pcm=bytes(480)))


@virtually
async def test_a_text_that_was_under_way_is_given_again() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True) as b:
        hello = SendText(text="Hello")
        await b.session.send(hello)
        await settle()
        first.end()
        await settle(1)
        assert b.backend.histories[-1] == (), "it is not told twice"
        assert second.heard == [hello]
        assert fates(b) == {}
        second.tell(CommandSettled(command_id=hello.id))
        await settle()
        assert fates(b) == {hello.id: None}
        assert [item.text for item in b.session.briefing.seed() if isinstance(item, MessageItem)] == ["Hello"]


@pytest.mark.parametrize("command", [SendText(text="A note.", respond=False), Respond(aside=True)])
def test_a_command_that_nobody_waits_for_and_was_under_way_fails(command: Command) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second, settles=True) as b:
            await b.session.send(command)
            await settle()
            first.end()
            await settle(1)
            assert fates(b) == {command.id: "closed"}
            assert second.heard == []
            assert b.backend.histories[-1] == ()

    test()


# The end


@pytest.mark.parametrize(
    "phase", ["at once", "dialing", "not ready", "waiting", "catching up", "full", "running", "over"]
)
def test_closing_leaves_nothing_behind(phase: str) -> None:
    @virtually
    async def test() -> None:
        first = Line()
        second: Line | Refusal = Line(ready=phase != "not ready")
        if phase == "dialing":
            second = Refusal(NETWORK, 100)
        if phase == "over":
            second = Refusal(AUTH)
        if phase == "catching up" and isinstance(second, Line):
            second.takes.clear()
        commands: list[Command] = []
        loop = asyncio.get_running_loop()
        async with bench(first, second, chance=lambda: 1.0, reads=phase != "full") as b:
            await say(b.session, 0, 3000)
            if phase == "full":
                first.tell(ResponseStarted(response_id="r1", cause="request"))
                for _ in range(150):
                    first.tell(OutputAudio(response_id="r1", pcm=bytes(48_000), offset_ms=0))
                await settle()
            elif phase not in ("at once", "running"):
                first.end()
                await settle(0.05 if phase == "waiting" else 0.3)
                assert (second.dialled_at is None) == (phase == "waiting")
            if phase != "over":
                commands = [SendText(text="Hello"), EndTurn()]
                for command in commands:
                    await b.session.send(command)
                await settle()
            before = loop.time()
            await b.session.aclose()
            assert loop.time() - before < 3
            await b.session.aclose()
            if phase == "full":
                await b.read()
            await settle()
            with pytest.raises(SessionClosed):
                await b.session.send(EndTurn())
        assert b.over
        assert (b.failure is None) == (phase != "over")
        assert set(fates(b)) == {command.id for command in commands}

    test()


@virtually
async def test_closing_with_a_full_queue_of_early_audio_settles_what_waits() -> None:
    first, second = Line(), Line(ready=False)
    patient = RetryPolicy(deadline_s=1e6)
    async with bench(first, second, timeouts=Timeouts(connect_s=None), policy=patient) as b:
        first.end()
        await settle(1)
        early = SendText(text="early")
        await b.session.send(early)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await say(b.session, 0, 99_000, 1_000)
        late = SendText(text="late")
        await b.session.send(late)
    assert fates(b) == {early.id: "closed", late.id: "closed"}


@virtually
async def test_the_door_opens_a_session_that_outlives_its_connections() -> None:
    first, second = Line(), Line()
    backend = Lines([first, second])
    seen: list[Event] = []
    async with voicebridge.connect(backend) as session:
        async for event in session:
            seen.append(event)
            if isinstance(event, SessionReady):
                await session.send(SendAudio(pcm=voice(0, 500)))
                await asyncio.sleep(0.1)
                first.end()
            if isinstance(event, SessionRestarted):
                await session.send(SendAudio(pcm=voice(500, 1000)))
                await asyncio.sleep(0.1)
                break
    assert [type(event) for event in seen] == [SessionReady, SessionRestarted]
    assert second.audio == voice(0, 1000)


@virtually
async def test_to_a_raw_session_a_lost_connection_is_the_end() -> None:
    line = Line()
    async with connect_raw(Lines([line])) as session:
        assert isinstance(await anext(aiter(session)), SessionReady)
        line.end()
        assert isinstance(await anext(aiter(session)), BackendError)
        with pytest.raises(SessionFailed):
            await anext(aiter(session))


@virtually
async def test_the_door_takes_a_policy() -> None:
    line = Line()
    backend = Lines([line, Refusal(NETWORK)])
    async with voicebridge.connect(backend, retry=voicebridge.RetryPolicy(tries=0)) as session:
        assert isinstance(await anext(aiter(session)), SessionReady)
        line.end()
        assert isinstance(await anext(aiter(session)), BackendError)
    assert len(backend.configs) == 1


# When a rule ends it, or what is inside fails

_LIMIT = Fault(category="closed", code="limit_reached", message="The call is over.")


@pytest.mark.parametrize("phase", ["ready", "dialling", "redialling", "moving"])
def test_before_a_rule_ends_it_all_that_was_asked_and_begun_has_its_end(phase: str) -> None:
    @virtually
    async def test() -> None:
        first = Line(ready=phase != "dialling")
        async with bench(first, Line(ready=False), settles=True) as b:
            if phase == "redialling":
                first.end()
                await settle(0.5)
            running = phase in ("ready", "moving")
            if running:
                first.tell(ResponseStarted(response_id="r1", cause="user"), turn("u1", "speech", 0))
            await settle()
            commands: list[Command] = [SendText(text="Hello"), EndTurn(), Interrupt()]
            if phase == "moving":
                commands.append(Configure(patch={"model": "another"}))
            for command in commands:
                await b.session.send(command)
            await settle()
            await b.session.end(_LIMIT)
            await settle()
            assert fates(b) == {command.id: "closed" for command in commands}
            assert [one.status for one in b.of(ResponseEnded)] == (["lost"] if running else [])
            assert isinstance(b.events[-1], BackendError)
            assert b.failure is not None
            assert b.failure.fault == _LIMIT

    test()


@pytest.mark.parametrize("where", ["failed", "due", "moved", "want"])
def test_what_fails_inside_ends_it_and_is_told(where: str, caplog: pytest.LogCaptureFixture) -> None:
    @virtually
    async def test() -> None:
        def broken(*args: object, **kwargs: object) -> Sequence[Effect[Candidate]]:
            raise TypeError("a bug")

        first = Line()
        async with bench(first, Line(ready=False), settles=True) as b:
            waits = SendText(text="Hello")
            await b.session.send(waits)
            if where == "moved":
                await b.session.send(Configure(patch={"model": "another"}))
            setattr(b.session._legs.plan, where, broken)
            if where == "failed":
                first.end()
            elif where == "due":
                first.tell(SessionNotice(expires_in_s=30))
                await settle(60)
            elif where == "moved":
                first.tell(turn("u1", "speech", 0))
            else:
                await b.session.send(Configure(patch={"model": "another"}))
            await settle(1)
            assert b.failure is not None
            assert b.failure.fault.code == "session_failed"
            assert "TypeError" in b.failure.fault.message
            assert fates(b)[waits.id] == "closed"
            assert isinstance(b.events[-1], BackendError)
            with pytest.raises(SessionClosed):
                await b.session.send(SendText(text="Are you there?"))
        assert "A session failed" in caplog.text

    test()
