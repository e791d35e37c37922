"""A model's calls are answered once each, in time, and away from the audio."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge import (
    ConfigError,
    OutputText,
    ResponseEnded,
    SendText,
    SendToolResult,
    SessionClosed,
    SessionConfig,
    Tool,
    ToolCall,
    ToolCallCancelled,
)
from voicebridge.session import tool_runner
from voicebridge.session.tool_runner import ToolRunner
from voicebridge.session.toolbox import Toolbox
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import loop_lag, no_leaked_tasks, no_leaked_threads
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend


class Desk:
    """A runner over functions that the tests watch."""

    def __init__(self, *functions: Callable[..., Any], **options: Any) -> None:
        self.sent: list[tuple[float, SendToolResult]] = []
        self.orphans: list[tuple[ToolCall, SendToolResult]] = []
        self.ran: list[str] = []
        self.send_fault: Exception | None = None
        self.send_s = 0.0
        options = {"orphaned": lambda call, result: self.orphans.append((call, result)), **options}
        self.runner = ToolRunner(Toolbox([self.book, *functions]), self._send, **options)

    async def book(self, name: str, wait_s: float = 0.0) -> str:
        """Book a table."""
        self.ran.append(name)
        await asyncio.sleep(wait_s)
        return f"booked for {name}"

    async def _send(self, result: SendToolResult) -> None:
        await asyncio.sleep(self.send_s)
        if self.send_fault:
            raise self.send_fault
        self.sent.append((asyncio.get_running_loop().time(), result))

    def call(self, call_id: str = "k1", name: str = "book", *, leg: object = None, **arguments: Any) -> bool:
        if name == "book":
            arguments.setdefault("name", "Ann")
        told = ToolCall(response_id="r1", call_id=call_id, name=name, arguments=json.dumps(arguments))
        return self.runner.call(told, leg=leg)

    @property
    def outputs(self) -> list[str]:
        return [result.output for _, result in self.sent]

    @property
    def lost(self) -> list[tuple[str, str]]:
        return [(call.call_id, result.output) for call, result in self.orphans]


def in_virtual_time(script: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with no_leaked_tasks(grace_s=0.0):
            await script()

    run_in_virtual_time(main())


def in_real_time(script: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with no_leaked_tasks(), no_leaked_threads():
            await script()

    asyncio.run(main())


# ---------------------------------------------------------------------- once


def test_a_call_is_answered_and_asks_for_a_response() -> None:
    async def script() -> None:
        desk = Desk()
        assert desk.call()
        assert desk.runner.open_calls == ("k1",)
        await asyncio.sleep(1)
        [(_, result)] = desk.sent
        assert (result.call_id, result.output, result.is_error, result.respond) == ("k1", "booked for Ann", False, True)
        assert desk.runner.open_calls == ()
        await desk.runner.aclose()
        assert desk.orphans == []

    in_virtual_time(script)


@pytest.mark.parametrize("pause_s", [0.0, 1.0, 5.0])
def test_a_call_that_is_told_twice_runs_once_and_is_answered_once(pause_s: float) -> None:
    async def script() -> None:
        desk = Desk()
        assert desk.call(wait_s=2.0)
        await asyncio.sleep(pause_s)
        assert desk.call(wait_s=2.0)
        await asyncio.sleep(10)
        assert desk.ran == ["Ann"]
        assert desk.outputs == ["booked for Ann"]
        await desk.runner.aclose()

    in_virtual_time(script)


def test_another_connection_that_tells_of_a_call_gets_its_result_and_nothing_runs_again() -> None:
    async def script() -> None:
        desk = Desk()
        desk.call(leg="A")
        await asyncio.sleep(1)
        desk.runner.use(Toolbox())  # also where another agent has the floor by then
        assert desk.call(leg="B")
        await asyncio.sleep(1)
        assert desk.ran == ["Ann"]
        assert desk.outputs == ["booked for Ann"] * 2
        assert len({result.id for _, result in desk.sent}) == 2  # each command has one fate
        await desk.runner.aclose()

    in_virtual_time(script)


def test_another_connection_that_tells_of_a_running_call_gets_the_one_answer() -> None:
    async def script() -> None:
        desk = Desk()
        desk.call(leg="A", wait_s=3)
        await asyncio.sleep(1)
        desk.call(leg="B", wait_s=3)
        await asyncio.sleep(9)
        assert (desk.ran, desk.outputs) == (["Ann"], ["booked for Ann"])
        await desk.runner.aclose()

    in_virtual_time(script)


def test_another_connection_that_wants_what_is_being_done_gets_its_result_under_its_own_id() -> None:
    async def script() -> None:
        desk = Desk(deadline_s=5)
        desk.call("k1", leg="A", wait_s=3)
        await asyncio.sleep(1)
        desk.call("k9", leg="B", wait_s=3)
        desk.runner.cancelled("k1")  # it went down with its connection
        assert desk.runner.open_calls == ("k9",)
        await asyncio.sleep(9)
        assert [(result.call_id, result.output) for _, result in desk.sent] == [("k9", "booked for Ann")]
        assert (desk.ran, desk.orphans) == (["Ann"], [])
        desk.call("k10", leg="C", wait_s=3)  # that was long done: another wish
        desk.call("k11", leg="C", wait_s=3)  # one connection that wants it twice means it
        await asyncio.sleep(9)
        assert len(desk.ran) == 3
        await desk.runner.aclose()

    in_virtual_time(script)


def test_a_result_that_one_of_two_connections_got_is_not_lost() -> None:
    async def script() -> None:
        desk = Desk()
        desk.call("k1", leg="A", wait_s=3)
        desk.call("k9", leg="B", wait_s=3)
        desk.send_s = 1.0
        await asyncio.sleep(4.5)
        desk.send_fault = SessionClosed("over")  # for the second
        await asyncio.sleep(9)
        assert (desk.outputs, desk.orphans) == (["booked for Ann"], [])
        await desk.runner.aclose()

    in_virtual_time(script)


def test_another_connection_that_wants_what_is_overdue_is_told_so() -> None:
    async def script() -> None:
        desk = Desk(deadline_s=5)
        desk.call("k1", leg="A", wait_s=20)
        await asyncio.sleep(10)
        desk.call("k9", leg="B", wait_s=20)
        await asyncio.sleep(90)
        assert [result.call_id for _, result in desk.sent] == ["k1", "k9"]
        assert all("takes longer than 5 s" in output for output in desk.outputs)
        assert (desk.ran, desk.lost) == (["Ann"], [("k1", "booked for Ann")])
        await desk.runner.aclose()

    in_virtual_time(script)


def test_ids_that_another_connection_uses_for_other_calls_are_other_calls() -> None:
    async def script() -> None:
        desk = Desk()
        desk.call("call-1", leg="A")
        desk.call("call-2", leg="A", wait_s=5)
        await asyncio.sleep(1)
        desk.call("call-1", leg="B", name="book", wait_s=1)
        desk.call("call-2", leg="B", name="book", wait_s=2)
        await asyncio.sleep(9)
        assert [(at, result.call_id) for at, result in desk.sent] == [(0.0, "call-1"), (2.0, "call-1"), (3.0, "call-2")]
        assert desk.lost == [("call-2", "booked for Ann")]  # under that id, it would answer the other one
        await desk.runner.aclose()

    in_virtual_time(script)


def test_results_that_were_let_go_are_answered_in_words_and_old_ids_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool_runner, "_REMEMBERED", 8)
    monkeypatch.setattr(tool_runner, "_RESULTS_KEPT", 2)

    async def script() -> None:
        desk = Desk(deadline_s=None)
        desk.call("long", wait_s=1000)
        for number in range(20):
            desk.call(f"k{number}")
            await asyncio.sleep(1)
        desk.call("k19", leg="B")
        desk.call("k15", leg="B")
        desk.call("long", leg="B", wait_s=1000)
        await asyncio.sleep(1)
        assert desk.outputs[20] == "booked for Ann"
        assert "was not run again" in desk.outputs[21]
        assert len(desk.ran) == 21
        assert len(desk.runner._calls) <= 8  # of a call that is long over not even the id is kept
        await asyncio.sleep(1000)
        assert desk.outputs[22:] == ["booked for Ann"]  # once, though it was told twice
        await desk.runner.aclose()

    in_virtual_time(script)


def test_calls_run_side_by_side() -> None:
    async def script() -> None:
        desk = Desk()
        for number, wait_s in enumerate((3.0, 1.0, 2.0)):
            desk.call(f"k{number}", name="book", wait_s=wait_s)
        await asyncio.sleep(5)
        assert [(at, result.call_id) for at, result in desk.sent] == [(1.0, "k1"), (2.0, "k2"), (3.0, "k0")]
        await desk.runner.aclose()

    in_virtual_time(script)


def test_names_of_the_application_are_left_to_it_and_unknown_ones_are_answered() -> None:
    async def script() -> None:
        desk = Desk()
        desk.runner.use(Toolbox([desk.book], others=[Tool(name="lookup")]))
        assert not desk.runner.has("lookup")
        assert not desk.call("k1", name="lookup")
        assert desk.call("k2", name="cook")
        await asyncio.sleep(1)
        [problem] = desk.outputs
        assert "'cook'" in problem
        assert "book, lookup" in problem
        desk.runner.use(Toolbox(others=[Tool(name="lookup")]))  # nothing is ours: the application knows what it wants
        assert not desk.call("k3", name="cook")
        await desk.runner.aclose()

    in_virtual_time(script)


# ---------------------------------------------------------------------- deadline


def test_after_the_deadline_the_model_reads_so_and_the_result_goes_to_the_hook() -> None:
    async def script() -> None:
        desk = Desk(deadline_s=5)
        desk.call(wait_s=8)
        await asyncio.sleep(7)
        [(at, result)] = desk.sent
        assert at == 5.0
        assert result.is_error
        assert "book takes longer than 5 s" in result.output
        assert desk.orphans == []
        assert desk.runner.open_calls == ()
        await asyncio.sleep(3)
        assert desk.lost == [("k1", "booked for Ann")]
        assert len(desk.sent) == 1
        await desk.runner.aclose()
        assert len(desk.orphans) == 1

    in_virtual_time(script)


def test_without_a_deadline_a_function_may_take_its_time() -> None:
    async def script() -> None:
        desk = Desk(deadline_s=None)
        desk.call(wait_s=3600)
        await asyncio.sleep(4000)
        assert desk.outputs == ["booked for Ann"]
        await desk.runner.aclose()

    in_virtual_time(script)


# ---------------------------------------------------------------------- confirm


@pytest.mark.parametrize(
    ("verdict", "told"),
    [(True, "booked for Ann"), (False, "not allowed"), ("Ask again tomorrow.", "Ask again tomorrow."), ("", "allowed")],
)
def test_a_hook_lets_a_call_run_or_refuses_it_in_words(verdict: bool | str, told: str) -> None:
    async def script() -> None:
        asked: list[ToolCall] = []

        async def confirm(call: ToolCall) -> bool | str:
            await asyncio.sleep(20)
            asked.append(call)
            return verdict

        desk = Desk(confirm=confirm)
        desk.call(wait_s=20)  # both fit: each has the deadline for itself
        desk.call(wait_s=20)
        await asyncio.sleep(60)
        assert [call.name for call in asked] == ["book"]
        assert told in desk.outputs[0]
        assert desk.sent[0][1].is_error == (verdict is not True)
        assert desk.ran == (["Ann"] if verdict is True else [])
        assert (len(desk.outputs), desk.orphans) == (1, [])
        await desk.runner.aclose()

    in_virtual_time(script)


@pytest.mark.parametrize("error", [ValueError("secret"), TimeoutError(), asyncio.CancelledError()])
def test_a_hook_that_raises_refuses(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async def script() -> None:
        async def confirm(call: ToolCall) -> bool:
            raise error

        desk = Desk(confirm=confirm, deadline_s=None)
        desk.call()
        await asyncio.sleep(1)
        assert desk.outputs == [
            "This call was not allowed, and nothing was done."
        ]  # what failed is no model's business
        assert desk.ran == []
        await desk.runner.aclose()

    in_virtual_time(script)
    assert "confirm failed" in caplog.text


def test_a_hook_that_gives_nothing_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async def script() -> None:
        async def confirm(call: ToolCall) -> None: ...

        desk = Desk(confirm=confirm)
        desk.call()
        await asyncio.sleep(1)
        assert ("not allowed" in desk.outputs[0], desk.ran) == (True, [])
        await desk.runner.aclose()

    in_virtual_time(script)
    assert "NoneType" in caplog.text


def test_a_hook_without_a_verdict_in_time_refuses() -> None:
    async def script() -> None:
        async def confirm(call: ToolCall) -> bool:
            await asyncio.sleep(3600)
            return True

        desk = Desk(confirm=confirm, deadline_s=4)
        desk.call()
        await asyncio.sleep(5000)
        [(at, result)] = desk.sent
        assert (at, desk.ran) == (4.0, [])
        assert "Nobody confirmed this call within 4 s" in result.output
        await desk.runner.aclose()

    in_virtual_time(script)


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_a_call_that_ends_before_it_was_confirmed_has_no_result(end: str) -> None:
    async def script() -> None:
        async def confirm(call: ToolCall) -> bool:
            await asyncio.sleep(10)
            return True

        desk = Desk(confirm=confirm)
        desk.call()
        await asyncio.sleep(1)
        if end == "cancel":
            desk.runner.cancelled("k1")
            await asyncio.sleep(60)
        await desk.runner.aclose()
        assert (desk.ran, desk.sent, desk.orphans) == ([], [], [])

    in_virtual_time(script)


def test_a_plain_hook_may_block() -> None:
    async def script() -> None:
        def confirm(call: ToolCall) -> bool:
            time.sleep(0.3)
            return True

        async with loop_lag(0.2):
            desk = Desk(confirm=confirm)
            desk.call()
            while not desk.sent:  # noqa: ASYNC110  # a thread sets it
                await asyncio.sleep(0.01)
        assert desk.outputs == ["booked for Ann"]
        await desk.runner.aclose()

    in_real_time(script)


# ---------------------------------------------------------------------- orphans


def test_a_call_that_is_cancelled_is_not_answered_and_the_hook_learns_of_it() -> None:
    async def script() -> None:
        desk = Desk()
        desk.runner.cancelled("never told")
        desk.call(wait_s=5)
        await asyncio.sleep(1)
        desk.runner.cancelled("k1")
        assert desk.runner.open_calls == ()
        await asyncio.sleep(10)
        assert desk.sent == []
        assert desk.lost == [("k1", "The function was cancelled.")]
        desk.call(wait_s=5)  # not even then
        await asyncio.sleep(10)
        assert (len(desk.ran), len(desk.orphans)) == (1, 1)
        await desk.runner.aclose()

    in_virtual_time(script)


def test_a_result_on_its_way_is_not_stopped_by_a_late_cancel() -> None:
    async def script() -> None:
        desk = Desk()
        desk.send_s = 2.0
        desk.call()
        await asyncio.sleep(1)
        desk.runner.cancelled("k1")
        await asyncio.sleep(5)
        assert (desk.outputs, desk.orphans) == (["booked for Ann"], [])
        await desk.runner.aclose()

    in_virtual_time(script)


def test_close_cancels_what_runs_and_takes_no_more_calls() -> None:
    async def script() -> None:
        desk = Desk()
        desk.call("k1", wait_s=5)
        desk.call("k2", wait_s=5)
        await asyncio.sleep(1)
        await desk.runner.aclose()
        assert sorted(desk.lost) == [("k1", "The function was cancelled."), ("k2", "The function was cancelled.")]
        assert desk.call("k3")  # ours all the same
        await asyncio.sleep(10)
        await desk.runner.aclose()
        assert (len(desk.ran), desk.sent, len(desk.orphans)) == (2, [], 2)

    in_virtual_time(script)


def test_what_a_cancelled_function_still_gives_goes_to_the_hook() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return "done all the same"

    async def script() -> None:
        desk = Desk(stubborn)
        desk.call(name="stubborn")
        await asyncio.sleep(1)
        await desk.runner.aclose()
        assert desk.lost == [("k1", "done all the same")]

    in_virtual_time(script)


def test_a_result_that_the_session_does_not_take_goes_to_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    async def script(fault: Exception) -> None:
        desk = Desk()
        desk.send_fault = fault
        desk.call()
        await asyncio.sleep(1)
        assert desk.lost == [("k1", "booked for Ann")]
        await desk.runner.aclose()

    in_virtual_time(lambda: script(SessionClosed("over")))
    assert caplog.text == ""
    in_virtual_time(lambda: script(RuntimeError("broken")))
    assert "broken" in caplog.text


def test_a_result_that_waits_for_room_at_the_close_goes_to_the_hook() -> None:
    async def script() -> None:
        desk = Desk()
        desk.send_s = 60
        desk.call()
        await asyncio.sleep(1)
        await desk.runner.aclose()
        assert (desk.sent, desk.lost) == ([], [("k1", "booked for Ann")])

    in_virtual_time(script)


def test_a_function_may_hang_up() -> None:
    async def script() -> None:
        async def hang_up() -> str:
            await desk.runner.aclose()
            return "bye"

        desk = Desk(hang_up)
        desk.call("k1", wait_s=9)
        desk.call("k2", name="hang_up")
        await asyncio.sleep(1)
        assert sorted(desk.lost) == [("k1", "The function was cancelled."), ("k2", "bye")]
        assert desk.sent == []

    in_virtual_time(script)


@pytest.mark.parametrize("hook", [None, lambda call, result: 1 / 0])
def test_without_a_hook_or_with_a_broken_one_a_lost_result_is_logged_without_what_it_says(
    hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        desk = Desk(orphaned=hook)
        desk.call(name="book", wait_s=5)
        await asyncio.sleep(1)
        await desk.runner.aclose()

    with caplog.at_level(logging.WARNING):
        in_virtual_time(script)
    assert "book" in caplog.text
    assert "Ann" not in caplog.text


# ---------------------------------------------------------------------- threads


def test_a_plain_function_never_holds_up_the_loop() -> None:
    def slow() -> str:
        time.sleep(0.4)
        return "at last"

    async def script() -> None:
        async with loop_lag(0.2):
            desk = Desk(slow)
            desk.call("k1", name="slow")
            desk.call("k2", name="slow")
            while len(desk.sent) < 2:  # noqa: ASYNC110  # a thread sets it
                await asyncio.sleep(0.01)
        assert desk.outputs == ["at last"] * 2
        await desk.runner.aclose()

    in_real_time(script)


@pytest.mark.parametrize("end", ["close", "cancel", "deadline"])
def test_what_a_thread_gives_too_late_goes_to_the_hook(end: str) -> None:
    async def script() -> None:
        go, began = threading.Event(), threading.Event()

        def slow() -> str:
            began.set()
            go.wait()
            return "at last"

        desk = Desk(slow, deadline_s=0.05 if end == "deadline" else 30)
        desk.call(name="slow")
        while not began.is_set() or (end == "deadline" and not desk.sent):  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0.01)
        if end == "cancel":
            desk.runner.cancelled("k1")
        if end == "close":
            await desk.runner.aclose()
        await asyncio.sleep(0.02)
        assert desk.orphans == []
        go.set()
        while not desk.orphans:  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0.01)
        await desk.runner.aclose()
        assert desk.lost == [("k1", "at last")]
        assert len(desk.sent) == (end == "deadline")

    in_real_time(script)


def test_what_a_thread_gives_after_the_loop_has_ended_goes_to_the_hook_in_that_thread() -> None:
    go, told = threading.Event(), threading.Event()
    orphans: list[str] = []

    def slow() -> str:
        go.wait()
        return "at last"

    def orphaned(call: ToolCall, result: SendToolResult) -> None:
        orphans.append(f"{result.output} in {threading.current_thread().name}")
        told.set()

    async def script() -> None:
        desk = Desk(slow, orphaned=orphaned)
        desk.call(name="slow")
        await asyncio.sleep(0.05)
        await desk.runner.aclose()

    asyncio.run(script())
    go.set()
    assert told.wait(10)
    assert orphans == ["at last in voicebridge tool"]


# ---------------------------------------------------------------------- size


@pytest.mark.parametrize("letter", ["a", "é", "語", "🎻"])
def test_a_long_result_is_cut_between_letters_and_the_model_is_told(letter: str) -> None:
    async def script() -> None:
        async def much(count: int) -> str:
            return letter * count

        desk = Desk(much, max_output_bytes=1000)
        fits = 1000 // len(letter.encode())
        for number, count in enumerate((fits, fits + 1, 100_000)):
            desk.call(f"k{number}", name="much", count=count)
        await asyncio.sleep(1)
        whole, *cut = sorted(desk.outputs, key=lambda output: "Cut off" in output)
        assert whole == letter * fits
        for output in cut:
            assert len(output.encode()) <= 1000
            assert len(output.encode()) > 900
            assert set(output.partition("\n")[0]) == {letter}
        assert "this was 100000 characters long" in cut[1]
        await desk.runner.aclose()

    in_virtual_time(script)


def test_settings_that_do_not_fit_are_refused_in_words() -> None:
    async def hook(call: ToolCall, result: SendToolResult) -> None: ...

    async def script() -> None:
        for options, told in (
            ({"deadline_s": 0}, "deadline_s"),
            ({"deadline_s": "5"}, "deadline_s"),
            ({"deadline_s": True}, "deadline_s"),
            ({"deadline_s": float("nan")}, "deadline_s"),
            ({"confirm": "yes"}, "confirm is a function"),
            ({"orphaned": "yes"}, "orphaned is a function"),
            ({"max_output_bytes": None}, "max_output_bytes"),
            ({"max_running": 0}, "max_running is a whole number from 1 on, not 0"),
            ({"max_running": 2.5}, "max_running"),
            ({"max_output_bytes": 10}, "max_output_bytes"),
            ({"orphaned": hook}, "plain function"),
        ):
            with pytest.raises(ConfigError, match=told):
                Desk(**options)

    in_virtual_time(script)


# ---------------------------------------------------------------------- any order


_CALL_IDS = ["a1", "a2", "b1", "b2"]
"""Those with one letter want the same, so that one connection may repeat another's wish under an id of its own."""


