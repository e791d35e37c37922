"""What a simulated vendor hears: where speech begins and ends, and what was said, by stages that are installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

from voicebridge.audio.converter import Converter
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, SpeechToText, Transcript, TurnDetector, TurnSignal
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import Seat

__all__ = ["Ears", "LiveRecogniser", "Recogniser", "check_stage", "installed_stage"]

_HERE = "local/"
"""How the names of stages begin that need nobody else."""


def check_stage(seat: Seat, name: str) -> None:
    """See that a stage can be had, before the first client needs it.

    Raises:
        ConfigError: there is none of that name, or what it needs is not installed.
    """
    chosen = installed_stage(seat, name)
    if chosen is None:
        raise ConfigError(f"No stage is installed that could be the {seat}. See `voicebridge backends`.")
    registry().stage(seat, chosen)  # one that was only made holds nothing


def installed_stage(seat: str, name: str) -> str | None:
    """The name itself; for `installed` the first stage of that seat that can be had and asks no server, those of
    voicebridge before others. None: there is none."""
    if name != "installed":
        return name
    rows = (row for row in registry().rows().stages if row.seat == seat and row.about.alone)
    ready = [row.name for row in rows if not row.about.missing()]
    return min(ready, key=lambda one: not one.startswith(_HERE), default=None)


class Ears:
    """Finds speech in a stream of audio of one format.

    Args:
        name: of a turn detector: `energy`, `installed` (energy where there is none), or a stage by its name.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, name: str, source: AudioFormat) -> None:
        chosen = installed_stage("detector", name) or "energy"
        # Loudness needs no resampling, which costs more than all the rest of a session.
        self._detector: TurnDetector = (
            EnergyDetector(rate=source.rate)
            if chosen == "energy"
            else cast(TurnDetector, registry().stage("detector", chosen))
        )
        self._converter = Converter(source, self._detector.traits.format)
        self._ready = False

    def configure(self, silence_ms: int, sensitivity: float) -> None:
        """Milliseconds of silence that end a turn; sensitivity from 0 (clear speech only) to 1."""
        turns = TurnPolicy(mode="server_vad", silence_ms=silence_ms, sensitivity=sensitivity)
        self._detector.configure(SessionConfig(turns=turns))

    async def push(self, audio: bytes) -> list[TurnSignal]:
        """Take the next audio; give what was noticed, its places in ms from the first sample pushed."""
        if not self._ready:
            await self._detector.warm()
            self._ready = True
        return list(await self._detector.push(self._converter.convert(audio)))

    async def aclose(self) -> None:
        """Release the detector."""
        await self._detector.aclose()


class Recogniser:
    """Writes down one utterance after the other.

    Args:
        name: of a speech-to-text stage, or `installed`.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, name: str) -> None:
        chosen = installed_stage("stt", name) or name
        self._stage = cast(SpeechToText, registry().stage("stt", chosen))
        self._ready = False

    async def transcribe(self, audio: bytes, source: AudioFormat) -> str:
        """The text of an utterance; empty where none was understood."""
        if not self._ready:
            self._stage.configure(SessionConfig())
            await self._stage.warm()
            self._ready = True
        converter = Converter(source, self._stage.traits.format)
        pcm = converter.convert(audio) + converter.flush()

        async def utterance() -> AsyncIterator[bytes | Mark]:
            yield Mark(0, fresh=True, wanted=False)
            yield pcm
            yield Mark(1)

        text = ""
        async for said in self._stage.listen(utterance()):
            if isinstance(said, Transcript):
                text = said.text
        return text.strip()

    async def aclose(self) -> None:
        """Release the stage."""
        await self._stage.aclose()


class LiveRecogniser:
    """Writes down an utterance while it is spoken: the text so far every now and then, the whole at its end.

    The text so far is heard anew each time, as a stage that is installed may know no other way.

    Args:
        name: as for `Recogniser`.
        source: the format of the audio.
        every_ms: milliseconds of audio from one text so far to the next.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, name: str, source: AudioFormat, *, every_ms: float = 500.0) -> None:
        self._recogniser = Recogniser(name)
        self._source = source
        self._every = max(source.size(every_ms), 1)
        self._audio = bytearray()
        self._told = 0
        """Bytes of the audio that the last text was about."""

    async def push(self, audio: bytes) -> str | None:
        """Take the next audio. The text so far, when it is due and there is any."""
        self._audio += audio
        if len(self._audio) - self._told < self._every:
            return None
        return await self._heard() or None

    async def finish(self) -> str:
        """The whole utterance; what is pushed next begins another one."""
        text = await self._heard() if self._audio else ""
        self._audio.clear()
        self._told = 0
        return text

    async def _heard(self) -> str:
        self._told = len(self._audio)
        return await self._recogniser.transcribe(bytes(self._audio), self._source)

    async def aclose(self) -> None:
        """Release the stage."""
        await self._recogniser.aclose()
