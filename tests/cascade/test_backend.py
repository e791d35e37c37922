"""What a cascade is asked for before it exists: how turns are found, what nobody takes, what closes when it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import voicebridge
from voicebridge import ConfigError, DetectorTraits, LanguageModelTraits, SessionConfig, SpeechToTextTraits, Unsupported
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice


class Listener(ScriptedRecogniser):
    def __init__(self) -> None:
        super().__init__(["hello"])


class Understanding(EnergyDetector):
    def __init__(self) -> None:
        super().__init__()
        self.traits = DetectorTraits(semantic=True)


def cascade(**seats: Any) -> CascadeBackend:
    model = ScriptedModel(["Hello."])
    return CascadeBackend(**({"stt": Listener, "llm": model, "tts": ScriptedVoice, "detector": "energy"} | seats))


def opened(backend: CascadeBackend, **options: Any) -> None:
    async def main() -> None:
        async with voicebridge.connect_raw(backend, **options):
            pass

    run_in_virtual_time(main())


OWN = SpeechToTextTraits(turns="own")


@pytest.mark.parametrize(
    ("seats", "asked", "found"),
    [
        ({}, None, "server_vad"),
        ({}, "server_vad", "server_vad"),
        ({}, "manual", "manual"),
        ({}, "semantic", "semantic"),
        ({"detector": Understanding}, None, "semantic"),
        ({"detector": Understanding}, "semantic", "semantic"),
        ({"stt": lambda: ScriptedRecogniser(["x"], traits=OWN), "detector": None}, None, "server_vad"),
    ],
)
def test_turns_are_found_as_asked_or_as_these_stages_do(seats: dict[str, Any], asked: Any, found: str) -> None:
    model = ScriptedModel(["Hello."])
    opened(cascade(llm=model, **seats), turns={"mode": asked, "silence_ms": 300})
    assert model.config is not None
    assert (model.config.turns.mode, model.config.turns.silence_ms) == (found, 300)


@pytest.mark.parametrize(
    ("seats", "asked", "words"),
    [
        ({"detector": Understanding}, "server_vad", "its turn detector uses what was said.*'semantic' or 'manual'"),
        (
            {"stt": lambda: ScriptedRecogniser(["x"], traits=OWN), "detector": None},
            "semantic",
            "its speech recogniser finds them",
        ),
    ],
)
def test_a_way_that_these_stages_have_not_is_refused_truly(seats: dict[str, Any], asked: str, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        opened(cascade(**seats), turns={"mode": asked})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise_reduction": "near_field"}, r"No stage of this cascade \(custom\+custom\+custom\) takes .*noise_red"),
        ({"base_url": "http://x"}, "'base_url'"),
        ({"api_key": "sk-x"}, "'api_key'"),
        ({"tool_choice": "required"}, "'tool_choice'"),
        ({"model": "gpt-17"}, "no one model"),
        ({"transcription": {"model": "nova"}}, "is its recogniser"),
        ({"outputs": set()}, "names audio, text or both"),
    ],
)
def test_a_setting_that_no_stage_takes_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        opened(cascade(), **settings)


def test_a_setting_that_a_stage_takes_is_not() -> None:
    traits = LanguageModelTraits(heeds=frozenset({"tool_choice"}))
    model = ScriptedModel(["Hello."], traits=traits)
    opened(cascade(llm=model), tool_choice="none", transcription={"keywords": ("Ada",)})
    assert model.config is not None
    assert model.config.tool_choice == "none"


def test_when_one_stage_refuses_the_settings_all_are_closed() -> None:
    class Silent(ScriptedVoice):
        def configure(self, config: SessionConfig) -> None:
            raise ConfigError("There is no such voice.")

        async def aclose(self) -> None:
            await super().aclose()
            await asyncio.sleep(3600)  # nor does it close in time

    model, voice = ScriptedModel(["x"]), Silent()
    with pytest.raises(ConfigError, match="no such voice"):
        opened(cascade(llm=model, tts=voice), voice="x")
    assert (model.closed, voice.closed) == (1, 1)


def test_an_option_that_does_not_exist_uses_up_no_stage() -> None:
    backend = cascade()
    with pytest.raises(voicebridge.BadOption):
        opened(backend, specullate="none")
    opened(backend)


def test_capabilities_are_read_from_stages_made_once() -> None:
    made = []

    def voice() -> ScriptedVoice:
        made.append(ScriptedVoice())
        return made[-1]

    backend = cascade(tts=voice)
    assert backend.capabilities is backend.capabilities
    assert len(made) == 1
    opened(backend)
    assert len(made) == 2
