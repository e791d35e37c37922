"""ElevenLabs voices and Scribe, as stages of a voicebridge cascade.

Only hooks here: what is heavy is imported when a stage is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from voicebridge.contract.simulator import Simulator, SimulatorSettings
    from voicebridge.contract.stages import SpeechToText, TextToSpeech
    from voicebridge.registry.rows import RegisterSimulator, RegisterStage

__all__ = ["register_simulators", "register_stages"]

_REQUIRES = ("httpx", "orjson", "pybase64", "websockets")


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Its voices and its recognisers, each by the name of the model."""
    from voicebridge.registry.rows import About, ModelAbout

    from .models import KEY_VARIABLE, RECOGNISERS, VOICES

    about = About(
        summary="ElevenLabs Scribe: realtime, or by upload",
        source="https://api.elevenlabs.io",
        requires=_REQUIRES,
        key=KEY_VARIABLE,
        models=tuple(ModelAbout(name=row.name, note=row.note) for row in RECOGNISERS),
    )
    register("stt", "elevenlabs", _recogniser, about)
    about = About(
        summary="ElevenLabs voices: Flash, Turbo, Multilingual",
        source="https://api.elevenlabs.io",
        requires=_REQUIRES,
        key=KEY_VARIABLE,
        models=tuple(ModelAbout(name=row.name, note=row.note) for row in VOICES),
    )
    register("tts", "elevenlabs", _voice, about)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks the wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(summary="ElevenLabs voices and Scribe, over websockets and HTTP", requires=_REQUIRES)
    register("elevenlabs", _simulator, about)


def _recogniser(model: str | None) -> SpeechToText:
    from .speech_to_text import make_recogniser

    return make_recogniser(model)


def _voice(model: str | None) -> TextToSpeech:
    from .text_to_speech import ElevenLabsVoice

    return ElevenLabsVoice(model)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)
