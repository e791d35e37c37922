"""The recogniser: what answers mean, and the stage before the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.simulator.upload import read_upload
from voicebridge.transport.body import JsonBody
from voicebridge.transport.upload_recogniser import HeardUpTo
from voicebridge_azure.speech_to_text import transcript_in, wav

Tone = Callable[[float], bytes]
Stream = Callable[..., AsyncIterator[Any]]
PAID = Usage({"audio_s": 2.5}, basis="estimated")


async def heard(stage: Any, audio: AsyncIterator[bytes | Mark]) -> list[Transcript]:
    async with aclosing(stage.listen(audio)) as outputs:
        return [output async for output in outputs if isinstance(output, Transcript)]


def test_the_best_of_a_detailed_answer_is_the_text() -> None:
    answer = {
        "RecognitionStatus": "Success",
        "Offset": "5000000",
        "Duration": 10_000_000,
        "NBest": [{"Display": " Hello there. ", "Lexical": "hello there"}, {"Display": "Yellow."}],
    }
    said = Transcript("Hello there.", final=True, mark=7)
    assert list(transcript_in(answer, 2.5, 7)) == [PAID, HeardUpTo(1500.0), said]
    assert list(transcript_in(answer | {"Duration": "25000000"}, 2.5, 7)) == [PAID, said]


@pytest.mark.parametrize("place", [None, "x", {}, -1, "Infinity"], ids=repr)
def test_a_simple_answer_and_places_that_are_none(place: Any) -> None:
    answer = {"RecognitionStatus": "Success", "DisplayText": "Hi.", "Offset": place, "Duration": 0}
    assert list(transcript_in(answer, 2.5, 1)) == [PAID, Transcript("Hi.", final=True, mark=1)]


@pytest.mark.parametrize("status", ["NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation"])
def test_who_said_nothing_has_an_empty_text(status: str) -> None:
    assert list(transcript_in({"RecognitionStatus": status}, 2.5, 1)) == [PAID, Transcript("", final=True, mark=1)]


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        ({"RecognitionStatus": "Error"}, "network"),
        ({"RecognitionStatus": "Brandnew"}, "protocol"),
        ({"RecognitionStatus": ["NoMatch"]}, "protocol"),
        ({"RecognitionStatus": "Success"}, "protocol"),
        ({"RecognitionStatus": "Success", "NBest": [5]}, "protocol"),
        ({}, "protocol"),
        (None, "protocol"),
        ([], "protocol"),
    ],
    ids=["error", "unknown", "list-in-it", "no-text", "number", "empty", "null", "list"],
)
async def test_what_is_no_answer(serve: Any, answer: Any, category: str) -> None:
    with pytest.raises(VoiceBridgeError) as error:
        list(transcript_in(answer, 1, 1))
    assert error.value.fault.category == category
    assert error.value.fault.retryable == (category == "network")


def test_an_answer_may_be_cut_anywhere() -> None:
    text = '{"RecognitionStatus": "Success", "DisplayText": "Grüße."}'.encode()
    for at in range(len(text)):
        body = JsonBody(lambda answer: transcript_in(answer, 2.5, 1))
        assert [*body.feed(text[:at]), *body.feed(text[at:]), *body.end()][-1] == Transcript("Grüße.", True, 1)


def test_an_upload_is_a_file() -> None:
    upload = read_upload(wav(b"\x01\x00\x02\x00"))
    assert (upload.pcm, upload.format.rate, upload.channels) == (b"\x01\x00\x02\x00", 16_000, 1)


async def test_each_mark_uploads_the_utterance_so_far(serve: Any, tone: Tone, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(transcripts=("so far", "so far so good")) as vendor:
        stage, seen = vendor.recogniser(language="en-GB", options={"profanity": "raw"}), []
        vendor.server.frame_received = lambda request, frame: seen.append(request)
        await stage.warm()
        told = await heard(stage, stream(tone(0.5), Mark(1), tone(0.5), Mark(2, fresh=True), b"\0\0" * 99, Mark(3)))
        await stage.aclose()
        assert len(vendor.server.turns.turns) == 2  # warming up is none
    assert [(one.text, one.mark) for one in told] == [("so far", 1), ("so far so good", 2), ("", 3)]
    assert stage.traits.recheck == "paid"


async def test_what_comes_after_a_pause_is_not_lost(serve: Any, tone: Tone, stream: Stream) -> None:
    async with serve(transcripts=("First part,", "second part."), phrase_pause_ms=800) as vendor:
        stage = vendor.recogniser()
        [said] = await heard(stage, stream(tone(0.6), bytes(32_000), tone(0.6), bytes(16_000), Mark(1)))
        await stage.aclose()
        assert len(vendor.server.turns.turns) == 2
    assert said.text == "First part, second part."


async def test_more_than_a_minute_is_heard_in_parts(serve: Any, tone: Tone, stream: Stream) -> None:
    async with serve(transcripts=("one", "two")) as vendor:
        stage = vendor.recogniser()
        [said] = await heard(stage, stream(tone(70), Mark(1)))
        await stage.aclose()
    assert said.text == "one two"


@pytest.mark.parametrize(
    ("options", "category"),
    [({"keys": ("right",)}, "auth"), ({"used_up": ("k1",)}, "quota")],
    ids=["key", "quota"],
)
async def test_a_refused_key_shows_when_it_warms_up(serve: Any, options: dict[str, Any], category: str) -> None:
    async with no_leaked_tasks(), serve(**options) as vendor:
        for stage in (vendor.recogniser(), vendor.voice()):
            with pytest.raises(VoiceBridgeError) as error:
                await stage.warm()
            await stage.aclose()
            assert error.value.fault.category == category
            assert "k1" not in error.value.fault.message
