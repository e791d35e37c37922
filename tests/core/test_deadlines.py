"""Time limits of responses: what each row of the table is about, and what does not move it."""

from __future__ import annotations

import pytest

from voicebridge.contract.codec import Timeouts
from voicebridge.contract.commands import (
    Command,
    Configure,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.deadlines import Deadlines

LIMITS = Timeouts(first_output_s=5, between_outputs_s=3, total_s=20)
STARTED = ResponseStarted(response_id="r1", cause="request")
ENDED = ResponseEnded(response_id="r1", status="completed")
AUDIO = OutputAudio(response_id="r1", pcm=b"", offset_ms=0)
OUTPUTS = [
    AUDIO,
    OutputText(response_id="r1", delta="Hi"),
    OutputText(response_id="r1", delta="Hi", kind="text"),
    ToolCall(response_id="r1", call_id="1", name="n", arguments="{}"),
]
NO_OUTPUTS = [
    OutputText(response_id="r1", delta="Hm", kind="thought"),
    UsageReported(units={}, model="m", basis="exact", response_id="r1"),
    OutputAudio(response_id="r2", pcm=b"", offset_ms=0),
    CommandSettled(command_id="c9"),
]


def watched(*told: tuple[float, Event | str], limits: Timeouts = LIMITS) -> Deadlines:
    """A string is a command that was sent."""
    deadlines = Deadlines(limits)
    for at, what in told:
        if isinstance(what, str):
            deadlines.sent(Respond(id=what), at)
        else:
            deadlines.happened(what, at)
    return deadlines


def code(deadlines: Deadlines, now: float) -> str | None:
    fault = deadlines.expired(now)
    assert fault is None or (fault.category, fault.retryable) == ("busy", True)
    return fault.code if fault else None


def test_a_request_that_nothing_answers() -> None:
    deadlines = watched((1, "c1"), (4, "c2"))
    assert code(deadlines, 6) is None
    assert code(deadlines, 6.01) == "no_response"
    deadlines.happened(CommandSettled(command_id="c1"), 6)
    assert code(deadlines, 9) is None
    assert code(deadlines, 9.01) == "no_response"
    deadlines.happened(CommandSettled(command_id="c2"), 9)
    assert code(deadlines, 999) is None


def test_a_request_waits_for_the_response_that_runs() -> None:
    deadlines = watched((0, STARTED), (1, AUDIO), (1, "c1"), (3.5, AUDIO))
    assert code(deadlines, 6.4) is None
    deadlines.happened(ENDED, 6.4)
    assert code(deadlines, 11.4) is None, "its time begins when that one has ended"
    assert code(deadlines, 11.5) == "no_response"


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_first_output(output: Event) -> None:
    assert code(watched((2, STARTED)), 7) is None
    assert code(watched((2, STARTED)), 7.1) == "no_output"
    assert code(watched((2, STARTED), (6.9, output)), 9.9) is None


@pytest.mark.parametrize("output", OUTPUTS)
def test_between_outputs(output: Event) -> None:
    told = [(0, STARTED), (1, AUDIO), (3, output)]
    assert code(watched(*told), 6) is None
    assert code(watched(*told), 6.1) == "output_stalled"


@pytest.mark.parametrize("news", NO_OUTPUTS)
def test_what_is_no_output(news: Event) -> None:
    assert code(watched((0, STARTED), (4, news)), 5.1) == "no_output"
    assert code(watched((0, STARTED), (1, AUDIO), (3, news)), 4.1) == "output_stalled"


def test_in_all() -> None:
    told = [(0.0, STARTED), *[(float(at), AUDIO) for at in range(30)]]
    assert code(watched(*told[:22]), 20) is None
    assert code(watched(*told), 20.1) == "response_too_long"
    assert code(watched(*told, (20, ENDED)), 99) is None


def test_each_response_has_its_own_time() -> None:
    second = ResponseStarted(response_id="r2", cause="request")
    deadlines = watched((0, STARTED), (1, AUDIO), (3, second), (3.5, AUDIO), (6, AUDIO))
    assert code(deadlines, 8) is None
    assert code(deadlines, 8.1) == "no_output"
    deadlines.happened(ResponseEnded(response_id="r2", status="failed"), 8.1)
    assert code(deadlines, 9) is None
    assert code(deadlines, 9.1) == "output_stalled"


def test_no_limits() -> None:
    nothing = Timeouts(first_output_s=None, between_outputs_s=None, total_s=None)
    assert code(watched((0, "c1"), limits=nothing), 1e9) is None
    assert code(watched((0, STARTED), (1, AUDIO), limits=nothing), 1e9) is None


@pytest.mark.parametrize(
    ("told", "late"),
    [([(0, "c1")], 5), ([(0, STARTED)], 5), ([(0, STARTED), (1, AUDIO)], 4)],
)
def test_time_in_which_nobody_listened_does_not_count(told: list[tuple[float, Event | str]], late: float) -> None:
    deadlines = watched(*told)
    deadlines.shift(100)
    assert code(deadlines, late + 100) is None
    assert code(deadlines, late + 100.1) is not None


def test_a_request_may_wait_for_the_user() -> None:
    """Nobody answers a text while the user speaks; once there is silence, the time begins."""
    speech = UserTurn(turn_id="t1", phase="speech", audio_ms=0)
    pause = UserTurn(turn_id="t1", phase="pause", audio_ms=50_000)
    assert watched((0, "c1"), (1, speech)).expired(60) is None
    deadlines = watched((0, "c1"), (1, speech), (50, pause))
    assert deadlines.expired(55) is None
    assert deadlines.expired(55.1) is not None


def committed(source: str = "server") -> UserTurn:
    return UserTurn(turn_id="t1", phase="committed", audio_ms=0, source=source)  # type: ignore[arg-type]  # one of its words


def test_a_user_of_whom_no_end_is_told_does_not_speak_for_ever() -> None:
    deadlines = watched((0, "c1"), (1, UserTurn(turn_id="t1", phase="speech", audio_ms=0)))
    assert code(deadlines, 61.5) == "no_response"


def test_an_ended_turn_must_be_answered() -> None:
    deadlines = Deadlines(LIMITS)
    deadlines.sent(EndTurn(id="c1"), 0)
    deadlines.happened(CommandSettled(command_id="c1"), 1)
    assert code(deadlines, 5) is None
    assert code(deadlines, 6.1) == "no_response"
    deadlines.happened(STARTED, 6)
    deadlines.happened(ENDED, 7)
    assert code(deadlines, 99) is None


@pytest.mark.parametrize(
    "spared",
    [
        EndTurn(id="c1", respond=False),
        SendText(id="c1", text="note", respond=False),
        SendToolResult(id="c1", call_id="1", output="x", respond=False),
        SendAudio(id="c1", pcm=b""),
        Configure(id="c1", patch={}),
    ],
    ids=lambda command: type(command).__name__,
)
def test_what_wants_no_answer_waits_for_none(spared: Command) -> None:
    deadlines = Deadlines(LIMITS)
    deadlines.sent(spared, 0)
    assert code(deadlines, 99) is None


def test_a_turn_that_was_none_needs_no_answer() -> None:
    deadlines = Deadlines(LIMITS)
    deadlines.sent(EndTurn(id="c1"), 0)
    deadlines.happened(CommandSettled(command_id="c1", fault=Fault(category="config", message="Empty.")), 1)
    assert code(deadlines, 99) is None


def test_the_last_of_several_results_must_be_answered() -> None:
    calls = [ToolCall(response_id="r1", call_id=one, name="n", arguments="{}") for one in "12"]
    deadlines = watched((0, STARTED), (1, calls[0]), (1, calls[1]), (2, ENDED))
    deadlines.sent(SendToolResult(id="c1", call_id="1", output="x"), 3)
    assert code(deadlines, 50) is None
    deadlines.sent(SendToolResult(id="c2", call_id="2", output="x"), 50)
    assert code(deadlines, 55.1) == "no_response"


def test_an_interruption_takes_back_what_was_wanted() -> None:
    deadlines = Deadlines(LIMITS)
    deadlines.sent(EndTurn(id="c1"), 0)
    deadlines.happened(committed(), 0)
    deadlines.sent(Interrupt(id="c2"), 1)
    assert code(deadlines, 99) is None
    assert deadlines.unanswered(99) is None


@pytest.mark.parametrize(
    ("source", "auto", "told"), [("server", True, True), ("server", False, False), ("client", True, False)]
)
def test_a_turn_that_the_backend_found_and_left_unanswered_is_told_once(source: str, auto: bool, told: bool) -> None:
    deadlines = Deadlines(LIMITS)
    deadlines.auto_respond = auto
    deadlines.happened(committed(source), 1)
    assert code(deadlines, 99) is None, "the session goes on"
    assert deadlines.unanswered(5.9) is None
    assert bool(deadlines.unanswered(6.1)) is told
    assert deadlines.unanswered(99) is None


def test_commands_that_nothing_confirms_are_named_once() -> None:
    deadlines = Deadlines(Timeouts(acknowledge_s=4))
    for number in (1, 2, 3):
        deadlines.sent(Configure(id=f"c{number}", patch={}), number)
    deadlines.happened(CommandSettled(command_id="c2"), 3)
    assert deadlines.unacknowledged(5)[0] == []
    late, fault = deadlines.unacknowledged(7.5)
    assert (late, fault.code) == (["c1", "c3"], "unacknowledged")
    assert deadlines.unacknowledged(99)[0] == []


def test_news_of_a_response_in_the_vendors_words_keep_it_alive() -> None:
    news = ProviderEvent(kind="vendor.tool", payload={"response_id": "r1"})
    other = ProviderEvent(kind="vendor.ping", payload={})
    assert code(watched((0, STARTED), (4, news)), 6) is None
    assert code(watched((0, STARTED), (4, other)), 6) == "no_output"
