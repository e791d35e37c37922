"""What may sit in a seat, and for how long."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import voicebridge
from voicebridge import ConfigError, ResponseEnded, SendText
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.lifted_model import LiftedModel
from voicebridge.cascade.seats import _claimed
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice


class Listener(ScriptedRecogniser):
    def __init__(self) -> None:
        super().__init__(["hello"])


class Echo(ScriptedModel):
    made = 0

    def __init__(self) -> None:
        super().__init__(["Hello."])
        Echo.made += 1


def cascade(**seats: Any) -> CascadeBackend:
    return CascadeBackend(**({"stt": Listener, "llm": Echo, "tts": ScriptedVoice, "detector": "energy"} | seats))


async def asked(backend: Any, **options: Any) -> list[str]:
    """What becomes of a question, in a session of its own."""
    async with voicebridge.connect_raw(backend, **options) as session:
        await session.send(SendText(text="hi"))
        async for event in session:
            if isinstance(event, ResponseEnded):
                return [event.status]
    raise AssertionError


async def twice(backend: Any, **options: Any) -> list[str]:
    return await asked(backend, **options) + await asked(backend, **options)


def test_a_stage_serves_one_session() -> None:
    voice = ScriptedVoice()
    backend = cascade(tts=voice)

    async def main() -> None:
        async with voicebridge.connect_raw(backend, voice="anna"):
            with pytest.raises(ConfigError, match=r"ScriptedVoice given as `tts` has served.*`tts=lambda: \.\.\.`"):
                await asked(backend, voice="bob")
            assert voice.config is not None
            assert (voice.config.voice, voice.closed) == ("anna", 0)
        with pytest.raises(ConfigError, match="has served"):  # nor after it
            await asked(cascade(), tts=voice)
        assert voice.closed == 1

    run_in_virtual_time(main())


def test_a_session_that_was_refused_uses_up_no_stage() -> None:
    used, fresh = ScriptedVoice(), ScriptedModel(["Hi."])

    async def main() -> None:
        await asked(cascade(tts=used))
        with pytest.raises(ConfigError, match="has served"):
            await asked(cascade(llm=fresh, tts=used))
        with pytest.raises(voicebridge.Unsupported):
            await asked(cascade(llm=fresh), noise_reduction="near_field")
        assert await asked(cascade(llm=fresh)) == ["completed"]

    run_in_virtual_time(main())


def test_stages_that_are_gone_are_not_remembered() -> None:
    run_in_virtual_time(asked(cascade()))
    gc.collect()
    before = len(_claimed)
    run_in_virtual_time(asked(cascade()))
    gc.collect()
    assert len(_claimed) == before


def test_classes_and_functions_without_parameters_make_one_for_each_session() -> None:
    made = Echo.made
    backend = cascade(tts=lambda: ScriptedVoice(character_ms=10))
    assert run_in_virtual_time(twice(backend)) == ["completed", "completed"]
    assert Echo.made == made + 2


def test_what_is_lifted_may_serve_many() -> None:
    async def agent(words: str) -> str:
        return f"{words}!"

    class Agent:
        """Remembers, so each session has its own."""

        async def __call__(self, words: str) -> str:
            return f"{words}?"

    for llm in (agent, LiftedModel(agent, speculative="safe"), lambda: Agent()):
        assert run_in_virtual_time(twice(cascade(llm=llm))) == ["completed", "completed"]


class Picky(ScriptedVoice):
    def __init__(self, key: str) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("seats", "words"),
    [
        ({"tts": ScriptedModel(["x"])}, r"ScriptedModel can't be the voice: .*language model: give it as `llm`"),
        ({"tts": Echo}, r"Echo can't be the voice: it has no method speak"),
        ({"llm": ScriptedVoice()}, r"can't be the language model: it has no method respond\. .*`tts`"),
        ({"detector": ScriptedVoice()}, r"can't be the turn detector: it has no method push"),
        ({"tts": Picky}, r"Picky could not make the voice: TypeError.*'key'.*`tts=lambda: \.\.\.`"),
        ({"tts": lambda: "amy"}, r"asked for a voice and gave a str, no stage"),
        ({"llm": lambda: None}, r"asked for a language model and gave a NoneType"),
        ({"tts": lambda: ScriptedModel(["x"])}, r"ScriptedModel can't be the voice"),
    ],
)
def test_what_does_not_fit_a_seat_is_told_before_it_is_used(seats: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run_in_virtual_time(asked(cascade(**seats)))
