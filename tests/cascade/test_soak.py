"""An hour of conversation in which everything happens: promises hold, and nothing grows but the history."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from voicebridge.contract.commands import (
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import Tool
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.stages import PCM_16K, Prompt, ToolRequest, Usage
from voicebridge.core.history import History
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation

SENTENCES = [
    "Yes.",
    "I see, go on.",
    "That is a long story, and it begins like this.",
    "Well... no!",
    "One, two, three.",
]
VAD, PUSH_TO_TALK = {"mode": "server_vad", "silence_ms": 200}, {"mode": "manual"}


def sizes(thing: Any, path: str = "session") -> Iterator[tuple[str, int]]:
    """The length of every collection in what belongs to the session, but for the history."""
    seen: set[int] = set()

    def walk(thing: Any, path: str) -> Iterator[tuple[str, int]]:
        if id(thing) in seen or isinstance(thing, History):
            return
        seen.add(id(thing))
        if isinstance(thing, bytes | bytearray):
            yield f"bytes {path}", len(thing)
        elif isinstance(thing, dict | list | set | frozenset | tuple | deque):
            yield path, len(thing)
            for item in list(thing.values()) if isinstance(thing, dict) else list(thing):
                yield from walk(item, f"{path}[]")
        elif type(thing).__module__.startswith("voicebridge.") and ".testing." not in type(thing).__module__:
            names = {*getattr(thing, "__dict__", {})}
            for cls in type(thing).__mro__:
                names.update(getattr(cls, "__slots__", ()))
            for name in sorted(names):
                if hasattr(thing, name):
                    yield from walk(getattr(thing, name), f"{path}.{name}")

    yield from walk(thing, path)


def totals(user: User) -> dict[str, int]:
    """Lengths, added up by where the collections are."""
    added: dict[str, int] = {}
    for path, length in sizes(user.session._session):  # type: ignore[attr-defined]  # behind what the test notes
        added[path] = added.get(path, 0) + length
    return added


class Chaos:
    """A user who does something else each time."""

    def __init__(self, user: User, rng: random.Random) -> None:
        self.user, self.rng = user, rng
        self.stopped: list[tuple[int, set[str]]] = []
        """After which event none of these responses may sound."""
        self._started: list[str] = []
        self._ended = 0
        self._calls: list[str] = []
        """Those that were not answered yet."""
        self._read = 0
        self._manual = False

    async def until(self, seconds: float) -> None:
        """Go on until then, and leave everything quiet."""
        acts: list[Callable[[], Awaitable[None]]] = [
            self.talk, self.talk, self.talk, self.talk_over, self.cough, self.write, self.say, self.stop, self.report,
            self.end_turn, self.forget, self.switch, self.change, self.note, self.idle, self.jump,
        ]  # fmt: skip
        while asyncio.get_running_loop().time() < seconds:
            await self.rng.choice(acts)()
            await self.answer_tools(0.4)
        await self.settle()

    async def settle(self) -> None:
        """Until everything is asked, answered and played."""
        if self._manual:
            await self.switch()
        await self.sound(1000, loud=False)
        for _ in range(20):
            await asyncio.sleep(30)
            self.look()
            running = len(self._started) - self._ended
            if not await self.answer_tools(1.0) and not running:
                return
        raise AssertionError("it does not come to rest")

    def look(self) -> None:
        """Read what has come since."""
        for event in self.user.events[self._read :]:
            if isinstance(event, ResponseStarted):
                self._started.append(event.response_id)
            elif isinstance(event, ResponseEnded):
                self._ended += 1
            elif isinstance(event, ToolCall):
                self._calls.append(event.call_id)
        self._read = len(self.user.events)

    async def sound(self, ms: float, *, loud: bool) -> None:
        """The microphone, in pieces of any length and at the pace of real time."""
        while ms > 0:
            piece_ms = min(ms, self.rng.choice([20, 73, 100, 200]))
            await asyncio.sleep(piece_ms / 1000)
            await self.user.session.send(SendAudio(pcm=(b"\x00\x20" if loud else b"\x00\x00") * int(piece_ms * 16)))
            ms -= piece_ms

    async def talk(self) -> None:
        await self.sound(self.rng.randrange(20, 3000), loud=True)
        await self.sound(self.rng.choice([60, 120, 180, 240, 600, 2500]), loud=False)
        if self._manual:
            await self.end_turn()

    async def talk_over(self) -> None:
        await self.say()
        await self.sound(self.rng.randrange(20, 1500), loud=False)
        await self.talk()

    async def cough(self) -> None:
        await self.sound(120, loud=True)
        await self.sound(self.rng.randrange(20, 400), loud=False)

    async def jump(self) -> None:
        """A file instead of a microphone."""
        for loud in (True, False):
            pcm = (b"\x00\x20" if loud else b"\x00\x00") * (16 * self.rng.randrange(100, 2000))
            await self.user.session.send(SendAudio(pcm=pcm))

    async def write(self) -> None:
        await self.user.session.send(SendText(text=self.rng.choice(SENTENCES)))
        await self.idle()

    async def note(self) -> None:
        await self.user.session.send(SendText(text="By the way.", role="system", respond=False))

    async def say(self) -> None:
        say = self.rng.choice([None, "One moment, please."])
        aside, modality = self.rng.random() < 0.2, self.rng.choice([None, None, "text"])
        await self.user.session.send(Respond(say=say, aside=aside, modality=modality))

    async def stop(self) -> None:
        self.look()
        known = self._started[-3:]
        heard = {id: self.rng.uniform(0, 3000) for id in known[-2:] if self.rng.random() < 0.5}
        one = self.rng.choice([None, None, *known[-1:]])
        await self.user.session.send(Interrupt(response_id=one, heard=heard))
        self.stopped.append((len(self.user.events), set(known if one is None else [one])))

    async def report(self) -> None:
        self.look()
        for response_id in self._started[-2:]:
            await self.user.session.send(ReportPlayed(response_id=response_id, ms=self.rng.uniform(0, 4000)))

    async def end_turn(self) -> None:
        await self.user.session.send(EndTurn(respond=self.rng.random() < 0.8))

    async def forget(self) -> None:
        await self.sound(self.rng.randrange(20, 400), loud=True)
        await self.user.session.send(DiscardTurn())

    async def switch(self) -> None:
        self._manual = not self._manual
        await self.user.session.send(Configure(patch={"turns": PUSH_TO_TALK if self._manual else VAD}))

    async def change(self) -> None:
        await self.user.session.send(Configure(patch={"instructions": self.rng.choice(SENTENCES)}))

    async def idle(self) -> None:
        await asyncio.sleep(self.rng.choice([0, 0.01, 0.3, 2, 10]))

    async def answer_tools(self, share: float) -> bool:
        """Answer that share of the open calls; whether there were any."""
        self.look()
        calls, self._calls = self._calls, []
        for call_id in calls:
            if self.rng.random() < share:
                respond = self.rng.random() < 0.8
                await self.user.session.send(SendToolResult(call_id=call_id, output="42", respond=respond))
            else:
                self._calls.append(call_id)
        return bool(calls)


def check(user: User, chaos: Chaos) -> None:
    """Each turn goes its way and ends once, each committed one has its text, and what was stopped is silent."""
    legal = {
        "": ["speech"],
        "speech": ["pause", "committed", "discarded"],
        "pause": ["speech", "committed", "discarded"],
    }
    phases: dict[str, str] = {}
    for turn in user.all(UserTurn):
        assert turn.phase in legal.get(phases.get(turn.turn_id, ""), []), f"{turn.turn_id}: {turn.phase}"
        phases[turn.turn_id] = turn.phase
    committed = [turn.turn_id for turn in user.all(UserTurn, phase="committed")]
    assert committed == sorted(committed, key=lambda turn_id: int(turn_id[1:]))
    assert committed == [e.turn_id for e in user.all(InputTranscript, final=True) if e.fault is None]
    last = {event.response_id: index for index, event in enumerate(user.events) if isinstance(event, OutputAudio)}
    for index, ids in chaos.stopped:
        assert all(last.get(response_id, -1) < index for response_id in ids)
    assert not user.all(BackendError)
    assert user.failure is None


def conversation(rng: random.Random, **more: Any) -> AbstractAsyncContextManager[User]:
    """With stages that take their time, and a model that calls tools."""
    calls = iter(range(1_000_000))

    def script(prompt: Prompt) -> Iterator[str | ToolRequest | Usage]:
        for _ in range(rng.randrange(1, 4)):
            yield rng.choice(SENTENCES) + " "
            if rng.random() < 0.15 and prompt.tools:
                yield ToolRequest(f"k{next(calls)}", "look", "{}")
        yield Usage({"output_tokens": 3})

    texts = [rng.choice(["", *SENTENCES]) for _ in range(10_000)]
    return scripted_conversation(
        stt=ScriptedRecogniser(texts, final_s=rng.choice([0.0, 0.15, 0.5])),
        llm=ScriptedModel(script, first_s=rng.choice([0.0, 0.1, 1.0]), piece_s=0.2),
        tts=ScriptedVoice(first_s=0.05, character_ms=40),
        tools=[Tool(name="look")],
        **more,
    )


def test_an_hour() -> None:
    async def main() -> None:
        rng = random.Random(1)
        async with conversation(rng) as user:
            chaos = Chaos(user, rng)
            await chaos.until(600)
            early = totals(user)
            await chaos.until(3600)
            late = totals(user)
        check(user, chaos)
        assert not user.all(ResponseEnded, status="lost")
        for kind in (UserTurn, ResponseStarted, ToolCall, OutputHeard):
            assert len(user.all(kind)) > 150, f"hardly any {kind.__name__}: too little has happened"
        assert len(user.all(ResponseEnded, status="interrupted")) > 50
        assert early
        for path, length in late.items():
            if path.startswith("bytes"):
                assert PCM_16K.ms(length) < 4000, path
            else:
                assert length <= early.get(path, 0) + 40, f"{path} grew from {early.get(path)} to {length}"

    run_in_virtual_time(main())


@pytest.mark.parametrize("seed", range(2, 10))
def test_minutes_that_end_in_the_middle(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        speculate = rng.choice(["reply", "transcript", "none"])
        async with conversation(rng, speculate=speculate) as user:
            chaos = Chaos(user, rng)
            going_on = asyncio.create_task(chaos.until(600))
            await asyncio.sleep(rng.uniform(60, 120))
            if rng.random() < 0.5:
                await user.session.aclose()
                with pytest.raises(SessionClosed):
                    await going_on
            else:
                going_on.cancel()
                await asyncio.wait([going_on])
        check(user, chaos)

    run_in_virtual_time(main())
