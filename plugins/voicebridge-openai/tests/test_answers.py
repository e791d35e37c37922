"""Whose answer a response is, where the vendor and we ask for responses at once, and where it never answers at all."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.commands import EndTurn, Interrupt, Respond, SendAudio
from voicebridge.contract.events import BackendError, OutputAudio, ResponseStarted, UserTurn

BUFFER = "input_audio_buffer"
ACTIVE = "conversation_already_has_active_response"


def turn(wire: Any, number: int) -> Any:
    """A turn of one second as server VAD tells it."""
    wire.hears(SendAudio(pcm=bytes(48_000)))
    wire.says(f"{BUFFER}.speech_started", item_id=f"u{number}", audio_start_ms=(number - 1) * 1000)
    wire.says(f"{BUFFER}.speech_stopped", item_id=f"u{number}", audio_end_ms=number * 1000)
    return wire.says(f"{BUFFER}.committed", item_id=f"u{number}")


def test_an_interruption_does_not_reach_the_answer_to_the_next_turn(vendor: Any) -> None:
    wire = turn(vendor(), 1).hears(Interrupt())
    turn(wire, 2).creates("r2").speaks(100, response_id="r2")
    assert wire.last(ResponseStarted).answers == ("t2",)
    assert wire.all(OutputAudio)
    assert not wire.frames("response.cancel")


def test_only_an_answer_that_nobody_wants_is_cancelled(vendor: Any) -> None:
    wire = turn(turn(vendor(), 1), 2).creates("r1")
    assert wire.last(ResponseStarted).answers == ("t1", "t2")
    turn(wire.finishes("r1"), 3).hears(Interrupt()).creates("r2")
    assert [frame["response_id"] for frame in wire.frames("response.cancel")] == ["r2"]


def test_a_turn_that_the_vendor_could_not_answer_is_answered_later(vendor: Any) -> None:
    """Without auto_interrupt the user may talk over a response; the vendor then has an error and no answer."""
    wire = turn(vendor(turns={"auto_interrupt": False}), 1).creates("r1").speaks(2000)
    turn(wire, 2).refuses(None, ACTIVE)
    assert not wire.frames("response.create")
    wire.finishes("r1")
    (create,) = wire.frames("response.create")
    wire.creates("r2", answers=create)
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("user", ("t2",))
    assert not wire.all(BackendError)


def test_nor_does_an_interruption_after_that_reach_the_next_turn(vendor: Any) -> None:
    wire = turn(vendor(turns={"auto_interrupt": False}), 1).creates("r1").speaks(2000)
    turn(wire, 2).refuses(None, ACTIVE)
    wire.hears(Interrupt(heard={"r1": 300})).finishes("r1", "cancelled")
    turn(wire, 3).creates("r2").speaks(100, response_id="r2", item_id="a2")
    assert wire.last(ResponseStarted).answers == ("t3",)
    assert wire.last(OutputAudio).response_id == "r2"
    assert not wire.frames("response.create")


def test_a_turn_that_a_request_went_before_is_not_awaited_for_ever(vendor: Any) -> None:
    command = Respond()
    wire = turn(vendor(), 1).hears(command)
    wire.creates("r1", answers=wire.frames("response.create")[0]).finishes("r1")
    wire.says("response.created", response={"id": "r2"})
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("spontaneous", ())


def test_an_aside_does_not_stand_in_for_the_answer_to_a_turn(vendor: Any) -> None:
    wire = turn(vendor(), 1).hears(Respond(aside=True))
    wire.creates("r1", answers=wire.frames("response.create")[0]).finishes("r1").creates("r2")
    assert wire.last(ResponseStarted).answers == ("t1",)


@pytest.mark.parametrize("dialect", ["xai", "openai-compatible"])
def test_a_vendor_that_echoes_no_metadata_leaves_no_request_waiting(vendor: Any, dialect: str) -> None:
    first, second = Respond(), Respond()
    wire = turn(vendor(dialect), 1).hears(first).creates("r1").speaks(100)
    assert wire.fate(first) is None
    wire.finishes("r1").hears(second)
    assert len(wire.frames("response.create")) == 2
    wire.creates("r2")
    assert wire.fate(second) is None


def test_once_an_echo_was_seen_it_is_relied_on(vendor: Any) -> None:
    first, second = Respond(), Respond()
    wire = vendor("xai").hears(first)
    wire.creates("r1", answers=wire.sent[0]).finishes("r1")
    turn(wire, 1).hears(second).creates("r2")
    assert wire.last(ResponseStarted).answers == ("t1",)
    assert wire.fate(second) == "open"


@pytest.mark.parametrize("auto_respond", [True, False])
def test_the_vendor_finds_the_end_of_a_turn_before_our_commit_arrives(vendor: Any, auto_respond: bool) -> None:
    command = EndTurn()
    wire = vendor(turns={"auto_respond": auto_respond}).hears(SendAudio(pcm=bytes(48_000)))
    wire.says(f"{BUFFER}.speech_started", item_id="u1", audio_start_ms=0).hears(command)
    commit, create = wire.frames(f"{BUFFER}.commit")[0], wire.frames("response.create")[0]
    wire.says(f"{BUFFER}.speech_stopped", item_id="u1", audio_end_ms=900).says(f"{BUFFER}.committed", item_id="u1")
    if auto_respond:
        wire.creates("r1")
    wire.refuses(commit, f"{BUFFER}_commit_empty")
    assert wire.fate(command) is None
    if auto_respond:
        wire.refuses(create, ACTIVE).finishes("r1")
        assert len(wire.frames("response.create")) == 1  # it was answered already
        assert wire.last(ResponseStarted).answers == ("t1",)
    else:
        wire.creates("r1", answers=create)
        assert wire.last(ResponseStarted).answers == (command.id, "t1")
    assert not wire.all(BackendError)
    assert [told.phase for told in wire.all(UserTurn)] == ["speech", "pause", "committed"]


def test_our_commit_is_acknowledged_while_the_user_goes_on(vendor: Any) -> None:
    """An item that no turn is known by is the one that we asked for."""
    command = EndTurn()
    wire = vendor().hears(SendAudio(pcm=bytes(48_000))).hears(command)
    wire.says(f"{BUFFER}.speech_started", item_id="u2").says(f"{BUFFER}.speech_stopped", item_id="u2")
    wire.says(f"{BUFFER}.committed", item_id="u1")
    assert wire.fate(command) is None
    wire.says(f"{BUFFER}.committed", item_id="u2")
    assert [told.turn_id for told in wire.all(UserTurn) if told.phase == "committed"] == ["t1", "t2"]


def test_a_request_that_was_withdrawn_is_refused_in_silence(vendor: Any) -> None:
    wire = vendor(turns={"mode": "manual"}).hears(SendAudio(pcm=bytes(9600))).hears(EndTurn()).hears(Interrupt())
    wire.refuses(wire.frames("response.create")[0], "server_error")
    assert not wire.all(BackendError)


def test_silence_that_an_idle_time_out_commits_is_no_turn(vendor: Any) -> None:
    wire = vendor(options={"idle_timeout_ms": 6000}).hears(SendAudio(pcm=bytes(48_000)))
    wire.says(f"{BUFFER}.timeout_triggered", item_id="u1", audio_start_ms=0, audio_end_ms=1000)
    wire.says(f"{BUFFER}.committed", item_id="u1").creates("r1")
    assert not wire.all(UserTurn)
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("spontaneous", ())
    turn(wire.finishes("r1"), 2)
    assert [told.phase for told in wire.all(UserTurn)] == ["speech", "pause", "committed"]
