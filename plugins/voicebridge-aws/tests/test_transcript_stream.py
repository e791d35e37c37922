"""One stream of Transcribe in frames and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage, Word
from voicebridge_aws.event_stream import decoded, encoded
from voicebridge_aws.transcript_stream import CLOSED, TranscriptStream, Utterance

EVENT = {":content-type": "application/json", ":event-type": "TranscriptEvent", ":message-type": "event"}
SECOND = b"\x01\x02" * 16_000


def result(
    text: str, *, partial: bool = False, number: str = "r1", items: object = None, **more: Any
) -> dict[str, Any]:
    alternative = {"Transcript": text} | ({"Items": items} if items is not None else {})
    return {"ResultId": number, "IsPartial": partial, "Alternatives": [alternative], **more}


def told(*results: Any) -> bytes:
    return encoded(EVENT, orjson.dumps({"Transcript": {"Results": list(results)}}))


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":message-type": "exception"}
    return encoded(headers, orjson.dumps({"Message": message}))


def audio(outputs: Iterable[Any]) -> list[bytes]:
    """Of the frames among them, the audio."""
    messages = [decoded(frame) for frame in outputs if isinstance(frame, bytes)]
    assert all(message.headers[":event-type"] == "AudioEvent" for message in messages)
    return [message.payload for message in messages]


def begun(utterance: Utterance | None = None, seconds: int = 1) -> TranscriptStream:
    """A stream that was sent so much."""
    stream = TranscriptStream(utterance or Utterance(), 0.0)
    for _ in range(seconds):
        assert b"".join(audio(stream.take(SECOND, 0.0))) == SECOND
    return stream


def test_audio_goes_out_in_pieces_of_a_hundred_milliseconds_and_the_end_does_not_wait() -> None:
    stream = TranscriptStream(Utterance(), 0.0)
    piece = bytes(PCM_16K.size(40))
    assert [len(b"".join(audio(stream.take(piece, 0.0)))) for _ in range(5)] == [0, 0, 3840, 0, 0]
    assert [len(one) for one in audio(stream.take(Mark(1), 0.0))] == [2560, 0]
    assert not stream.over


def test_the_text_so_far_replaces_itself_and_what_is_settled_stays() -> None:
    stream = begun()
    outputs = [
        *stream.receive(told(), 0.1),
        *stream.receive(told(result("Hel", partial=True)), 0.2),
        *stream.receive(told(result("Hel", partial=True)), 0.3),
        *stream.receive(told(result("Hello.")), 0.4),
        *stream.receive(told(result("How", partial=True, number="r2")), 0.5),
    ]
    assert [output.text for output in outputs if isinstance(output, Transcript)] == ["Hel", "Hello.", "Hello. How"]


def test_the_final_text_is_told_when_the_vendor_closes() -> None:
    stream = begun()
    stream.take(Mark(7), 1.0)
    assert list(stream.receive(told(result("Hello", partial=True)), 1.1)) == []
    assert list(stream.receive(told(result("Hello there.")), 1.2)) == []
    assert not stream.over
    used, final = stream.receive(CLOSED, 1.3)
    assert final == Transcript("Hello there.", final=True, mark=7)
    assert used == Usage({"audio_s": 15.0}, basis="estimated"), "the least that a stream costs"
    assert stream.over
    assert stream.due is None


def test_a_long_stream_costs_what_it_is_long() -> None:
    stream = begun(seconds=20)
    stream.take(Mark(1), 1.0)
    assert next(iter(stream.receive(CLOSED, 1.3))) == Usage({"audio_s": 20.0}, basis="estimated")


def test_what_never_became_final_is_still_what_was_understood() -> None:
    stream = begun()
    stream.receive(told(result("One.")), 0.1)
    stream.receive(told(result("two thr", partial=True, number="r2")), 0.2)
    stream.take(Mark(1), 1.0)
    *_, final = stream.receive(CLOSED, 1.3)
    assert final == Transcript("One. two thr", final=True, mark=1)


def test_a_stream_that_is_not_closed_counts_as_closed_a_second_after_its_last_words() -> None:
    stream = begun()
    stream.receive(told(result("Early.", number="r0")), 0.1)
    stream.take(Mark(1), 1.0)
    assert stream.due == 6.0
    stream.receive(told(result("Hello", partial=True)), 1.5)
    assert stream.due == 6.5, "it is still writing"
    stream.receive(told(result("Hello.")), 2.0)
    assert stream.due == 3.0
    *_, final = stream.tick(3.0)
    assert final == Transcript("Early. Hello.", final=True, mark=1)


def test_a_vendor_that_never_answers_is_told() -> None:
    stream = begun()
    stream.take(Mark(1), 1.0)
    with pytest.raises(VoiceBridgeError) as caught:
        stream.tick(6.0)
    assert caught.value.fault.category == "network"
    assert caught.value.fault.retryable


def test_words_have_places_and_the_signs_behind_them() -> None:
    utterance = Utterance(texts=["So."], words=[Word("So.", 0, 200)], ms=500.0)
    stream = TranscriptStream(utterance, 0.0)
    stream.take(SECOND, 0.0)
    items = [
        {"Content": ",", "Type": "punctuation"},
        {"Content": "Well", "Type": "pronunciation", "StartTime": 0.1, "EndTime": 0.3},
        {"Content": ",", "Type": "punctuation", "StartTime": 0.3, "EndTime": 0.3},
        {"Content": "yes", "Type": "pronunciation", "StartTime": 0.4, "EndTime": 0.75},
        {"Content": "no time", "Type": "pronunciation"},
        "garbage",
    ]
    stream.take(Mark(2), 1.0)
    stream.receive(told(result("Well, yes", items=items, LanguageCode="en-GB")), 1.1)
    *_, final = stream.receive(CLOSED, 1.2)
    assert isinstance(final, Transcript)
    assert final.text == "So. Well, yes"
    assert final.words == (Word("So.", 0, 200), Word("Well,", 600, 800), Word("yes", 900, 1250))
    assert final.language == "en-GB"
    assert utterance.ms == 1500.0


def test_after_a_guess_the_rest_of_the_silence_is_held_back() -> None:
    """It is not worth a stream: the guess was right, and nobody wants another text."""
    stream = TranscriptStream(Utterance(texts=["Hello."], ms=900.0), 0.0)
    for _ in range(7):
        assert not audio(stream.take(bytes(PCM_16K.size(100)), 0.1))
    assert list(stream.take(Mark(2, fresh=True, wanted=False), 1.0)) == []
    assert stream.over
    assert list(stream.end(1.0)) == []


def test_after_a_wrong_guess_all_of_it_is_sent() -> None:
    stream = TranscriptStream(Utterance(texts=["Hello."], ms=900.0), 0.0)
    sent = [len(b"".join(audio(stream.take(bytes(PCM_16K.size(100)), 0.1)))) for _ in range(10)]
    assert sent == [0] * 7 + [PCM_16K.size(800), PCM_16K.size(100), PCM_16K.size(100)]
    early = TranscriptStream(Utterance(texts=["Hello."], ms=900.0), 0.0)
    early.take(bytes(PCM_16K.size(300)), 0.1)
    assert [len(one) for one in audio(early.take(Mark(3), 0.4))] == [PCM_16K.size(300), 0]


def test_an_utterance_that_nobody_wants_ends_at_once_and_costs_what_was_sent() -> None:
    stream = begun()
    (used,) = stream.take(Mark(1, fresh=True, wanted=False), 1.0)
    assert isinstance(used, Usage)
    assert stream.over


def test_audio_that_ends_without_a_mark_ends_the_stream() -> None:
    stream = begun()
    assert [type(output) for output in stream.end(1.0)] == [Usage]
    assert stream.over


def test_a_stream_is_kept_alive_while_no_audio_comes() -> None:
    stream = begun()
    assert stream.due == 8.0
    assert audio(stream.tick(8.0)) == [bytes(PCM_16K.size(100))]
    assert stream.due == 16.0
    silent = TranscriptStream(Utterance(), 0.0)
    assert list(silent.tick(8.0)) == [], "where nothing was sent there is no stream yet"
    assert silent.due == 16.0


def test_a_vendor_that_ends_a_stream_by_itself_is_told() -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        begun().receive(CLOSED, 1.0)
    assert caught.value.fault.retryable


@pytest.mark.parametrize(
    ("name", "message", "category"),
    [
        ("BadRequestException", "Your request timed out because no new audio was received for 15 s.", "planned_end"),
        ("BadRequestException", "The language is not supported.", "config"),
        ("LimitExceededException", "Too many streams.", "rate"),
        ("InternalFailureException", "Oh.", "network"),
        ("ServiceUnavailableException", "", "busy"),
        ("SomethingNewException", "What?", "protocol"),
    ],
)
def test_exceptions_come_as_events(name: str, message: str, category: str) -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        begun().receive(exception(name, message), 1.0)
    assert caught.value.fault.category == category
    assert name in caught.value.fault.code


HOSTILE: dict[str, Any] = {
    "a text": '{"Transcript": {}}',
    "no event": b"\x00" * 40,
    "no JSON": encoded(EVENT, b"{"),
    "no transcript": encoded(EVENT, b"{}"),
    "an exception that is no JSON": encoded({":message-type": "exception"}, b"\xff<html>"),
    "an error": encoded({":message-type": "error", ":error-code": "500", ":error-message": "no"}, b""),
}


@pytest.mark.parametrize("what", list(HOSTILE))
def test_what_can_not_be_read_is_told(what: str) -> None:
    with pytest.raises(VoiceBridgeError):
        begun().receive(HOSTILE[what], 1.0)


def test_what_is_odd_but_harmless_is_passed_over() -> None:
    stream = begun()
    new = encoded({":message-type": "event", ":event-type": "NewEvent"}, b"?")
    odd = told(None, {}, {"Alternatives": "x"}, {"Alternatives": [3]}, result("Hi.", items="x"))
    none = encoded(EVENT, orjson.dumps({"Transcript": {"Results": None}}))
    outputs = [output for frame in (new, none, odd) for output in stream.receive(frame, 1.0)]
    assert [output.text for output in outputs if isinstance(output, Transcript)] == ["Hi."]
