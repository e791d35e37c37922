"""What the stages make of settings, and what they say of those that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge.contract.codec import Closed
from voicebridge.contract.config import SessionConfig, Transcription
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge_cartesia.faults import classify
from voicebridge_cartesia.models import DEFAULT_VOICE
from voicebridge_cartesia.recogniser import recogniser
from voicebridge_cartesia.voice import voice

KEY = SecretStr("a-key-of-a-test")


def url_of(stage: Any, **fields: Any) -> str:
    stage.configure(SessionConfig(api_key=KEY, **fields))
    assert stage._endpoint.headers["Authorization"] == "Bearer a-key-of-a-test"
    assert stage._endpoint.headers["Cartesia-Version"] == "2026-08-14"
    assert "a-key" not in stage._endpoint.url
    return str(stage._endpoint.url)


def test_a_recogniser_without_turns_and_one_with():
    plain = url_of(recogniser("ink-whisper"), language="de-AT")
    assert plain.startswith("wss://api.cartesia.ai/stt/websocket?model=ink-whisper&")
    assert "language=de" in plain
    own = recogniser("ink-2-turns")
    url = url_of(own, transcription=Transcription(keywords=("Ann Lee",)), options={"turn_end_threshold": 0.3})
    assert url.startswith("wss://api.cartesia.ai/stt/turns/websocket?model=ink-2&")
    assert "keyterm=Ann%20Lee" in url
    assert "turn_end_threshold=0.3" in url
    assert (own.traits.turns, recogniser("ink-2").traits.turns) == ("own", "none")


@pytest.mark.parametrize(
    ("make", "fields", "said"),
    [
        (lambda: recogniser("ink-2"), {"language": "fr"}, "hears English"),
        (lambda: recogniser("ink-whisper"), {"transcription": Transcription(keywords=("a",))}, "no keywords"),
        (lambda: recogniser("ink-2"), {"options": {"turn_end_threshold": 0.2}}, "-turns"),
        (lambda: recogniser("ink-2-turns"), {"options": {"min_volume": 0.2}}, "-turns"),
        (lambda: voice(None), {"language": "xx"}, "does not speak"),
        (lambda: voice(None), {"speed": 2.0}, "0.6 and 1.5"),
        (lambda: voice("sonic-2"), {"speed": 1.2}, "takes no speed"),
        (lambda: voice(None), {"options": {"emotions": "calm"}}, "Did you mean 'emotion'"),
    ],
    ids=["language", "keywords", "turns", "volume", "spoken", "speed", "older", "option"],
)
def test_what_does_not_fit_is_said(make: Any, fields: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as refused:
        make().configure(SessionConfig(api_key=KEY, **fields))
    assert said in str(refused.value)


def test_a_model_in_the_wrong_seat_is_refused():
    with pytest.raises(ConfigError, match="listens"):
        recogniser("sonic-3")
    with pytest.raises(ConfigError, match="does not speak"):
        voice("ink-2")


def test_without_a_key_it_says_which_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CARTESIA_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="CARTESIA_API_KEY"):
        voice(None).configure(SessionConfig())


@pytest.mark.parametrize(
    ("closed", "category"),
    [
        (Closed(by="peer", status=401, body='{"title":"Unauthorized","message":"No."}'), "auth"),
        (Closed(by="peer", status=402, body='{"title":"Credits","message":"None left."}'), "quota"),
        (Closed(by="peer", status=429, body='{"title":"Concurrency","message":"Too many."}'), "rate"),
        (Closed(by="peer", status=500, body="oh"), "network"),
    ],
    ids=["key", "credits", "rate", "server"],
)
def test_a_refusal_is_told_with_its_words(closed: Closed, category: str):
    fault = classify(closed)
    assert fault.category == category
    assert len(closed.body) < 5 or closed.body.split('"')[7].rstrip(".") in fault.message


async def warmed(named: str | None) -> str:
    settings = SimulatorSettings(options={"voices": ("Tessa", "Katie", "Katrin")})
    async with simulator("cartesia", settings).serve() as url:
        stage = voice("sonic-3")
        stage.configure(SessionConfig(api_key=KEY, base_url=url, voice=named))
        try:
            await stage.warm()
            return await stage._find_voice()
        finally:
            await stage.aclose()


async def test_a_voice_by_its_id_or_its_name():
    assert await warmed(None) == DEFAULT_VOICE
    assert await warmed(DEFAULT_VOICE.upper()) == DEFAULT_VOICE.upper()
    tessa = await warmed("tessa")
    assert tessa == await warmed("Tess")
    assert tessa != await warmed("Katie")


@pytest.mark.parametrize(("named", "said"), [("Tesa", "Near it: Tessa"), ("Kat", "several voices")])
async def test_a_name_that_is_none_or_several_is_refused(named: str, said: str):
    with pytest.raises(ConfigError) as refused:
        await warmed(named)
    assert said in str(refused.value)
