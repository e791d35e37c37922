"""Calls over cascades in which everything fails now and then, in any order: whatever happens, the promises hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from voicebridge.contract.commands import Configure, Interrupt, ReportPlayed, Respond, SendText
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import InputTranscript, OutputAudio, ResponseEnded, ResponseStarted, UserTurn
from voicebridge.contract.session import Backend
from voicebridge.contract.stages import Prompt, Speech
from voicebridge.core.interruption_policy import InterruptionPolicy
from voicebridge.testing.script import Reply
from voicebridge.testing.scripted_session import ScriptedBackend
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .managed_call import Call, call, virtually
from .test_managed_cascade import cascade, fault, made

_ERRORS: list[Callable[[], Exception]] = [
    lambda: RuntimeError("boom"),
    lambda: ConnectionResetError("reset"),
    lambda: fault("network"),
    lambda: fault("busy"),
    lambda: fault("rate", retry_after_s=1.0),
    lambda: fault("protocol", retryable=False),
]


class Weather:
    """Decides what fails. It gets better in the end."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.fine = False

    def error(self, share: float) -> Exception | None:
        if self.fine or self.chance.random() >= share:
            return None
        return self.chance.choice(_ERRORS)()

    async def hang(self, share: float) -> None:
        if not self.fine and self.chance.random() < share:
            await asyncio.sleep(1e6)


class Recogniser(ScriptedRecogniser):
    def __init__(self, weather: Weather) -> None:
        super().__init__(["what was said"], final_s=0.1)
        self._weather = weather

    async def _wait(self, seconds: float) -> None:
        await self._weather.hang(0.05)
        if error := self._weather.error(0.15):
            raise error
        await super()._wait(seconds)


class Voice(ScriptedVoice):
    def __init__(self, weather: Weather) -> None:
        super().__init__(first_s=0.1)
        self._weather = weather

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for speech in super().speak(text):
            await self._weather.hang(0.03)
            if error := self._weather.error(0.1):
                raise error
            yield speech


def stormy(weather: Weather) -> Backend:
    def answer(prompt: Prompt) -> list[Any]:
        pieces: list[Any] = ["The first sentence. ", "The second one. ", "The third and last."]
        if error := weather.error(0.3):
            pieces.insert(weather.chance.randint(0, 3), error)
        return pieces

    async def warm() -> None:
        await weather.hang(0.05)
        await asyncio.sleep(weather.chance.choice([0, 0.2, 1.0]) if not weather.fine else 0)
        if error := weather.error(0.15):
            raise error

    def model() -> ScriptedModel:
        stage = ScriptedModel(answer, first_s=0.2, piece_s=weather.chance.choice([0.0, 0.4]))
        stage.warm = warm  # type: ignore[method-assign]  # what fails
        return stage

    return cascade(made(Recogniser, weather), model, made(Voice, weather))


async def have_a_conversation(user: Call, weather: Weather) -> None:
    chance = weather.chance
    for _ in range(14):
        match chance.randint(0, 9):
            case 0 | 1 | 2 | 3:
                await user.speak(chance.choice([300, 900]))
                await user.pause(chance.choice([100, 1500, 4000]))
            case 4:
                await user.session.send(SendText(text="And in writing?"))
            case 5:
                await user.session.send(SendText(text="By the way.", respond=False))
            case 6:
                await user.session.send(Interrupt())
            case 7:
                await user.session.send(Respond())
            case 8:
                await user.session.send(Configure(patch={"instructions": f"Be brief, {chance.random()}."}))
            case 9:
                if sounds := user.all(OutputAudio):
                    await user.session.send(ReportPlayed(response_id=sounds[-1].response_id, ms=sounds[-1].offset_ms))
        await user.pause(chance.choice([20, 600, 3000]))


@pytest.mark.parametrize("kind", ["cascade", "realtime", "alone", "by policy"])
@pytest.mark.parametrize("seed", range(25))
@virtually
async def test_whatever_fails_the_promises_hold_and_the_call_goes_on(seed: int, kind: str) -> None:
    weather = Weather(seed)
    fallback: list[Backend] = [stormy(weather)] if kind in ("cascade", "by policy") else []
    if kind == "realtime":
        replies = [Reply("Yes, I see.", word_s=0.1), Reply("Well", fault=fault("busy").fault), "I do."]
        fallback = [ScriptedBackend(*replies, user=("what was said",))]
    policy = InterruptionPolicy() if kind == "by policy" else None
    async with call(stormy(weather), *fallback, timeout_s=3.0, interruption=policy, dropped="may be") as user:
        try:
            await have_a_conversation(user, weather)
            weather.fine = True
            await user.pause(40_000)
        except SessionClosed:
            assert kind != "realtime", f"one backend was always there: {user.failure}"
            assert user.failure is not None, "both were gone at once"
            return
        before = len(user.all(ResponseEnded, status="completed"))
        await user.speak(600)
        await user.until(ResponseEnded, count=before + 1, status="completed")
        _check(user)


def _check(user: Call) -> None:
    """Beyond what every call must hold to."""
    over = [one.turn_id for one in user.all(UserTurn) if one.phase in ("committed", "discarded")]
    assert len(over) == len(set(over)), "a turn ends once"
    assert not {one.turn_id for one in user.all(UserTurn)} - set(over), "and does end"
    final = [one.turn_id for one in user.all(InputTranscript, final=True)]
    assert len(final) == len(set(final)), "a text is final once"
    started = [one.response_id for one in user.all(ResponseStarted)]
    assert len(started) < 120, "nobody asks for ever"
    ended: set[str] = set()
    for event in user.events:
        if isinstance(event, ResponseEnded) and event.status != "completed":
            ended.add(event.response_id)
        assert not (isinstance(event, OutputAudio) and event.response_id in ended), "nothing is heard after an end"
