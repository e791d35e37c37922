"""What a new connection is opened with, after all that happened on earlier ones."""

from __future__ import annotations

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Configure, EndTurn, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled, InputTranscript, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.core.backlog import Due
from voicebridge.core.briefing import Briefing, Opening

LATE = Capabilities(input_transcript="late")
HELLO = MessageItem(role="user", text="Hello")
SECOND = bytes(DOOR_FORMAT.size(1000))


def briefing() -> Briefing:
    return Briefing(SessionConfig(), (HELLO,), DOOR_FORMAT, LATE)


def test_the_first_connection_knows_what_was_said_before() -> None:
    assert briefing().open() == Opening(SessionConfig(), (HELLO,), 0)


def test_what_was_settled_well_is_a_setting() -> None:
    told = briefing()
    changes = [Configure(patch={"instructions": "Be kind."}), Configure(patch={"voice": "x"}), Configure(patch={})]
    for change in changes:
        told.given(Due(0, change))
    told.happened(CommandSettled(command_id=changes[0].id))
    told.happened(CommandSettled(command_id=changes[1].id, fault=Fault(category="config", message="No.")))
    assert told.open().config == SessionConfig(instructions="Be kind.")


def test_a_turn_is_told_as_text_or_heard_again_and_ended_again() -> None:
    told, end = briefing(), EndTurn()
    told.heard(SECOND)
    told.given(Due(len(SECOND), end))
    told.happened(UserTurn(turn_id="t1", phase="committed", audio_ms=1000))
    told.happened(InputTranscript(turn_id="t1", text="One", final=False))
    assert told.open() == Opening(SessionConfig(), (HELLO,), 0)
    assert [told.backlog.next(), told.backlog.next()] == [SECOND, Due(len(SECOND), end, again=True)]
    told.happened(UserTurn(turn_id="g2.t1", phase="committed", audio_ms=1000))
    told.happened(InputTranscript(turn_id="g2.t1", text="One", final=True))
    assert told.open() == Opening(SessionConfig(), (HELLO, MessageItem(role="user", text="One")), 1000)
    assert told.backlog.next() is None


def test_a_turn_under_way_is_over_and_heard_again() -> None:
    told = briefing()
    told.heard(SECOND)
    told.happened(UserTurn(turn_id="t1", phase="speech", audio_ms=200))
    told.happened(InputTranscript(turn_id="t1", text="One", final=False))
    assert told.lost() == [UserTurn(turn_id="t1", phase="discarded", audio_ms=1000, source="inferred")]
    assert told.lost() == []
    assert told.open() == Opening(SessionConfig(), (HELLO,), 0)
    assert told.backlog.next() == SECOND


def test_what_an_early_connection_had_is_not_told_as_history() -> None:
    told, text = briefing(), SendText(text="Look")
    due = Due(0, text)
    told.given(due)
    told.backlog.given_early(due)
    told.take_back()
    assert told.open().history == (HELLO,)
    assert told.backlog.next() == due
