"""The interruption machine step by step: who holds the agent's voice, and what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicebridge.contract.events import InputTranscript, Interruption, OutputAudio, UserTurn
from voicebridge.core.interruption import InterruptionMachine
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals, Verdict


def speech(turn: str = "t1", ms: float = 3000, phase: Any = "speech") -> UserTurn:
    return UserTurn(turn_id=turn, phase=phase, audio_ms=ms)


def words(text: str, turn: str = "t1", *, final: bool = True, language: str | None = None) -> InputTranscript:
    return InputTranscript(turn_id=turn, text=text, final=final, language=language)


def machine(policy: Callable[[Signals], Verdict] | None = None, transcripts: Any = "late") -> InterruptionMachine:
    """One whose agent has spoken `r1` since second 0."""
    made = InterruptionMachine(policy or InterruptionPolicy(), transcripts=transcripts)
    made.happened(OutputAudio(response_id="r1", pcm=b"", offset_ms=0), 0.0)
    return made


def actions(told: list[Interruption]) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in told]


def test_what_was_interrupted_may_be_heard_for_a_little_longer() -> None:
    floor = machine(lambda signals: Verdict("interrupt" if signals.turn_id == "t1" else "wait", "speech", 100))
    assert actions(floor.happened(speech(), 3.0, ("r1",))) == [("interrupt", "speech")]
    assert floor.happened(words("no", final=False), 3.1, ("r1",)) == []
    assert floor.happened(speech("t2"), 3.2, ("r1",)) == []
    assert floor.standing("t2") == "clear"
    assert floor.due_at() is None


def test_the_hold_goes_on_over_what_is_still_heard() -> None:
    floor = machine(lambda _: Verdict("pause", "?"))
    floor.happened(speech("t1"), 3.0, ("r1",))
    floor.happened(OutputAudio(response_id="r2", pcm=b"", offset_ms=0), 3.1)
    assert floor.happened(speech("t2"), 3.2, ("r1", "r2")) == []
    assert floor.happened(speech("t2", 3300, "pause"), 3.3, ("r2",)) == []
    assert actions(floor.due(8.0, ("r2",))) == [("resume", "timeout")]


def test_another_response_does_not_keep_the_hold() -> None:
    floor = machine()
    floor.happened(speech(), 3.0, ("r1",))
    floor.happened(speech(ms=3200, phase="committed"), 3.3, ("r1",))
    floor.happened(OutputAudio(response_id="r2", pcm=b"", offset_ms=0), 3.4)
    assert actions(floor.happened(words("And Tuesday?"), 3.5, ("r2",))) == [("resume", "ended")]


def test_an_interruption_elsewhere_of_one_response_leaves_the_other_held() -> None:
    floor = machine(lambda _: Verdict("pause", "?"))
    floor.happened(OutputAudio(response_id="r2", pcm=b"", offset_ms=0), 1.0)
    floor.happened(speech(), 3.0, ("r1", "r2"))
    cut = Interruption(action="interrupt", reason="command", response_ids=("r1",))
    assert floor.happened(cut, 3.1, ("r2",)) == []
    assert floor.standing("t1") == "undecided"
    assert floor.held == "pause"
    cut = Interruption(action="interrupt", reason="command", response_ids=("r2",))
    assert floor.happened(cut, 3.2, ()) == []
    assert floor.held is None
    assert floor.due_at() is None


def test_an_interruption_elsewhere_decides_the_turn_that_holds() -> None:
    floor = machine()
    floor.happened(speech(), 3.0, ("r1",))
    assert floor.happened(Interruption(action="interrupt", reason="command", response_ids=("r1",)), 3.1, ("r1",)) == []
    assert floor.standing("t1") == "interrupted"
    assert floor.due_at() is None


def test_a_hold_that_timed_out_does_not_come_again_by_the_clock() -> None:
    floor = machine(lambda _: Verdict("pause", "?", 1900))
    floor.happened(speech(), 3.0, ("r1",))
    floor.happened(speech(ms=3100, phase="pause"), 3.1, ("r1",))
    told = []
    while (due := floor.due_at()) is not None and due < 60:
        told += floor.due(due, ("r1",))
    assert actions(told) == [("resume", "timeout")]


def test_nothing_is_held_that_is_not_heard() -> None:
    verdicts = iter([Verdict("ignore", "x"), Verdict("ignore", "x"), Verdict("pause", "late")])
    floor = machine(lambda _: next(verdicts))
    floor.happened(speech(), 3.0, ("r1",))
    floor.happened(speech(ms=3200, phase="committed"), 3.2, ("r1",))
    assert floor.happened(words("hm"), 9.0, ()) == []
    assert floor.due_at() is None


def test_each_sound_that_is_ignored_is_told() -> None:
    floor = machine(InterruptionPolicy.never())
    for start in (3.0, 4.0):
        assert actions(floor.happened(speech(ms=start * 1000), start, ("r1",))) == [("ignore", "off")]
        assert floor.happened(speech(ms=start * 1000 + 300, phase="pause"), start + 0.3, ("r1",)) == []


def test_a_final_transcript_is_final() -> None:
    floor = machine()
    floor.happened(speech(), 3.0, ("r1",))
    floor.happened(speech(ms=3200, phase="committed"), 3.2, ("r1",))
    assert actions(floor.happened(words("Yeah."), 3.3, ("r1",))) == [("resume", "backchannel")]
    assert floor.happened(words("yeah but", final=False), 3.4, ("r1",)) == []


def test_an_agent_that_ends_undecided_leaves_nothing_to_judge() -> None:
    asked: list[Signals] = []

    def policy(signals: Signals) -> Verdict:
        asked.append(signals)
        return Verdict("wait", "?", 100)

    floor = machine(policy)
    floor.happened(speech(), 3.0, ("r1",))
    assert floor.due(3.1, ()) == []
    assert floor.standing("t1") == "clear"
    floor.happened(words("yes"), 3.2, ())
    assert len(asked) == 1
    assert floor.due_at() is None


def test_what_a_policy_is_told_of_the_agent_and_the_words() -> None:
    asked: list[Signals] = []

    def policy(signals: Signals) -> Verdict:
        asked.append(signals)
        return Verdict("duck", "?")

    floor = machine(policy)
    floor.happened(OutputAudio(response_id="r1", pcm=b"", offset_ms=20), 2.0)
    floor.happened(speech(), 3.0, ("r1",))
    floor.happened(words("ja", final=False, language="de"), 3.1, ("r1",))
    floor.happened(words("ja ja", final=False), 3.2, ("r1",))
    assert asked[0].agent_ms == 3000, "from the first piece on"
    assert asked[2].language == "de"


def test_a_user_who_was_first_is_not_kept_waiting() -> None:
    floor = machine(transcripts="none")
    floor.happened(speech(), 3.0, ())
    floor.happened(OutputAudio(response_id="r2", pcm=b"", offset_ms=0), 3.3)
    assert floor.due_at() == 3.3
    assert actions(floor.due(3.3, ("r2",))) == [("pause", "speech")]
    assert floor.due_at() == 3.8
    assert actions(floor.due(3.8, ("r2",))) == [("interrupt", "speech")]


def test_what_is_remembered_is_bounded() -> None:
    floor = machine(InterruptionPolicy.at_once())
    for number in range(2000):
        response, turn, now = f"r{number}", f"t{number}", 10.0 * number
        floor.happened(OutputAudio(response_id=response, pcm=b"", offset_ms=0), now)
        assert len(floor.happened(speech(turn, now * 1000), now + 3, (response,))) == 1
        floor.happened(speech(turn, now * 1000 + 1, "committed"), now + 4, ())
    assert max(len(kept) for kept in vars(floor).values() if isinstance(kept, dict)) <= 64
