"""Plain functions in the recogniser's and the voice's seat."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.stages import (
    PCM_16K,
    Flush,
    Mark,
    Speech,
    SpeechToTextTraits,
    TextToSpeechTraits,
    Transcript,
)
from voicebridge.transport.thread import in_thread

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["LiftedRecogniser", "LiftedVoice"]

Given = TypeVar("Given")
Result = TypeVar("Result")


class LiftedRecogniser:
    """`pcm -> text`, a function or coroutine function, as a `SpeechToText`: it hears a whole utterance at each mark.

    Args:
        format: of the PCM that it is given.
        recheck: `paid` if each call costs something; see `SpeechToTextTraits`.
    """

    def __init__(
        self,
        recognise: Callable[[bytes], str | Awaitable[str]],
        *,
        format: AudioFormat = PCM_16K,
        recheck: Literal["free", "paid"] = "free",
    ) -> None:
        self.traits = SpeechToTextTraits(format=format, recheck=recheck, usage="none")
        self._recognise = recognise

    def configure(self, config: SessionConfig) -> None:
        """Nothing to set: it is the caller's own."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript]:
        """Answer each mark with the text of the audio since the last fresh one."""
        utterance = bytearray()
        async for piece in audio:
            if isinstance(piece, bytes):
                utterance += piece
                continue
            if piece.wanted:
                yield Transcript(await _run(self._recognise, bytes(utterance)), final=True, mark=piece.n)
            if piece.fresh:
                utterance.clear()


class LiftedVoice:
    """`text -> pcm`, a function or coroutine function, as a `TextToSpeech`: it speaks clause by clause.

    Args:
        format: of the PCM that it gives.
    """

    def __init__(self, speak: Callable[[str], bytes | Awaitable[bytes]], *, format: AudioFormat = DOOR_FORMAT) -> None:
        self.traits = TextToSpeechTraits(format=format, usage="none")
        self._speak = speak

    def configure(self, config: SessionConfig) -> None:
        """Nothing to set: it is the caller's own."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech]:
        """Speak each clause when it comes."""
        async for clause in text:
            if isinstance(clause, str):
                yield Speech(await _run(self._speak, clause), clause)


async def _run(function: Callable[[Given], Result | Awaitable[Result]], given: Given) -> Result:
    inner = function if inspect.isroutine(function) else type(function).__call__
    is_async = inspect.iscoroutinefunction(inner)
    result = function(given) if is_async else await in_thread(lambda: function(given), "voicebridge stage")
    return await result if inspect.isawaitable(result) else result
