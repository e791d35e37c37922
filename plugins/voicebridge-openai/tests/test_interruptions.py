"""Interrupting: what is cancelled, what is cut where, what is told, and when it is settled."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.commands import Interrupt, ReportPlayed, Respond, SendText
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    BackendError,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)


def shapes(frames: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Each frame as what it does, to what, and until when."""
    names = ("response_id", "item_id", "audio_end_ms")
    return [(f["type"].split(".")[-1], *(f[name] for name in names if name in f)) for f in frames]


def test_nothing_to_stop_is_settled_at_once(vendor: Any) -> None:
    command = Interrupt(heard={"nobody": 3})
    wire = vendor().hears(command)
    assert wire.fate(command) is None
    assert not wire.sent


def test_a_running_response_is_cancelled_and_cut_to_what_was_heard(vendor: Any) -> None:
    command = Interrupt(heard={"r1": 500})
    wire = vendor().creates().speaks(1000, "One two three four").hears(command)
    assert shapes(wire.sent) == [("cancel", "r1"), ("truncate", "a1", 500)]
    wire.speaks(100, "five")
    assert len(wire.all(OutputAudio)) == 1
    assert len(wire.all(OutputText)) == 1
    wire.says("conversation.item.truncated", item_id="a1", content_index=0, audio_end_ms=500)
    heard = wire.last(OutputHeard)
    assert (heard.response_id, heard.heard_ms, heard.text, heard.basis) == ("r1", 500, "One two", "estimated")
    assert wire.fate(command) == "open"
    wire.finishes(status="cancelled", status_details={"reason": "client_cancelled"}, usage={"output_tokens": 3})
    assert wire.fate(command) is None
    assert wire.last(ResponseEnded).status == "interrupted"
    assert wire.last(UsageReported).response_id == "r1"


def test_a_response_that_completed_before_the_cancellation_still_ends_interrupted(vendor: Any) -> None:
    command = Interrupt()
    wire = vendor().creates().speaks(100).hears(command).finishes().refuses(None, "response_cancel_not_active")
    assert wire.last(ResponseEnded).status == "interrupted"
    assert wire.fate(command) is None
    assert not wire.all(BackendError)


def test_several_items_and_ended_responses(vendor: Any) -> None:
    """Audio comes faster than it plays: two ended responses wait, the first with two items."""
    wire = vendor().creates().speaks(1000, "One.", item_id="a1").speaks(1000, "Two.", item_id="a2").finishes()
    wire.creates("r2").speaks(1000, "Three.", response_id="r2", item_id="b1").finishes("r2")
    command = Interrupt(heard={"r1": 1250, "r2": 0})
    wire.hears(command)
    assert shapes(wire.sent) == [("truncate", "a2", 250), ("delete", "b1")]
    wire.says("conversation.item.deleted", item_id="b1")
    wire.says("conversation.item.truncated", item_id="a2", audio_end_ms=250)
    assert [(h.response_id, h.heard_ms, h.text) for h in wire.all(OutputHeard)] == [("r2", 0, ""), ("r1", 1250, "One.")]
    assert wire.fate(command) is None


def test_heard_inside_the_first_item_deletes_the_later_ones(vendor: Any) -> None:
    wire = vendor().creates().speaks(1000, item_id="a1").speaks(1000, item_id="a2").finishes()
    wire.hears(Interrupt(heard={"r1": 400}))
    assert shapes(wire.sent) == [("truncate", "a1", 400), ("delete", "a2")]


@pytest.mark.parametrize("ms", [1000, 99_999, 1000.0001])
def test_what_was_heard_whole_is_not_cut(vendor: Any, ms: float) -> None:
    command = Interrupt(heard={"r1": ms})
    wire = vendor().creates().speaks(1000).finishes().hears(command)
    assert not wire.sent
    assert wire.fate(command) is None


def test_a_later_interruption_only_cuts_more(vendor: Any) -> None:
    wire = vendor().creates().speaks(1000).finishes()
    wire.hears(Interrupt(heard={"r1": 500})).hears(Interrupt(heard={"r1": 700})).hears(Interrupt(heard={"r1": 200}))
    assert shapes(wire.sent) == [("truncate", "a1", 500), ("truncate", "a1", 200)]


def test_a_truncation_that_is_too_long_is_no_fault(vendor: Any) -> None:
    command = Interrupt(heard={"r1": 900})
    wire = vendor().creates().speaks(1000).finishes().hears(command)
    wire.refuses(wire.sent[0], "invalid_value", "Audio content of 850ms is already shorter than 900ms")
    assert wire.fate(command) is None


