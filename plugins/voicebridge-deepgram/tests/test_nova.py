"""Listen v1 in bytes and numbers: marks and `Finalize`, pieces and utterances, silence on either side."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge_deepgram.nova import FINALIZE, KEEP_ALIVE, NovaHalf

SECOND = bytes(32_000)


def results(text: str, start: float, end: float, **more: Any) -> str:
    words = text.split()
    step = (end - start) / max(len(words), 1)
    timed = [{"word": w, "start": start + step * n, "end": start + step * (n + 1)} for n, w in enumerate(words)]
    channel = {"alternatives": [{"transcript": text, "words": timed}]}
    return json.dumps({"type": "Results", "start": start, "duration": end - start, "channel": channel, **more})


def final(text: str, start: float, end: float, **more: Any) -> str:
    return results(text, start, end, is_final=True, **more)


def texts(outputs: Any) -> list[Any]:
    """Transcripts as pairs of mark and text, interim ones as text; usage is left out."""
    return [
        (out.mark, out.text) if isinstance(out, Transcript) and out.final else getattr(out, "text", out)
        for out in outputs
        if not isinstance(out, Usage)
    ]


def test_a_mark_is_answered_by_what_finalize_brings():
    half = NovaHalf(0.0)
    assert texts(half.take(SECOND, 0.0)) == [SECOND]
    assert texts(half.receive(results("where is", 0, 0.8), 0.8)) == ["where is"]
    assert texts(half.take(Mark(1), 1.0)) == [FINALIZE]
    assert not half.over
    assert texts(half.receive(final("Where is it?", 0, 1, from_finalize=True), 1.2)) == [(1, "Where is it?")]
    assert half.over


def test_pieces_are_joined_and_their_words_counted_from_the_utterance():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1, fresh=True, wanted=False), 0.0)
    half.receive(final("", 0, 1, from_finalize=True), 0.0)
    for n in range(2):
        half.take(SECOND, float(n))
    assert texts(half.receive(final("One two", 1, 2), 2.0)) == ["One two"]
    half.take(Mark(2, fresh=True), 2.0)
    (answer,) = half.receive(final("three.", 2, 3, from_finalize=True), 2.2)
    assert isinstance(answer, Transcript)
    assert answer.text == "One two three."
    assert [(word.text, word.start_ms) for word in answer.words] == [("One", 0.0), ("two", 500.0), ("three.", 1000.0)]


def test_a_language_without_spaces_is_joined_without():
    half = NovaHalf(0.0, language="ja")
    half.take(SECOND, 0.0)
    half.receive(final("こん", 0, 0.5), 0.5)
    half.take(Mark(1), 1.0)
    assert texts(half.receive(final("にちは", 0.5, 1, from_finalize=True), 1.0)) == [(1, "こんにちは")]


def test_what_lies_before_a_fresh_mark_is_not_in_the_next_utterance():
    """The turn was committed with the text of a guess; what its end still brings is nobody's."""
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    half.receive(final("One.", 0, 1, from_finalize=True), 0.1)
    half.take(SECOND, 1.0)
    assert texts(half.take(Mark(2, fresh=True, wanted=False), 1.0)) == [FINALIZE], "it keeps them apart"
    half.take(SECOND, 2.0)
    half.take(Mark(3, fresh=True), 2.0)
    assert texts(half.receive(final("late", 1, 2, from_finalize=True), 2.1)) == []
    assert texts(half.receive(final("Two.", 2, 3, from_finalize=True), 2.2)) == [(3, "Two.")]


def test_a_guess_and_the_end_behind_it_in_silence():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    half.receive(final("One.", 0, 1, from_finalize=True), 0.2)
    assert texts(half.take(Mark(2), 0.2)) == [(2, "One.")], "nothing came since: it is known"
    half.take(bytes(6400), 0.4)
    assert texts(half.take(Mark(3, fresh=True), 0.4)) == [FINALIZE]
    assert texts(half.receive(final("", 1, 1.2, from_finalize=True), 0.5)) == [(3, "One.")]


