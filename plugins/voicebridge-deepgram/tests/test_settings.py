"""What the stages make of settings, and what they say of those that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge.contract.codec import Closed
from voicebridge.contract.config import SessionConfig, Transcription, TurnPolicy
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge_deepgram.faults import classify
from voicebridge_deepgram.recogniser import recogniser
from voicebridge_deepgram.voice import voice

KEY = SecretStr("a-key-of-a-test")


def url_of(stage: Any, **fields: Any) -> str:
    stage.configure(SessionConfig(api_key=KEY, **fields))
    endpoint = stage._endpoint if hasattr(stage, "_endpoint") else stage._settings.endpoint
    assert endpoint.headers == {"Authorization": "Token a-key-of-a-test"}
    assert "a-key" not in endpoint.url
    return str(endpoint.url)


def test_nova_leaves_ends_of_turns_to_others():
    url = url_of(recogniser("nova-3"), language="de", transcription=Transcription(keywords=("Ann Lee",)))
    assert url.startswith("wss://api.deepgram.com/v1/listen?")
    for part in ("model=nova-3", "endpointing=false", "language=de", "keyterm=Ann%20Lee", "interim_results=true"):
        assert part in url
    assert recogniser("nova-3").traits.turns == "none"


def test_nova_with_turns_finds_them_itself():
    stage = recogniser("nova-3-turns")
    url = url_of(stage, turns=TurnPolicy(silence_ms=450))
    assert "endpointing=450" in url
    assert "model=nova-3&" in url
    assert stage.traits.turns == "own"


def test_an_older_model_takes_keywords_by_another_name():
    assert "keywords=Ann" in url_of(recogniser("nova-2"), transcription=Transcription(keywords=("Ann",)))


def test_flux_has_eager_ends_unless_the_application_ends_turns():
    assert "eager_eot_threshold=0.5" in url_of(recogniser("flux-general-en"))
    assert "eager_eot_threshold" not in url_of(recogniser("flux-general-en"), options={"eager_eot_threshold": None})
    by_hand = url_of(recogniser("flux-general-en"), turns=TurnPolicy(mode="manual"))
    assert "eot_threshold=1&eot_timeout_ms=60000" in by_hand
    assert "eager" not in by_hand


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ({}, "aura-2-thalia-en"),
        ({"language": "es-MX"}, "aura-2-celeste-es"),
        ({"voice": "Luna"}, "aura-2-luna-en"),
        ({"voice": "aura-3-new-en"}, "aura-3-new-en"),
    ],
)
def test_a_voice_by_its_name_its_language_or_its_model(asked: dict[str, Any], model: str):
    assert f"model={model}&" in url_of(voice("aura-2"), **asked)


@pytest.mark.parametrize(
    ("make", "fields", "said"),
    [
        (lambda: recogniser("flux-general-en"), {"language": "fr"}, "hears English"),
        (lambda: recogniser("flux-general-en"), {"options": {"eot_treshold": 0.7}}, "Did you mean 'eot_threshold'"),
        (lambda: recogniser("nova-3"), {"options": {"endpointing_ms": 1}}, "does not fit"),
        (lambda: voice(None), {"voice": "thalya"}, "Did you mean 'thalia'"),
        (lambda: voice(None), {"speed": 3.0}, "0.7 and 1.5"),
        (lambda: voice(None), {"language": "zh"}, "does not speak"),
        (lambda: voice(None), {"base_url": "ftp://host"}, "base_url"),
        (lambda: voice(None), {"base_url": "http://example.com"}, "encrypted"),
    ],
    ids=["language", "option", "value", "voice", "speed", "spoken", "address", "clear"],
)
def test_what_does_not_fit_is_said(make: Any, fields: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as refused:
        make().configure(SessionConfig(api_key=KEY, **fields))
    assert said in str(refused.value)
    assert isinstance(refused.value, BadOption) == ("options" in fields)


def test_without_a_key_it_says_which_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="DEEPGRAM_API_KEY"):
        recogniser("nova-3").configure(SessionConfig())


def test_a_model_in_the_wrong_seat_is_refused():
    with pytest.raises(ConfigError, match="listens"):
        recogniser("aura-2-thalia-en")
    with pytest.raises(ConfigError, match="does not speak"):
        voice("nova-3")
    with pytest.raises(ConfigError, match="Say which"):
        recogniser(None)


@pytest.mark.parametrize(
    ("closed", "category", "retryable"),
    [
        (Closed(by="peer", code=1011, reason="NET-0001: no audio"), "network", True),
        (Closed(by="peer", code=1008, reason="DATA-0000: no such audio"), "protocol", False),
        (Closed(by="peer", status=401, body='{"err_code":"INVALID_AUTH","err_msg":"Invalid."}'), "auth", False),
        (Closed(by="peer", status=402, body='{"err_code":"PAYMENT","err_msg":"No credits."}'), "quota", False),
        (Closed(by="peer", status=429, body="slow down"), "rate", True),
        (Closed(by="nobody", problem="reset"), "network", True),
    ],
    ids=["idle", "data", "key", "credits", "rate", "lost"],
)
def test_the_end_of_a_connection_means_what_deepgram_means(closed: Closed, category: str, retryable: bool):
    fault = classify(closed)
    assert (fault.category, fault.retryable) == (category, retryable)
