"""Settings are checked, by name, and never changed in place."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig, Tool, TurnPolicy, checked
from voicebridge.contract.errors import BadOption, ConfigError

RICH = SessionConfig(
    model="m",
    voice="v",
    tools=(Tool(name="add"),),
    turns=TurnPolicy(silence_ms=300),
    api_key=SecretStr("sk-hidden"),
    input_format=AudioFormat(rate=16_000),
    options={"x": 1},
)


def test_a_patch_replaces_what_it_names_and_nothing_else() -> None:
    patched = RICH.patched({"voice": "w", "outputs": ["text"]})
    assert patched == RICH.model_copy(update={"voice": "w", "outputs": frozenset({"text"})})
    assert RICH.voice == "v"
    assert RICH.patched({}) == RICH
    assert patched.api_key == SecretStr("sk-hidden")
    assert patched.input_format == AudioFormat(rate=16_000)


def test_a_patch_takes_plain_data() -> None:
    patched = RICH.patched({"turns": {"mode": "manual"}, "tools": [{"name": "sub"}], "input_format": {"rate": 8_000}})
    assert patched.turns == TurnPolicy(mode="manual")
    assert patched.tools == (Tool(name="sub"),)
    assert patched.input_format == AudioFormat(rate=8_000)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"colour": "red"}, r"The setting 'colour' does not fit: Extra inputs are not permitted\."),
        ({"speed": 9}, r"The setting 'speed' does not fit: .*less than or equal to 4"),
        ({"turns": {"silence_ms": -1}}, r"The setting 'turns\.silence_ms' does not fit"),
        ({"turns": {"silence": 1}}, r"The setting 'turns\.silence' does not fit"),
        ({"tools": [{"name": "add"}, {"name": "two words"}]}, r"The setting 'tools\.1\.name' does not fit"),
        ({"outputs": ["smell"]}, r"The setting 'outputs"),
        ({"input_format": {"rate": 1}}, r"The setting 'input_format' does not fit: .*between 4000 and 192000"),
        ({"max_output_tokens": 0}, r"The setting 'max_output_tokens'"),
        ({"turns": {"sensitivity": 1.5}}, r"The setting 'turns\.sensitivity'"),
    ],
)
def test_what_does_not_fit_is_named(patch: dict[str, object], words: str) -> None:
    with pytest.raises(BadOption, match=words) as caught:
        RICH.patched(patch)
    assert caught.value.fault.code == "bad_setting"
    assert isinstance(caught.value, ConfigError)
    assert caught.value.__cause__ is None
    with pytest.raises(BadOption, match=words):
        checked(patch)


def test_a_key_is_shown_nowhere() -> None:
    with pytest.raises(BadOption) as caught:
        RICH.patched({"speed": "sk-hidden"})
    assert "sk-hidden" not in str(caught.value) + repr(caught.value.fault)
    assert "sk-hidden" not in repr(RICH) + str(RICH) + RICH.model_dump_json()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        RICH.voice = "w"
    with pytest.raises(ValidationError):
        RICH.turns.silence_ms = 1


def test_two_configs_share_no_options() -> None:
    assert SessionConfig().options is not SessionConfig().options
    assert Tool(name="a").parameters == {"type": "object", "properties": {}}
    assert Tool(name="a").parameters is not Tool(name="b").parameters


def test_defaults() -> None:
    config = checked({})
    assert config == SessionConfig()
    assert config.outputs == {"audio", "text"}
    assert (config.turns.mode, config.turns.auto_respond, config.turns.auto_interrupt) == (None, True, True)
    assert config.turns.silence_ms is None
