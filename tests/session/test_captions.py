"""What a person reads of a conversation."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from voicebridge import (
    DOOR_FORMAT,
    BackendError,
    Capabilities,
    Event,
    Fault,
    InputTranscript,
    Interruption,
    OutputHeard,
    OutputText,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
    ToolCall,
)
from voicebridge.session.captions import Captions

READY = SessionReady(
    session_id="s", model="m", capabilities=Capabilities(), input_format=DOOR_FORMAT, output_format=DOOR_FORMAT
)
FAULT = Fault(category="protocol", message="It broke.")


def written(*events: Event | tuple[Event, Any]) -> list[str]:
    """The lines that they make; with the session as it is when they are shown."""
    out = io.StringIO()
    captions = Captions(out)
    for event in events:
        captions.show(*(event if isinstance(event, tuple) else (event,)))
    captions.close()
    return out.getvalue().splitlines()


def text(delta: str, response_id: str = "r1", **fields: Any) -> OutputText:
    return OutputText(response_id=response_id, delta=delta, **fields)


def test_each_has_a_line() -> None:
    assert written(
        READY,
        InputTranscript(turn_id="t1", text="What", final=False),
        InputTranscript(turn_id="t1", text="What is it?", final=True),
        text(" hmm", kind="thought"),
        ToolCall(response_id="r1", call_id="k", name="look", arguments="{}"),
        text(" It is\n"),
        text(" a"),
        ResponseEnded(response_id="r1", status="interrupted"),
        InputTranscript(turn_id="t2", text="", final=True, fault=FAULT),
        text("Well", "r2"),
        ResponseEnded(response_id="r2", status="failed", fault=FAULT),
        BackendError(fault=FAULT),
        text("So", "r3"),
    ) == [
        "Ready: speak. Ctrl-C ends the conversation.",
        "You: What is it?",
        "(look {})",
        "Agent: It is  a ...",
        "! It broke.",
        "Agent: Well",
        "! It broke.",
        "! It broke.",
        "Agent: So",
    ]


def interrupted(*response_ids: str, action: Any = "interrupt") -> Interruption:
    return Interruption(action=action, reason="speech", response_ids=response_ids)


def heard(words: str, *, ms: float = 500, basis: Any = "proportion", response_id: str = "r1") -> OutputHeard:
    return OutputHeard(response_id=response_id, heard_ms=ms, text=words, basis="measured", text_basis=basis)


ENDED = ResponseEnded(response_id="r1", status="completed")


def test_an_answer_that_was_cut_after_it_was_written() -> None:
    assert written(text("It is a long way."), ENDED, interrupted("r1"), heard("It is"), heard("It is a", ms=580)) == [
        "Agent: It is a long way.",
        "(you heard it up to: It is a)",
    ]


def test_once_it_was_written_it_stays_as_it_is() -> None:
    heard_first = heard("It is")
    assert written(text("It is a long way."), ENDED, interrupted("r1"), heard_first, READY, heard("It"))[1:] == [
        "(you heard it up to: It is)",
        "Ready: speak. Ctrl-C ends the conversation.",
    ]


def test_an_answer_that_was_cut_while_it_was_written() -> None:
    cut = ResponseEnded(response_id="r1", status="interrupted")
    lines = written(text("It is a"), interrupted("r1"), heard("It"), text(" long way."), cut, text("Yes?", "r2"))
    assert lines == ["Agent: It is a ...", "(you heard it up to: It)", "Agent: Yes?"]


def test_of_a_long_one_the_last_words_are_shown() -> None:
    words = "one two three four five six seven eight nine ten eleven"
    lines = written(text(words), ENDED, interrupted("r1"), heard(words))
    assert lines[1:] == ["(you heard it up to: ... five six seven eight nine ten eleven)"]


def test_an_answer_of_which_nothing_or_everything_was_heard() -> None:
    assert written(text("Yes."), ENDED, interrupted("r1"), heard("", ms=0))[1:] == ["(you heard nothing of it)"]
    assert written(text("Yes."), ENDED, interrupted("r1"), heard("Yes.", basis="whole"))[1:] == []
    assert written(text("Yes."), ENDED, heard("Y"))[1:] == []  # nobody interrupted it
    assert written(text("Yes."), ENDED, interrupted("r1", action="pause"), heard("Y"))[1:] == []


def test_the_members_of_a_team_have_their_names() -> None:
    desk, billing = (SimpleNamespace(agent=name, backend="local") for name in ("desk", "billing"))
    assert written((text("One moment."), desk), (ENDED, desk), (text("Hello.", "r2"), billing)) == [
        "Agent desk: One moment.",
        "Agent billing: Hello.",
    ]
    assert written((text("Hi."), SimpleNamespace(agent=None, backend="local"))) == ["Agent: Hi."]


def restarted(reason: Any, lost_audio_ms: float = 0.0) -> SessionRestarted:
    return SessionRestarted(ready=READY, reason=reason, carried="items", gap_ms=10, lost_audio_ms=lost_audio_ms)


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("swap", "(now local: swap)"),
        ("failover", "(now local: failover)"),
        ("drop", "(connected again)"),
        ("expiry", "(connected again)"),
        ("reconfigure", "(connected again, with other settings)"),
    ],
)
def test_a_handover(reason: str, line: str) -> None:
    assert written((restarted(reason), SimpleNamespace(agent=None, backend="local"))) == [line]


def test_a_handover_of_which_less_is_known() -> None:
    assert written(restarted("swap")) == ["(now m: swap)"]
    assert written(restarted("drop", 1230)) == ["(connected again; 1.2 s of your voice were lost)"]
