"""Settings, options, addresses and keys: what goes into a session, and what is refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Configure, ProviderCommand, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BackendNotFound, BadOption, ConfigError, Unsupported, VoiceBridgeError
from voicebridge.contract.events import BackendError, ProviderEvent, SessionNotice, SessionReady
from voicebridge.contract.items import MessageItem, ToolResultItem
from voicebridge_openai.addresses import address, is_local, key_for
from voicebridge_openai.backend import RealtimeBackend, make_backend
from voicebridge_openai.dialects import DIALECTS
from voicebridge_openai.models import MODELS, model_of

KEY = SecretStr("sk-secret")


def body(stranger: Any, dialect: str = "openai", **config: Any) -> dict[str, Any]:
    session: dict[str, Any] = stranger(dialect, **config).opening[0]["session"]
    return session


def test_a_plain_session(stranger: Any) -> None:
    pcm = {"type": "audio/pcm", "rate": 24_000}
    assert body(stranger) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": pcm,
                "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
                "transcription": {"model": "gpt-realtime-whisper"},
            },
            "output": {"format": pcm},
        },
    }


def test_a_session_with_everything(stranger: Any) -> None:
    session = body(
        stranger,
        instructions="Be kind.",
        voice="voice_12",
        speed=1.2,
        language="pt-BR",
        tools=[{"name": "look"}],
        tool_choice="look",
        outputs={"text"},
        turns={"sensitivity": 0.7, "silence_ms": 250, "auto_respond": False, "auto_interrupt": False},
        transcription={"model": "gpt-live-transcribe", "keywords": ("Ann",)},
        noise_reduction="far_field",
        max_output_tokens=99,
        input_format=AudioFormat(encoding="alaw", rate=8000),
        output_format=AudioFormat(rate=16_000),
        options={
            "reasoning_effort": "low",
            "truncation": "disabled",
            "prefix_padding_ms": 100,
            "idle_timeout_ms": 6000,
            "noise_strength": 0.5,
            "tracing": "auto",
            "include": ("item.input_audio_transcription.logprobs",),
            "parallel_tool_calls": False,
            "prompt": {"id": "p"},
        },
    )
    assert session["output_modalities"] == ["text"]
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcma"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.3,
            "silence_duration_ms": 250,
            "prefix_padding_ms": 100,
            "idle_timeout_ms": 6000,
            "create_response": False,
            "interrupt_response": False,
        },
        "transcription": {"model": "gpt-live-transcribe", "language": "pt", "keywords": ["Ann"]},
        "noise_reduction": {"type": "far_field", "strength": 0.5},
    }
    pcm = {"type": "audio/pcm", "rate": 24_000}  # 16 kHz is not on this wire
    assert session["audio"]["output"] == {"format": pcm, "voice": {"id": "voice_12"}, "speed": 1.2}
    assert session["tool_choice"] == {"type": "function", "name": "look"}
    assert session["reasoning"] == {"effort": "low"}
    assert session["parallel_tool_calls"] is False


def test_turns_by_meaning_and_by_hand(stranger: Any) -> None:
    semantic = body(stranger, turns={"mode": "semantic"}, options={"eagerness": "high"})["audio"]["input"]
    assert semantic["turn_detection"]["type"] == "semantic_vad"
    assert semantic["turn_detection"]["eagerness"] == "high"
    assert body(stranger, turns={"mode": "manual"})["audio"]["input"]["turn_detection"] is None


def test_dialects_shape_the_session(stranger: Any) -> None:
    xai = body(stranger, "xai", voice="ara")
    assert xai["voice"] == "ara"
    assert xai["turn_detection"]["type"] == "server_vad"
    assert "turn_detection" not in xai["audio"]["input"]
    assert "output_modalities" not in xai
    eleven = body(stranger, "elevenlabs")
    assert eleven["model"] == "m"
    assert eleven["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert "transcription" not in eleven["audio"]["input"]
    assert "transcription" not in body(stranger, "azure")["audio"]["input"]


@pytest.mark.parametrize(
    ("dialect", "config", "words"),
    [
        ("openai", {"speed": 2.0}, "between 0.25 and 1.5"),
        ("openai", {"options": {"eagernes": "low"}}, "Did you mean 'eagerness'"),
        ("openai", {"options": {"truncation": 3}}, "truncation"),
        ("openai", {"turns": {"mode": "semantic", "silence_ms": 3}}, "eagerness"),
        ("openai", {"transcription": {"keywords": ("Ann",)}}, "takes no keywords"),
        ("openai", {"outputs": frozenset()}, "audio, text or both"),
        ("elevenlabs", {"turns": {"mode": "server_vad"}}, "choose 'semantic'"),
        ("elevenlabs", {"options": {"organization": "x"}}, "no option"),
        ("xai", {"outputs": {"text"}}, "always speaks"),
        ("xai", {"noise_reduction": "near_field"}, "noise_reduction"),
        ("speech-to-speech", {"transcription": {"model": "x"}}, "by itself"),
        ("openai", {"options": {"eagerness": "high"}}, "eagerness.*semantic"),
        (
            "openai",
            {"turns": {"mode": "semantic"}, "options": {"idle_timeout_ms": 5000}},
            "idle_timeout_ms.*server_vad",
        ),
        ("openai", {"turns": {"mode": "manual"}, "options": {"prefix_padding_ms": 9}}, "prefix_padding_ms.*server_vad"),
        ("openai", {"options": {"noise_strength": 1.0}}, "noise_strength.*noise_reduction"),
        (
            "openai",
            {"transcription": {"model": "whisper-1"}, "options": {"transcription_delay": "low"}},
            "transcription_delay",
        ),
        ("azure", {"options": {"transcription_prompt": "x"}}, "transcription_prompt"),
        ("openai", {"options": {"prompt": {"id": object()}}}, "JSON"),
        ("openai", {"tools": [{"name": "look", "parameters": {"a": object()}}]}, "JSON"),
    ],
)
def test_what_does_not_fit_is_told_in_words(stranger: Any, dialect: str, config: Any, words: str) -> None:
    with pytest.raises((ConfigError, Unsupported), match=words):
        stranger(dialect, **config)


def test_only_models_that_reason_take_an_effort(stranger: Any) -> None:
    with pytest.raises(BadOption, match="does not reason"):
        stranger(model="gpt-realtime", options={"reasoning_effort": "low"})
    stranger(model="gpt-realtime-2", options={"reasoning_effort": "low"})


def test_ready_says_what_was_negotiated(stranger: Any) -> None:
    wire = stranger(model="gpt-realtime-2", input_format=AudioFormat(encoding="ulaw", rate=8000))
    wire.says("session.created", session={"id": "s1", "model": "gpt-realtime-2-2026"})
    assert not wire.told
    wire.says("session.updated", session={"audio": {"output": {"format": {"type": "audio/pcma"}}}})
    (ready,) = wire.told
    assert (ready.session_id, ready.model, ready.expires_in_s) == ("s1", "openai/gpt-realtime-2-2026", 3600)
    assert str(ready.input_format) == "ulaw 8000 Hz mono"
    assert str(ready.output_format) == "alaw 8000 Hz mono"
    assert ready.capabilities.formats_out == (ready.output_format,)
    wire.says("session.updated", session={})
    assert len(wire.all(SessionReady)) == 1


def test_settings_that_the_vendor_refuses_end_the_session(stranger: Any) -> None:
    wire = stranger(voice="nobody")
    wire.refuses(wire.opening[0], "invalid_value", "no such voice")
    assert wire.last(BackendError).fatal
    assert wire.last(BackendError).fault.category == "config"


def test_a_seed_that_the_vendor_refuses_does_not(stranger: Any) -> None:
    history = [MessageItem(role="assistant", text="Hi"), ToolResultItem(call_id="k", output="x")]
    wire = stranger(history=history)
    assert wire.opening[1]["item"]["content"] == [{"type": "output_text", "text": "Hi"}]
    wire.ready().refuses(wire.opening[2], "invalid_value")
    assert not wire.last(BackendError).fatal


def test_configure_sends_what_changed_and_settles(vendor: Any) -> None:
    command = Configure(patch={"instructions": None, "turns": {"silence_ms": 300}, "voice": "cedar", "tools": ()})
    wire = vendor(instructions="Old.", tools=[{"name": "look"}]).hears(command)
    session = wire.sent[0]["session"]
    assert session["instructions"] == ""
    assert session["tools"] == []
    assert session["audio"]["output"] == {"voice": "cedar"}
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 300
    wire.says("session.updated", session={})
    assert wire.fate(command) is None
    wire.hears(same := Configure(patch={"voice": "cedar"}))
    assert wire.fate(same) is None
    assert len(wire.sent) == 1


def test_a_change_that_the_vendor_refuses_is_undone(vendor: Any) -> None:
    command = Configure(patch={"instructions": "New."})
    wire = vendor(instructions="Old.").hears(command).refuses(None, "x")
    wire.refuses(wire.sent[0], "invalid_value")
    assert wire.fate(command) == "invalid_value"
    wire.hears(Configure(patch={"instructions": "New."}))
    assert wire.sent[1]["session"]["instructions"] == "New."


def test_what_cannot_change_is_refused(vendor: Any) -> None:
    wire = vendor()
    with pytest.raises(Unsupported, match="model"):
        wire.hears(Configure(patch={"model": "x"}))
    wire.creates().speaks(20)
    with pytest.raises(Unsupported, match="voice"):
        wire.hears(Configure(patch={"voice": "cedar"}))
    wire.hears(Configure(patch={"speed": 1.1}))


def test_images_are_data_urls(vendor: Any) -> None:
    wire = vendor().hears(SendText(text="", images=("data:image/png;base64,AA==",), respond=False))
    assert wire.sent[0]["item"]["content"] == [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
    with pytest.raises(ConfigError, match="data:"):
        wire.hears(SendText(text="x", images=("https://x/y.png",)))
    with pytest.raises(Unsupported):
        vendor("xai").hears(SendText(text="x", images=("data:image/png;base64,AA==",)))


def test_the_way_out_of_the_contract(vendor: Any) -> None:
    command = ProviderCommand(payload={"type": "conversation.item.retrieve", "item_id": "u1"})
    wire = vendor().hears(command)
    assert wire.sent[0]["item_id"] == "u1"
    assert wire.fate(command) is None
    assert wire.told[0].basis == "sent"
    wire.says("conversation.item.retrieved", item={"id": "u1"})
    assert wire.last(ProviderEvent).kind == "conversation.item.retrieved"
    wire.refuses(wire.sent[0], "item_not_found")
    assert wire.last(BackendError).fault.code == "item_not_found"
    for payload in ({}, {"type": "input_audio_buffer.append", "audio": ""}, {"type": "x", "y": object()}):
        with pytest.raises(ConfigError):
            wire.hears(ProviderCommand(payload=payload))


def test_rate_limits(vendor: Any) -> None:
    rows = [{"name": "tokens", "limit": 9, "remaining": 8, "reset_seconds": 0.5}, {"limit": 3}, 7]
    wire = vendor().says("rate_limits.updated", rate_limits=rows)
    (limit,) = wire.last(SessionNotice).limits
    assert (limit.name, limit.limit, limit.remaining, limit.reset_s) == ("tokens", 9, 8, 0.5)


@pytest.mark.parametrize(
    ("dialect", "base_url", "url"),
    [
        ("openai", None, "wss://api.openai.com/v1/realtime?model=a%20b"),
        ("openai", "http://127.0.0.1:80", "ws://127.0.0.1:80/v1/realtime?model=a%20b"),
        ("openai", "https://me.example/v1/", "wss://me.example/v1/realtime?model=a%20b"),
        ("openai", "wss://me.example/x/realtime?tier=1", "wss://me.example/x/realtime?tier=1&model=a%20b"),
        ("azure", "https://me.openai.azure.com", "wss://me.openai.azure.com/openai/v1/realtime?model=a%20b"),
        ("elevenlabs", None, "wss://api.elevenlabs.io/v1/convai/realtime?model=a%20b"),
    ],
)
def test_addresses(dialect: str, base_url: str | None, url: str) -> None:
    assert address(DIALECTS[dialect], "a b", base_url) == url


@pytest.mark.parametrize(
    "base_url",
    [
        "me.example",
        "ftp://me.example",
        "https://u:p@me.example",
        "wss://[::1",
        "wss://me.example:99999/v1",
        "wss://me.example:abc/v1",
        "wss://me\x00.example/v1",
        *(
            f"wss://m.example?{name}=1"
            for name in ("api_key", "sig", "Signature", "subscription-key", "authorization", "token")
        ),
    ],
)
def test_no_address_and_secrets_in_one(base_url: str) -> None:
    with pytest.raises(ConfigError):
        address(DIALECTS["openai"], "m", base_url)


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    row, far, near = DIALECTS["openai"], "wss://api.openai.com/v1", "ws://localhost:80/v1"
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"api_key=.*OPENAI_API_KEY"):
        key_for(row, far, None)
    assert key_for(row, near, None) is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    stored = key_for(row, far, None)
    assert stored is not None
    assert stored.get_secret_value() == "sk-env"
    assert key_for(row, near, None) is None
    assert key_for(row, far, KEY) is KEY
    with pytest.raises(ConfigError, match="encrypted"):
        key_for(row, "ws://me.example/v1", KEY)
    assert is_local("ws://[::1]:3/x")
    assert not is_local("ws://10.0.0.1/x")


def test_the_key_is_a_header_and_shown_nowhere(stranger: Any) -> None:
    from voicebridge_openai.codec import RealtimeCodec

    for name, expected in {"openai": ("Authorization", "Bearer sk-secret"), "azure": ("api-key", "sk-secret")}.items():
        config = SessionConfig(base_url="https://me.example/v1", options={})
        endpoint = RealtimeCodec(DIALECTS[name], "m", config, KEY).endpoint(config)
        assert endpoint.headers[expected[0]] == expected[1]
        assert "secret" not in repr(endpoint)
        assert "beta" not in " ".join(endpoint.headers).lower()
    with pytest.raises(ConfigError) as raised:
        RealtimeCodec(DIALECTS["openai"], "m", config, SecretStr("sk\nsecret\u20ac")).endpoint(config)
    assert "secret" not in str(raised.value)


def test_when_a_connection_counts_as_dead() -> None:
    from voicebridge_openai.codec import RealtimeCodec

    for options, row in (({}, (5.0, 20.0)), ({"ping_interval_s": 2.0, "dead_after_s": 90.0}, (2.0, 90.0))):
        config = SessionConfig(options=options)
        live = RealtimeCodec(DIALECTS["openai"], "m", config, KEY).endpoint(config).liveness
        assert (live.ping_interval_s, live.dead_after_s) == row
        assert live.barrier_interval_s == DIALECTS["openai"].liveness.barrier_interval_s


def test_models_of_specs() -> None:
    assert make_backend("openai", None).model_for(SessionConfig()) == "gpt-realtime-2"
    assert make_backend("elevenlabs", "realtime").model_for(SessionConfig()) == "eleven_realtime_v1_mini"
    assert make_backend("azure", "my-deployment").model_for(SessionConfig()) == "my-deployment"
    with pytest.raises(BackendNotFound, match="realtime_v1_max"):
        make_backend("elevenlabs", "agent_1")
    with pytest.raises(BackendNotFound, match="only transcribes"):
        make_backend("openai", "whisper-1")
    with pytest.raises(ConfigError, match="names the model"):
        make_backend("openai", "a").model_for(SessionConfig(model="b"))
    with pytest.raises(ConfigError, match="needs to know the model"):
        make_backend("azure", None).model_for(SessionConfig())


def test_rows_are_sound() -> None:
    for row in MODELS:
        assert model_of(row.vendor, row.name) is row
        assert row.vendor in DIALECTS
        assert bool(row.prices) == bool(row.priced_on)
        assert row.prices == {} or row.source
        assert all(0 < price < 1 for price in row.prices.values())
    for dialect in DIALECTS.values():
        assert dialect.default_turns in dialect.turns
        assert RealtimeBackend(dialect).capabilities.formats_in == dialect.formats
        assert dialect.unverified


async def test_a_session_can_not_be_resumed() -> None:
    with pytest.raises(VoiceBridgeError, match="history"):
        async with make_backend("openai", None).connect(SessionConfig(api_key=KEY), resume="x"):
            pass
