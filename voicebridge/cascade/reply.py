"""One answer of a cascade: the model thinks, the voice speaks, clause by clause, at the same time.

The answer may start before it is known whether it is wanted. What it makes is then held back, until `release` lets it
through or cancelling throws it away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from voicebridge.contract.stages import Flush, LanguageModel, Prompt, Speech, TextToSpeech, ToolRequest, Usage
from voicebridge.core.clauses import ClauseSplitter

__all__ = ["Output", "Reply", "ReplyTimes", "StageError"]

_CLAUSES_AHEAD = 32
"""Clauses that may wait for the voice before the model has to wait."""

Output = str | Speech | ToolRequest | tuple[str, Usage]
"""What an answer consists of: text, speech of it, tool calls, and usage with the seat that had it."""


@dataclass(slots=True)
class ReplyTimes:
    """When the answer got how far: seconds on the loop's clock, None where it did not."""

    asked: float
    first_token: float | None = None
    first_clause: float | None = None
    first_speech: float | None = None
    released: float | None = None


@dataclass(slots=True)
class Work:
    """How much was made for the answer."""

    characters: int = 0
    speech_bytes: int = 0
    usages: list[tuple[str, Usage]] = field(default_factory=list)


class Reply:
    """One answer on its way.

    Args:
        prompt: what the model answers; a plain string is spoken as it is, without a model.
        tts: None writes text only.
        emit: takes the outputs, in order, from the release on.
        room: awaited between pieces of speech, so that a slow reader holds the voice up.
        timeout_s: the longest wait for a stage's next output.
    """

    def __init__(
        self,
        prompt: Prompt | str,
        llm: LanguageModel,
        tts: TextToSpeech | None,
        *,
        emit: Callable[[Output], None],
        room: Callable[[], Awaitable[None]],
        timeout_s: float,
        held: bool,
    ) -> None:
        self.prompt = prompt
        self._llm, self._tts = llm, tts
        self._emit, self._room, self._timeout_s = emit, room, timeout_s
        self._held: list[Output] | None = [] if held else None
        self._dropped = False
        self.spoken = tts is not None
        """Whether it is spoken, or text only."""
        self._clock = asyncio.get_running_loop().time
        self.times = ReplyTimes(self._clock())
        self.work = Work()

    def release(self) -> None:
        """Let through what was held back, and all that follows."""
        held, self._held = self._held or [], None
        self.times.released = self._clock()
        for output in held:
            self._emit(output)

    def drop(self) -> None:
        """Let nothing through any more, whatever the stages still make until their tasks are gone."""
        self._dropped = True
        self._held = []

    async def run(self) -> None:
        """Make the answer.

        Raises:
            StageError: a stage raised, or gave nothing for `timeout_s`; its cause is the stage's error.
        """
        clauses: asyncio.Queue[str | Flush | None] = asyncio.Queue(_CLAUSES_AHEAD)
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._tts is not None:
                    tasks.create_task(self._speak(self._tts, clauses), name="reply: voice")
                await self._think(clauses)
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
            raise error from error.__cause__

    async def _think(self, clauses: asyncio.Queue[str | Flush | None]) -> None:
        splitter = ClauseSplitter()
        whole_clauses = self._tts is not None and self._tts.traits.takes == "clauses"
        with _named("language model"):
            async with asyncio.timeout(self._timeout_s) as deadline, aclosing(self._answer()) as outputs:
                async for output in outputs:
                    deadline.reschedule(None)  # waiting for the voice is not the model's fault
                    if isinstance(output, str):
                        self._note_first("first_token")
                        self.work.characters += len(output)
                        self._pass(output)
                        await self._hand_over(clauses, splitter.feed(output) if whole_clauses else [output])
                    else:
                        self._pass(output if isinstance(output, ToolRequest) else ("llm", output))
                    deadline.reschedule(self._clock() + self._timeout_s)
        await self._hand_over(clauses, [splitter.flush()])
        if self._tts is not None:
            await clauses.put(None)

    async def _answer(self) -> AsyncGenerator[str | ToolRequest | Usage]:
        if isinstance(self.prompt, str):
            yield self.prompt
            return
        outputs: Any = self._llm.respond(self.prompt)
        async with aclosing(outputs):
            async for output in outputs:
                yield output

    async def _hand_over(self, clauses: asyncio.Queue[str | Flush | None], texts: Iterable[str]) -> None:
        for text in texts if self._tts is not None else ():
            if text:
                self._note_first("first_clause")
                await clauses.put(text)

    async def _speak(self, tts: TextToSpeech, clauses: asyncio.Queue[str | Flush | None]) -> None:
        with _named("voice"):
            async with asyncio.timeout(None) as deadline:
                outputs: Any = tts.speak(self._clauses_for_voice(clauses, deadline))
                async with aclosing(outputs):
                    async for output in outputs:
                        if isinstance(output, Speech):
                            self._note_first("first_speech")
                            self.work.speech_bytes += len(output.pcm)
                            self._pass(output)
                            deadline.reschedule(None)  # nor is a slow reader the voice's
                            await self._room()
                        else:
                            self._pass(("tts", output))
                        deadline.reschedule(self._clock() + self._timeout_s)

    async def _clauses_for_voice(
        self, clauses: asyncio.Queue[str | Flush | None], deadline: asyncio.Timeout
    ) -> AsyncGenerator[str | Flush]:
        """The clauses, until the end; the voice's time runs only while it has something to speak."""
        while True:
            deadline.reschedule(None)
            piece = await clauses.get()
            deadline.reschedule(self._clock() + self._timeout_s)
            if piece is None:
                return
            yield piece

    def _pass(self, output: Output) -> None:
        if isinstance(output, tuple):
            self.work.usages.append(output)
        if self._dropped:
            return
        if self._held is None:
            self._emit(output)
        else:
            self._held.append(output)

    def _note_first(self, what: str) -> None:
        if getattr(self.times, what) is None:
            setattr(self.times, what, self._clock())


class StageError(Exception):
    """A stage failed. `__cause__` is its error."""

    def __init__(self, seat: str) -> None:
        self.seat = seat
        super().__init__(seat)


class _named:
    """Say which seat an error came from."""

    def __init__(self, seat: str) -> None:
        self._seat = seat

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise StageError(self._seat) from error