def test_a_finalize_that_is_not_answered_where_little_is_left():
    """Deepgram does not promise an answer where it had nothing buffered."""
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.receive(results("Yes", 0, 0.7), 0.8)
    half.take(Mark(1), 1.0)
    assert half.due == pytest.approx(2.0)
    assert texts(half.tick(1.9)) == []
    assert texts(half.tick(2.0)) == [(1, "Yes")]
    assert half.over


def test_an_answer_that_comes_after_it_was_given_up_is_not_the_next_ones():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.receive(results("Yes", 0, 0.9), 0.8)
    half.take(Mark(1, fresh=True), 1.0)
    half.tick(2.0)
    half.take(SECOND, 2.0)
    half.take(Mark(2, fresh=True), 2.0)
    assert texts(half.receive(final("Yes.", 0, 1, from_finalize=True), 2.1)) == []
    assert texts(half.receive(final("No.", 1, 2, from_finalize=True), 2.2)) == [(2, "No.")]


def test_a_final_piece_that_reaches_the_mark_answers_it():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    assert texts(half.receive(final("All.", 0, 1), 0.3)) == [(1, "All.")]


def test_a_peer_that_has_heard_nothing_is_not_waited_for():
    half = NovaHalf(0.0)
    half.take(SECOND, 3.0)
    half.take(Mark(1), 3.0)
    while (due := half.due) is not None and due < 8.0:
        half.tick(due)
    with pytest.raises(VoiceBridgeError) as failed:
        half.tick(8.0)
    assert failed.value.category == "busy"
    assert failed.value.retryable


def test_answers_come_in_order():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1, fresh=True), 0.0)
    assert texts(half.take(Mark(2, fresh=True), 0.0)) == [], "its utterance is empty, but the first one waits"
    assert texts(half.receive(final("One.", 0, 1, from_finalize=True), 0.1)) == [(1, "One."), (2, "")]


def test_silence_is_bridged_with_keep_alives():
    half = NovaHalf(10.0)
    half.take(SECOND, 10.0)
    sent = []
    for _ in range(3):
        due = half.due
        assert due is not None
        sent += [(due, frame) for frame in half.tick(due)]
    assert sent == [(14.0, KEEP_ALIVE), (18.0, KEEP_ALIVE), (22.0, KEEP_ALIVE)]


def test_an_empty_piece_would_end_the_stream_and_is_not_sent():
    assert list(NovaHalf(0.0).take(b"", 0.0)) == []


def test_seconds_are_counted_once():
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    used = [out for out in half.take(Mark(1, fresh=True), 0.0) if isinstance(out, Usage)]
    half.take(SECOND + SECOND, 0.0)
    used += [out for out in half.end(1.0) if isinstance(out, Usage)]
    assert [usage.units for usage in used] == [{"audio_s": 1.0}, {"audio_s": 2.0}]
    assert {usage.basis for usage in used} == {"estimated"}


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"Results"}',
        '{"type":"Results","channel":7,"start":"x","duration":null,"is_final":1}',
        '{"type":"Results","channel":{"alternatives":[{"transcript":5,"words":[7,{"word":"a"}]}]},"is_final":true}',
        '{"type":"Results","channel":{"alternatives":{}},"start":-1e300,"from_finalize":true}',
        '{"type":"Metadata"}',
        '{"type":"of tomorrow"}',
        '{"type":7}',
        "{}",
    ],
)
def test_odd_frames_do_no_harm(frame: str):
    half = NovaHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    list(half.receive(frame, 0.0))
    told = [*half.receive(final("Yes.", 0, 1, from_finalize=True), 0.2)]
    assert half.over or told


@pytest.mark.parametrize("frame", ["", "no JSON", "[1]", "null", b"bytes", '{"type":"Res'])
def test_what_is_no_frame_of_the_wire_ends_it(frame: str | bytes):
    with pytest.raises(VoiceBridgeError) as failed:
        list(NovaHalf(0.0).receive(frame, 0.0))
    assert failed.value.category == "protocol"


def test_an_error_is_told_in_words():
    frame = '{"type":"Error","variant":"SchemaError","description":"could not parse the message"}'
    with pytest.raises(VoiceBridgeError, match="could not parse") as failed:
        list(NovaHalf(0.0).receive(frame, 0.0))
    assert failed.value.fault.code == "SchemaError"
