"""A speech-to-text stage by its name, asked for one utterance after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, cast

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, SpeechToText, Transcript
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.ears import installed_stage

from .stage_settings import configure

__all__ = ["Recogniser", "chosen_stage"]

_SLICE_MS = 100.0
TIMEOUT_S = 120.0
"""The longest wait for the text of one utterance."""


def chosen_stage(name: str) -> str:
    """The name of a recogniser; of `installed` that of the first one that needs nobody else.

    Raises:
        ConfigError: nothing is installed.
    """
    chosen = installed_stage("stt", name)
    if chosen is None:
        raise ConfigError("No recogniser is installed. In a clone of voicebridge: pip install '.[local]'")
    return chosen


class Recogniser:
    """Writes utterances down. A context manager, ready once entered.

    Args:
        name: of a speech-to-text stage.
        options: settings of a session (`api_key`, `base_url`, `language`) and options of the stage, by name.

    Raises:
        VoiceBridgeError: it can't be had, does not know an option, or can't get ready.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self._stage = cast(SpeechToText, registry().stage("stt", name))
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

    async def transcribe(self, pcm: bytes, source: AudioFormat = DOOR_FORMAT) -> str:
        """The text of an utterance; empty where none was understood.

        Raises:
            VoiceBridgeError: it failed.
            TimeoutError: it took more than two minutes.
        """
        converter = Converter(source, self._stage.traits.format)
        heard = converter.convert(pcm) + converter.flush()
        size = self._stage.traits.format.size(_SLICE_MS)

        async def utterance() -> AsyncIterator[bytes | Mark]:
            yield Mark(0, fresh=True, wanted=False)
            for start in range(0, len(heard), size):
                yield heard[start : start + size]
            yield Mark(1)

        text = ""
        async with asyncio.timeout(TIMEOUT_S), aclosing(cast(Any, self._stage.listen(utterance()))) as told:
            async for said in told:
                if isinstance(said, Transcript):
                    text = said.text
                    if said.final and said.mark == 1:
                        break
        return text.strip()
