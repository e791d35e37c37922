"""Stages that follow a script: what they give, and how long they take, is known beforehand.

    seats = dict(stt=ScriptedRecogniser(["hello"], final_s=0.1), llm=ScriptedModel(["Hi,", " there."]), ...)
    async with voicebridge.connect(CascadeBackend(**seats)) as session:
        ...

They only wait on the event loop, so in virtual time every figure is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.stages import (
    Flush,
    LanguageModelTraits,
    Mark,
    Prompt,
    Speech,
    SpeechToTextTraits,
    TextToSpeechTraits,
    ToolRequest,
    Transcript,
    Usage,
)

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["ScriptedModel", "ScriptedRecogniser", "ScriptedVoice"]


class _Scripted:
    """A stage that is ready after `warm_s`, and counts what was asked of it."""

    def __init__(self, warm_s: float) -> None:
        self._warm_s = warm_s
        self.config: SessionConfig | None = None
        self.closed = 0
        self.waited: list[float] = []
        """Seconds that each wait of its work really took. On the real clock that is more than the script says."""

    def configure(self, config: SessionConfig) -> None:
        """Remember the settings."""
        self.config = config

    async def warm(self) -> None:
        """Take `warm_s`."""
        await asyncio.sleep(self._warm_s)

    async def _wait(self, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.sleep(seconds)
        self.waited.append(clock() - began)

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


class ScriptedRecogniser(_Scripted):
    """Writes the next text of its script for each utterance; asked again about the same one, the same text.

    Args:
        texts: one an utterance; the last one repeats.
        final_s: from a mark to its text.
        fails: raised instead of the nth (from 0) text.
    """

    def __init__(
        self,
        texts: Sequence[str],
        *,
        final_s: float = 0.0,
        warm_s: float = 0.0,
        traits: SpeechToTextTraits | None = None,
        fails: dict[int, Exception] | None = None,
    ) -> None:
        super().__init__(warm_s)
        self.traits = traits or SpeechToTextTraits(usage="none")
        self._texts, self._final_s, self._fails = list(texts), final_s, dict(fails or {})
        self.utterance = 0
        self.marks: list[Mark] = []
        self.heard_bytes: list[int] = [0]
        """Bytes of audio, by utterance."""

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript]:
        """Answer marks."""
        async for piece in audio:
            if isinstance(piece, bytes):
                self.heard_bytes[-1] += len(piece)
                continue
            self.marks.append(piece)
            text = self._texts[min(self.utterance, len(self._texts) - 1)]
            if piece.wanted:
                await self._wait(self._final_s)
                if error := self._fails.pop(self.utterance, None):
                    raise error
                yield Transcript(text, final=True, mark=piece.n)
            if piece.fresh:
                self.utterance += 1
                self.heard_bytes.append(0)


class ScriptedModel(_Scripted):
    """Writes its script, piece by piece.

    Args:
        script: the pieces, or a function that makes them from the prompt.
        first_s: from the question to the first piece.
        piece_s: from each piece to the next.
    """

    def __init__(
        self,
        script: Iterable[str | ToolRequest | Usage | Exception]
        | Callable[[Prompt], Iterable[str | ToolRequest | Usage]],
        *,
        first_s: float = 0.0,
        piece_s: float = 0.0,
        warm_s: float = 0.0,
        traits: LanguageModelTraits | None = None,
    ) -> None:
        super().__init__(warm_s)
        self.traits = traits or LanguageModelTraits(speculative="safe", tools=True, usage="none")
        self._script, self._first_s, self._piece_s = script, first_s, piece_s
        self.prompts: list[Prompt] = []
        self.cancelled = 0

    async def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage]:
        """Follow the script."""
        self.prompts.append(prompt)
        pieces = self._script(prompt) if callable(self._script) else self._script
        wait = self._first_s
        try:
            for piece in pieces:
                await self._wait(wait)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
                wait = self._piece_s
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise


class ScriptedVoice(_Scripted):
    """Speaks each clause as a tone of a length that its characters give.

    Args:
        first_s: from a clause to its first audio.
        character_ms: audio for each character.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.0,
        character_ms: float = 60.0,
        warm_s: float = 0.0,
        traits: TextToSpeechTraits | None = None,
    ) -> None:
        super().__init__(warm_s)
        self.traits = traits or TextToSpeechTraits(format=DOOR_FORMAT, usage="none")
        self._first_s, self._character_ms = first_s, character_ms
        self.spoken: list[str] = []

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech]:
        """Speak what comes."""
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            self.spoken.append(clause)
            await self._wait(self._first_s)
            samples = self.traits.format.size(len(clause) * self._character_ms) // 2
            yield Speech(b"\x00\x20" * samples, clause)
