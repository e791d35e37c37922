"""Google's own clients, over REST, before the simulated vendor; and our requests, read by their types."""

from __future__ import annotations

import asyncio
import io
import json
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.engine import SimulatedServer

speech = pytest.importorskip("google.cloud.speech_v2", reason="the extra `judges` is not installed")
texttospeech = pytest.importorskip("google.cloud.texttospeech_v1", reason="the extra `judges` is not installed")

pytestmark = pytest.mark.judges
T = TypeVar("T")
WHERE = "projects/demo/locations/us/recognizers/_"
TONE = b"".join(struct.pack("<h", int(9000 * math.sin(n / 4))) for n in range(16_000))


@asynccontextmanager
async def clients(token: str = "t1", **options: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Both clients before a simulator with these options."""
    from google.cloud.speech_v2.services.speech.transports.rest import SpeechRestTransport
    from google.cloud.texttospeech_v1.services.text_to_speech.transports.rest import TextToSpeechRestTransport
    from google.oauth2.credentials import Credentials

    server = cast(SimulatedServer, registry().simulator("google-speech", SimulatorSettings(options=options)))
    async with server.serve() as url:
        where = {"host": url.partition("//")[2], "url_scheme": "http", "credentials": Credentials(token)}
        yield (
            speech.SpeechClient(transport=SpeechRestTransport(**where)),
            texttospeech.TextToSpeechClient(transport=TextToSpeechRestTransport(**where)),
        )


async def ask(call: Callable[..., T], **fields: Any) -> T:
    """The clients block."""
    return await asyncio.to_thread(call, **fields, retry=None, timeout=10)


async def test_it_recognises() -> None:
    from voicebridge_google.settings import HearingSettings
    from voicebridge_google.speech_to_text import recognition_config

    config = SessionConfig.model_validate(
        {
            "language": "de",
            "transcription": {"keywords": ("Bonn",)},
            "options": {"project": "demo", "boost": 5, "denoise": True, "word_times": True},
        }
    )
    ours = speech.RecognitionConfig.from_json(json.dumps(recognition_config(HearingSettings.of("chirp_3", config))))
    async with clients(transcripts=("Guten Tag.",)) as (client, _):
        answer = await ask(
            client.recognize, request=speech.RecognizeRequest(recognizer=WHERE, config=ours, content=TONE)
        )
    [result] = answer.results
    assert result.alternatives[0].transcript == "Guten Tag."
    assert [word.word for word in result.alternatives[0].words] == ["Guten", "Tag."]
    assert result.language_code == "de-DE"
    assert answer.metadata.total_billed_duration.total_seconds() == 1


async def test_it_speaks() -> None:
    from voicebridge_google.settings import VoiceSettings
    from voicebridge_google.text_to_speech import samples_in, synthesis_request

    soundfile = pytest.importorskip("soundfile")
    settings = VoiceSettings.of("chirp-3-hd", SessionConfig(voice="Puck", speed=1.5))
    ours = texttospeech.SynthesizeSpeechRequest.from_json(json.dumps(synthesis_request(settings, "Hello there.")))
    async with clients() as (_, client):
        voices = await ask(client.list_voices, language_code="en-US")
        answer = await ask(client.synthesize_speech, request=ours)
    assert settings.voice in {voice.name for voice in voices.voices}
    samples, rate = soundfile.read(io.BytesIO(answer.audio_content), dtype="int16")
    assert rate == 24_000
    [pcm] = samples_in(json.loads(type(answer).to_json(answer)))
    assert pcm == samples.tobytes()


async def test_an_account_that_may_not_is_forbidden() -> None:
    from google.api_core.exceptions import Forbidden

    async with clients(denied=("t1",)) as (_, client):
        with pytest.raises(Forbidden):
            await ask(client.list_voices, language_code="en-US")


async def test_a_token_that_is_refused_is_taken_for_one_that_has_ended() -> None:
    from google.auth.exceptions import RefreshError

    async with clients(tokens=("right",)) as (_, client):
        with pytest.raises(RefreshError):
            await ask(client.list_voices, language_code="en-US")


async def test_what_does_not_fit_is_a_bad_request() -> None:
    from google.api_core.exceptions import BadRequest

    async with clients() as (client, _):
        with pytest.raises(BadRequest):
            await ask(client.recognize, request=speech.RecognizeRequest(recognizer=WHERE, content=TONE))
