"""The arbiter: each row of its table, and that no request is lost or served twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicebridge.core.arbiter import Arbiter, Request


def plain(*commands: str, cause: Any = "request", **fields: Any) -> Request:
    return Request(cause=cause, answers=commands, settles=commands, **fields)


def test_idle_starts_at_once() -> None:
    arbiter = Arbiter()
    assert not arbiter.busy
    assert arbiter.ask(plain("c1")) == plain("c1")
    assert arbiter.busy
    assert arbiter.ended() is None
    assert not arbiter.busy


def test_requests_that_only_say_respond_become_one() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    assert arbiter.ask(plain("c2")) is None
    assert arbiter.ask(plain("t1", cause="user")) is None
    assert arbiter.ask(plain("c3")) is None
    assert arbiter.ended() == plain("c2", "t1", "c3")
    assert arbiter.busy
    assert arbiter.ended() is None


@pytest.mark.parametrize(
    "special",
    [{"say": "Hello."}, {"aside": True}, {"modality": "text"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_request_with_wishes_of_its_own_stays_by_itself(special: dict[str, Any]) -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    for request in (plain("c2"), plain("c3", **special), plain("c4")):
        assert arbiter.ask(request) is None
    assert [arbiter.ended() for _ in range(4)] == [plain("c2"), plain("c3", **special), plain("c4"), None]


def test_merging() -> None:
    first = plain("c1", instructions="Be short.", modality="text")
    second = plain("c2", instructions="Be kind.", modality="text", cause="user")
    assert first.merged(second) == replace(
        second, answers=("c1", "c2"), settles=("c1", "c2"), instructions="Be short.\nBe kind."
    )
    assert first.merged(replace(second, instructions=None)) == replace(
        second, answers=("c1", "c2"), settles=("c1", "c2"), instructions="Be short."
    )
    assert first.merged(replace(second, modality=None)) is None
    assert plain("c1", aside=True).merged(plain("c2", aside=True)) is None
    assert plain("c1", say="A").merged(plain("c2", say="A")) is None


def test_withdrawn_requests_are_given_back() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    arbiter.ask(plain("c2"))
    arbiter.ask(plain("c3", say="x"))
    assert arbiter.withdraw() == [plain("c2"), plain("c3", say="x")]
    assert arbiter.withdraw() == []
    assert arbiter.busy, "what runs is not held"
    assert arbiter.ended() is None


# Tools


def called(*calls: str, response: str = "r1", over: bool = True) -> Arbiter:
    """An arbiter whose running response made these calls, and is over unless told otherwise."""
    arbiter = Arbiter()
    arbiter.ask(plain("c0"))
    for call in calls:
        arbiter.open_call(call, response)
    if over:
        assert arbiter.ended(response) is None
    return arbiter


def tool(*commands: str) -> Request:
    return Request(cause="tool", answers=commands)


def test_one_request_after_the_last_call() -> None:
    arbiter = called("a", "b", "c")
    assert arbiter.knows_call("b")
    assert arbiter.answer_call("b", "c1", respond=True) is None
    assert not arbiter.knows_call("b")
    assert arbiter.answer_call("a", "c2", respond=False) is None
    assert arbiter.answer_call("c", "c3", respond=True) == tool("c1", "c3")


def test_the_last_call_need_not_be_the_one_that_wants_an_answer() -> None:
    arbiter = called("a", "b")
    assert arbiter.answer_call("a", "c1", respond=True) is None
    assert arbiter.answer_call("b", "c2", respond=False) == tool("c1")


def test_a_response_that_may_still_call_is_waited_for() -> None:
    arbiter = called("a", over=False)
    assert arbiter.answer_call("a", "c1", respond=True) is None
    arbiter.open_call("b", "r1")
    assert arbiter.answer_call("b", "c2", respond=True) is None
    assert arbiter.ended("r1") == tool("c1", "c2")
    assert arbiter.busy


def test_a_call_that_is_open_when_its_response_ends_is_waited_for() -> None:
    arbiter = called("a", "b", over=False)
    arbiter.answer_call("a", "c1", respond=True)
    assert arbiter.ended("r1") is None
    assert not arbiter.busy
    assert arbiter.answer_call("b", "c2", respond=False) == tool("c1")


def test_the_end_of_another_response_answers_no_calls() -> None:
    arbiter = called("a", over=False)
    arbiter.answer_call("a", "c1", respond=True)
    assert arbiter.ended("r0") is None
    assert arbiter.ended("r1") == tool("c1")


def test_what_was_asked_before_the_tools_were_answered_starts_first() -> None:
    arbiter = called("a", over=False)
    arbiter.ask(plain("c1", say="Wait."))
    arbiter.answer_call("a", "c2", respond=True)
    assert arbiter.ended("r1") == plain("c1", say="Wait.")
    assert arbiter.ended("r2") == tool("c2")


def test_an_answer_to_tools_joins_what_waits_already() -> None:
    arbiter = called("a", over=False)
    arbiter.ask(plain("c1"))
    arbiter.answer_call("a", "c2", respond=True)
    assert arbiter.ended("r1") == Request(cause="tool", answers=("c1", "c2"), settles=("c1",))


def test_an_answer_to_tools_waits_for_the_user_when_its_response_ends() -> None:
    arbiter = called("a", over=False)
    arbiter.answer_call("a", "c1", respond=True)
    arbiter.user_speaks = True
    assert arbiter.ended("r1") is None
    assert not arbiter.busy
    arbiter.user_speaks = False
    assert arbiter.resume() == tool("c1")


def test_results_that_nobody_wants_answered() -> None:
    arbiter = called("a")
    assert arbiter.answer_call("a", "c1", respond=False) is None
    assert not arbiter.knows_call("a")
    arbiter = called("a", over=False)
    arbiter.answer_call("a", "c1", respond=False)
    assert arbiter.ended("r1") is None


def test_a_call_that_is_never_answered_holds_up_no_other_response() -> None:
    arbiter = called("forgotten")
    arbiter.ask(plain("c1"))
    arbiter.open_call("a", "r2")
    arbiter.open_call("b", "r2")
    arbiter.ended("r2")
    assert arbiter.answer_call("a", "c1", respond=True) is None
    assert arbiter.answer_call("b", "c2", respond=True) == tool("c1", "c2")
    assert arbiter.answer_call("forgotten", "c3", respond=True) == tool("c3")


def test_a_result_of_no_open_call() -> None:
    assert Arbiter().answer_call("nobody", "c1", respond=True) is None
    arbiter = called("a")
    assert arbiter.answer_call("a", "c2", respond=True) is not None
    assert arbiter.answer_call("a", "c3", respond=True) is None


def test_withdrawing_keeps_calls_open_and_forgets_who_wanted_an_answer() -> None:
    arbiter = called("a", "b")
    arbiter.answer_call("a", "c1", respond=True)
    assert arbiter.withdraw() == []
    assert arbiter.knows_call("b")
    assert arbiter.answer_call("b", "c2", respond=True) == tool("c2")


def test_withdrawing_forgets_the_results_of_a_response_that_still_runs() -> None:
    arbiter = called("a", over=False)
    arbiter.answer_call("a", "c1", respond=True)
    arbiter.withdraw()
    assert arbiter.ended("r1") is None


# The user's floor


def test_at_first_nobody_speaks() -> None:
    assert Arbiter().ask(tool("c9")) == tool("c9")


@pytest.mark.parametrize("request_", [tool("c9"), plain("c9"), plain("t1", cause="user")], ids=lambda r: r.cause)
def test_a_request_waits_while_the_user_speaks(request_: Request) -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    assert arbiter.ask(request_) is None
    assert not arbiter.busy
    assert arbiter.resume() is None
    arbiter.user_speaks = False
    assert arbiter.resume() == request_
    assert arbiter.busy
    assert arbiter.resume() is None


def test_what_waits_for_the_user_is_one_request_where_it_can_be() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    for request in (tool("c9"), plain("c1", say="x"), plain("c2"), plain("t1", cause="user")):
        assert arbiter.ask(request) is None
    arbiter.user_speaks = False
    assert arbiter.resume() == tool("c9")
    assert arbiter.ended() == plain("c1", say="x")
    assert arbiter.ended() == plain("c2", "t1", cause="user")
    assert arbiter.ended() is None


def test_one_that_need_not_wait_takes_along_what_waits() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    arbiter.ask(tool("c9"))
    assert arbiter.ask(plain("c1", waits=False)) == Request(
        cause="request", answers=("c9", "c1"), settles=("c1",), waits=False
    )
    arbiter.user_speaks = False
    assert arbiter.ended() is None


def test_one_that_need_not_wait_goes_before_what_waits() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    arbiter.ask(tool("c9"))
    assert arbiter.ask(plain("c1", say="x", waits=False)) == plain("c1", say="x", waits=False)
    assert arbiter.ask(plain("c2", say="y", waits=False)) is None
    assert arbiter.ended() is None, "what was held behind a response waits for the user as well"
    assert not arbiter.busy
    arbiter.user_speaks = False
    assert arbiter.resume() == tool("c9")
    assert arbiter.ended() == plain("c2", say="y", waits=False)


def test_resume_does_not_disturb_what_runs() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    arbiter.ask(plain("c2", say="x"))
    assert arbiter.resume() is None
    assert arbiter.ended() == plain("c2", say="x")


class AnyOrder(RuleBasedStateMachine):
    """Every command comes back once, in order: with a response that starts, or withdrawn."""

    @initialize()
    def begin(self) -> None:
        self.arbiter = Arbiter()
        self.running: str | None = None
        self.responses = 0
        self.open_calls: dict[str, str] = {}
        self.wanted: dict[str, list[str]] = {}
        """By response, the results that want an answer."""
        self.waiting: list[str] = []
        """What was asked and has not come back, in order."""
        self.back: list[str] = []
        self.names = (f"c{number}" for number in range(10_000))

    def _starts(self, request: Request) -> None:
        assert self.running is None, "two responses run"
        assert set(request.settles) <= set(request.answers)
        self.responses += 1
        self.running = f"r{self.responses}"
        self.back += request.answers

    def _resumed(self, request: Request | None) -> None:
        """What starts by itself is the oldest, and nothing starts while the user speaks."""
        idle = self.running is None
        assert (request is not None) == (idle and not self.arbiter.user_speaks and bool(self.waiting))
        if request:
            count = len(request.answers)
            assert request.answers == tuple(self.waiting[:count])
            del self.waiting[:count]
            self._starts(request)

    def _ask(self, request: Request) -> None:
        may_start = self.running is None and not (self.arbiter.user_speaks and request.waits)
        started = self.arbiter.ask(request)
        assert (started is not None) == may_start
        if started is None:
            self.waiting += request.answers
            return
        along = started.answers[: -len(request.answers)]
        assert started.answers == (*along, *request.answers)
        assert along == tuple(self.waiting[: len(along)]), "only the oldest may come along"
        del self.waiting[: len(along)]
        self._starts(started)

    @rule(
        cause=st.sampled_from(["user", "request", "tool", "spontaneous"]),
        say=st.none() | st.just("x"),
        aside=st.booleans(),
        modality=st.sampled_from([None, "text", "audio"]),
        instructions=st.none() | st.just("i"),
        waits=st.booleans(),
    )
    def ask(self, **fields: Any) -> None:
        name = next(self.names)
        self._ask(Request(answers=(name,), settles=(name,), **fields))

    @rule(cause=st.sampled_from(["user", "request", "tool"]))
    def ask_plainly(self, cause: Any) -> None:
        self._ask(Request(cause=cause, answers=(next(self.names),)))

    @precondition(lambda self: self.running)
    @rule()
    def end(self) -> None:
        ended, self.running = self.running, None
        assert ended
        self.waiting += self._answered(ended)
        self._resumed(self.arbiter.ended(ended))

    @rule(speaks=st.booleans())
    def floor(self, speaks: bool) -> None:
        self.arbiter.user_speaks = speaks
        self._resumed(self.arbiter.resume())

    @rule()
    def withdraw(self) -> None:
        given_back = [name for request in self.arbiter.withdraw() for name in request.answers]
        assert given_back == self.waiting
        self.back += given_back
        self.waiting.clear()
        self.wanted.clear()

    @precondition(lambda self: self.running)
    @rule()
    def call(self) -> None:
        name = next(self.names)
        assert self.running
        self.arbiter.open_call(name, self.running)
        self.open_calls[name] = self.running

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), respond=st.booleans())
    def answer(self, data: st.DataObject, respond: bool) -> None:
        call = data.draw(st.sampled_from(sorted(self.open_calls)))
        response, name = self.open_calls.pop(call), next(self.names)
        if respond:
            self.wanted.setdefault(response, []).append(name)
        request = self.arbiter.answer_call(call, name, respond=respond)
        answered = self._answered(response)
        assert (request.answers if request else ()) == tuple(answered)
        if request:
            assert request.cause == "tool"
            self._ask(request)

    def _answered(self, response: str) -> list[str]:
        """The results to answer now: all of a response that is over and has no open call."""
        if response == self.running or response in self.open_calls.values():
            return []
        return self.wanted.pop(response, [])

    @invariant()
    def nothing_comes_back_twice(self) -> None:
        assert len(self.back) == len(set(self.back))
        assert self.arbiter.busy == (self.running is not None)
        assert all(self.arbiter.knows_call(call) for call in self.open_calls)

    def teardown(self) -> None:
        """Nothing is lost: all that was asked comes back when all that can has ended."""
        if not hasattr(self, "arbiter"):
            return
        self.floor(False)
        while self.running:
            self.end()
        assert not self.waiting


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_what_a_peer_refuses_to_start_comes_first_again() -> None:
    arbiter = Arbiter()
    first = arbiter.ask(Request(cause="request", answers=("a",), say="one"))
    assert first is not None
    arbiter.ask(Request(cause="request", answers=("b",), say="two"))
    arbiter.busy = False
    arbiter.put_back(first)
    assert arbiter.busy
    assert [request.answers for request in arbiter.held] == [("a",), ("b",)]
    assert arbiter.ended("another") == first


def test_results_of_calls_of_an_earlier_conversation_are_answered_after_the_last() -> None:
    arbiter = Arbiter()
    arbiter.open_earlier_calls(["a", "b"])
    assert arbiter.knows_call("a")
    assert arbiter.answer_call("a", "c1", respond=True) is None
    assert arbiter.answer_call("b", "c2", respond=True) == Request(cause="tool", answers=("c1", "c2"))
