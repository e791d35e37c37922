"""Whole conversations: Cartesia hears and speaks, over real sockets to the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import voicebridge
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.commands import EndTurn, SendAudio
from voicebridge.contract.config import TurnPolicy
from voicebridge.contract.events import (
    BackendError,
    Event,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.bare_client import tone
from voicebridge.testing.stages import ScriptedModel

KEY = "a-key-of-a-test"
SAID, ANSWER = "Where is the station, please?", "It is over there. You can't miss it."


class Call:
    """A session, a microphone that is never silent, and all that was heard of it."""

    def __init__(self, session: Any, simulator: Any, model: ScriptedModel) -> None:
        self.session, self.simulator, self.model = session, simulator, model
        self.events: list[Event] = []

    async def listen(self) -> None:
        with suppress(voicebridge.SessionFailed):
            async for event in self.session:
                self.events.append(event)

    async def speak(self, ms: int, *, silence_ms: int = 600) -> None:
        """Twice as fast as it is spoken."""
        for n in range((ms + silence_ms) // 20):
            pcm = tone(20, rate=16_000) if n < ms // 20 else bytes(640)
            await self.session.send(SendAudio(pcm=pcm))
            await asyncio.sleep(0.01)

    async def until(self, found: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(15):
                while not found():
                    await self.session.send(SendAudio(pcm=bytes(640)))
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"{what} did not come: {self.events[-12:]}")

    def all(self, kind: type, **fields: Any) -> list[Any]:
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == fields[name] for name in fields)
        ]


@asynccontextmanager
async def call(
    stt: str, *, faults: tuple[str, ...] = (), options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Call]:
    chosen = {"transcripts": (SAID, "And then?"), "pace": 4.0, **(options or {})}
    simulator = registry().simulator("cartesia", SimulatorSettings(faults=faults, options=chosen))
    model = ScriptedModel([ANSWER])
    backend = CascadeBackend(
        stt=stt, llm=lambda: model, tts="cartesia/sonic-3", detector=settings.pop("detector", None)
    )
    async with (
        simulator.serve() as url,  # type: ignore[attr-defined]  # the fixture tells no type
        voicebridge.connect_raw(
            backend, base_url=url, api_key=KEY, input_format=voicebridge.AudioFormat(rate=16_000), **settings
        ) as session,
    ):
        talk = Call(session, simulator, model)
        listener = asyncio.create_task(talk.listen())
        try:
            yield talk
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


ENERGY: dict[str, Any] = {"detector": "energy", "turns": TurnPolicy(silence_ms=300)}


@pytest.mark.parametrize(
    ("stt", "settings"),
    [("cartesia/ink-2-turns", {}), ("cartesia/ink-2", ENERGY), ("cartesia/ink-whisper", ENERGY)],
    ids=["turns", "ink-2", "whisper"],
)
async def test_a_question_and_its_answer(stt: str, settings: dict[str, Any]):
    async with call(stt, **settings) as talk:
        await talk.speak(900)
        await talk.until(lambda: talk.all(ResponseEnded), "the end of the answer")
    assert [turn.phase for turn in talk.all(UserTurn) if turn.phase in ("committed", "discarded")] == ["committed"]
    assert [text.text for text in talk.all(InputTranscript, final=True)] == [SAID]
    assert [ended.status for ended in talk.all(ResponseEnded)] == ["completed"]
    assert "".join(text.delta for text in talk.all(OutputText)) == ANSWER
    audio = sum(len(audio.pcm) for audio in talk.all(OutputAudio))
    assert audio == 24_000 * 2 * 65 * len(ANSWER) // 1000
    units = [unit for usage in talk.all(UsageReported) for unit in usage.units]
    assert {"audio_s", "characters"} <= set(units)
    assert not talk.all(BackendError)


async def test_ink_is_guessed_with_at_its_eager_end():
    """The model is asked before the turn has ended, and its answer is the one that is spoken."""
    async with call("cartesia/ink-2-turns", options={"end_silence_ms": 500.0}) as talk:
        await talk.speak(900, silence_ms=300)
        await talk.until(lambda: talk.model.prompts, "the guess")
        assert not talk.all(UserTurn, phase="committed")
        await talk.until(lambda: talk.all(ResponseEnded), "the end of the answer")
    assert len(talk.model.prompts) == 1
    assert talk.model.prompts[0].items[-1].text == SAID
    phases = [turn.phase for turn in talk.all(UserTurn)]
    assert phases == ["speech", "pause", "committed"]


async def test_ink_takes_a_guess_back_when_the_user_goes_on():
    async with call("cartesia/ink-2-turns", options={"end_silence_ms": 600.0}) as talk:
        await talk.speak(600, silence_ms=300)
        await talk.until(lambda: talk.all(UserTurn, phase="pause"), "the pause")
        await talk.speak(600)
        await talk.until(lambda: talk.all(ResponseEnded), "the end of the answer")
    assert [turn.phase for turn in talk.all(UserTurn)] == ["speech", "pause", "speech", "pause", "committed"]
    assert [ended.status for ended in talk.all(ResponseEnded)] == ["completed"]
    assert len(talk.model.prompts) == 2


async def test_the_user_barges_in_and_the_voice_serves_the_next_answer():
    async with call("cartesia/ink-2-turns", options={"pace": 1.0}) as talk:
        await talk.speak(700)
        await talk.until(lambda: len(talk.all(OutputAudio)) > 2, "the voice")
        await talk.speak(700)
        await talk.until(lambda: len(talk.all(ResponseEnded)) == 2, "the second answer")
    assert [ended.status for ended in talk.all(ResponseEnded)] == ["interrupted", "completed"]
    second = talk.all(ResponseEnded)[1].response_id
    audio = sum(len(audio.pcm) for audio in talk.all(OutputAudio, response_id=second))
    assert audio == 24_000 * 2 * 65 * len(ANSWER) // 1000, "nothing of the first answer is in it"
    assert talk.simulator.connections == 2, "one that listens, one that speaks"


async def test_turns_that_are_ended_by_hand():
    async with call("cartesia/ink-2-turns", turns=TurnPolicy(mode="manual")) as talk:
        await talk.speak(700, silence_ms=100)
        await talk.session.send(EndTurn())
        await talk.until(lambda: talk.all(ResponseEnded), "the end of the answer")
    assert [text.text for text in talk.all(InputTranscript, final=True)] == [SAID]


async def test_a_recogniser_that_is_lost_is_opened_again():
    faults = tuple(f"reset on turn.eager_end connection {n}" for n in (1, 2))  # the voice is one of them
    async with call("cartesia/ink-2-turns", faults=faults) as talk:
        await talk.speak(700)
        await talk.until(lambda: talk.all(ResponseEnded), "the answer of the second connection")
    assert talk.simulator.connections == 3, "the voice's, and two that listened"
    assert not talk.all(BackendError, fatal=True)
    assert [text.text for text in talk.all(InputTranscript, final=True)] == [SAID]


async def test_a_wrong_key_ends_the_session_with_a_clear_word():
    async with call("cartesia/ink-2", options={"keys": ("another-key",)}, **ENERGY) as talk:
        async with asyncio.timeout(10):
            while not talk.all(BackendError, fatal=True):  # noqa: ASYNC110 - nothing else tells of it
                await asyncio.sleep(0.01)
    (error,) = talk.all(BackendError, fatal=True)
    assert (error.fault.category, error.fault.code) == ("auth", "invalid_api_key")
    assert KEY not in error.fault.message
