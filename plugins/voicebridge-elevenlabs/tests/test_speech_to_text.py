"""The recogniser's stages before the simulated vendor, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript
from voicebridge.testing.guards import no_leaked_tasks

Tone = Callable[[float], bytes]
Stream = Callable[..., AsyncIterator[Any]]


async def heard(stage: Any, audio: AsyncIterator[bytes | Mark]) -> list[Transcript]:
    async with aclosing(stage.listen(audio)) as outputs:
        return [output async for output in outputs if isinstance(output, Transcript)]


def finals(transcripts: list[Transcript]) -> list[tuple[str, int | None]]:
    return [(one.text, one.mark) for one in transcripts if one.final]


async def test_utterances_are_written_down_while_they_are_spoken(serve: Any, tone: Tone) -> None:
    told: list[Transcript] = []
    interim, final = asyncio.Event(), asyncio.Event()

    async def audio() -> AsyncIterator[bytes | Mark]:
        for n in (1, 2):
            interim.clear()
            final.clear()
            for _ in range(100):
                yield tone(0.02)
            await interim.wait()
            yield Mark(n, fresh=True)
            await final.wait()

    async with no_leaked_tasks(), serve(transcripts=("one two three four", "five six")) as vendor:
        stage = vendor.recogniser()
        await stage.warm()
        async for output in stage.listen(audio()):
            if isinstance(output, Transcript):
                told.append(output)
                (final if output.final else interim).set()
        await stage.aclose()
        assert vendor.server.connections == 1
    assert finals(told) == [("one two three four", 1), ("five six", 2)]
    assert told[0] == Transcript("one")


async def test_a_connection_that_ends_between_turns_is_opened_again(serve: Any, tone: Tone) -> None:
    async def audio() -> AsyncIterator[bytes | Mark]:
        yield tone(0.5)
        yield Mark(1, fresh=True)
        await asyncio.sleep(0.6)
        yield tone(0.5)
        yield Mark(2, fresh=True)

    async with serve(transcripts=("one", "two"), scribe_idle_s=0.2) as vendor:
        stage = vendor.recogniser()
        assert finals(await heard(stage, audio())) == [("one", 1), ("two", 2)]
        assert vendor.server.connections == 2
        await stage.aclose()


async def test_a_connection_that_ends_in_an_utterance_is_a_fault(serve: Any, tone: Tone) -> None:
    async def audio() -> AsyncIterator[bytes | Mark]:
        yield tone(0.5)
        await asyncio.sleep(1)
        yield Mark(1)

    async with no_leaked_tasks(), serve(session_s=0.2) as vendor:
        stage = vendor.recogniser()
        with pytest.raises(VoiceBridgeError) as error:
            await heard(stage, audio())
        assert (error.value.fault.category, error.value.fault.code) == ("planned_end", "session_time_limit_exceeded")
        assert error.value.fault.retryable
        await stage.aclose()


async def test_settings_hold_from_the_next_utterance_on(serve: Any, tone: Tone) -> None:
    async with serve(transcripts=("one", "two")) as vendor:
        stage, seen = vendor.recogniser(), []
        vendor.server.frame_received = lambda request, frame: seen.append(request.query.get("language_code"))

        async def audio() -> AsyncIterator[bytes | Mark]:
            yield tone(0.5)
            yield Mark(1, fresh=True)
            await asyncio.sleep(0.2)
            stage.configure(
                SessionConfig.model_validate({"base_url": vendor.url, "api_key": "k1", "language": "de-DE"})
            )
            yield tone(0.5)
            yield Mark(2, fresh=True)

        assert finals(await heard(stage, audio())) == [("one", 1), ("two", 2)]
        await stage.aclose()
        assert (seen[0], seen[-1]) == (None, "de")


@pytest.mark.parametrize("model", ["scribe_v2_realtime", "scribe_v2"])
@pytest.mark.parametrize(
    ("options", "category"),
    [({"keys": ("right",)}, "auth"), ({"empty_accounts": ("k1",)}, "quota")],
    ids=["key", "quota"],
)
async def test_what_the_vendor_refuses(
    serve: Any, tone: Tone, stream: Stream, model: str, options: dict[str, Any], category: str
) -> None:
    async with no_leaked_tasks(), serve(**options) as vendor:
        stage = vendor.recogniser(model)
        with pytest.raises(VoiceBridgeError) as error:
            await heard(stage, stream(tone(0.5), Mark(1)))
        await stage.aclose()
    assert error.value.fault.category == category


async def test_an_error_of_the_session_is_a_fault(serve: Any, tone: Tone, stream: Stream) -> None:
    async with serve(require_key=True) as vendor:
        stage = vendor.recogniser(api_key=None)
        with pytest.raises(VoiceBridgeError) as error:
            await heard(stage, stream(tone(0.5), Mark(1)))
        await stage.aclose()
    assert (error.value.fault.category, error.value.fault.code) == ("auth", "auth_error")


async def test_uploads_have_the_words_and_the_whole_utterance_each_time(serve: Any, tone: Tone, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(transcripts=("so far", "so far so good")) as vendor:
        stage = vendor.recogniser("scribe_v2", language="en-GB", transcription={"keywords": ("Bonn",)})
        await stage.warm()
        told = await heard(stage, stream(tone(0.5), Mark(1), tone(0.5), Mark(2, fresh=True), b"\0\0" * 100, Mark(3)))
        await stage.aclose()
    assert finals(told) == [("so far", 1), ("so far so good", 2), ("", 3)]
    assert [word.text for word in told[1].words] == ["so", "far", "so", "good"]
    assert told[1].words[-1].end_ms == pytest.approx(1000)
    assert stage.traits.recheck == "paid"


def test_options_of_one_kind_are_none_of_the_other() -> None:
    from voicebridge_elevenlabs.speech_to_text import make_recogniser

    for model, option in (("scribe_v2", "filter_background_audio"), ("scribe_v2_realtime", "temperature")):
        with pytest.raises(BadOption, match=option):
            make_recogniser(model).configure(SessionConfig.model_validate({"api_key": "k", "options": {option: True}}))
