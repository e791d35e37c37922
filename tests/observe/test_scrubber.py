"""What is a secret by its name or its shape, and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge import Interrupt, OutputText, SessionConfig
from voicebridge.contract.lines import dump, load
from voicebridge.observe.recorder import Recorder
from voicebridge.observe.recording import Recording
from voicebridge.observe.scrubber import REMOVED, Scrubber, is_secret, secrets_of_settings

from .test_recorder import Echo

SECRET_NAMES = (
    "secret_key private_key clientSecret azure_ad_token id_token xApiKey secret_access_key credentials passphrase"
    " api_keys authToken X-Auth-Key signature subscription_key hf_token access_token session_id_token connection_string"
    " connectionString key pwd jwt APIKey apikey password_2 client_secret_value Proxy-Authorization Set-Cookie sig auth"
    " Ocp-Apim-Subscription-Key X-Amz-Signature tokens"
)
PLAIN_NAMES = "keyboard monkey author token_count secretary response_id keys_pressed string max_session_s kind text"


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_secret_name(name: str) -> None:
    assert is_secret(name)
    for value in ("canary", ["canary"], {"x": ["canary"]}):
        for line in (json.dumps({"event": {"a": {name: value}}}), json.dumps({name: value}, separators=(",", ":"))):
            assert "canary" not in Scrubber().line(line)
            assert REMOVED in Scrubber().line(line)


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_a_plain_name(name: str) -> None:
    assert not is_secret(name)
    assert Scrubber().value({name: "canary"}) == {name: "canary"}


@pytest.mark.parametrize("name", ["subscription-key", "signature", "auth", "X-Amz-Signature", "key", "sig", "apikey"])
def test_a_parameter_of_a_url(name: str) -> None:
    for place in (
        f"https://h/x?{name}=canary&v=1#f",
        f"wss://u:canary@h/?v=1&{name}=canary",
        f"see ?a=b?{name}=canary",
    ):
        for line in (json.dumps({"url": place}), json.dumps({"arguments": json.dumps({"url": place})})):
            assert "canary" not in Scrubber().line(line), line
            assert "v=1" in Scrubber().line(line) or "a=b" in place


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic Canarycanarycanary",
        "authorization: canarycanary",
        "'Authorization': 'Token canary-canary'",
        "Basic Y2FuYXJ5OmNhbmFyeQ==",
        "sent Token canaryCANARY0123 twice",
        "bearer canarycanary",
        "X-Api-Key: canarycanary",
        '{"api_key":"canarycanary"}',
        "key-canary0123456789abcdef",
        "the key sk-proj-CANARYcanary0123456789abc.",
        "abc_CanaryCanaryCanaryCanary",
        "abcde-CanaryCanaryCanary0123",
    ],
)
def test_a_secret_in_a_text(text: str) -> None:
    for line in (json.dumps({"text": text}), json.dumps({"arguments": json.dumps({"say": text})})):
        scrubbed = Scrubber().line(line)
        assert "canary" not in scrubbed.lower(), scrubbed
        assert "Y2Fu" not in scrubbed
        assert all(isinstance(one, str) for one in json.loads(scrubbed).values())


@pytest.mark.parametrize(
    "text",
    [
        "I have a basic understanding of token economies, and a bearer of news.",
        "basic 2024-2025 budget",
        "non-governmental-organisations and up-to-date-information",
        "pre-reservation-2024-confirmation",
        "the key: C minor; my password is on the note",
        "d800e9a9-0e46-beef-cafe-0123456789ab",
        "resp_3QlnMPKvKXaxKufPK042O msg_3QlnMPKvKXaxKufPK042O sess_RUQLt90FwlEOmUGW4BOIf",
        "It is 5 o'clock: author: somebody",
    ],
)
def test_a_text_that_stays(text: str) -> None:
    assert Scrubber().text(text) == text


def test_ids_stay_the_same_wherever_they_are() -> None:
    name = "ab_0123456789ABCDEFabcdef"
    scrubber = Scrubber()
    for message in (OutputText(response_id=name, delta="x"), Interrupt(response_id=name)):
        assert load(json.dumps(scrubber.value(json.loads(dump(message))))) == message
    assert scrubber.value({"answers": [name], "item_ids": [name]}) == {"answers": [name], "item_ids": [name]}
    assert Scrubber([name]).value({"answers": [name]}) == {"answers": [REMOVED]}


async def test_a_secret_option_is_looked_for_by_its_value_as_well(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "vendor_pwd": "canary one",
        "wrapped": SecretStr("canary two"),
        "deep": [{"api_keys": ["canary three"]}],
    }
    config = SessionConfig(api_key=SecretStr("canary four"), options=options)
    assert len(set(secrets_of_settings(config.model_dump()))) == 4
    echo = Echo()
    session = Recorder(echo, tmp_path / "call", config=config)
    echo.delivery.put(OutputText(response_id="r", delta="canary one, canary two, canary three, canary four"))
    await session.aclose()
    assert "canary" not in (tmp_path / "call" / "call.jsonl").read_text()
    assert Recording(tmp_path / "call").complete
