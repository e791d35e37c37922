"""What is registered, and what each name makes."""

from __future__ import annotations

import pytest

from voicebridge.contract.errors import BackendNotFound, ConfigError
from voicebridge.registry.registry import Registry
from voicebridge.registry.rows import Seat
from voicebridge_openai.seats.connection import api_url
from voicebridge_openai.seats.model_stage import ChatModel, ResponsesModel
from voicebridge_openai.seats.servers import SERVERS
from voicebridge_openai.seats.session_stage import SessionRecogniser
from voicebridge_openai.seats.upload_stage import UploadRecogniser
from voicebridge_openai.seats.voice_stage import Voice


@pytest.fixture(scope="module")
def registry() -> Registry:
    """With this plugin alone."""
    return Registry(allow=["openai"])


@pytest.mark.parametrize(
    ("seat", "name", "kind"),
    [
        ("stt", "openai/whisper-1", UploadRecogniser),
        ("stt", "openai/gpt-4o-transcribe", UploadRecogniser),
        ("stt", "openai/gpt-realtime-whisper", SessionRecogniser),
        ("stt", "openai/gpt-live-transcribe", SessionRecogniser),
        ("stt", "openai/realtime/gpt-4o-transcribe", SessionRecogniser),
        ("stt", "openai/turns/gpt-4o-transcribe", SessionRecogniser),
        ("stt", "whisper-cpp", UploadRecogniser),
        ("stt", "speaches/Systran/faster-whisper-base.en", UploadRecogniser),
        ("stt", "vllm/openai/whisper-small", UploadRecogniser),
        ("llm", "openai/gpt-4o", ChatModel),
        ("llm", "openai/responses/gpt-5.4-mini", ResponsesModel),
        ("llm", "ollama/llama3.2", ChatModel),
        ("llm", "ollama/responses/llama3.2", ResponsesModel),
        ("llm", "llama-cpp", ChatModel),
        ("llm", "lm-studio/llama-3.2-3b-instruct", ChatModel),
        ("tts", "openai/gpt-4o-mini-tts", Voice),
        ("tts", "kokoro", Voice),
        ("tts", "kokoro/af_sky", Voice),
        ("tts", "speaches/speaches-ai/Kokoro-82M-v1.0-ONNX", Voice),
    ],
)
def test_names_and_what_they_make(registry: Registry, seat: Seat, name: str, kind: type) -> None:
    assert type(registry.stage(seat, name)) is kind


@pytest.mark.parametrize(
    ("seat", "name", "hint"),
    [
        ("stt", "openai", "openai/whisper-1|gpt-"),
        ("llm", "ollama", "ollama/<model>"),
        ("tts", "openai", "gpt-4o-mini-tts"),
    ],
    ids=["stt", "llm", "tts"],
)
def test_a_missing_model_is_asked_for(registry: Registry, seat: Seat, name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        registry.stage(seat, name)


def test_a_seat_that_a_server_has_not(registry: Registry) -> None:
    with pytest.raises(BackendNotFound):
        registry.stage("tts", "ollama/llama3.2")


def test_rows_tell_of_models_keys_and_needs(registry: Registry) -> None:
    rows = {(row.seat, row.name): row for row in registry.rows().stages}
    assert rows["llm", "openai"].about.key == "OPENAI_API_KEY"
    assert rows["llm", "ollama"].about.key == ""
    ends = {model.name: model.shuts_down for model in rows["tts", "openai"].about.models}
    assert str(ends["tts-1"]) == "2027-01-06"
    assert not any(row.about.missing() for row in rows.values())


@pytest.mark.parametrize(
    ("server", "given", "url"),
    [
        ("openai", None, "https://api.openai.com/v1"),
        ("openai", "https://me.example", "https://me.example/v1"),
        ("openai", "https://me.example/api/v1/", "https://me.example/api/v1"),
        ("ollama", "http://localhost:1/v1/chat/completions", "http://localhost:1/v1"),
        ("ollama", "ws://localhost:1/v1", "http://localhost:1/v1"),
        ("whisper-cpp", "http://localhost:1", "http://localhost:1"),
        ("whisper-cpp", "http://localhost:1/inference", "http://localhost:1"),
    ],
    ids=lambda value: str(value).replace("/", "_"),
)
def test_addresses(server: str, given: str | None, url: str) -> None:
    assert api_url(SERVERS[server], given) == url


@pytest.mark.parametrize(
    "given", ["me.example", "ftp://x", "http://", "http://[1", "http://x:0", "http://x/ y", "http://x?key=1"]
)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        api_url(SERVERS["openai"], given)
