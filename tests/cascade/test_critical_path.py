"""First audio comes at the ideal critical path, exactly: in virtual time nothing else takes any."""

from __future__ import annotations

import pytest

from voicebridge.contract.events import OutputAudio, SessionReady
from voicebridge.contract.stages import LanguageModelTraits, SpeechToTextTraits
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import EAGER_MS, scripted_conversation

E = 0.2  # silence that ends a turn
EAGER = EAGER_MS / 1000  # silence after which it may have ended

CLAUSE = ["Hi", " there", ",", " nice", " to", " meet", " you."]
CLAUSE_STEPS = 2  # the comma is the third piece


async def first_audio(*, speculate: str, a: float, l: float, s: float, v: float, **stages: object) -> float:
    """Seconds from the user's last sample to the first audio, with these stage times."""
    stt = ScriptedRecogniser(["hello"], final_s=a, traits=stages.get("stt"))  # type: ignore[arg-type]  # typed by the caller
    llm = ScriptedModel(CLAUSE, first_s=l, piece_s=s / CLAUSE_STEPS, traits=stages.get("llm"))  # type: ignore[arg-type]  # likewise
    async with scripted_conversation(stt=stt, llm=llm, tts=ScriptedVoice(first_s=v), speculate=speculate) as user:
        await user.until(SessionReady)
        last_sample = await user.speak(1000)
        audio = await user.until(OutputAudio)
        return float(audio.at - last_sample)


STAGE_TIMES = [
    dict(a=0.0, l=0.0, s=0.0, v=0.0),
    dict(a=0.03, l=0.02, s=0.01, v=0.01),
    dict(a=0.12, l=0.08, s=0.06, v=0.05),
    dict(a=0.35, l=0.35, s=0.06, v=0.3),
    dict(a=0.005, l=0.5, s=0.4, v=0.005),
]


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_commit_driven(times: dict[str, float]) -> None:
    """Everything starts when the turn has ended."""
    a, l, s, v = times.values()
    measured = run_in_virtual_time(first_audio(speculate="none", **times))
    assert measured == pytest.approx(E + a + l + s + v, abs=1e-9)


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_overlapped(times: dict[str, float]) -> None:
    """The recogniser finishes during the silence."""
    a, l, s, v = times.values()
    measured = run_in_virtual_time(first_audio(speculate="transcript", **times))
    assert measured == pytest.approx(max(E, EAGER + a) + l + s + v, abs=1e-9)


@pytest.mark.parametrize("times", STAGE_TIMES)
def test_speculative(times: dict[str, float]) -> None:
    """The model and the voice start during the silence and are held back until it has lasted."""
    a, l, s, v = times.values()
    measured = run_in_virtual_time(first_audio(speculate="reply", **times))
    assert measured == pytest.approx(max(E, EAGER + a + l + s + v), abs=1e-9)


def test_a_model_that_acts_is_not_asked_on_a_guess() -> None:
    times = dict(a=0.03, l=0.02, s=0.01, v=0.01)
    unsafe = LanguageModelTraits(speculative="unsafe")
    measured = run_in_virtual_time(first_audio(speculate="reply", llm=unsafe, **times))
    assert measured == pytest.approx(E + 0.04, abs=1e-9)


def test_a_recogniser_that_is_paid_for_each_mark_gets_one() -> None:
    times = dict(a=0.03, l=0.02, s=0.01, v=0.01)
    paid = SpeechToTextTraits(recheck="paid")
    measured = run_in_virtual_time(first_audio(speculate="reply", stt=paid, **times))
    assert measured == pytest.approx(E + 0.07, abs=1e-9)


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