@given(
    ops=st.lists(
        st.one_of(
            st.tuples(st.just("call"), st.sampled_from(_CALL_IDS)),
            st.tuples(st.just("cancel"), st.sampled_from(_CALL_IDS)),
            st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 1.0, 5.0])),
            st.tuples(st.just("handover"), st.none()),
        ),
        max_size=14,
    ),
    takes_s=st.sampled_from([0.0, 1.0, 3.0, 9.0]),
    confirm_s=st.sampled_from([None, 0.5, 6.0]),
    send_s=st.sampled_from([0.0, 0.5]),
    wait_s=st.sampled_from([0.0, 60.0]),
)
@settings(max_examples=500, deadline=None)
def test_whatever_happens_a_call_runs_once_and_what_each_run_gives_is_sent_or_orphaned(
    ops: list[tuple[str, Any]], takes_s: float, confirm_s: float | None, send_s: float, wait_s: float
) -> None:
    ran: list[str] = []

    async def order(wish: str) -> str:
        ran.append(wish)
        number = len(ran)
        await asyncio.sleep(takes_s)
        return f"number {number}"

    async def confirm(call: ToolCall) -> bool:
        await asyncio.sleep(confirm_s or 0)
        return True

    async def script() -> None:
        desk = Desk(order, deadline_s=5.0, confirm=confirm if confirm_s else None)
        desk.send_s = send_s
        told, cancelled, leg = set(), set(), 1
        for op, value in ops:
            if op == "call":
                assert desk.call(value, name="order", leg=leg, wish=value[0])
                told.add(value)
            elif op == "cancel":
                desk.runner.cancelled(value)
                cancelled.add(value)
            elif op == "wait":
                await asyncio.sleep(value)
            else:
                leg += 1
        await asyncio.sleep(wait_s)
        await desk.runner.aclose()
        assert desk.runner.open_calls == ()
        for wish in "ab":
            assert ran.count(wish) <= len({call_id for call_id in told if call_id[0] == wish})
        given = {output for output in desk.outputs if output.startswith("number")}
        lost = [output for _, output in desk.lost]
        assert len(ran) == len(given) + len(lost)
        assert not given & set(lost)
        if wait_s:
            assert {result.call_id for _, result in desk.sent} >= told - cancelled

    in_virtual_time(script)


