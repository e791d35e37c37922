"""Recognisers that find the turns themselves: with guesses and second thoughts, and with a detector in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cascade.seats import Seats
from voicebridge.contract.commands import EndTurn
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputAudio,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, TurnSignal
from voicebridge.session.door import connect_raw
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User

EAGER_MS, END_MS = 100, 400


class Flux(ScriptedRecogniser):
    """Finds turns in its audio: one may end after 100 ms of silence, and has ended after 400 ms.

    Writes a word for each 100 ms of sound.
    """

    def __init__(self, *, dies_at_ms: float = 1e9) -> None:
        super().__init__([], traits=SpeechToTextTraits(turns="own", interim=True, usage="none"))
        self.dies_at_ms = dies_at_ms

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        heard_ms = loud_ms = quiet_ms = 0.0
        state = "quiet"
        async for piece in audio:
            if isinstance(piece, Mark):
                self.marks.append(piece)
                if piece.wanted:
                    yield Transcript(_words(loud_ms), final=True, mark=piece.n)
                if piece.fresh:
                    loud_ms = 0.0
                continue
            ms = PCM_16K.ms(len(piece))
            heard_ms += ms
            if heard_ms > self.dies_at_ms:
                self.dies_at_ms = 1e9
                raise VoiceBridgeError(Fault(category="protocol", message="As planned."))
            if any(piece):
                loud_ms, quiet_ms = loud_ms + ms, 0.0
                if state != "speech":
                    yield TurnSignal("resumed" if state == "eager" else "speech", heard_ms - ms)
                    state = "speech"
                if loud_ms % 100 == 0:
                    yield Transcript(_words(loud_ms))
            elif state != "quiet":
                quiet_ms += ms
                if quiet_ms >= END_MS:
                    state = "quiet"
                    yield TurnSignal("end", heard_ms - quiet_ms)
                elif quiet_ms >= EAGER_MS and state == "speech":
                    state = "eager"
                    yield TurnSignal("eager_end", heard_ms - quiet_ms)


def _words(ms: float) -> str:
    return " ".join(["word"] * round(ms / 100))


@asynccontextmanager
async def talk(stt: Any, *, detector: Any = None, llm: Any = None, **options: Any) -> AsyncIterator[User]:
    backend = CascadeBackend(stt=stt, llm=llm or ScriptedModel(["Yes."]), tts=ScriptedVoice(), detector=detector)
    async with connect_raw(backend, input_format=PCM_16K, **options) as session:
        user = User(session)
        try:
            yield user
        finally:
            await user.done()
    user.check()


def phases(user: User) -> list[tuple[str, float]]:
    return [(e.phase, e.audio_ms) for e in user.all(UserTurn)]


def test_it_needs_no_detector_and_its_guess_is_used() -> None:
    llm = ScriptedModel(["Yes."], first_s=0.1)

    async def main() -> None:
        async with talk(Flux(), llm=llm, provider_events=True) as user:
            spoken_at = await user.speak(500)
            audio = await user.until(OutputAudio)
            await user.until(ResponseEnded)
            assert audio.at - spoken_at == pytest.approx(END_MS / 1000)
            assert phases(user) == [("speech", 0), ("pause", 500), ("committed", 500)]
            assert [e.text for e in user.all(InputTranscript, final=True)] == [_words(500)]
            assert [prompt.speculative for prompt in llm.prompts] == [True]
            assert user.all(ProviderEvent)[-1].payload["guesses_used"] == 1

    run_in_virtual_time(main())


def test_when_the_user_goes_on_the_guess_is_dropped_and_nothing_of_it_told() -> None:
    llm = ScriptedModel(["Yes."], first_s=0.05)

    async def main() -> None:
        stt = Flux()
        async with talk(stt, llm=llm) as user:
            await user.speak(500)
            await user.pause(200)
            await user.speak(300)
            await user.until(ResponseEnded)
            assert phases(user) == [
                ("speech", 0),
                ("pause", 500),
                ("speech", 700),
                ("pause", 1000),
                ("committed", 1000),
            ]
            assert [e.text for e in user.all(InputTranscript, final=True)] == [_words(800)]
            assert len(user.all(ResponseStarted)) == 1
            assert [mark.wanted for mark in stt.marks] == [True, True, False]
            assert len(llm.prompts) == 2

    run_in_virtual_time(main())


def test_its_turns_follow_each_other_and_it_stops_the_agent() -> None:
    async def main() -> None:
        llm = ScriptedModel(["This is a long answer that takes its time, and goes on."])
        async with talk(Flux(), llm=llm) as user:
            await user.speak(500)
            await user.until(OutputAudio)
            await user.speak(500)
            await user.until(ResponseEnded, count=2)
            assert [e.phase for e in user.all(UserTurn) if e.phase != "pause"] == ["speech", "committed"] * 2

    run_in_virtual_time(main())


def test_a_detector_that_is_given_finds_the_turns_in_its_place() -> None:
    async def main() -> None:
        stt = Flux()
        configs = []
        stt.configure = configs.append  # type: ignore[method-assign]  # to see what it is given
        detector = EnergyDetector(frame_ms=20, eager_ms=40)
        async with talk(stt, detector=lambda: detector, turns={"silence_ms": 200}) as user:
            await user.speak(500)
            await user.until(ResponseEnded)
            committed = user.all(UserTurn, phase="committed")
            assert [(e.phase, e.audio_ms) for e in committed] == [("committed", 500)]
            assert len(user.all(UserTurn, phase="speech")) == 1
        assert [config.turns.mode for config in configs] == ["manual"]

    run_in_virtual_time(main())


def test_in_push_to_talk_its_signals_are_not_heeded() -> None:
    async def main() -> None:
        async with talk(Flux(), turns={"mode": "manual"}) as user:
            await user.speak(300)
            await user.pause(600)
            await user.speak(300)
            await user.session.send(EndTurn())
            await user.until(ResponseEnded)
            assert [e.text for e in user.all(InputTranscript, final=True)] == [_words(600)]
            assert len(user.all(UserTurn, phase="committed")) == 1

    run_in_virtual_time(main())


def test_one_that_began_anew_tells_where_its_signals_are_in_all_the_audio() -> None:
    async def main() -> None:
        async with talk(Flux(dies_at_ms=2300)) as user:
            for count in (1, 2):
                await user.speak(500)
                await user.until(ResponseEnded, count=count)
                await user.pause(1000)
            begins = [ms for phase, ms in phases(user) if phase == "speech"]
            ends = [ms for phase, ms in phases(user) if phase == "committed"]
            assert len(user.all(BackendError)) == 1
            assert [end - begin for begin, end in zip(begins, ends, strict=True)] == [500, 500]
            assert begins[1] > ends[0]

    run_in_virtual_time(main())


def test_unless_all_in_its_seat_find_turns_a_detector_does() -> None:
    others: dict[Any, Any] = {"llm": ScriptedModel(["Yes."]), "tts": ScriptedVoice()}
    assert Seats.of({"stt": [Flux(), Flux()], **others}).detector is None
    mixed = Seats.of({"stt": [Flux(), ScriptedRecogniser(["hello"])], **others})
    assert mixed.detector is not None
    assert mixed.stt.traits.turns == "none"
