"""The recogniser: what answers mean, and the stage before the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage, Word
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge_google.speech_to_text import transcript_in

Tone = Callable[[float], bytes]
Stream = Callable[..., AsyncIterator[Any]]


async def heard(stage: Any, audio: AsyncIterator[bytes | Mark]) -> list[Transcript | Usage]:
    async with aclosing(stage.listen(audio)) as outputs:
        return [output async for output in outputs]


def test_results_are_one_text() -> None:
    answer = {
        "results": [
            {"alternatives": [{"transcript": "Hello there. "}, {"transcript": "Yellow"}], "languageCode": "en-US"},
            {"alternatives": []},
            {
                "alternatives": [
                    {
                        "transcript": "How are you?",
                        "words": [
                            {"word": "How", "endOffset": "0.500s"},
                            {"word": "are", "startOffset": "0.5s", "endOffset": "1s"},
                            {"word": "you"},
                        ],
                    }
                ]
            },
        ],
        "metadata": {"totalBilledDuration": "3s"},
    }
    assert list(transcript_in(answer, 2.5, 7)) == [
        Usage({"audio_s": 3.0}, basis="exact"),
        Transcript(
            "Hello there. How are you?",
            final=True,
            mark=7,
            words=(Word("How", 0, 500), Word("are", 500, 1000)),
            language="en-US",
        ),
    ]


@pytest.mark.parametrize("metadata", [None, {}, {"totalBilledDuration": 3}, {"totalBilledDuration": "-1s"}, "x"])
def test_without_a_bill_the_seconds_are_counted(metadata: Any) -> None:
    outputs = list(transcript_in({"metadata": metadata}, 2.5, 1))
    assert outputs == [Usage({"audio_s": 2.5}, basis="estimated"), Transcript("", final=True, mark=1)]


@pytest.mark.parametrize("answer", [None, [], "x", 5, {"results": {}}, {"results": [1]}])
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(VoiceBridgeError) as error:
        list(transcript_in(answer, 1, 1))
    assert error.value.fault.category == "protocol"


@pytest.mark.parametrize(
    "result",
    [{}, {"alternatives": None}, {"alternatives": [None]}, {"alternatives": [{"words": 5}], "languageCode": 4}],
    ids=["empty", "none", "null", "numbers"],
)
def test_a_result_that_says_nothing_is_no_text(result: Any) -> None:
    assert list(transcript_in({"results": [result]}, 1, 1))[1] == Transcript("", final=True, mark=1)


async def test_each_mark_uploads_the_utterance_so_far(serve: Any, tone: Tone, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(transcripts=("so far", "so far so good")) as vendor:
        stage = vendor.recogniser(options={"word_times": True}, language="en-GB")
        await stage.warm()
        outputs = await heard(stage, stream(tone(0.5), Mark(1), tone(0.5), Mark(2, fresh=True), b"\0\0" * 99, Mark(3)))
        await stage.aclose()
    told = [one for one in outputs if isinstance(one, Transcript)]
    assert [(one.text, one.mark) for one in told] == [("so far", 1), ("so far so good", 2), ("", 3)]
    assert [word.text for word in told[1].words] == ["so", "far", "so", "good"]
    assert told[1].words[-1].end_ms == pytest.approx(1000)
    assert told[1].language == "en-GB"
    assert [one for one in outputs if isinstance(one, Usage)] == [Usage({"audio_s": 1.0}, basis="exact")] * 2
    assert stage.traits.recheck == "paid"


async def test_more_than_a_minute_is_heard_in_parts(serve: Any, tone: Tone, stream: Stream) -> None:
    async with serve(transcripts=("one", "two")) as vendor:
        stage = vendor.recogniser()
        outputs = await heard(stage, stream(tone(70), Mark(1)))
        await stage.aclose()
    assert [one.text for one in outputs if isinstance(one, Transcript)] == ["one two"]


@pytest.mark.parametrize(
    ("options", "category", "code"),
    [
        ({"tokens": ("right",)}, "auth", "unauthenticated"),
        ({"denied": ("t1",)}, "auth", "permission_denied"),
    ],
    ids=["token", "denied"],
)
async def test_a_refused_token_shows_when_it_warms_up(
    serve: Any, options: dict[str, Any], category: str, code: str
) -> None:
    async with no_leaked_tasks(), serve(**options) as vendor:
        for stage in (vendor.recogniser(), vendor.voice()):
            with pytest.raises(VoiceBridgeError) as error:
                await stage.warm()
            await stage.aclose()
            assert (error.value.fault.category, error.value.fault.code) == (category, code)


async def test_warming_up_is_no_turn(serve: Any) -> None:
    async with serve() as vendor:
        for stage in (vendor.recogniser(), vendor.voice()):
            await stage.warm()
            await stage.aclose()
        assert not vendor.server.turns.turns


async def test_the_language_that_is_asked_for_is_told(serve: Any, tone: Tone, stream: Stream) -> None:
    async with serve() as vendor:
        stage = vendor.recogniser(language="de")
        [said] = [one for one in await heard(stage, stream(tone(0.5), Mark(1))) if isinstance(one, Transcript)]
        await stage.aclose()
    assert said.language == "de-DE"
