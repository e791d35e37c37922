"""Amazon Polly and Transcribe, as stages of a voicebridge cascade.

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

_REQUIRES = ("botocore", "httpx", "orjson", "websockets")


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """The voices by the name of their engine, and the recogniser."""
    from voicebridge.registry.rows import About, ModelAbout

    from .models import DEFAULT_ENGINE, ENGINES, KEY_VARIABLE, RECOGNISER

    about = About(
        summary="Amazon Transcribe, streamed",
        source="https://aws.amazon.com/transcribe",
        requires=_REQUIRES,
        extra="aws",
        key=KEY_VARIABLE,
        models=(ModelAbout(name=RECOGNISER),),
    )
    register("stt", "aws", _recogniser, about)
    about = About(
        summary="Amazon Polly voices: neural, generative, long-form, standard",
        source="https://aws.amazon.com/polly",
        requires=_REQUIRES,
        extra="aws",
        key=KEY_VARIABLE,
        models=tuple(
            ModelAbout(name=one.model, aliases=("polly",) if one.name == DEFAULT_ENGINE else ())
            for one in ENGINES.values()
        ),
    )
    register("tts", "aws", _voice, about)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks the wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(summary="Amazon Polly over HTTP, Transcribe over a websocket", requires=("orjson", "websockets"))
    register("aws-speech", _simulator, about)


def _recogniser(model: str | None) -> SpeechToText:
    from .transcribe import transcribe

    return transcribe(model)


def _voice(model: str | None) -> TextToSpeech:
    from .polly import polly

    return polly(model)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)
