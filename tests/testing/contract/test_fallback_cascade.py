"""A cascade whose preferred stages fail again and again keeps every promise through those that take over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import voicebridge
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cli.contract import Questions
from voicebridge.cli.contract import contract as contract_command
from voicebridge.cli.settings import Settings
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import LanguageModelTraits, Mark, TextToSpeechTraits, Usage
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.registry.rows import About
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .test_cascade import CountingVoice, counted, scripted_subject

LOST = VoiceBridgeError(Fault(category="network", message="As planned.", retryable=True))


class Deaf(ScriptedRecogniser):
    """Is lost at every mark."""

    def __init__(self) -> None:
        super().__init__([])

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        async for piece in audio:
            if isinstance(piece, Mark):
                raise LOST
        yield  # pragma: no cover  # what makes it a generator


class Breathless(ScriptedVoice):
    """Is lost in the middle of its first clause."""

    async def speak(self, text: Any) -> AsyncIterator[Any]:
        async for speech in super().speak(text):
            half = len(speech.pcm) // 4 * 2
            yield Usage({"characters": float(len(speech.text))})
            yield type(speech)(speech.pcm[:half], speech.text)
            raise LOST


class TestCascadeInWhichEverySeatFails(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        thinks = LanguageModelTraits(speculative="safe", tools=True, usage="exact")
        speaks = TextToSpeechTraits(usage="exact")
        model: Callable[[], Any] = lambda: ScriptedModel(counted, first_s=0.2, piece_s=0.3, traits=thinks)  # noqa: E731  # as an application writes it
        backend = CascadeBackend(
            stt=[Deaf, lambda: ScriptedRecogniser(["hello there"], final_s=0.1)],
            llm=[lambda: ScriptedModel([LOST], traits=thinks), model],
            tts=[lambda: Breathless(first_s=0.1, traits=speaks), lambda: CountingVoice(first_s=0.1, traits=speaks)],
            detector=lambda: EnergyDetector(frame_ms=20, eager_ms=40),
        )
        like = scripted_subject()
        return Subject(
            backend=backend,
            config=like.config,
            virtual_time=True,
            tool_prompt=like.tool_prompt,
            parallel_prompt=like.parallel_prompt,
            flood_prompt=like.flood_prompt,
            recall=like.recall,
        )


class Plugin:
    """Stages by name."""

    @voicebridge.hookimpl
    def register_stages(self, register: Callable[..., None]) -> None:
        register("stt", "one", lambda model: ScriptedRecogniser(["hello there"]), About(summary="hears"))
        register("llm", "one", lambda model: ScriptedModel(["Hi."]), About(summary="thinks"))
        counts = TextToSpeechTraits(usage="exact")
        register("tts", "one", lambda model: CountingVoice(traits=counts), About(summary="speaks"))
        register("tts", "two", lambda model: Breathless(traits=counts), About(summary="speaks"))


def test_the_command_checks_a_cascade_with_several_stages_in_a_seat(capsys: pytest.CaptureFixture[str]) -> None:
    registry = Registry(allow=[])
    registry.join(Plugin(), "stages")
    before = use_registry(registry)
    try:
        settings = Settings(
            backend="one", instructions=None, voice=None, silence_ms=None, more=["tts.2.speed=1", "detector=energy"]
        )
        status = contract_command(
            "one/x+one/y+two/a|one/b",
            settings,
            Questions(),
            wav=None,
            only=["opens", "text_turn"],
            yes=True,
            json=False,
        )
    finally:
        use_registry(before)
    out = capsys.readouterr().out
    assert status == 0, out
    assert "2 pass" in out
