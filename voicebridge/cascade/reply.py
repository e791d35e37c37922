"""One answer of a cascade: the model thinks, the voice speaks, clause by clause, at the same time.

The answer may start before it is known whether it is wanted. What it makes is then held back, until `release` lets it
through or cancelling throws it away.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from voicebridge.contract.stages import Flush, LanguageModel, Progress, Prompt, Speech, TextToSpeech, ToolRequest, Usage
from voicebridge.core.clauses import ClauseSplitter
from voicebridge.core.speakable import SpeakableText

from .stage_fault import closing, own_cancellation

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
        timeout_s: the longest wait for a stage's next output. What keeps a connection alive (usage, empty text) is
            none.
        keep_markup: the voice gets the text as it is written.
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
        keep_markup: bool = False,
    ) -> None:
        self.prompt = prompt
        self._llm, self._tts = llm, tts
        self._emit, self._room, self._timeout_s = emit, room, timeout_s
        self._held: list[Output] | None = []
        self.dropped = False
        """Whether it is thrown away."""
        self.spoken = tts is not None
        """Whether it is spoken, or text only."""
        self._pronounceable = False
        self._splitter = ClauseSplitter()
        self._plain = None if keep_markup else SpeakableText()
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
        self.dropped = True
        self._held = []

    async def run(self) -> None:
        """Make the answer.

        Raises:
            StageError: a stage raised, or gave no words, call, progress or sound for `timeout_s`; its cause is the
                stage's error.
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
        if self.spoken and self._pronounceable and not self.work.speech_bytes:
            raise StageError("voice") from RuntimeError("it gave no audio")

    async def _think(self, clauses: asyncio.Queue[str | Flush | None]) -> None:
        with _named("language model"):
            async with asyncio.timeout(self._timeout_s) as deadline, closing(self._answer()) as outputs:
                async for output in outputs:
                    came_at, due = self._clock(), deadline.when() or math.inf
                    deadline.reschedule(None)  # waiting for the voice is not the model's fault
                    if isinstance(output, str):
                        self._note_first("first_token")
                        self.work.characters += len(output)
                        self._pass(output)
                        await self._hand_over(clauses, self._plain.feed(output) if self._plain else output)
                    elif isinstance(output, ToolRequest):
                        self._pass(output)
                    elif isinstance(output, Usage):
                        self._pass(("llm", output))
                    elif not isinstance(output, Progress):
                        raise TypeError(f"it gave a {type(output).__name__}")
                    goes_on = isinstance(output, ToolRequest | Progress) or (
                        isinstance(output, str) and bool(output.strip())
                    )
                    deadline.reschedule(self._clock() + (self._timeout_s if goes_on else due - came_at))
        await self._hand_over(clauses, self._plain.flush() if self._plain else "", last=True)
        if self._tts is not None:
            await clauses.put(None)

    async def _answer(self) -> AsyncGenerator[str | ToolRequest | Usage | Progress]:
        if isinstance(self.prompt, str):
            yield self.prompt
            return
        async with closing(self._llm.respond(self.prompt)) as outputs:
            async for output in outputs:
                if output != "":
                    yield output

    async def _hand_over(self, clauses: asyncio.Queue[str | Flush | None], text: str, *, last: bool = False) -> None:
        """Give the voice what it takes: whole clauses, or the text as it comes and a `Flush` where clauses end."""
        if self._tts is None:
            return
        ended = self._splitter.feed(text)
        if last and (rest := self._splitter.flush()).strip():
            ended.append(rest)
        whole = self._tts.traits.takes == "clauses"
        if ended:
            self._note_first("first_clause")
            self._pronounceable = self._pronounceable or any(char.isalnum() for clause in ended for char in clause)
        pieces = ended if whole else [piece for piece in (text, Flush() if ended else "") if piece]
        for piece in pieces:
            await clauses.put(piece)

    async def _speak(self, tts: TextToSpeech, clauses: asyncio.Queue[str | Flush | None]) -> None:
        with _named("voice"):
            async with asyncio.timeout(None) as deadline:
                async with closing(tts.speak(_ForVoice(clauses, deadline, self._timeout_s))) as outputs:
                    async for output in outputs:
                        due = deadline.when()
                        if isinstance(output, Speech):
                            self._note_first("first_speech")
                            self.work.speech_bytes += len(output.pcm)
                            self._pass(output)
                            deadline.reschedule(None)  # nor is a slow reader the voice's
                            await self._room()
                        elif isinstance(output, Usage):
                            self._pass(("tts", output))
                        else:
                            raise TypeError(f"it gave a {type(output).__name__}")
                        goes_on = isinstance(output, Speech) and bool(output.pcm)
                        deadline.reschedule(self._clock() + self._timeout_s if goes_on else due)

    def _pass(self, output: Output) -> None:
        if isinstance(output, tuple):
            self.work.usages.append(output)
        if self.dropped:
            return
        if self._held is None:
            self._emit(output)
        else:
            self._held.append(output)

    def _note_first(self, what: str) -> None:
        if getattr(self.times, what) is None:
            setattr(self.times, what, self._clock())


class _ForVoice:
    """The clauses, until the end; the voice's time runs only while it has something to speak.

    No generator: a wait that is cancelled loses nothing.
    """

    def __init__(self, clauses: asyncio.Queue[str | Flush | None], deadline: asyncio.Timeout, timeout_s: float) -> None:
        self._clauses, self._deadline, self._timeout_s = clauses, deadline, timeout_s
        self._clock = asyncio.get_running_loop().time
        self._ended = False

    def __aiter__(self) -> AsyncIterator[str | Flush]:
        return self

    async def __anext__(self) -> str | Flush:
        if self._ended:
            raise StopAsyncIteration
        self._deadline.reschedule(None)
        piece = await self._clauses.get()
        self._deadline.reschedule(self._clock() + self._timeout_s)
        if piece is None:
            self._ended = True
            raise StopAsyncIteration
        return piece


class StageError(Exception):
    """A stage failed. `__cause__` is its error."""

    def __init__(self, seat: str) -> None:
        self.seat = seat
        super().__init__(seat)


@contextmanager
def _named(seat: str) -> Iterator[None]:
    """Say which seat an error came from."""
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        if own_cancellation(error):
            raise
        raise StageError(seat) from error
