"""The wire of the voices in bytes and numbers: contexts, the words that audio covers, and audio that is nobody's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Speech, Usage
from voicebridge_cartesia.sonic import SonicHalf, context_names

REQUEST = {"model_id": "sonic-3"}
SECOND = 48_000


def half() -> SonicHalf:
    return SonicHalf(REQUEST, context_names("c"))


def chunk(size: int, context: str = "c-1") -> str:
    data = base64.b64encode(b"\1" * size).decode()
    return json.dumps({"type": "chunk", "context_id": context, "data": data, "done": False})


def stamps(*words: tuple[str, float, float], context: str = "c-1") -> str:
    names, starts, ends = ([list(column) for column in zip(*words, strict=True)]) or ([], [], [])
    told = {"words": names, "start": starts, "end": ends}
    return json.dumps({"type": "timestamps", "context_id": context, "word_timestamps": told})


def done(context: str = "c-1") -> str:
    return json.dumps({"type": "done", "context_id": context, "done": True})


def inputs(outputs: Any) -> list[tuple[str, str, bool]]:
    sent = [json.loads(out) for out in outputs if isinstance(out, str)]
    assert all(one["model_id"] == "sonic-3" for one in sent)
    return [(one["context_id"], one["transcript"], one["continue"]) for one in sent]


def speech(outputs: Any) -> list[tuple[int, str, list[tuple[str, float]]]]:
    return [
        (len(out.pcm), out.text, [(word.text, round(word.start_ms)) for word in out.words])
        for out in outputs
        if isinstance(out, Speech)
    ]


def test_an_answer_is_one_context():
    answer = half()
    assert inputs(answer.take("Hello,", 0.0)) == [("c-1", "Hello,", True)]
    assert inputs(answer.take(" you.", 0.1)) == [("c-1", " you.", True)]
    assert inputs(answer.end(0.2)) == [("c-1", "", False)]
    assert not answer.over
    list(answer.receive(chunk(SECOND), 0.3))
    list(answer.receive(done(), 0.4))
    assert answer.over
    assert answer.open_contexts == ()


def test_words_are_told_with_the_audio_that_follows_and_count_from_it():
    answer = half()
    answer.take("Hello, you there.", 0.0)
    list(answer.receive(stamps(("Hello,", 0.0, 0.4), ("you", 0.5, 0.7)), 0.1))
    assert speech(answer.receive(chunk(SECOND), 0.2)) == [(SECOND, "Hello, you", [("Hello,", 0), ("you", 500)])]
    assert speech(answer.receive(chunk(SECOND), 0.2)) == [(SECOND, "", [])]
    list(answer.receive(stamps(("there.", 2.1, 2.4)), 0.3))
    assert speech(answer.receive(chunk(SECOND), 0.4)) == [(SECOND, " there.", [("there.", 100)])]


def test_words_that_come_after_their_audio_are_told_with_the_next_piece():
    answer = half()
    answer.take("Hello you.", 0.0)
    assert speech(answer.receive(chunk(SECOND), 0.2)) == [(SECOND, "", [])]
    list(answer.receive(stamps(("Hello", 0.0, 0.4)), 0.3))
    assert speech(answer.receive(chunk(SECOND), 0.4)) == [(SECOND, "Hello", [("Hello", -1000)])]
    answer.end(0.5)
    assert speech(answer.receive(done(), 0.6)) == [(0, " you.", [])], "all of it is told in the end"


def test_a_word_that_is_read_in_another_way_is_told_with_the_next_one():
    answer = half()
    answer.take("It costs 5 dollars.", 0.0)
    list(answer.receive(stamps(("It", 0, 0.1), ("costs", 0.1, 0.3), ("five", 0.3, 0.5)), 0.1))
    assert speech(answer.receive(chunk(8), 0.2))[0][1] == "It costs"
    list(answer.receive(stamps(("dollars", 0.5, 0.9)), 0.3))
    assert speech(answer.receive(chunk(8), 0.4))[0][1] == " 5 dollars."


def test_audio_of_another_answer_is_nobodys():
    names = context_names("c")
    SonicHalf(REQUEST, names).take("Old.", 0.0)
    answer = SonicHalf(REQUEST, names)
    answer.take("New.", 1.0)
    assert list(answer.receive(chunk(8, "c-1"), 1.1)) == []
    assert list(answer.receive(json.dumps({"type": "error", "context_id": "c-1", "message": "gone"}), 1.1)) == []
    assert list(answer.receive(done("c-1"), 1.1)) == []
    assert speech(answer.receive(chunk(8, "c-2"), 1.2)) == [(8, "", [])]


def test_a_clause_that_comes_late_begins_another_context():
    """A context that had nothing to say for a second is over."""
    answer = half()
    answer.take("One.", 0.0)
    list(answer.receive(stamps(("One.", 0.0, 0.5)), 0.1))
    list(answer.receive(chunk(SECOND), 0.2))
    assert inputs(answer.take(" Two.", 3.0)) == [("c-2", " Two.", True)]
    list(answer.receive(stamps((" Two.".strip(), 0.0, 0.5), context="c-2"), 3.1))
    assert speech(answer.receive(chunk(SECOND, "c-2"), 3.2)) == [(SECOND, " Two.", [("Two.", 0)])]


def test_a_context_that_said_it_is_done_takes_no_more():
    answer = half()
    answer.take("One.", 0.0)
    list(answer.receive(chunk(SECOND), 0.2))
    list(answer.receive(done(), 1.3))
    assert answer.open_contexts == ()
    assert inputs(answer.take(" Two.", 1.4)) == [("c-2", " Two.", True)]


def test_an_end_that_comes_late_is_not_waited_for_long():
    answer = half()
    answer.take("One.", 0.0)
    list(answer.receive(chunk(SECOND), 0.2))
    assert inputs(answer.end(9.0)) == [("c-1", "", False)]
    assert answer.due == 10.5
    assert speech(answer.tick(10.5)) == [(0, "One.", [])]
    assert answer.over


def test_a_vendor_that_says_nothing_is_not_waited_for():
    answer = half()
    answer.take("One.", 1.0)
    assert answer.due == 6.0
    with pytest.raises(VoiceBridgeError) as failed:
        answer.tick(6.0)
    assert failed.value.retryable


def test_a_model_that_thinks_is_waited_for():
    answer = half()
    answer.take("One.", 1.0)
    list(answer.receive(chunk(SECOND), 1.2))
    assert answer.due is None


def test_nothing_to_say_is_over_at_once():
    answer = half()
    assert list(answer.take(" ", 0.0)) == []
    assert speech(answer.end(0.0)) == [(0, " ", [])]
    assert answer.over


def test_white_space_goes_with_the_words_behind_it():
    answer = half()
    answer.take("\n", 0.0)
    assert inputs(answer.take("One.", 0.0)) == [("c-1", "\nOne.", True)]


def test_characters_are_counted():
    (usage,) = [out for out in half().take("Hello", 0.0) if isinstance(out, Usage)]
    assert (usage.units, usage.basis) == ({"characters": 5}, "estimated")


@pytest.mark.parametrize("cut", range(1, 8))
def test_half_a_sample_waits_for_its_other_half(cut: int):
    answer = half()
    answer.take("One.", 0.0)
    heard = [*answer.receive(chunk(cut), 0.1), *answer.receive(chunk(8 - cut), 0.1)]
    assert all(not len(out.pcm) % 2 for out in heard if isinstance(out, Speech))
    assert sum(len(out.pcm) for out in heard if isinstance(out, Speech)) == 8


def test_an_error_has_the_status_of_a_refusal():
    answer = half()
    answer.take("One.", 0.0)
    error = {"type": "error", "context_id": "c-1", "status_code": 402, "title": "No credits", "error_code": "quota"}
    with pytest.raises(VoiceBridgeError) as failed:
        list(answer.receive(json.dumps(error), 0.1))
    assert (failed.value.category, failed.value.fault.code) == ("quota", "quota")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "chunk"},
        {"type": "chunk", "data": 7},
        {"type": "timestamps"},
        {"type": "timestamps", "word_timestamps": {"words": ["a"], "start": "x", "end": None}},
        {"type": "timestamps", "word_timestamps": {"words": ["a", 7, ""], "start": [0, 1, None], "end": [-5, 1, 2]}},
        {"type": "flush_done", "flush_id": 1},
        {"type": "of tomorrow"},
        {},
    ],
    ids=str,
)
def test_odd_events_do_no_harm(fields: dict[str, Any]):
    answer = half()
    answer.take("One.", 0.0)
    list(answer.receive(json.dumps({"context_id": "c-1", **fields}), 0.1))
    answer.end(0.2)
    told = speech(answer.receive(done(), 0.3))
    assert "".join(text for _, text, _ in told) == "One."


@pytest.mark.parametrize("frame", ["", "no JSON", "[1]", b"bytes", chunk(8).replace("AQ", "!!")])
def test_what_is_no_frame_of_the_wire_ends_it(frame: str | bytes):
    answer = half()
    answer.take("One.", 0.0)
    with pytest.raises(VoiceBridgeError) as failed:
        list(answer.receive(frame, 0.1))
    assert failed.value.category == "protocol"
