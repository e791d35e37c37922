"""Azure AI Speech as stages of a voicebridge cascade.

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

_REQUIRES = ("httpx", "orjson")


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Its recogniser and its voices."""
    from voicebridge.registry.rows import About, ModelAbout

    from .models import KEY_VARIABLE, NEURAL, REGION_VARIABLE, SPEECH

    about = About(
        summary=f"Azure Speech REST for short audio: one upload an utterance; the region is in {REGION_VARIABLE}",
        source="https://REGION.stt.speech.microsoft.com",
        requires=_REQUIRES,
        key=KEY_VARIABLE,
        models=(ModelAbout(name=SPEECH, note="it streams in the vendor's own SDK alone, which is not used"),),
    )
    register("stt", "azure", _recogniser, about)
    about = About(
        summary=f"Azure neural voices: a request a clause, streamed; the region is in {REGION_VARIABLE}",
        source="https://REGION.tts.speech.microsoft.com",
        requires=_REQUIRES,
        key=KEY_VARIABLE,
        models=(ModelAbout(name=NEURAL, note="or a voice by its name, such as en-US-JennyNeural"),),
    )
    register("tts", "azure", _voice, about)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks the wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(summary="Azure Speech to text (short audio) and text to speech, over REST", requires=_REQUIRES)
    register("azure-speech", _simulator, about)


def _recogniser(model: str | None) -> SpeechToText:
    from .speech_to_text import make_recogniser

    return make_recogniser(model)


def _voice(model: str | None) -> TextToSpeech:
    from .text_to_speech import make_voice

    return make_voice(model)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)
