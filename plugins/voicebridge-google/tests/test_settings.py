"""What settings become, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.registry.registry import registry
from voicebridge_google.addresses import service_url
from voicebridge_google.models import full_language
from voicebridge_google.settings import HearingSettings, VoiceSettings
from voicebridge_google.speech_to_text import recognition_config


def config(**fields: Any) -> SessionConfig:
    return SessionConfig.model_validate({"api_key": "t"} | fields)


@pytest.mark.parametrize(
    ("language", "whole"),
    [
        ("en", "en-US"),
        ("de", "de-DE"),
        ("pt", "pt-BR"),
        ("pt-pt", "pt-PT"),
        ("ar", "ar-XA"),
        ("zh", "cmn-CN"),
        ("zh-CN", "cmn-CN"),
        ("es-419", "es-419"),
        ("en_GB", "en-GB"),
    ],
)
def test_a_language_gets_its_country(language: str, whole: str) -> None:
    assert full_language(language, "cmn-CN") == whole


@pytest.mark.parametrize(
    ("service", "location", "base_url", "url"),
    [
        ("speech", "us", None, "https://us-speech.googleapis.com"),
        ("speech", "global", None, "https://speech.googleapis.com"),
        ("texttospeech", "eu", None, "https://eu-texttospeech.googleapis.com"),
        ("texttospeech", "global", None, "https://texttospeech.googleapis.com"),
        ("speech", "us", "ws://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("speech", "us", "https://proxy.example/google/v2", "https://proxy.example/google"),
    ],
)
def test_the_address_follows_from_the_location(service: Any, location: str, base_url: str | None, url: str) -> None:
    assert service_url(service, location, base_url) == url


@pytest.mark.parametrize("base_url", ["speech.googleapis.com", "ftp://x", "https://", "http://[x"])
def test_what_is_no_address(base_url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        service_url("speech", "us", base_url)


@pytest.mark.parametrize(
    ("model", "fields", "voice", "language"),
    [
        ("chirp-3-hd", {}, "en-US-Chirp3-HD-Kore", "en-US"),
        ("chirp-3-hd", {"voice": "puck", "language": "de"}, "de-DE-Chirp3-HD-Puck", "de-DE"),
        ("chirp-3-hd", {"voice": "fr-CA-Chirp3-HD-Leda", "language": "fr"}, "fr-CA-Chirp3-HD-Leda", "fr-CA"),
        ("en-US-Neural2-F", {}, "en-US-Neural2-F", "en-US"),
        ("chirp-3-hd", {"language": "zh"}, "cmn-CN-Chirp3-HD-Kore", "cmn-CN"),
    ],
    ids=["default", "short", "whole", "model", "chinese"],
)
def test_a_voice_by_its_name(model: str, fields: dict[str, Any], voice: str, language: str) -> None:
    settings = VoiceSettings.of(model, config(**fields))
    assert (settings.voice, settings.language) == (voice, language)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("chirp-3-hd", {"voice": "Zefir"}, "Zephyr"),
        ("chirp-3-hd", {"voice": "x"}, "Achernar"),
        ("chirp-3-hd", {"voice": "en-US-Chirp3-HD-Kore", "language": "de"}, "en-US"),
        ("chirp-2", {}, "chirp-3-hd"),
        ("chirp-3-hd", {"speed": 3}, "0.25 to 2"),
        ("chirp-3-hd", {"options": {"location": "../us"}}, "location"),
        ("chirp-3-hd", {"options": {"locaton": "us"}}, "location"),
    ],
    ids=["near", "far", "language", "model", "speed", "location", "option"],
)
def test_a_voice_that_does_not_fit(model: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VoiceSettings.of(model, config(**fields))


def test_what_is_asked_of_a_recogniser() -> None:
    settings = HearingSettings.of(
        "chirp_3",
        config(
            language="de",
            transcription={"keywords": ("Bonn", "Köln")},
            options={"project": "p-1", "boost": 5, "denoise": True, "word_times": True},
        ),
    )
    assert (settings.project, settings.location) == ("p-1", "us")
    assert recognition_config(settings) == {
        "model": "chirp_3",
        "languageCodes": ["de-DE"],
        "explicitDecodingConfig": {"encoding": "LINEAR16", "sampleRateHertz": 16_000, "audioChannelCount": 1},
        "features": {
            "enableAutomaticPunctuation": True,
            "profanityFilter": False,
            "enableWordTimeOffsets": True,
        },
        "adaptation": {
            "phraseSets": [
                {"inlinePhraseSet": {"phrases": [{"value": "Bonn", "boost": 5.0}, {"value": "Köln", "boost": 5.0}]}}
            ]
        },
        "denoiserConfig": {"denoiseAudio": True},
    }


def test_a_model_that_detects_the_language_is_let(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")
    settings = HearingSettings.of("chirp_3", config())
    assert (settings.language, settings.project) == ("auto", "of-the-environment")
    assert HearingSettings.of("latest_long", config()).language == "en-US"
    assert HearingSettings.of("latest_long", config()).location == "global"
    assert HearingSettings.of("chirp_9", config()).language == "auto"


@pytest.mark.parametrize(
    "options",
    [{"project": "a/b"}, {"project": "A B"}, {"location": "US!"}, {"boost": 99}, {"word_time": True}],
    ids=["path", "space", "location", "boost", "unknown"],
)
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises((BadOption, ConfigError)):
        HearingSettings.of("chirp_3", config(options={"project": "p"} | options))


def test_a_token_without_a_project_is_told_at_once() -> None:
    stage = registry().stage("stt", "google/chirp_3")
    with pytest.raises(ConfigError, match="GOOGLE_CLOUD_PROJECT"):
        stage.configure(config())
