"""Google Speech-to-Text and Chirp voices, as stages of a voicebridge cascade.

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

_REQUIRES = ("httpx", "orjson", "pybase64")


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Its recognisers and its voices."""
    from voicebridge.registry.rows import About, ModelAbout

    from .models import CHIRP_HD, CREDENTIALS_VARIABLE, RECOGNISERS

    about = About(
        summary="Google Speech-to-Text v2 over REST: one upload an utterance (streaming is gRPC only)",
        source="https://speech.googleapis.com",
        requires=_REQUIRES,
        key=CREDENTIALS_VARIABLE,
        models=tuple(ModelAbout(name=row.name, note=row.note) for row in RECOGNISERS),
    )
    register("stt", "google", _recogniser, about)
    about = About(
        summary="Google Chirp 3 HD voices over REST: a request a clause (streaming is gRPC only)",
        source="https://texttospeech.googleapis.com",
        requires=_REQUIRES,
        key=CREDENTIALS_VARIABLE,
        models=(ModelAbout(name=CHIRP_HD, note="or a voice by its whole name, such as en-US-Chirp3-HD-Kore"),),
    )
    register("tts", "google", _voice, about)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks the wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(summary="Google Speech-to-Text v2 and Text-to-Speech, over REST", requires=_REQUIRES)
    register("google-speech", _simulator, about)


def _recogniser(model: str | None) -> SpeechToText:
    from .speech_to_text import make_recogniser

    return make_recogniser(model)


def _voice(model: str | None) -> TextToSpeech:
    from .text_to_speech import make_voice

    return make_voice(model)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)
