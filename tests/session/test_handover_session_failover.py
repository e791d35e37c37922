"""A session that outlives its connections: other backends take over, and the preferred one is returned to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from voicebridge.contract.codec import Closed
from voicebridge.contract.commands import Configure, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
)
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.session.candidate import Candidate
from voicebridge.session.handover_session import handing_over

from .lines import (
    AUTH,
    NETWORK,
    Bench,
    Line,
    Lines,
    Refusal,
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

BUSY = Closed(by="peer", status=503)
FULL = Closed(by="peer", status=429)


def moved(b: Bench) -> list[tuple[str, float]]:
    return [(one.reason, one.lost_audio_ms) for one in b.of(SessionRestarted)]


# At the start


@virtually
async def test_first_words_reach_the_second_backend_when_the_first_refuses() -> None:
    spare = Line()
    async with bench(Refusal(AUTH, 0.3), fallbacks=[Lines([spare])]) as b:
        hello = SendText(text="Hello")
        await b.session.send(hello)
        await say(b.session, 0, 1000)
        assert len(b.of(SessionReady)) == 1
        assert not moved(b), "the application has seen one beginning"
        assert spare.heard == [hello, voice(0, 1000)]
        assert fates(b) == {hello.id: None}
        await settle(1000)
        assert len(b.backend.configs) == 1, "a key that is wrong stays wrong"


@virtually
async def test_a_slow_dial_gets_a_rival() -> None:
    slow, spare = Line(ready=False), Line()
    async with bench(slow, fallbacks=[Lines([spare])]) as b:
        early = SendText(text="Hello")
        await b.session.send(early)
        await say(b.session, 0, 500)
        assert spare.dialled_at is None
        await say(b.session, 500, 1500)
        assert spare.heard == [early, voice(0, 1500)]
        assert fates(b) == {early.id: None}, "and not closed by the one that was left"
        assert len(b.of(SessionReady)) == 1
        await settle(3)
        assert slow.closed_by_client


@virtually
async def test_when_all_fail_the_call_is_over() -> None:
    async with bench(Refusal(AUTH), fallbacks=[Lines([Refusal(AUTH)])]) as b:
        await settle(1)
        assert b.failure is not None
        assert b.failure.fault.category == "auth"
        assert isinstance(b.events[-1], BackendError)
        assert b.events[-1].fatal


class Picky(Lines):
    """It refuses every config."""

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        self.configs.append(config)
        raise ConfigError("This backend has no voices.")


@virtually
async def test_a_config_that_the_first_backend_refuses_may_fit_the_second() -> None:
    spare = Line()
    async with bench(backend=Picky([]), fallbacks=[Lines([spare])]) as b:
        await say(b.session, 0, 500)
        assert spare.audio == voice(0, 500)


@virtually
async def test_what_the_first_one_had_against_it_is_raised_when_none_takes_it() -> None:
    candidates = [Candidate.of(backend, SessionConfig()) for backend in (Picky([]), Picky([]))]
    with pytest.raises(ConfigError, match="no voices"):
        async with handing_over(SessionConfig(), candidates):
            pass


@virtually
async def test_a_fallback_whose_settings_do_not_fit_is_passed_over() -> None:
    config, spare = SessionConfig(), Line()
    bad = Candidate(spec="bad", backend=Lines([]), own={"voice": 7})
    candidates = [Candidate.of(Lines([Refusal(AUTH)]), config), bad, Candidate.of(Lines([spare]), config)]
    async with handing_over(config, candidates) as session:
        await say(session, 0, 500)
        await settle(1)
        assert spare.audio == voice(0, 500)


# In the middle


@virtually
async def test_another_backend_takes_over_and_the_preferred_one_is_returned_to() -> None:
    first, spare, again = Line(), Line(), Line()
    backup = Lines([spare])
    async with bench(first, Refusal(BUSY), again, fallbacks=[backup]) as b:
        await say(b.session, 0, 3000)
        first.tell(turn("t1", "committed", 2000), final("t1", "Hello"))
        first.tell(ResponseStarted(response_id="r1", cause="user"), ResponseEnded(response_id="r1", status="completed"))
        await settle()
        first.end()
        await say(b.session, 3000, 4000)
        assert spare.audio == voice(2000, 4000)
        assert backup.histories == [(user("Hello"),)]
        spare.tell(turn("t1", "speech", 0), turn("t1", "committed", 1000), final("t1", "And"))
        spare.tell(ResponseStarted(response_id="r1", cause="user"))
        await say(b.session, 4000, 13_500)
        assert again.dialled_at is not None, "ten seconds later"
        assert len(moved(b)) == 1, "but not in the middle of an answer"
        spare.tell(ResponseEnded(response_id="r1", status="completed"))
        await say(b.session, 13_500, 14_000)
        assert moved(b) == [("failover", 0), ("failover", 0)]
        assert spare.closed_by_client
        assert again.audio == voice(3000, 14_000)
        assert b.backend.histories[-1] == (user("Hello"), user("And"))
        await settle(200)
        assert len(moved(b)) == 2


@virtually
async def test_one_that_is_busy_for_long_is_asked_less_and_less() -> None:
    spare = Line()
    async with bench(*[Refusal(FULL) for _ in range(9)], fallbacks=[Lines([spare])]) as b:
        await settle(600)
        assert 5 <= len(b.backend.configs) <= 7
        assert not moved(b)
        await say(b.session, 0, 500)
        assert spare.audio == voice(0, 500), "the one that serves has gone on"
        assert not b.of(CommandSettled)


# Backends that misbehave


@dataclass
class Wayward:
    """A session that hangs where it is told to. Is a `VoiceSession`."""

    session: VoiceSession

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def __aiter__(self) -> Any:
        return aiter(self.session)

    async def aclose(self) -> None:
        await asyncio.Event().wait()


@dataclass
class Misbehaving(Lines):
    """A backend that hangs or raises."""

    how: str = ""

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        opened = super().connect(config, history, resume)

        @asynccontextmanager
        async def wayward() -> AsyncIterator[Any]:
            if self.how == "hangs in connect":
                await asyncio.Event().wait()
            if self.how == "raises":
                raise RuntimeError("a bug")
            async with opened as session:
                yield Wayward(session) if self.how == "hangs in close" else session
                if self.how == "hangs in exit":
                    await asyncio.Event().wait()
                if self.how == "raises in exit":
                    raise RuntimeError("a bug")

        return wayward()


@pytest.mark.parametrize("how", ["hangs in connect", "raises", "hangs in close", "hangs in exit", "raises in exit"])
def test_a_backend_that_misbehaves_takes_the_call_with_it_for_no_more_than_a_moment(how: str) -> None:
    @virtually
    async def test() -> None:
        line, spare, other = Line(), Line(), Line()
        backend = Misbehaving([line], how=how)
        loop = asyncio.get_running_loop()
        candidates = [Candidate.of(one, SessionConfig()) for one in (backend, Lines([spare]))]
        async with handing_over(SessionConfig(), candidates) as session:
            b = Bench(session, backend)
            reader = asyncio.create_task(b.read())
            await say(session, 0, 2000)
            serves = spare if how in ("hangs in connect", "raises") else line
            assert serves.audio == voice(0, 2000)
            if serves is line:
                command = Configure(patch={"backend": Candidate.of(Lines([other]), SessionConfig())})
                await session.send(command)
                await say(session, 2000, 3000)
                assert other.audio == voice(0, 3000)
                assert fates(b) == {command.id: None}
            before = loop.time()
            await session.aclose()
            assert loop.time() - before < 10
        await reader
        assert b.failure is None

    test()


@virtually
async def test_a_backend_that_hangs_when_it_is_closed_with_the_session() -> None:
    line = Line()
    backend = Misbehaving([line], how="hangs in close")
    async with bench(backend=backend) as b:
        note = SendText(text="Hello", respond=False)
        line.takes.clear()
        sending = asyncio.create_task(b.session.send(note))
        await settle()
        before = asyncio.get_running_loop().time()
        await b.session.aclose()
        assert asyncio.get_running_loop().time() - before < 10
        await asyncio.gather(sending, return_exceptions=True)
    assert b.over
    assert list(fates(b)) == [note.id]


@virtually
async def test_the_name_of_the_backend_that_has_the_call() -> None:
    first, spare = Line(), Line()
    config = SessionConfig()
    candidates = [
        Candidate.of(Lines([first, Refusal(NETWORK)]), config, "a/one"),
        Candidate.of(Lines([spare]), config, "b/two"),
    ]
    async with handing_over(config, candidates) as session:
        b = Bench(session, Lines([]))
        reader = asyncio.create_task(b.read())
        await settle(1)
        assert (session.backend, session.settings()["backend"]) == ("a/one", "a/one")
        first.end()
        await settle(2)
        assert (session.backend, session.settings()["backend"]) == ("b/two", "b/two")
        assert b.of(SessionRestarted)[0].reason == "failover"
        assert not [one for one in b.of(SessionRestarted) if one.carried != "none"]
    await reader


@virtually
async def test_a_backend_that_is_lost_again_and_again_is_left_for_one_that_is_well() -> None:
    first, second = Lines([Line() for _ in range(5)]), Lines([Line()])
    async with bench(backend=first, fallbacks=[second]) as b:
        for line in first.lines[:3]:
            await settle(6)
            assert isinstance(line, Line)
            line.end()
        await settle(1)
        assert len(first.configs) == 3
        assert b.session.backend == "Lines"
        assert len(second.configs) == 1


@virtually
async def test_a_backend_that_is_alone_and_lost_for_ever_is_given_up() -> None:
    lines = [Line() for _ in range(11)]
    async with bench(*lines) as b:
        for line in lines[:10]:
            await settle(6)
            assert not b.over
            line.end()
        await settle(6)
        assert b.over
        assert b.failure is not None
        assert lines[10].dialled_at is None
