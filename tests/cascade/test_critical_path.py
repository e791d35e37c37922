"""First audio comes at the ideal critical path, exactly: in virtual time nothing else takes any."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.events import OutputAudio, ProviderEvent, ResponseEnded, SessionReady
from voicebridge.contract.stages import LanguageModelTraits, SpeechToTextTraits
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import EAGER_MS, scripted_conversation

E = 0.2  # silence that ends a turn
EAGER = EAGER_MS / 1000  # silence after which it may have ended

CLAUSE = ["Hi", " there", ",", " nice", " to", " meet", " you."]
CLAUSE_STEPS = 2  # the comma is the third piece


async def first_audio(times: dict[str, float], speculate: str, **traits: Any) -> float:
    """Seconds from the user's last sample to the first audio, with these stage times."""
    stt = ScriptedRecogniser(["hello"], final_s=times["stt"], traits=traits.get("stt"))
    piece_s = times["clause"] / CLAUSE_STEPS
    llm = ScriptedModel(CLAUSE, first_s=times["llm"], piece_s=piece_s, traits=traits.get("llm"))
    tts = ScriptedVoice(first_s=times["tts"])
    async with scripted_conversation(stt=stt, llm=llm, tts=tts, speculate=speculate) as user:
        await user.until(SessionReady)
        last_sample = await user.speak(1000)
        audio = await user.until(OutputAudio)
        return float(audio.at - last_sample)


STAGE_TIMES = [
    {"stt": 0.0, "llm": 0.0, "clause": 0.0, "tts": 0.0},
    {"stt": 0.03, "llm": 0.02, "clause": 0.01, "tts": 0.01},
    {"stt": 0.12, "llm": 0.08, "clause": 0.06, "tts": 0.05},
    {"stt": 0.35, "llm": 0.35, "clause": 0.06, "tts": 0.3},
    {"stt": 0.005, "llm": 0.5, "clause": 0.4, "tts": 0.005},
]


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_commit_driven(times: dict[str, float]) -> None:
    """Everything starts when the turn has ended."""
    stt, llm, clause, tts = times.values()
    measured = run_in_virtual_time(first_audio(times, "none"))
    assert measured == pytest.approx(E + stt + llm + clause + tts, abs=1e-9)


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_overlapped(times: dict[str, float]) -> None:
    """The recogniser finishes during the silence."""
    stt, llm, clause, tts = times.values()
    measured = run_in_virtual_time(first_audio(times, "transcript"))
    assert measured == pytest.approx(max(E, EAGER + stt) + llm + clause + tts, abs=1e-9)


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_speculative(times: dict[str, float]) -> None:
    """The model and the voice start during the silence and are held back until it has lasted."""
    stt, llm, clause, tts = times.values()
    measured = run_in_virtual_time(first_audio(times, "reply"))
    assert measured == pytest.approx(max(E, EAGER + stt + llm + clause + tts), abs=1e-9)


def test_a_model_that_acts_is_not_asked_on_a_guess() -> None:
    times = {"stt": 0.03, "llm": 0.02, "clause": 0.01, "tts": 0.01}
    unsafe = LanguageModelTraits(speculative="unsafe")
    measured = run_in_virtual_time(first_audio(times, "reply", llm=unsafe))
    assert measured == pytest.approx(E + 0.04, abs=1e-9)


PAID = SpeechToTextTraits(recheck="paid", usage="none")


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_a_recogniser_that_is_paid_for_each_text_is_asked_on_a_guess_too(times: dict[str, float]) -> None:
    stt, llm, clause, tts = times.values()
    measured = run_in_virtual_time(first_audio(times, "reply", stt=PAID))
    assert measured == pytest.approx(max(E, EAGER + stt + llm + clause + tts), abs=1e-9)
    if times["stt"] < 0.2:
        assert run_in_virtual_time(first_audio(times, "none", stt=PAID)) == pytest.approx(
            E + stt + llm + clause + tts, abs=1e-9
        )


@pytest.mark.parametrize(
    ("traits", "pauses", "speculate", "asked", "wasted"),
    [
        (PAID, 1, "reply", [1], 0),  # the text of the guess is that of the turn: there is no second upload
        (PAID, 2, "reply", [1, 2], 1),
        (PAID, 4, "reply", [1, 2, 3, 4], 3),
        (PAID, 10, "reply", [1, 2, 3, 4, 5, 6, 7, 8, 9], 8),  # the ninth ends the turn
        (PAID, 4, "none", [1], 0),
        (SpeechToTextTraits(usage="none"), 4, "reply", [1, 2, 3, 4], 3),
    ],
)
def test_how_often_it_is_asked_and_what_of_that_is_wasted(
    traits: SpeechToTextTraits, pauses: int, speculate: str, asked: list[int], wasted: int
) -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["hello"], final_s=0.02, traits=traits)
        async with scripted_conversation(stt=stt, speculate=speculate, provider_events=True) as user:
            for _ in range(pauses):
                await user.speak(400)
                await user.pause(120)
            await user.until(ResponseEnded)
            assert [mark.n for mark in stt.marks if mark.wanted] == asked
            timing = next(e.payload for e in user.all(ProviderEvent) if e.kind == "cascade.timing")
            assert timing["wasted_marks"] == wasted
            assert timing["marks"] == (0 if speculate == "none" else min(pauses, 8 if traits is PAID else pauses))

    run_in_virtual_time(main())


def test_clauses_follow_each_other_without_a_gap() -> None:
    """The second clause is ready before the first has been played."""

    async def main() -> None:
        llm = ScriptedModel(["Well,", " I", " think", " that", " is", " fine", ".", " Yes."], piece_s=0.015)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(first_s=0.05, character_ms=60)) as user:
            await user.speak(500)
            await user.until(OutputAudio, count=3)
            first, second, third = user.all(OutputAudio)
            assert second.offset_ms == pytest.approx(len("Well,") * 60)
            assert second.at - first.at <= second.offset_ms / 1000
            assert third.at - first.at <= third.offset_ms / 1000

    run_in_virtual_time(main())


def test_first_words_while_the_models_load_are_not_lost() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["hello"], warm_s=2.0)
        async with scripted_conversation(stt=stt) as user:
            await user.speak(1000)
            await user.pause(500)
            assert not user.all(SessionReady)
            audio = await user.until(OutputAudio)
            assert audio.at == pytest.approx(2.0, abs=0.001)
            assert stt.heard_bytes[0] >= 32 * 1000

    run_in_virtual_time(main())
