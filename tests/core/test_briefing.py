"""What a new connection is opened with and told, after all that happened on earlier ones."""

from __future__ import annotations

from typing import Any

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import EndTurn, Interrupt, SendText, SendToolResult
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem
from voicebridge.core.backlog import Due
from voicebridge.core.briefing import Briefing
from voicebridge.core.chronicle import Chronicle

LATE = Capabilities(input_transcript="late")
HELLO = MessageItem(role="user", text="Hello")
SECOND = bytes(DOOR_FORMAT.size(1000))


def briefing() -> Briefing:
    return Briefing(Chronicle((HELLO,)), DOOR_FORMAT, LATE)


def taken_over(told: Briefing) -> tuple[float, bool, str | None]:
    """From where another connection hears the user, whether it is asked to answer, and to go on with what."""
    start_ms = told.take_over()
    return start_ms, told.answer_due.unasked, told.answer_due.cut


def committed(name: str, ms: float, source: Any = "server") -> UserTurn:
    return UserTurn(turn_id=name, phase="committed", audio_ms=ms, source=source)


def text(name: str, words: str, *, final: bool = True) -> InputTranscript:
    return InputTranscript(turn_id=name, text=words, final=final)


def test_the_first_connection_knows_what_was_said_before() -> None:
    told = briefing()
    assert told.seed() == (HELLO,)
    assert taken_over(told) == (0, False, None)


def test_a_turn_is_told_as_text_or_heard_again_and_ended_again() -> None:
    told, end = briefing(), EndTurn()
    told.heard(SECOND)
    told.given(Due(len(SECOND), end))
    told.happened(committed("t1", 1000, "client"))
    told.happened(text("t1", "One", final=False))
    assert told.seed() == (HELLO,)
    assert taken_over(told) == (0, False, None), "the turn that is heard again is answered by itself"
    assert [told.backlog.next(), told.backlog.next()] == [SECOND, Due(len(SECOND), end, again=True)]
    told.repeated(Due(len(SECOND), end, again=True))
    told.happened(committed("g2.t1", 1000, "client"))
    told.happened(text("g2.t1", "One"))
    assert told.seed() == (HELLO, MessageItem(role="user", text="One"))
    assert taken_over(told) == (1000, True, None), "nobody has answered the words that it is told"
    assert told.backlog.next() is None


def test_a_turn_under_way_is_over_and_heard_again() -> None:
    told = briefing()
    told.heard(SECOND)
    told.happened(UserTurn(turn_id="t1", phase="speech", audio_ms=200))
    told.happened(text("t1", "One", final=False))
    assert told.user_speaks
    assert told.lost() == [UserTurn(turn_id="t1", phase="discarded", audio_ms=1000, source="inferred")]
    assert told.lost() == []
    assert not told.user_speaks
    assert told.seed() == (HELLO,)
    assert taken_over(told) == (0, False, None)
    assert told.backlog.next() == SECOND


def test_what_an_early_connection_had_is_not_told_as_history() -> None:
    told, look = briefing(), SendText(text="Look")
    due = Due(0, look)
    told.given(due)
    told.backlog.given_early(due)
    told.take_back()
    assert told.seed() == (HELLO,)
    assert taken_over(told) == (0, False, None), "it asks for its answer itself"
    assert told.backlog.next() == due


def test_an_answer_that_was_lost_is_gone_on_with_unless_nobody_wants_it() -> None:
    def lost(*after: Any) -> tuple[float, bool, str | None]:
        told = briefing()
        told.happened(ResponseStarted(response_id="r1", cause="user"))
        told.happened(OutputText(response_id="r1", delta="Once"))
        told.happened(ResponseEnded(response_id="r1", status="lost"))
        for one in after:
            told.heeded(one) if isinstance(one, Interrupt) else told.happened(one)
        return taken_over(told)

    assert lost() == (0, True, "r1")
    assert lost(Interrupt()) == (0, False, None)
    assert lost(Interrupt(response_id="r1")) == (0, False, None)
    assert lost(Interrupt(response_id="r0")) == (0, True, "r1"), "it was about another one"
    assert lost(UserTurn(turn_id="t2", phase="speech", audio_ms=0)) == (0, False, None)


def test_a_call_that_was_lost_is_answered_by_its_result() -> None:
    told = briefing()
    told.happened(ResponseStarted(response_id="r1", cause="user"))
    told.happened(ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}"))
    told.happened(ResponseEnded(response_id="r1", status="lost"))
    assert taken_over(told) == (0, False, None)
    result = SendToolResult(call_id="k1", output="sunny")
    told.given(Due(0, result))
    assert taken_over(told) == (0, True, None), "the result went down with its connection, or did not"
    told.happened(ResponseStarted(response_id="r2", cause="tool"))
    told.happened(ResponseEnded(response_id="r2", status="completed"))
    told.given(Due(0, result))
    told.happened(CommandSettled(command_id=result.id, fault=Fault(category="closed", message="Closed.")))
    assert taken_over(told) == (0, False, None), "its owner knows that it was not taken"


def test_what_was_said_since_a_connection_was_opened() -> None:
    told = briefing()
    seed = told.seed()
    assert told.missing(seed) == ()
    told.heard(SECOND)
    told.happened(committed("t1", 500))
    told.happened(text("t1", "One"))
    assert told.missing(seed) == (MessageItem(role="user", text="One"),)
    told.happened(ResponseStarted(response_id="r1", cause="user"))
    told.happened(ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}"))
    assert told.missing(seed) is None, "a call can't be told by adding a message"


def test_words_that_changed_since_can_not_be_added() -> None:
    told = briefing()
    told.happened(ResponseStarted(response_id="r1", cause="user"))
    told.happened(OutputText(response_id="r1", delta="Once"))
    seed: tuple[Item, ...] = told.seed()
    told.happened(OutputText(response_id="r1", delta=" upon a time"))
    assert told.missing(seed) is None


def test_audio_that_nobody_will_ask_for_is_let_go_of_though_not_with_each_piece() -> None:
    told, piece = briefing(), bytes(DOOR_FORMAT.size(20))
    for _ in range(50 * 60):
        told.heard(piece)
    audio = told.backlog.audio
    assert audio.end == 60 * len(SECOND)
    assert 30 <= (audio.end - audio.start) / len(SECOND) <= 31.2  # what is kept, and what is not worth the looking
    told.happened(committed("t1", 60_000))
    told.happened(text("t1", "One"))
    for _ in range(10):
        told.heard(piece)
    assert audio.end - audio.start <= 1.2 * len(SECOND)
