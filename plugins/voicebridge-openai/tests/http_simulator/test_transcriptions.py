"""POST /audio/transcriptions."""

from __future__ import annotations

import io

import numpy as np
import pytest

from voicebridge.testing.simulator.bare_client import tone


async def test_json(serve):
    async with serve(transcripts=("Good morning.",)) as api:
        answer = await api.upload()
        turn = api.turn()
    assert answer["text"] == "Good morning."
    assert answer["usage"] == {
        "type": "tokens",
        "input_tokens": 10,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 10},
        "output_tokens": 3,
        "total_tokens": 13,
    }
    assert turn.cause == "transcription"


async def test_a_script_is_told_one_after_the_other_and_ends_with_its_last(serve):
    async with serve(transcripts=("One.", "Two.")) as api:
        assert [(await api.upload())["text"] for _ in range(3)] == ["One.", "Two.", "Two."]


async def test_one_that_fails(serve):
    async with serve(transcripts=(None,)) as api:
        answer = await api.upload(status=500)
        assert api.turn().status == "failed"
    assert answer["error"]["type"] == "server_error"


async def test_a_stream(serve):
    async with serve(transcripts=("Good morning.",)) as api:
        events = await api.upload(stream="true")
    assert "".join(event["delta"] for event in events[:-2]) == "Good morning."
    assert events[-2]["type"] == "transcript.text.done"
    assert events[-2]["text"] == "Good morning."
    assert events[-2]["usage"]["total_tokens"] == 13
    assert events[-1] == "[DONE]"


async def test_whisper_does_not_stream(serve):
    async with serve(transcripts=("Good morning.",)) as api:
        answer = await api.upload(model="whisper-1", stream="true")
    assert answer == {"text": "Good morning.", "usage": {"type": "duration", "seconds": 1}}


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
async def test_formats_that_are_text(serve, form):
    async with serve(transcripts=("Good morning.",)) as api:
        answer = await api.upload(model="whisper-1", response_format=form)
    assert "Good morning." in answer
    assert ("00:00:01" in answer) == (form != "text")


async def test_places_of_words(serve):
    async with serve(transcripts=("Good morning, Ada.",)) as api:
        answer = await api.upload(
            model="whisper-1", response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]}
        )
    assert [word["word"] for word in answer["words"]] == ["Good", "morning", "Ada"]
    assert answer["words"][-1]["end"] == pytest.approx(answer["duration"])
    assert answer["segments"][0]["text"].strip() == answer["text"]
    assert answer["language"] == "english"


async def test_speakers(serve):
    async with serve(transcripts=("Good morning.",)) as api:
        answer = await api.upload(model="gpt-4o-transcribe-diarize", response_format="diarized_json")
    assert answer["segments"][0]["speaker"] == "A"


async def test_languages_of_gpt_transcribe(serve):
    async with serve(transcripts=("Guten Morgen.",)) as api:
        answer = await api.upload(model="gpt-transcribe", **{"languages[]": ["de", "en"], "keywords[]": ["Bonn"]})
    assert answer["languages"] == [{"code": "de"}]


async def test_a_header_that_lies_about_the_length_ends_with_the_file(serve, make_wav):
    pcm = tone(500, rate=8_000)
    async with serve() as api:
        answer = await api.upload(
            make_wav(pcm, rate=8_000, length=0xFFFFFFFF), model="whisper-1", response_format="verbose_json"
        )
    assert answer["duration"] == pytest.approx(0.5)


async def test_stereo_becomes_one_channel(serve, make_wav):
    mono = np.frombuffer(tone(500, rate=16_000), "<i2")
    both = np.stack([mono, mono], axis=1).tobytes()
    async with serve() as api:
        answer = await api.upload(make_wav(both, channels=2), model="whisper-1", response_format="verbose_json")
    assert answer["duration"] == pytest.approx(0.5)


async def test_other_files_are_read_too(serve):
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    samples = np.frombuffer(tone(500, rate=16_000), "<i2")
    soundfile.write(file, samples, 16_000, format="FLAC", subtype="PCM_16")
    async with serve() as api:
        answer = await api.upload(
            file.getvalue(), name="speech.flac", model="whisper-1", response_format="verbose_json"
        )
    assert answer["duration"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        pytest.param({"response_format": "verbose_json"}, 400, "unsupported_value", id="format of another model"),
        pytest.param({"response_format": "docx"}, 400, "invalid_value", id="no format"),
        pytest.param({"content": b"RIFF????WAVE"}, 400, "invalid_value", id="no audio"),
        pytest.param({"content": b""}, 400, "invalid_value", id="empty"),
        pytest.param({"name": "speech.txt"}, 400, None, id="ending"),
        pytest.param({"model": "no-such-model"}, 404, "model_not_found", id="model"),
        pytest.param({"model": "gpt-4o"}, 404, "model_not_found", id="model of a chat"),
        pytest.param({"stream": "perhaps"}, 400, "invalid_type", id="stream"),
        pytest.param({"temperature": "2"}, 400, "decimal_above_max_value", id="temperature"),
        pytest.param({"keywords": "Bonn"}, 400, "unsupported_parameter", id="keywords"),
        pytest.param({"zork": "1"}, 400, "unknown_parameter", id="unknown field"),
        pytest.param({"timestamp_granularities[]": "word"}, 400, "unsupported_value", id="words without verbose"),
    ],
)
async def test_what_does_not_fit_is_refused(serve, fields, status, code):
    async with serve() as api:
        answer = await api.upload(**fields, status=status)
        assert not api.server.turns.turns
    assert answer["error"]["code"] == code


async def test_too_short(serve, make_wav):
    async with serve() as api:
        answer = await api.upload(make_wav(tone(90, rate=16_000)), status=400)
    assert answer["error"] == {
        "message": "Audio file is too short. Minimum audio length is 0.1 seconds.",
        "type": "invalid_request_error",
        "param": "file",
        "code": "audio_too_short",
    }


async def test_a_time_runs_from_the_last_byte_of_the_upload(serve):
    async with serve(profile="transcription=30") as api:
        await api.upload()
        turn = api.turn()
    assert turn.stamps["first_text"] - turn.stamps["requested"] >= 0.03
