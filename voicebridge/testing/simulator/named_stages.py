"""The stages that a simulator's options name: seen to before it serves, loaded before its first client comes."""

from __future__ import annotations

from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat

from .ears import Ears, Recogniser, check_stage
from .voice import voice_named

__all__ = ["check_stages", "warm_stages", "warm_voice"]

_AUDIO = AudioFormat(rate=16_000)


def check_stages(options: object) -> None:
    """See that there are the stages that these options name.

    Args:
        options: of a wire. Their fields `voice`, `detector` and `recogniser` are looked at, where they have them.

    Raises:
        ConfigError: one can't be had.
    """
    voice, detector, recogniser = _named(options)
    if voice not in ("tone", "installed"):
        check_stage("tts", voice)
    if detector not in ("energy", "installed"):
        check_stage("detector", detector)
    if recogniser is not None:
        check_stage("stt", recogniser)


async def warm_stages(options: object) -> None:
    """Load them. Weights are shared by a process: the first client would wait for them."""
    voice, detector, recogniser = _named(options)
    await warm_voice(voice)
    if detector != "energy":
        ears = Ears(detector, _AUDIO)
        await ears.push(bytes(_AUDIO.size(100)))
        await ears.aclose()
    if recogniser is not None:
        writer = Recogniser(recogniser)
        await writer.transcribe(bytes(_AUDIO.size(500)), _AUDIO)
        await writer.aclose()


async def warm_voice(name: str) -> None:
    """Let a voice say its first word to nobody. Nothing is to be loaded of a tone."""
    if name == "tone":
        return
    voice = voice_named(name, ms_per_char=1)
    async with aclosing(voice.speak("Ready.", AudioFormat())) as pieces:
        async for _ in pieces:
            pass
    await voice.aclose()


def _named(options: object) -> tuple[str, str, str | None]:
    return (
        getattr(options, "voice", "tone"),
        getattr(options, "detector", "energy"),
        getattr(options, "recogniser", None),
    )
