"""The vendor's own SDK before the simulator of its voices and of Scribe: what it is sent, and what it makes of it."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("elevenlabs", reason="the elevenlabs SDK is in the extra `judges`")

from elevenlabs import VoiceSettings
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.realtime import AudioFormat, CommitStrategy, RealtimeEvents, ScribeRealtime
from elevenlabs.types import (
    AudioOutput,
    CommittedTranscriptPayload,
    CommittedTranscriptWithTimestampsPayload,
    FinalOutput,
    PartialTranscriptPayload,
    ScribeThrottledErrorPayload,
    SessionStartedPayload,
)
from websockets.asyncio.client import connect

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry

pytestmark = pytest.mark.judges

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
TEXT = "Hello there, how are you today?"
PCM = "pcm_24000"
MS_PER_CHAR = 65
Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def serve() -> Serve:
    """The address of a simulator with these options."""

    @asynccontextmanager
    async def served(**options: Any) -> AsyncIterator[str]:
        simulator = registry().simulator("elevenlabs", SimulatorSettings(options={"pace": 0} | options))
        async with simulator.serve() as url:
            yield url.replace("ws", "http", 1)

    return served


def tone(seconds: float) -> bytes:
    """A loud tone, PCM16 at 16 kHz."""
    return b"".join(struct.pack("<h", int(9000 * math.sin(n / 4))) for n in range(int(16_000 * seconds)))


def client(url: str, key: str = "any") -> AsyncElevenLabs:
    return AsyncElevenLabs(api_key=key, base_url=url)


async def test_a_stream_is_the_whole_audio(serve: Serve) -> None:
    async with serve() as url:
        asked = client(url).text_to_speech.stream(
            GEORGE,
            text=TEXT,
            output_format=PCM,
            model_id="eleven_turbo_v2_5",
            language_code="en",
            voice_settings=VoiceSettings(stability=0.4, similarity_boost=0.7, speed=1.0),
        )
        pcm = b"".join([piece async for piece in asked])
    assert len(pcm) == len(TEXT) * MS_PER_CHAR * 48


async def test_timed_lines_hold_every_character_once_and_in_order(serve: Serve) -> None:
    async with serve() as url:
        asked = client(url).text_to_speech.stream_with_timestamps(GEORGE, text=TEXT, output_format=PCM)
        lines = [line async for line in asked]
    told = [line.alignment for line in lines if line.alignment]
    starts = [start for one in told for start in one.character_start_times_seconds]
    ends = [end for one in told for end in one.character_end_times_seconds]
    assert "".join(char for one in told for char in one.characters) == TEXT
    assert starts == sorted(starts)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    seconds = sum(len(base64.b64decode(line.audio_base_64)) for line in lines) / 48_000
    assert seconds - 0.05 < ends[-1] <= seconds


async def test_convert_realtime_gets_the_same_audio(serve: Serve) -> None:
    async with serve() as url:

        def converse() -> bytes:
            voices = ElevenLabs(api_key="any", base_url=url).text_to_speech
            # The SDK dials wss:// whatever base_url says, and there is no TLS here.
            voices._ws_base_url = url.replace("http", "ws", 1)  # type: ignore[attr-defined]  # its own private name
            return b"".join(
                voices.convert_realtime(
                    GEORGE,
                    text=iter([TEXT, " And I am fine, too."]),
                    model_id="eleven_flash_v2_5",
                    output_format=PCM,
                    voice_settings=VoiceSettings(stability=0.5, use_speaker_boost=True),
                )
            )

        pcm = await asyncio.to_thread(converse)
    assert len(pcm) >= (len(TEXT) + len(" And I am fine, too.")) * MS_PER_CHAR * 48


async def test_frames_of_the_websocket_are_those_of_the_types(serve: Serve) -> None:
    async with serve() as url:
        address = f"{url.replace('http', 'ws', 1)}/v1/text-to-speech/{GEORGE}/stream-input"
        query = f"?model_id=eleven_flash_v2_5&output_format={PCM}&auto_mode=true&sync_alignment=true"
        async with connect(address + query, additional_headers={"xi-api-key": "any"}) as socket:
            for text in (" ", f"{TEXT} ", ""):
                await socket.send(f'{{"text": "{text}"}}')
            frames = [frame async for frame in socket]
    assert socket.close_code == 1000
    *audio, last = frames
    outputs = [AudioOutput.model_validate_json(frame) for frame in audio]
    assert FinalOutput.model_validate_json(last).is_final is True
    assert all(base64.b64decode(output.audio) for output in outputs)
    timed = [output.alignment for output in outputs if output.alignment]
    assert "".join(char for one in timed for char in one.chars or ()).strip() == TEXT
    assert all(len(one.chars or ()) == len(one.char_durations_ms or ()) for one in timed)


async def test_voices_are_found_by_name(serve: Serve) -> None:
    async with serve() as url:
        every = await client(url).voices.get_all()
        found = await client(url).voices.search(search="rachel")
    assert GEORGE in [voice.voice_id for voice in every.voices]
    assert [voice.name for voice in found.voices] == ["Rachel"]
    assert found.has_more is False


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "wav"])
async def test_an_upload_is_written_down(serve: Serve, raw: bool) -> None:
    import io
    import wave

    with io.BytesIO() as file:
        with wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(16_000)
            wav.writeframes(tone(1.5))
        content = tone(1.5) if raw else file.getvalue()
    async with serve(transcripts=("What a day.",)) as url:
        heard = await client(url).speech_to_text.convert(
            model_id="scribe_v2", file=content, file_format="pcm_s16le_16" if raw else "other", tag_audio_events=False
        )
    assert heard.text == "What a day."
    assert [word.text for word in heard.words] == ["What", "a", "day."]
    assert heard.audio_duration_secs == pytest.approx(1.5)


async def test_realtime_scribe_by_hand(serve: Serve) -> None:
    async with serve(transcripts=("One two three four.", "And five.")) as url:
        scribe = ScribeRealtime(api_key="any", base_url=url.replace("http", "ws", 1))
        session = await scribe.connect(
            {
                "model_id": "scribe_v2_realtime",
                "audio_format": AudioFormat.PCM_16000,
                "sample_rate": 16_000,
                "commit_strategy": CommitStrategy.MANUAL,
                "include_timestamps": True,
            }
        )
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for event in RealtimeEvents:
            session.on(event, lambda *data: told.put_nowait(data[0]) if data and "message_type" in data[0] else None)
        pcm = tone(2)
        for at in range(0, len(pcm), 3200):
            await session.send({"audio_base_64": base64.b64encode(pcm[at : at + 3200]).decode()})
        await session.commit()
        frames = await _until(told, "committed_transcript_with_timestamps")
        await session.commit()
        frames += await _until(told, "commit_throttled")
        await session.close()
    by_kind = {frame["message_type"]: frame for frame in frames}
    SessionStartedPayload.model_validate(by_kind["session_started"])
    partial = PartialTranscriptPayload.model_validate(by_kind["partial_transcript"])
    committed = CommittedTranscriptPayload.model_validate(by_kind["committed_transcript"])
    timed = CommittedTranscriptWithTimestampsPayload.model_validate(by_kind["committed_transcript_with_timestamps"])
    ScribeThrottledErrorPayload.model_validate(by_kind["commit_throttled"])
    assert committed.text == timed.text == "One two three four."
    assert committed.text.startswith(partial.text.rstrip("."))
    assert [word.text for word in timed.words or ()] == ["One", "two", "three", "four."]


async def _until(told: asyncio.Queue[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    frames = []
    async with asyncio.timeout(5):
        while not frames or frames[-1]["message_type"] != kind:
            frames.append(await told.get())
    return frames


async def test_what_is_refused_is_an_api_error(serve: Serve) -> None:
    async with serve(keys=("right",), empty_accounts=("right",)) as url:
        for key, status in (("wrong", "invalid_api_key"), ("right", "quota_exceeded")):
            with pytest.raises(ApiError) as error:
                await client(url, key).voices.get_all()
            assert error.value.status_code == 401
            assert error.value.body["detail"]["status"] == status
    async with serve() as url:
        with pytest.raises(ApiError) as error:
            async for _ in client(url).text_to_speech.stream("nobody", text=TEXT, output_format=PCM):
                pass
    assert error.value.body["detail"]["status"] == "voice_not_found"
