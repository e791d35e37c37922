"""Settings of single stages: who gets what, and above all who gets whose key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import pytest

import voicebridge
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.commands import Configure
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, Unsupported
from voicebridge.contract.events import CommandSettled, SessionReady
from voicebridge.contract.stages import LanguageModelTraits, SpeechToTextTraits, TextToSpeechTraits
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.registry.rows import About
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

HOSTED: Any = frozenset({"base_url", "api_key"})
KEY = "sk-of-one-vendor"


class Hosted:
    """What configures like a hosted stage: it knows its options by name, and refuses others."""

    made: list[Any] = []  # noqa: RUF012  # noted over all of them, and cleared by each test
    knows = ("temperature", "stability")

    def configure(self, config: SessionConfig) -> None:
        for name in config.options:
            if name not in self.knows:
                near = get_close_matches(name, self.knows, 1)
                raise BadOption(
                    f"There is no option {name!r}. Did you mean {near[0]!r}?" if near else "No such option."
                )
        if config.voice == "nobody":
            raise ConfigError("There is no voice 'nobody'.")
        self.config = config


class Ear(Hosted, ScriptedRecogniser):
    def __init__(self) -> None:
        super().__init__(["hello"], traits=SpeechToTextTraits(heeds=HOSTED))
        Hosted.made.append(self)


class Brain(Hosted, ScriptedModel):
    def __init__(self) -> None:
        super().__init__(["Hi."], traits=LanguageModelTraits(heeds=HOSTED | {"tool_choice"}))
        Hosted.made.append(self)


class Mouth(Hosted, ScriptedVoice):
    def __init__(self) -> None:
        super().__init__(traits=TextToSpeechTraits(heeds=HOSTED))
        Hosted.made.append(self)


class Plain(ScriptedVoice):
    """Has no options, and does not look for any."""

    def __init__(self) -> None:
        super().__init__()
        Hosted.made.append(self)


class Vendors:
    """A plugin with stages of two vendors and a local one."""

    @voicebridge.hookimpl
    def register_stages(self, register: Callable[..., None]) -> None:
        for vendor in ("ada", "bob"):
            register("stt", vendor, lambda model: Ear(), About(summary="hears"))
            register("llm", vendor, lambda model: Brain(), About(summary="thinks"))
            register("tts", vendor, lambda model: Mouth(), About(summary="speaks"))
        register("tts", "here", lambda model: Plain(), About(summary="speaks"))


@pytest.fixture(autouse=True)
def vendors() -> Any:
    registry = Registry(allow=[])
    registry.join(Vendors(), "vendors")
    before = use_registry(registry)
    Hosted.made.clear()
    yield
    use_registry(before)


def opened(spec: Any, **options: Any) -> list[SessionConfig]:
    """The configs of the stages, in the order in which they were made."""

    async def main() -> None:
        async with voicebridge.connect_raw(spec, **options):
            pass

    Hosted.made.clear()
    run_in_virtual_time(main())
    return [stage.config for stage in Hosted.made]


def keys(spec: Any, **options: Any) -> list[str | None]:
    return [config.api_key and config.api_key.get_secret_value() for config in opened(spec, **options)]


def test_each_stage_gets_its_own_settings_and_no_other_ones_options() -> None:
    own = {"stt.base_url": "http://ear", "llm.temperature": 0.5, "tts.voice": "eve", "tts.stability": 1, "timeout_s": 9}
    ear, brain, mouth = opened("ada/x+ada/y+bob/z", language="de", **own)
    assert [c.base_url for c in (ear, brain, mouth)] == ["http://ear", None, None]
    assert [dict(c.options) for c in (ear, brain, mouth)] == [{}, {"temperature": 0.5}, {"stability": 1}]
    assert mouth.voice == "eve"
    assert {c.language for c in (ear, brain, mouth)} == {"de"}


def test_a_stage_with_settings_is_a_value() -> None:
    voice = voicebridge.stage("bob/z", voice="eve", api_key=KEY, stability=0.3)
    assert KEY not in repr(voice)
    backend = CascadeBackend(stt="ada/x", llm="ada/y", tts=voice)
    for _ in range(2):
        mouth = opened(backend)[2]
        assert (mouth.voice, dict(mouth.options)) == ("eve", {"stability": 0.3})
    assert opened(backend, **{"tts.voice": "ann"})[2].voice == "ann"
    assert opened("ada/x+ada/y+ada/z", voice="adam", tts=voice)[2].voice == "eve"


def test_a_key_goes_to_all_stages_of_one_vendor() -> None:
    assert keys("ada/x+ada/y+here", api_key=KEY) == [KEY, KEY, None]
    assert keys("ada/x+bob/y+bob/z", api_key=KEY, **{"stt.api_key": "sk-other"}) == ["sk-other", KEY, KEY]


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("ada/x+bob/y+ada/z", {}, r"several vendors \(ada/x, ada/z, bob/y\).*`stt\.api_key=` or `llm\.api_key="),
        ("ada/x|bob/x+ada/y+ada/z", {}, r"`stt\.2\.api_key="),
        ("ada/x+ada/y+ada/z", {"llm.base_url": "http://elsewhere"}, "several addresses"),
        (CascadeBackend(stt=Ear, llm=Brain, tts=Plain), {}, "several vendors"),
    ],
)
def test_whose_key_it_is_must_be_clear(spec: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(spec, api_key=KEY, **options)


def test_so_must_be_whose_address() -> None:
    with pytest.raises(ConfigError, match=r"One base_url can't go to stages of several vendors.*`tts\.base_url=`"):
        opened("ada/x+ada/y+bob/z", base_url="http://here")
    assert [c.base_url for c in opened("ada/x+ada/y+here", base_url="http://a")] == ["http://a", "http://a", None]


def test_a_voice_of_one_vendor_means_nothing_to_another() -> None:
    configs = opened("ada/x+ada/y+ada/a|bob/b|ada/c", voice="adam", **{"tts.2.voice": "bert"})
    assert [config.voice for config in configs[2:]] == ["adam", "bert", "adam"]
    assert [config.voice for config in opened("ada/x+ada/y+ada/a|bob/b", voice="adam")[2:]] == ["adam", None]


@pytest.mark.parametrize(
    ("own", "error", "words"),
    [
        ({"tts.stabilty": 1}, BadOption, r"The voice bob/z: There is no option 'stabilty'. Did you mean 'stability'"),
        ({"tts.voice": "nobody"}, ConfigError, r"The voice bob/z: There is no voice 'nobody'"),
        ({"tts.speed": 9}, BadOption, r"The voice bob/z: The setting 'speed' does not fit"),
        ({"stt.voice": "eve"}, Unsupported, r"A speech recogniser has no setting 'voice'"),
        ({"tts.tool_choice": "none"}, Unsupported, r"The voice bob/z takes no setting 'tool_choice'"),
        ({"llm.model": "y"}, BadOption, r"`llm\.model`: the model is part of the stage's name"),
        ({"llm.instructions": "y"}, BadOption, r"'instructions' holds for the whole session.*without `llm\.`"),
        ({"ttts.voice": "eve"}, BadOption, r"no option 'ttts\.voice'.*stt, detector, llm, tts"),
        ({"tts.": 1}, BadOption, r"no option 'tts\.'"),
        ({"tts.0.voice": "x"}, BadOption, r"no option 'tts\.0\.voice'"),
        ({"tts.3.voice": "x"}, BadOption, r"`tts\.3\.voice` names no stage: the seat has 1"),
        ({"tts": voicebridge.stage("here", style="sad")}, BadOption, r"The voice here has no options.*style"),
        ({"tts": voicebridge.stage("a|b")}, ConfigError, r"is for one stage"),
        ({"tts": "ada/a|"}, ConfigError, r"'ada/a\|' names no voice: a name is empty"),
        ({"tts": []}, ConfigError, r"`tts` is an empty list"),
        ({"detector": ["energy", "energy"]}, ConfigError, r"one turn detector"),
    ],
)
def test_what_does_not_fit_is_told_with_its_seat(own: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        opened("ada/x+ada/y+bob/z", **own)


def test_what_is_changed_in_the_session_holds_also_where_a_stage_had_its_own() -> None:
    async def main() -> list[Any]:
        own = {"tts.voice": "eve", "stt.language": "de", "tts.2.voice": "bert"}
        async with voicebridge.connect_raw("ada/x+ada/y+ada/a|bob/b", **own) as session:
            settled = []
            async for event in session:
                if isinstance(event, SessionReady):
                    await session.send(Configure(patch={"voice": "adam"}))
                    await session.send(Configure(patch={"voice": "nobody"}))
                    await session.send(Configure(patch={"instructions": "Be brief."}))
                if isinstance(event, CommandSettled):
                    settled.append(event.fault and event.fault.message)
                if len(settled) == 3:
                    return settled
        raise AssertionError

    settled = run_in_virtual_time(main())
    assert settled == [None, "The voice ada/a: There is no voice 'nobody'.", None]
    configs = [stage.config for stage in Hosted.made]
    assert [config.voice for config in configs[2:]] == ["adam", "bert"]
    assert (configs[0].language, configs[1].instructions) == ("de", "Be brief.")


def test_a_key_of_one_stage_is_not_shown() -> None:
    config = SessionConfig(options={"stt.api_key": KEY, "tts.2.api_key": KEY, "llm.temperature": 1})
    assert KEY not in repr(config)
    assert KEY not in str(config.model_dump())
    assert config.options["stt.api_key"].get_secret_value() == KEY


def test_one_stage_can_not_sit_twice() -> None:
    voice = ScriptedVoice()
    with pytest.raises(ConfigError, match="served a session already"):
        asyncio.run(_open(CascadeBackend(stt=Ear, llm=Brain, tts=[voice, voice])))


async def _open(backend: CascadeBackend) -> None:
    async with voicebridge.connect_raw(backend):
        pass
