"""What settings become, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, Unsupported
from voicebridge.registry.registry import registry
from voicebridge_azure.address import Address
from voicebridge_azure.models import full_language
from voicebridge_azure.ssml import SpokenAs
from voicebridge_azure.text_to_speech import VoiceOptions, spoken_as


def config(**fields: Any) -> SessionConfig:
    return SessionConfig.model_validate({"api_key": "k"} | fields)


@pytest.mark.parametrize(
    ("language", "whole"),
    [("en", "en-US"), ("de", "de-DE"), ("pt-pt", "pt-PT"), ("zh", "zh-CN"), ("en_GB", "en-GB"), ("es-419", "es-419")],
)
def test_a_language_gets_its_country(language: str, whole: str) -> None:
    assert full_language(language) == whole


def test_the_address_follows_from_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Address.of("stt", "westeurope", config()).base_url == "https://westeurope.stt.speech.microsoft.com"
    assert Address.of("tts", "West Europe", config()).base_url == "https://westeurope.tts.speech.microsoft.com"
    monkeypatch.setenv("AZURE_SPEECH_REGION", "eastus")
    monkeypatch.setenv("AZURE_SPEECH_KEY", "of-the-environment")
    address = Address.of("tts", None, SessionConfig())
    assert address.base_url == "https://eastus.tts.speech.microsoft.com"
    assert address.headers == {"Ocp-Apim-Subscription-Key": "of-the-environment"}
    assert "of-the-environment" not in repr(address)


def test_a_token_is_no_key() -> None:
    for token in ("eyJhbGciOi", "aad#/subscriptions/x#y"):
        assert Address.of("stt", "eastus", config(api_key=token)).headers == {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("base_url", "found"),
    [
        ("ws://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://x.tts.speech.azure.cn/", "https://x.tts.speech.azure.cn"),
        ("https://proxy.example/cognitiveservices/v1", "https://proxy.example"),
    ],
)
def test_other_servers_by_their_address(base_url: str, found: str) -> None:
    assert Address.of("tts", None, config(base_url=base_url)).base_url == found


@pytest.mark.parametrize(
    ("region", "fields", "said"),
    [
        (None, {}, "AZURE_SPEECH_REGION"),
        ("evil.example/", {}, "region"),
        (None, {"base_url": "speech.microsoft.com"}, "base_url"),
        (None, {"base_url": "http://[x"}, "base_url"),
        ("eastus", {"api_key": None}, "AZURE_SPEECH_KEY"),
        (None, {"base_url": "http://speech.example.com"}, "unencrypted|https"),
    ],
    ids=["no-region", "host", "no-scheme", "brackets", "no-key", "unencrypted"],
)
def test_addresses_that_do_not_fit(region: str | None, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Address.of("tts", region, config(**fields))


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("neural", {}, SpokenAs(voice="en-US-AvaMultilingualNeural", language="en-US")),
        (
            "neural",
            {"language": "de"},
            SpokenAs(voice="en-US-AvaMultilingualNeural", language="de-DE", guided=True),
        ),
        ("neural", {"voice": "Katja", "language": "de"}, SpokenAs(voice="de-DE-KatjaNeural", language="de-DE")),
        ("en-GB-SoniaNeural", {"language": "en"}, SpokenAs(voice="en-GB-SoniaNeural", language="en-GB")),
        (
            "neural",
            {"voice": "en-US-Ava:DragonHDLatestNeural", "speed": 1.2},
            SpokenAs(voice="en-US-Ava:DragonHDLatestNeural", language="en-US", speed=1.2),
        ),
    ],
    ids=["default", "multilingual", "short", "model", "hd"],
)
def test_a_voice_by_its_name(model: str, fields: dict[str, Any], expected: SpokenAs) -> None:
    assert spoken_as(model, config(**fields), VoiceOptions()) == expected


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({"voice": "de-DE-KatjaNeural", "language": "fr"}, {}, "de-DE"),
        ({"voice": "<voice>"}, {}, "en-US-JennyNeural"),
        ({"speed": 3}, {}, "0.5 to 2"),
        ({}, {"style_degree": 1}, "style"),
    ],
    ids=["language", "markup", "speed", "degree"],
)
def test_a_voice_that_does_not_fit(fields: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spoken_as("neural", config(**fields), VoiceOptions(**options))


@pytest.mark.parametrize(
    "options",
    [{"pitch": "'><x"}, {"style": "a b"}, {"style": "x", "style_degree": 9}, {"regon": "eastus"}],
    ids=["pitch", "style", "degree", "unknown"],
)
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    stage = registry().stage("tts", "azure/neural")
    with pytest.raises(ConfigError):
        stage.configure(config(options={"region": "eastus"} | options))


def test_what_a_recogniser_can_not_do() -> None:
    stage = registry().stage("stt", "azure/speech")
    with pytest.raises(Unsupported, match="keywords"):
        stage.configure(config(transcription={"keywords": ("Bonn",)}, options={"region": "eastus"}))
    with pytest.raises(ConfigError, match="profanity"):
        stage.configure(config(options={"region": "eastus", "profanity": "yes"}))
    with pytest.raises(ConfigError, match="endpoint_id"):
        registry().stage("stt", "azure/whisper")
