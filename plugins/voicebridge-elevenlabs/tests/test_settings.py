"""Settings: what fits, and what is said of what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.core.stage_options import read_stage_options
from voicebridge_elevenlabs.address import Address
from voicebridge_elevenlabs.models import is_live
from voicebridge_elevenlabs.settings import LiveOptions, VoiceOptions, VoiceSettings
from voicebridge_elevenlabs.text_to_speech import ElevenLabsVoice


def config(**fields: Any) -> SessionConfig:
    return SessionConfig.model_validate(fields)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stabilty": 0.5}, "Did you mean 'stability'"),
        ({"xyz": 1}, "It knows apply_text_normalization"),
        ({"stability": 1.5}, "'stability' of elevenlabs/m does not fit"),
        ({"transport": "carrier pigeon"}, "'transport'"),
        ({"output_format": "mp3_44100_128"}, "'output_format'"),
        ({"seed": -1}, "'seed'"),
    ],
    ids=["near", "unknown", "range", "transport", "format", "seed"],
)
def test_options_that_do_not_fit(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        read_stage_options(VoiceOptions, options, "elevenlabs/m")


def test_options_of_a_voice_are_none_of_a_recogniser() -> None:
    with pytest.raises(BadOption, match="no option 'stability'"):
        read_stage_options(LiveOptions, {"stability": 0.5}, "elevenlabs/scribe_v2_realtime")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("eleven_turbo_v2", {"language": "de"}, "speaks English only"),
        ("eleven_flash_v2_5", {"language": "sw-KE"}, "does not speak 'sw-KE'"),
        ("eleven_flash_v2_5", {"speed": 2}, "speeds from 0.7 to 1.2"),
        ("eleven_v3", {}, "transport='http'"),
    ],
    ids=["english", "language", "speed", "websocket"],
)
def test_what_a_model_can_not_do(model: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VoiceSettings.of(model, config(**fields))


@pytest.mark.parametrize(
    ("model", "language", "sent"),
    [
        ("eleven_turbo_v2_5", "pt-BR", "pt"),
        ("eleven_turbo_v2_5", None, None),
        ("eleven_turbo_v2", "en-GB", None),
        ("eleven_multilingual_v2", "de", None),
        ("one_of_tomorrow", "de", None),
    ],
    ids=["known", "none", "english", "multilingual", "unknown"],
)
def test_a_language_is_sent_where_the_model_takes_it(model: str, language: str | None, sent: str | None) -> None:
    assert VoiceSettings.of(model, config(language=language)).language == sent


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        (None, "https://api.elevenlabs.io"),
        ("https://api.eu.residency.elevenlabs.io/v1/", "https://api.eu.residency.elevenlabs.io"),
        ("wss://me.example/proxy", "https://me.example/proxy"),
        ("ws://127.0.0.1:9000", "http://127.0.0.1:9000"),
    ],
    ids=["default", "v1", "proxy", "simulator"],
)
def test_where_the_vendor_is(base_url: str | None, host: str) -> None:
    address = Address.of(config(base_url=base_url, api_key="secret"))
    assert (address.host, address.headers) == (host, {"xi-api-key": "secret"})
    assert "secret" not in repr(address)
    assert address.endpoint("x", {"a": "1"}).url == f"{host.replace('http', 'ws', 1)}/v1/x?a=1"


@pytest.mark.parametrize(
    "base_url", ["elevenlabs.io", "ftp://x.example", "https://", "https://x.example:0", "http://[1"]
)
def test_addresses_that_are_none(base_url: str) -> None:
    with pytest.raises(ConfigError, match="must look like"):
        Address.of(config(base_url=base_url, api_key="k"))


def test_a_key_is_needed_and_never_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="ELEVENLABS_API_KEY"):
        Address.of(config())
    with pytest.raises(ConfigError, match="encrypted"):
        Address.of(config(base_url="http://far.example", api_key="k"))
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from the environment")
    assert Address.of(config()).headers["xi-api-key"] == "from the environment"
    assert Address.of(config(base_url="ws://127.0.0.1:1")).headers == {}


def test_traits_follow_the_options() -> None:
    voice = ElevenLabsVoice(None)
    assert (voice.traits.format.rate, voice.traits.alignment, voice.traits.takes) == (24_000, "char", "clauses")
    voice.configure(config(api_key="k", options={"output_format": "pcm_16000", "timestamps": False}))
    assert (voice.traits.format.rate, voice.traits.alignment) == (16_000, "none")


def test_recognisers_that_nobody_knows_tell_their_kind_by_their_name() -> None:
    assert [is_live(name) for name in ("scribe_v2_realtime", "scribe_v2", "scribe_v9_live", "scribe_v9")] == [
        True,
        False,
        True,
        False,
    ]