def test_another_refusal_of_a_truncation_is_one(vendor: Any) -> None:
    command = Interrupt(heard={"r1": 900})
    wire = vendor().creates().speaks(1000).finishes().hears(command)
    wire.refuses(wire.sent[0], "item_not_found")
    assert wire.fate(command) == "item_not_found"


def test_a_request_that_has_not_started_is_withdrawn_and_its_orphan_cancelled(vendor: Any) -> None:
    asked, command = SendText(text="hi"), Interrupt()
    wire = vendor().hears(asked)
    create = wire.frames("response.create")[0]
    wire.sent.clear()
    wire.hears(command)
    assert (wire.fate(asked), wire.fate(command)) == ("withdrawn", None)
    assert not wire.sent
    later = Respond()
    wire.hears(later)
    assert not wire.sent
    wire.creates(answers=create).speaks(100, "no", item_id="a1")
    wire.finishes(status="cancelled", usage={"output_tokens": 2})
    assert shapes(wire.sent)[:2] == [("cancel", "r1"), ("delete", "a1")]
    assert wire.sent[2]["type"] == "response.create"
    assert not wire.all(ResponseStarted)
    assert not wire.all(OutputAudio)
    assert not wire.all(ResponseEnded)
    assert wire.last(UsageReported).response_id is None
    wire.creates("r2", answers=wire.sent[2])
    assert wire.fate(later) is None


def test_held_requests_are_withdrawn_too(vendor: Any) -> None:
    wire = vendor().creates()
    held = Respond()
    wire.hears(held).hears(Interrupt())
    assert wire.fate(held) == "withdrawn"
    wire.finishes(status="cancelled")
    assert not wire.frames("response.create")


def test_the_answer_that_the_vendor_would_give_by_itself_is_withdrawn(vendor: Any) -> None:
    wire = vendor()
    wire.says("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    wire.says("input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=0)
    wire.says("input_audio_buffer.committed", item_id="u1").hears(Interrupt()).creates().speaks(50)
    assert shapes(wire.sent) == [("cancel", "r1")]
    assert not wire.all(ResponseStarted)
    wire.finishes(status="cancelled").creates("r2")
    assert wire.last(ResponseStarted).response_id == "r2"


def test_by_id_only_that_one_stops_and_the_rest_is_a_report(vendor: Any) -> None:
    command = Interrupt(response_id="r0", heard={"r1": 5})
    wire = vendor().creates().speaks(100).hears(command).hears(ReportPlayed(response_id="r1", ms=20))
    assert not wire.sent
    assert wire.fate(command) is None
    wire.speaks(100)
    assert len(wire.all(OutputAudio)) == 2


def test_items_that_come_after_the_cut_are_deleted(vendor: Any) -> None:
    wire = vendor().creates().speaks(100, item_id="a1").hears(Interrupt(heard={"r1": 50}))
    wire.speaks(100, item_id="a2").finishes(status="cancelled")
    assert shapes(wire.sent) == [("cancel", "r1"), ("truncate", "a1", 50), ("delete", "a2")]


def test_a_dialect_without_truncation_only_cancels_and_what_was_heard_is_told_at_once(vendor: Any) -> None:
    command = Interrupt(heard={"r1": 50})
    wire = vendor("xai").says("response.created", response={"id": "r1"}).speaks(100, "One two").hears(command)
    assert shapes(wire.sent) == [("cancel", "r1")]
    (heard,) = wire.all(OutputHeard)
    assert (heard.response_id, heard.heard_ms, heard.text, heard.basis) == ("r1", 50, "One", "estimated")
    wire.finishes(status="cancelled")
    assert wire.fate(command) is None


@pytest.mark.parametrize("ms", [float("nan"), float("inf"), -1.0])
def test_what_can_not_have_been_heard_is_refused_before_anything_happens(vendor: Any, ms: float) -> None:
    wire = vendor().creates().speaks(500)
    with pytest.raises(ConfigError, match="r1"):
        wire.codec.encode(Interrupt(heard={"r1": ms}))
    wire.hears(Interrupt())
    assert shapes(wire.sent) == [("cancel", "r1")]


def test_a_truncation_in_the_vendors_own_words_is_heard_of(vendor: Any) -> None:
    wire = vendor().creates().speaks(1000, "One two").finishes()
    wire.says("conversation.item.truncated", item_id="a1", audio_end_ms=99_999)
    assert (wire.last(OutputHeard).heard_ms, wire.last(OutputHeard).text) == (1000, "One two")
