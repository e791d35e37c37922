"""What the vendor's errors, endings and numbers mean."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import BackendError
from voicebridge_openai.client_secrets import create_client_secret
from voicebridge_openai.usage import response_units, transcription_units
from voicebridge_openai.vendor_errors import fault_of, meaning_of

KEY = SecretStr("sk-secret")


@pytest.mark.parametrize(
    ("closed", "category", "code"),
    [
        (
            Closed(by="peer", code=1001, reason="Your session hit the maximum duration of 60 minutes."),
            "planned_end",
            "session_expired",
        ),
        (Closed(by="peer", code=1000), "planned_end", "close_1000"),
        (Closed(by="peer", code=1008, reason="Invalid API key"), "auth", "close_1008"),
        (Closed(by="peer", code=1008, reason="insufficient_quota"), "quota", "insufficient_quota"),
        (Closed(by="peer", code=4000, reason="beta"), "config", "beta_api_shape_disabled"),
        (Closed(by="peer", code=1011), "network", "close_1011"),
        (Closed(by="nobody", status=401), "auth", "http_401"),
        (
            Closed(by="nobody", status=429, body='{"error":{"code":"insufficient_quota"}}'),
            "quota",
            "insufficient_quota",
        ),
        (Closed(by="nobody", status=429, retry_after_s=7), "rate", "http_429"),
        (Closed(by="nobody", problem="reset"), "network", "reset"),
        (Closed(by="us", code=1000, reason="maximum duration"), "closed", "closed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_endings(closed: Closed, category: str, code: str) -> None:
    fault = meaning_of(closed)
    assert (fault.category, fault.code) == (category, code)
    assert fault.message


@pytest.mark.parametrize(
    ("error", "category", "retryable"),
    [
        ({"code": "session_expired", "message": "Your session hit the maximum duration"}, "planned_end", True),
        ({"code": None, "type": "invalid_request_error", "message": "hit the maximum duration"}, "planned_end", True),
        ({"type": "max_duration"}, "planned_end", True),
        ({"code": "insufficient_quota"}, "quota", False),
        ({"code": "inference_rate_limit_exceeded"}, "rate", True),
        ({"code": "unheard_of", "type": "invalid_request_error"}, "config", False),
        ({"code": "cannot_update_voice"}, "unsupported", False),
        ({"type": "server_error"}, "busy", True),
        ({"code": 7, "type": [], "message": {}}, "protocol", False),
        (None, "protocol", False),
    ],
    ids=str,
)
def test_errors(error: Any, category: str, retryable: bool) -> None:
    fault = fault_of(error)
    assert (fault.category, fault.retryable) == (category, retryable)
    assert fault.message


@pytest.mark.parametrize(
    ("code", "fatal"),
    [
        ("session_expired", True),
        ("insufficient_quota", True),
        ("invalid_api_key", True),
        ("server_error", False),
        ("x", False),
    ],
)
def test_errors_that_answer_no_frame(vendor: Any, code: str, fatal: bool) -> None:
    wire = vendor().refuses(None, code)
    assert wire.last(BackendError).fatal is fatal
    assert not vendor().refuses(None, "response_cancel_not_active").told


def test_usage_adds_up() -> None:
    usage = {
        "total_tokens": 330,
        "input_tokens": 200,
        "output_tokens": 130,
        "input_token_details": {
            "text_tokens": 43,
            "audio_tokens": 96,
            "image_tokens": 1,
            "cached_tokens": 74,
            "cached_tokens_details": {"text_tokens": 10, "audio_tokens": 64},
        },
        "output_token_details": {"text_tokens": 18, "audio_tokens": 43},
    }
    units = response_units(usage)
    assert units == {
        "input_text_tokens": 33,
        "input_audio_tokens": 32,
        "input_image_tokens": 1,
        "cached_text_tokens": 10,
        "cached_audio_tokens": 64,
        "output_text_tokens": 18,
        "output_audio_tokens": 43,
        "other_in": 60,
        "other_out": 69,
    }
    assert sum(units.values()) == usage["total_tokens"]


def test_a_cache_of_which_only_the_total_is_told_is_split_as_the_input_is() -> None:
    details = {"text_tokens": 30, "audio_tokens": 10, "cached_tokens": 20}
    assert response_units({"input_tokens": 40, "input_token_details": details}) == {
        "input_text_tokens": 15,
        "cached_text_tokens": 15,
        "input_audio_tokens": 5,
        "cached_audio_tokens": 5,
    }


@pytest.mark.parametrize(
    "usage", [None, 7, [], {}, {"input_tokens": "9"}, {"input_tokens": -3}, {"input_tokens": True}]
)
def test_no_usage_is_none(usage: Any) -> None:
    assert response_units(usage) == {}
    assert transcription_units(usage) == {}


def test_usage_of_a_transcription() -> None:
    assert transcription_units({"type": "duration", "seconds": 2.5}) == {"audio_s": 2.5}
    tokens = {"type": "tokens", "input_tokens": 5, "output_tokens": 2, "input_token_details": {"audio_tokens": 5}}
    assert transcription_units(tokens) == {"input_audio_tokens": 5, "other_out": 2}


def server(answer: httpx.Response, seen: list[httpx.Request]) -> httpx.MockTransport:
    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer

    return httpx.MockTransport(respond)


async def test_an_ephemeral_secret() -> None:
    seen: list[httpx.Request] = []
    transport = server(httpx.Response(200, json={"value": "ek_1", "expires_at": 99, "session": {}}), seen)
    secret = await create_client_secret("openai", "gpt-realtime-2", KEY, seconds=60, transport=transport)
    assert (secret.value.get_secret_value(), secret.expires_at) == ("ek_1", 99)
    assert "ek_1" not in repr(secret)
    assert str(seen[0].url) == "https://api.openai.com/v1/realtime/client_secrets"
    assert seen[0].headers["authorization"] == "Bearer sk-secret"
    assert b'"seconds":60' in seen[0].content.replace(b" ", b"")


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (httpx.Response(401, json={"error": {"message": "bad key"}}), "auth"),
        (httpx.Response(200, json={"secret": 1}), "protocol"),
        (httpx.Response(200, text="<html>"), "protocol"),
    ],
    ids=["refused", "another shape", "no json"],
)
async def test_no_secret_is_told_in_words(answer: httpx.Response, category: str) -> None:
    with pytest.raises(VoiceBridgeError) as raised:
        await create_client_secret("openai", "m", KEY, transport=server(answer, []))
    assert raised.value.category == category
    assert "sk-secret" not in str(raised.value)


async def test_a_refusal_quotes_no_key_and_says_when_to_come_back() -> None:
    key = SecretStr("sk-verysecretkey-1234567890")
    said = {"error": {"message": f"Incorrect API key provided: {key.get_secret_value()}."}}
    answer = httpx.Response(429, json=said, headers={"Retry-After": "7"})
    with pytest.raises(VoiceBridgeError) as raised:
        await create_client_secret("openai", "m", key, transport=server(answer, []))
    assert "verysecret" not in str(raised.value)
    assert (raised.value.fault.code, raised.value.fault.retry_after_s) == ("http_429", 7)
    assert raised.value.__context__ is None


async def test_the_key_goes_to_nobody_in_the_clear() -> None:
    seen: list[httpx.Request] = []
    transport = server(httpx.Response(200, json={"value": "ek_1", "expires_at": 99}), seen)
    for base_url in ("ws://far.example/v1", "http://far.example/v1"):
        with pytest.raises(ConfigError, match="encrypted"):
            await create_client_secret("openai", "m", KEY, base_url=base_url, transport=transport)
    assert not seen
    await create_client_secret("openai", "m", KEY, base_url="ws://127.0.0.1:80/v1", transport=transport)
    assert len(seen) == 1


@pytest.mark.parametrize("answer", [{"value": None, "expires_at": 9}, {"value": "ek_1", "expires_at": "nan"}], ids=str)
async def test_what_is_no_secret_is_not_taken_for_one(answer: dict[str, Any]) -> None:
    with pytest.raises(VoiceBridgeError, match="no client secret"):
        await create_client_secret("openai", "m", KEY, transport=server(httpx.Response(200, json=answer), []))


async def test_dialects_without_secrets() -> None:
    with pytest.raises(ConfigError, match="no client secrets"):
        await create_client_secret("xai", "m", KEY)
    with pytest.raises(ConfigError, match="no backend 'nope'"):
        await create_client_secret("nope", "m", KEY)