# ---------------------------------------------------------------------- with a session


def test_parallel_calls_of_a_session_are_answered_by_one_response() -> None:
    async def script() -> None:
        desk = Desk()
        calls = tuple(
            Call("book", json.dumps({"name": name, "wait_s": wait_s})) for name, wait_s in (("Ann", 2), ("Bo", 1))
        )
        backend = ScriptedBackend(Reply("Wait.", calls=calls), "Both are booked.")
        words, ended = "", 0
        async with backend.connect(SessionConfig(tools=desk.runner._toolbox.tools)) as session:
            runner = ToolRunner(desk.runner._toolbox, session.send)
            await session.send(SendText(text="Book for Ann and Bo."))
            async for event in session:
                if isinstance(event, ToolCall):
                    assert runner.call(event)
                elif isinstance(event, ToolCallCancelled):
                    runner.cancelled(event.call_id)
                elif isinstance(event, OutputText):
                    words += event.delta
                elif isinstance(event, ResponseEnded):
                    ended += 1
                    if ended == 2:
                        break
            await runner.aclose()
        assert words.endswith("Both are booked.")
        assert desk.ran == ["Ann", "Bo"]

    in_virtual_time(script)


# How many run at once

_RUN_ALREADY = "2 calls run already, and this one was not begun."


