"""One call from the outside: a microphone that never stops, a speaker, and what was seen of the session meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import voicebridge
from voicebridge import Event, OutputAudio, ResponseEnded, SendAudio, SessionFailed, SessionReady, SessionRestarted

from .player import Answer, Player
from .tagged_audio import FRAME_SAMPLES, TaggedVoice

__all__ = ["SPEC", "Caller", "NothingCame", "Turn", "calling"]

SPEC = "openai/gpt-realtime-2"
_FRAME_S = 0.02
_WAIT_S = 15.0
_SETTLE_S = 3.5
"""Until the last audio should be known to have arrived: backends are asked once a second."""


class NothingCame(Exception):
    """The session did not do what it should, within the time that it has for it."""


class Turn:
    """What was heard of one exchange, in seconds."""

    def __init__(self, answer: Answer, spoke_until: float) -> None:
        assert answer.audible_at is not None
        self.reply_s = answer.audible_at - spoke_until
        """From the user's last sample of speech to the first audible one of the agent."""
        self.silence_s = answer.silence_s
        """The longest inside of the answer."""


class Caller:
    """A call that is open. Made by `calling`."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.player = Player()
        self.voice = TaggedVoice()
        self.ready_at: float | None = None
        self.restarts: list[tuple[float, SessionRestarted]] = []
        self.ended: dict[str, str] = {}
        """Responses that are over, and how they ended."""
        self.on_lost: Callable[[], object] = lambda: None
        """Called when the session says that a response was lost."""
        self.sent = 0
        """Samples that the session took."""
        self.hushed = False
        """The microphone is off."""
        self._loud_frames = 0
        self._spoke_until = 0.0
        self._changed = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._failure: Exception | None = None

    # What goes on by itself

    async def listen(self) -> None:
        """Take the session's events until it ends."""
        try:
            async for event in self.session:
                self._take(event)
                self._changed.set()
        except SessionFailed as failure:
            self._failure = failure
            self._changed.set()

    def _take(self, event: Event) -> None:
        now = self._clock()
        if isinstance(event, OutputAudio):
            self.player.take(event.response_id, event.pcm, now)
        elif isinstance(event, ResponseEnded):
            self.ended[event.response_id] = event.status
            if event.status == "lost":
                self.on_lost()
        elif isinstance(event, SessionReady):
            self.ready_at = now
        elif isinstance(event, SessionRestarted):
            self.restarts.append((now, event))

    async def talk(self) -> None:
        """A frame each 20 ms, on absolute deadlines, until it is hushed."""
        due = self._clock()
        while not self.hushed:
            if (wait := due - self._clock()) > 0:
                await asyncio.sleep(wait)
            loud = self._loud_frames > 0
            pcm = self.voice.frame(loud=loud)
            if loud:
                self._loud_frames -= 1
                self._spoke_until = self._clock()
                self._changed.set()
            await self.session.send(SendAudio(pcm=pcm))
            self.sent += FRAME_SAMPLES
            due += _FRAME_S

    # What is asked of it

    async def until(self, what: str, holds: Callable[[], Any], limit_s: float = _WAIT_S) -> Any:
        """Wait until it holds; what it gave.

        Raises:
            NothingCame: it did not, in time.
        """
        deadline = self._clock() + limit_s
        while not (found := holds()):
            self._changed.clear()
            left = deadline - self._clock()
            if self._failure is not None:
                raise NothingCame(f"{what}: {self._failure}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), max(0.0, left))
            if left <= 0:
                raise NothingCame(f"{what}: not within {limit_s:g} s")
        return found

    def speak(self, seconds: float) -> None:
        """Begin to."""
        self._loud_frames = round(seconds / _FRAME_S)

    async def spoken(self) -> float:
        """Wait until that is over: when it was."""
        await self.until("the user's words", lambda: not self._loud_frames)
        return self._spoke_until

    async def turn(self, seconds: float = 0.6) -> Turn:
        """Say something, and hear the answer to its end."""
        known = set(self.player.answers)
        self.speak(seconds)
        return await self.answered(known)

    async def answered(self, known: set[str]) -> Turn:
        """The answer to what is being said, heard to its end.

        Args:
            known: responses that are none.
        """
        spoke_until = await self.spoken()
        answer = await self.audible(known)
        await self.over(answer)
        return Turn(answer, spoke_until)

    async def audible(self, known: set[str], limit_s: float = _WAIT_S) -> Answer:
        """The first response that is none of these, once it is audible."""

        def new() -> Answer | None:
            found = [one for one in self.player.answers.values() if one.response_id not in known]
            return next((one for one in found if one.audible_at is not None), None)

        answer: Answer = await self.until("an answer", new, limit_s)
        return answer

    async def over(self, answer: Answer) -> None:
        """Wait until a response has ended and was played."""
        await self.until("the end of an answer", lambda: answer.response_id in self.ended, 30.0)
        await asyncio.sleep(max(0.0, answer.ends_at - self._clock()))

    async def moved(self, count: int = 1) -> SessionRestarted:
        """Wait until the session has moved so often."""
        found = await self.until("a move", lambda: self.restarts[count - 1 : count], 20.0)
        restarted: SessionRestarted = found[0][1]
        return restarted


@asynccontextmanager
async def calling(found: dict[str, Any], **options: Any) -> AsyncIterator[Caller]:
    """A call, and in `found` what is left of it: `sent`, the account, `late`.

    Args:
        options: of `voicebridge.connect`.
    """
    spec = options.pop("spec", SPEC)
    began = asyncio.get_running_loop().time()
    async with voicebridge.connect(spec, voice="marin", **options) as session:
        caller = Caller(session)
        listening = asyncio.create_task(caller.listen())
        talking = asyncio.create_task(caller.talk())
        try:
            await caller.until("the connection", lambda: caller.ready_at is not None)
            assert caller.ready_at is not None
            found["ready_ms"] = (caller.ready_at - began) * 1000
            yield caller
            caller.hushed = True
            await talking
            await _settled(session)
        finally:
            for task in (talking, listening):
                task.cancel()
            await asyncio.gather(talking, listening, return_exceptions=True)
    account = session.account.input
    found |= {
        "sent": caller.sent,
        "captured": account.captured,
        "delivered": account.delivered,
        "dropped": sum(account.dropped.values()),
        "balanced": session.account.balanced,
        "late": caller.player.late,
    }


async def _settled(session: Any) -> None:
    """Wait until all that was said is known to have arrived, if it will be."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    while session.account.input.pending and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)
