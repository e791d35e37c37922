"""Uploads: the form out, transcripts in, and the stage over a real socket."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
import pytest

from voicebridge.contract.config import SessionConfig, Transcription
from voicebridge.contract.errors import BadOption, Unsupported, VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge_openai.seats.options import TranscriptionOptions
from voicebridge_openai.seats.servers import SERVERS
from voicebridge_openai.seats.transcript import TranscriptBody
from voicebridge_openai.seats.upload_request import FORMAT, upload_form, wav
from voicebridge_openai.seats.upload_stage import UploadRecogniser

from .scripted_server import Answer, serving, sse

SECOND = bytes(FORMAT.size(1000))
WORDS = Transcription(keywords=("Ulm", "Aalen"))


def form(model: str, server: str = "openai", **given: Any) -> Any:
    """The fields of an upload."""
    options = TranscriptionOptions.model_validate(given.pop("options", {}))
    return upload_form(SERVERS[server], model, SessionConfig.model_validate(given), options)


def read(data: bytes, step: int = 0) -> list[Any]:
    """All outputs of an answer to two seconds."""
    body = TranscriptBody(2.0)
    outputs: list[Any] = []
    for start in range(0, len(data), step or len(data) or 1):
        outputs += body.feed(data[start : start + (step or len(data))])
    return [*outputs, *body.end()]


def test_the_form_of_each_model() -> None:
    assert form("whisper-1", transcription=WORDS, language="pt-BR") == {
        "model": "whisper-1",
        "response_format": "json",
        "language": "pt",
        "prompt": "Ulm, Aalen",
    }
    assert form("gpt-4o-transcribe")["stream"] == "true"
    told = form("gpt-transcribe", transcription=WORDS, options={"languages": ("de", "en"), "prompt": "A call."})
    assert (told["keywords[]"], told["languages[]"], told["prompt"]) == (("Ulm", "Aalen"), ("de", "en"), "A call.")
    assert "stream" not in form("base.en", "speaches")
    extra = form("x", "openai-compatible", options={"stream": True, "temperature": 0.2, "extra_form": {"vad": "on"}})
    assert (extra["stream"], extra["temperature"], extra["vad"]) == ("true", "0.2", "on")


def test_what_a_model_does_not_take_is_refused() -> None:
    with pytest.raises(Unsupported, match="gpt-transcribe"):
        form("gpt-4o-transcribe-diarize", transcription=WORDS)
    with pytest.raises(Unsupported, match="prompt"):
        form("gpt-4o-transcribe-diarize", options={"prompt": "A call."})
    with pytest.raises(Unsupported, match="languages"):
        form("whisper-1", options={"languages": ("de",)})


def test_the_wav_is_one() -> None:
    pcm = bytes(range(256)) * 2
    with wave.open(io.BytesIO(wav(pcm))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(1000) == pcm


TOKENS = {"type": "tokens", "input_tokens": 20, "input_token_details": {"audio_tokens": 20}, "output_tokens": 4}
STREAM = sse(
    {"type": "transcript.text.delta", "delta": "Grüß"},
    {"type": "transcript.text.delta", "delta": " dich"},
    {"type": "transcript.text.done", "text": "Grüß dich.", "usage": TOKENS, "languages": [{"code": "de"}]},
)


@pytest.mark.parametrize("step", [0, 1, 2, 9])
def test_a_streamed_transcript_however_it_is_cut(step: int) -> None:
    assert read(STREAM, step) == [
        Transcript("Grüß"),
        Transcript("Grüß dich"),
        Usage({"input_audio_tokens": 20.0, "other_out": 4.0}),
        Transcript("Grüß dich.", final=True, language="de"),
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"text": " And so\\n"}', "And so"),
        (b" And so my fellow\n", "And so my fellow"),
        (
            sse({"choices": [{"delta": {"content": "And"}}]}, {"choices": [{"delta": {"content": " so"}}]}, "[DONE]"),
            "And so",
        ),
        (sse({"text": "And"}, {"text": " so"}, "[DONE]"), "And so"),
        (b'{"text": ""}', ""),
    ],
    ids=["json", "text", "vllm", "segments", "silence"],
)
def test_transcripts_of_compatible_servers(data: bytes, text: str) -> None:
    usage, final = read(data)[-2:]
    assert usage == Usage({"audio_s": 2.0}, basis="estimated")
    assert final == Transcript(text, final=True)


def test_seconds_are_exact_where_the_vendor_tells_them() -> None:
    assert read(b'{"text": "Hi", "usage": {"type": "duration", "seconds": 3}}')[0] == Usage({"audio_s": 3.0})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"text": 3}',
        b'{"error": {"message": "no"}}',
        b'{"text"',
        sse({"error": "no"}),
        STREAM[:40],
        b"\n<!doctype html><html>It works!</html>",
        b"<html><body>It works!</body></html>",
    ],
    ids=["empty", "number", "error", "cut", "error-event", "cut-stream", "page", "page-without-type"],
)
def test_what_is_no_transcript_is_an_error(data: bytes) -> None:
    with pytest.raises(VoiceBridgeError):
        read(data)


# The stage


async def pieces(*given: Any) -> AsyncIterator[Any]:
    """Audio and marks, with a moment between them."""
    for piece in given:
        yield piece
        await asyncio.sleep(0.01)


def stage(url: str, model: str = "gpt-4o-transcribe", **options: Any) -> UploadRecogniser:
    """One that talks to `url`."""
    made = UploadRecogniser(SERVERS["openai"], model)
    made.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-1", "options": options}))
    return made


async def heard(made: UploadRecogniser, *given: Any) -> list[Transcript]:
    """The final transcripts."""
    outputs = [output async for output in made.listen(pieces(*given))]
    await made.aclose()
    return [output for output in outputs if isinstance(output, Transcript) and output.final]


async def test_each_utterance_is_uploaded_and_answered() -> None:
    async with serving(Answer([b'{"text": "one"}']), Answer([b'{"text": "two"}'])) as server:
        found = await heard(
            stage(server.url), SECOND, Mark(1, fresh=True), SECOND, Mark(2, fresh=True, wanted=False), SECOND, Mark(3)
        )
    assert found == [Transcript("one", final=True, mark=1), Transcript("two", final=True, mark=3)]
    assert [asked.path for asked in server.asked] == ["/v1/audio/transcriptions"] * 2
    assert server.asked[0].headers["authorization"] == "Bearer sk-1"
    body = server.asked[1].body
    assert b'name="model"\r\n\r\ngpt-4o-transcribe' in body
    assert b'filename="utterance.wav"' in body
    assert wav(SECOND) in body


async def test_a_long_utterance_may_take_longer() -> None:
    slow = [b" "] * 3 + [b'{"text": "long"}']
    async with serving(Answer(slow, pause_s=0.1)) as server:
        made = stage(server.url, first_output_timeout_s=0.2)
        with pytest.raises(VoiceBridgeError):
            await heard(made, SECOND, Mark(1))
        made = stage(server.url, first_output_timeout_s=0.2)
        assert await heard(made, SECOND * 25, Mark(1)) == [Transcript("long", final=True, mark=1)]


async def test_less_than_the_vendor_takes_is_silence() -> None:
    async with serving(Answer(status=500)) as server:
        found = await heard(stage(server.url), bytes(FORMAT.size(99)), Mark(4, fresh=True), Mark(5))
    assert found == [Transcript("", final=True, mark=4), Transcript("", final=True, mark=5)]
    assert not server.asked


async def test_a_later_mark_of_the_same_utterance_replaces_an_earlier_one() -> None:
    async with serving(Answer([], then="hang"), Answer([b'{"text": "all"}'])) as server:
        found = await heard(stage(server.url), SECOND, Mark(1), SECOND, Mark(2))
        await asyncio.wait_for(server.gone.wait(), 5)
    assert found == [Transcript("all", final=True, mark=2)]
    assert wav(SECOND + SECOND) in server.asked[1].body


async def test_answers_come_in_the_order_of_their_marks() -> None:
    slow = Answer([sse({"type": "transcript.text.delta", "delta": "o"}), b": wait\n\n"] * 3 + [STREAM])
    async with serving(slow, Answer([b'{"text": "two"}'])) as server:
        found = await heard(stage(server.url), SECOND, Mark(1, fresh=True), SECOND, Mark(2, fresh=True))
    assert [one.mark for one in found] == [1, 2]


async def test_a_refusal_is_told() -> None:
    refusal = orjson.dumps({"error": {"message": "Unsupported file", "code": None, "type": "invalid_request_error"}})
    async with serving(Answer([refusal], status=400, kind="application/json")) as server:
        with pytest.raises(VoiceBridgeError, match="Unsupported file") as caught:
            await heard(stage(server.url), SECOND, Mark(1))
    assert caught.value.category == "config"


async def test_who_stops_listening_ends_the_upload() -> None:
    async with serving(Answer([], then="hang")) as server:
        made = stage(server.url)
        stream = made.listen(pieces(SECOND, Mark(1), *[bytes(2)] * 200))
        assert isinstance(stream, AsyncGenerator)
        waiting = asyncio.create_task(anext(stream))
        await server.until(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(server.gone.wait(), 5)
        await made.aclose()


def test_an_unknown_option() -> None:
    with pytest.raises(BadOption, match="'temperature'"):
        stage("http://127.0.0.1:1", temprature=1)


async def test_what_came_before_an_upload_that_fails_is_told() -> None:
    answers = [Answer([b'{"text": "%d"}' % n]) for n in (1, 2)]
    async with serving(*answers, Answer([b"{}"], status=400)) as server:

        async def three() -> AsyncIterator[Any]:
            for n in (1, 2, 3):
                yield SECOND
                yield Mark(n, fresh=True)
                await server.until(n)

        made, told = stage(server.url), []

        async def listen_slowly() -> None:
            async for output in made.listen(three()):
                told.append(output)
                await server.until(3)
                await asyncio.sleep(0.1)

        with pytest.raises(VoiceBridgeError):
            await listen_slowly()
        await made.aclose()
    assert [one.mark for one in told if isinstance(one, Transcript)] == [1, 2]


async def test_an_upload_that_is_replaced_has_cost_something() -> None:
    async with serving(Answer([], then="hang"), Answer([b'{"text": "all"}'])) as server:
        made = stage(server.url)
        outputs = [output async for output in made.listen(pieces(SECOND, Mark(1), SECOND, Mark(2)))]
        await made.aclose()
    assert [one.units for one in outputs if isinstance(one, Usage)] == [{"audio_s": 1.0}, {"audio_s": 2.0}]