def test_no_more_calls_run_than_may() -> None:
    async def script() -> None:
        desk = Desk(max_running=2)
        for number in range(4):
            desk.call(f"k{number}", wait_s=5)
        await asyncio.sleep(1)
        assert len(desk.ran) == 2
        assert [output.startswith(_RUN_ALREADY) for output in desk.outputs] == [True, True]
        await asyncio.sleep(5)
        desk.call("k4")
        await asyncio.sleep(1)
        assert len(desk.ran) == 3
        assert desk.outputs[2:] == ["booked for Ann"] * 3

    in_virtual_time(script)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_thread_that_hangs_counts_until_it_ends(cancelled: bool) -> None:
    async def main() -> None:
        ends = threading.Event()

        def hang(number: int) -> str:
            """Hang."""
            ends.wait(20)
            return str(number)

        desk = Desk(hang, max_running=2, deadline_s=0.05)
        for number in range(4):
            desk.call(f"k{number}", "hang", number=number)
            await asyncio.sleep(0.02)
            if cancelled:
                desk.runner.cancelled(f"k{number}")
        await asyncio.sleep(0.2)
        assert sum(thread.name == "voicebridge tool" for thread in threading.enumerate()) == 2
        assert sum(output.startswith(_RUN_ALREADY) for output in desk.outputs) == 2
        ends.set()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if len(desk.orphans) == 2:
                break
        desk.call("k5", "hang", number=5)
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if "5" in desk.outputs:
                break
        assert desk.outputs[-1] == "5"
        await desk.runner.aclose()

    asyncio.run(main())


def test_a_confirm_that_hangs_in_its_thread_counts_until_it_ends() -> None:
    async def main() -> None:
        ends = threading.Event()

        def confirm(call: ToolCall) -> bool:
            return ends.wait(20)

        desk = Desk(max_running=2, deadline_s=0.05, confirm=confirm)
        for number in range(4):
            desk.call(f"k{number}")
            await asyncio.sleep(0.1)
        assert [output.startswith(_RUN_ALREADY) for output in desk.outputs] == [False, False, True, True]
        ends.set()
        for number in range(500):
            desk.call(f"again {number}")
            await asyncio.sleep(0.02)
            if desk.ran:
                break
        assert desk.ran
        await desk.runner.aclose()

    asyncio.run(main())
