"""The interruption machine with its policy: what a player is told, by examples, and in any order of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from voicebridge.contract.events import Event, InputTranscript, Interruption, OutputAudio, UserTurn
from voicebridge.core.interruption import InterruptionMachine
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals, Verdict

Transcripts = Literal["live", "late", "none"]
SPEECH, PAUSE, COMMITTED, DISCARDED = "speech", "pause", "committed", "discarded"


class Call:
    """A user, an agent and a clock. Times are seconds since the agent's first sound, and so is the user's audio."""

    def __init__(
        self,
        policy: Callable[[Signals], Verdict] | None = None,
        transcripts: Transcripts = "live",
        audible: tuple[str, ...] = ("r1",),
    ) -> None:
        self.machine = InterruptionMachine(policy or InterruptionPolicy(), transcripts=transcripts)
        self.audible = audible
        self.left_ms: float | None = None
        self.now = 0.0
        self.told: list[tuple[float, Interruption]] = []
        for response in audible:
            self.agent(0.0, response)

    def at(self, now: float) -> Call:
        """Let time pass, and the machine do what is due meanwhile."""
        while (due := self.machine.due_at()) is not None and due <= now:
            assert due >= self.now, "what is due lies in the past"
            self.now = due
            self._note(self.machine.due(due, self.audible, self.left_ms))
            assert self.machine.due_at() != due, "nothing came of what was due"
        self.now = now
        return self

    def agent(self, now: float, response: str) -> Call:
        self.at(now)
        if response not in self.audible:
            self.audible = (*self.audible, response)
        assert self.machine.happened(OutputAudio(response_id=response, pcm=b"", offset_ms=0), now) == []
        return self

    def agent_ends(self, now: float) -> Call:
        self.at(now).audible = ()
        return self

    def user(self, now: float, phase: Any, turn: str = "t1", *, late_s: float = 0.0, source: Any = "server") -> Call:
        """A phase that begins at `now`, and is noticed `late_s` later."""
        self.at(now + late_s)
        return self.happens(UserTurn(turn_id=turn, phase=phase, audio_ms=now * 1000, source=source))

    def words(self, now: float, text: str, turn: str = "t1", *, final: bool = False) -> Call:
        self.at(now)
        return self.happens(InputTranscript(turn_id=turn, text=text, final=final))

    def happens(self, event: Event) -> Call:
        self._note(self.machine.happened(event, self.now, self.audible, self.left_ms))
        return self

    def _note(self, told: list[Interruption]) -> None:
        self.told += [(self.now, one) for one in told]
        for one in told:
            if one.action == "interrupt":
                assert one.response_ids
                self.audible = tuple(response for response in self.audible if response not in one.response_ids)

    @property
    def actions(self) -> list[tuple[float, str, str]]:
        return [(round(now, 3), one.action, one.reason) for now, one in self.told]


# Coughs and noise


@pytest.mark.parametrize("transcripts", ["live", "late", "none"])
def test_a_cough_does_not_stop_the_agent(transcripts: Transcripts) -> None:
    call = Call(transcripts=transcripts).user(3.0, SPEECH).user(3.2, PAUSE).user(3.2, COMMITTED, late_s=0.4)
    reason = "noise" if transcripts == "live" else "short"
    resumed = 3.6 if transcripts == "none" else 3.7
    assert call.at(20).actions == [(3.0, "pause", "speech"), (resumed, "resume", reason)]
    assert call.machine.ignored("t1")
    assert call.machine.due_at() is None


def test_a_cough_that_a_server_notices_late_is_still_short() -> None:
    call = Call(transcripts="none").user(3.0, SPEECH, late_s=0.1).user(3.2, PAUSE, late_s=0.5)
    assert call.at(20).actions == [(3.1, "pause", "speech"), (4.2, "resume", "short")]


def test_a_turn_that_is_discarded_is_noise_at_once() -> None:
    call = Call().user(3.0, SPEECH).user(3.3, DISCARDED).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.3, "resume", "noise")]
    assert call.machine.ignored("t1")


def test_a_recogniser_that_finds_no_words_in_long_noise_tells_in_time() -> None:
    call = Call().user(3.0, SPEECH).user(3.7, PAUSE).words(3.8, "(coughs)", final=True).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.8, "resume", "noise")]


# Backchannels


def test_mm_hmm_with_live_transcripts() -> None:
    call = Call().user(3.0, SPEECH).words(3.3, "Mm-hmm.").user(3.5, PAUSE).user(3.5, COMMITTED, late_s=0.3)
    assert call.words(3.9, "Mm-hmm.", final=True).at(20).actions == [
        (3.0, "pause", "speech"),
        (3.9, "resume", "backchannel"),
    ]
    assert call.told[1][1] == Interruption(action="resume", reason="backchannel", response_ids=("r1",), turn_id="t1")
    assert call.machine.ignored("t1")


def test_mm_hmm_whose_turn_is_not_ended() -> None:
    call = Call().user(3.0, SPEECH).words(3.3, "Mm-hmm.").user(3.5, PAUSE).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (4.0, "resume", "backchannel")]


def test_mm_hmm_with_late_transcripts() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).user(3.4, PAUSE).user(3.4, COMMITTED, late_s=0.2)
    assert call.machine.standing("t1") == "undecided"
    assert not call.machine.ignored("t1")
    call.words(3.8, "Mm-hmm.", final=True).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.8, "resume", "backchannel")]
    assert call.machine.ignored("t1")


def test_mm_hmm_with_transcripts_that_come_too_late() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).user(3.4, PAUSE).user(3.4, COMMITTED, late_s=0.2)
    call.words(8.0, "Mm-hmm.", final=True).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.9, "resume", "short")]
    assert call.machine.ignored("t1")


def test_mm_hmm_without_transcripts() -> None:
    call = Call(transcripts="none").user(3.0, SPEECH).user(3.4, PAUSE).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.9, "resume", "short")]
    assert call.machine.ignored("t1")


def test_several_in_one_turn_do_not_add_up() -> None:
    call = Call(transcripts="none")
    for start in (3.0, 5.0, 7.0):
        call.user(start, SPEECH).user(start + 0.5, PAUSE)
    assert [action for _, action, _ in call.at(20).actions] == ["pause", "resume"] * 3


def test_nobody_says_mm_hmm_for_long() -> None:
    call = Call().user(3.0, SPEECH).words(3.5, "yeah yeah").at(20)
    assert call.actions == [(3.0, "pause", "speech"), (5.0, "interrupt", "speech")]


def test_yes_at_the_end_of_a_question_is_an_answer() -> None:
    call = Call().at(3.0)
    call.left_ms = 800
    call.user(3.0, SPEECH).words(3.3, "yes").user(3.4, PAUSE).user(3.4, COMMITTED).words(3.6, "Yes.", final=True)
    assert call.actions == [(3.0, "pause", "speech"), (3.6, "resume", "backchannel")]
    assert not call.machine.ignored("t1")


# Interruptions


def test_yeah_but_wait_interrupts_at_but() -> None:
    call = Call().user(3.0, SPEECH).words(3.2, "yeah").words(3.45, "yeah but").words(3.7, "yeah but wait")
    assert call.at(20).actions == [(3.0, "pause", "speech"), (3.45, "interrupt", "words")]
    assert call.machine.standing("t1") == "interrupted"


def test_without_words_the_length_decides() -> None:
    call = Call(transcripts="none").user(3.0, SPEECH).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.8, "interrupt", "speech")]


def test_a_short_word_with_a_late_transcript_still_interrupts() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).user(3.4, PAUSE).user(3.4, COMMITTED, late_s=0.2)
    assert call.at(4.5).machine.ignored("t1")
    assert call.words(5.0, "Stop!", final=True).at(20).actions == [
        (3.0, "pause", "speech"),
        (3.9, "resume", "short"),
        (5.0, "interrupt", "words"),
    ]
    assert not call.machine.ignored("t1")


def test_a_late_transcript_with_words_rehabilitates_a_turn_whose_agent_has_ended() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).user(3.4, PAUSE).user(3.4, COMMITTED).agent_ends(4.5)
    assert call.machine.ignored("t1")
    call.words(5.0, "And Tuesday?", final=True)
    assert [action for _, action, _ in call.actions] == ["pause", "resume"]
    assert not call.machine.ignored("t1")


def test_a_late_transcript_does_not_interrupt_the_answer_to_its_turn() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).at(4.0).user(4.0, PAUSE).user(4.0, COMMITTED).agent(4.5, "r2")
    assert call.words(5.0, "What about Tuesday?", final=True).at(20).actions == [
        (3.0, "pause", "speech"),
        (3.8, "interrupt", "speech"),
    ]
    assert call.audible == ("r2",)


def test_a_turn_in_the_agents_silence_is_never_judged() -> None:
    call = Call(audible=()).user(1.0, SPEECH).user(2.0, PAUSE).user(2.0, COMMITTED).agent(2.5, "r1")
    assert call.words(3.0, "Hello?", final=True).at(20).actions == []
    assert call.machine.standing("t1") == "clear"
    assert call.machine.standing("unknown") == "clear"


def test_an_agent_that_begins_while_the_user_speaks_is_interrupted() -> None:
    call = Call(audible=()).user(1.0, SPEECH).words(1.5, "I want to").agent(2.0, "r1").at(20)
    assert call.actions == [(2.0, "interrupt", "words")]


def test_a_second_response_in_the_same_turn_is_interrupted_too() -> None:
    call = Call().user(3.0, SPEECH).words(3.4, "please wait").agent(4.0, "r2").at(20)
    assert [(one.action, one.response_ids) for _, one in call.told] == [
        ("pause", ("r1",)),
        ("interrupt", ("r1",)),
        ("interrupt", ("r2",)),
    ]


def test_push_to_talk_is_the_applications_own_business() -> None:
    call = Call().user(3.0, SPEECH, source="client").at(6).user(6, COMMITTED, source="client").at(20)
    assert call.actions == [(3.0, "ignore", "push_to_talk")]
    assert not call.machine.ignored("t1")


# The agent's first words


def test_in_the_agents_first_words_more_is_needed() -> None:
    call = Call().user(0.2, SPEECH).words(0.4, "for").words(0.6, "for two").at(20)
    assert call.actions == [(0.6, "interrupt", "words")], "and the agent speaks on meanwhile"


def test_a_sound_in_the_agents_first_words_may_be_its_echo() -> None:
    call = Call(transcripts="none").user(0.2, SPEECH).user(1.2, PAUSE).at(20)
    assert call.actions == [(1.7, "ignore", "short")]
    call = Call(transcripts="none").user(0.2, SPEECH).at(20)
    assert call.actions == [(1.4, "interrupt", "speech")]


def test_one_word_in_the_agents_first_words_is_answered_afterwards() -> None:
    call = Call().user(0.2, SPEECH).user(0.5, PAUSE).user(0.5, COMMITTED).words(0.7, "Tuesday.", final=True).at(20)
    assert call.actions == [(0.7, "ignore", "protected")]
    assert not call.machine.ignored("t1")


# Settings


def test_at_once() -> None:
    assert Call(InterruptionPolicy.at_once()).user(0.1, SPEECH).at(20).actions == [(0.1, "interrupt", "speech")]


def test_at_once_can_protect_the_first_words_all_the_same() -> None:
    call = Call(InterruptionPolicy(at_first="interrupt")).user(0.1, SPEECH).user(0.4, PAUSE).user(3.0, SPEECH, "t2")
    assert [action for _, action, _ in call.at(20).actions] == ["ignore", "interrupt"]


def test_never() -> None:
    call = Call(InterruptionPolicy.never()).user(3.0, SPEECH).words(4.0, "Stop!").user(5.0, PAUSE).user(5.0, COMMITTED)
    assert call.words(6.0, "Stop!", final=True).at(20).actions == [(3.0, "ignore", "off")]
    assert not call.machine.ignored("t1"), "what was said is answered afterwards"


def test_ducking() -> None:
    call = Call(InterruptionPolicy(at_first="duck")).user(3.0, SPEECH).words(3.5, "no").at(20)
    assert call.actions == [(3.0, "duck", "speech"), (3.5, "interrupt", "words")]


def test_doing_nothing_at_first() -> None:
    policy = InterruptionPolicy(at_first="ignore")
    assert Call(policy).user(3.0, SPEECH).words(3.5, "no").at(20).actions == [(3.5, "interrupt", "words")]
    call = Call(policy).user(3.0, SPEECH).user(3.3, PAUSE).user(3.3, COMMITTED).words(3.5, "ok", final=True).at(20)
    assert call.actions == [(3.5, "ignore", "backchannel")]


def test_more_words() -> None:
    call = Call(InterruptionPolicy(min_words=3)).user(3.0, SPEECH).words(3.5, "yeah what about")
    call.user(3.9, PAUSE).user(3.9, COMMITTED).words(4.0, "Yeah, what about?", final=True).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (4.0, "resume", "few_words")]
    assert not call.machine.ignored("t1")
    call = Call(InterruptionPolicy(min_words=3)).user(3.0, SPEECH).words(3.5, "yeah what about me")
    assert call.actions == [(3.0, "pause", "speech"), (3.5, "interrupt", "words")]


# A hold ends


def test_a_pause_times_out_whatever_the_policy_says() -> None:
    call = Call(lambda _: Verdict("pause", "thinking")).user(3.0, SPEECH).user(4.0, PAUSE).at(20)
    assert call.actions == [(3.0, "pause", "thinking"), (8.0, "resume", "timeout")]
    call = Call(lambda _: Verdict("pause", "thinking")).user(3.0, SPEECH).at(20)
    assert call.actions == [(3.0, "pause", "thinking"), (8.0, "interrupt", "timeout")]


def test_an_agent_that_ends_while_paused() -> None:
    call = Call().user(3.0, SPEECH).agent_ends(3.2).words(3.3, "I say").at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.3, "resume", "ended")]
    assert not call.machine.ignored("t1")
    assert call.machine.due_at() is None


def test_an_agent_that_ends_while_paused_and_nothing_else_happens() -> None:
    call = Call().user(3.0, SPEECH).agent_ends(3.2).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.8, "resume", "ended")]


def test_an_interruption_by_others_ends_the_hold() -> None:
    call = Call().user(3.0, SPEECH).at(3.2)
    call.happens(Interruption(action="interrupt", reason="command", response_ids=("r1",)))
    assert call.words(3.4, "no").at(20).actions == [(3.0, "pause", "speech")]


def test_a_duck_may_become_a_pause() -> None:
    def policy(signals: Signals) -> Verdict:
        if signals.phase != SPEECH:
            return Verdict("resume", "quiet")
        return Verdict("pause", "long") if signals.speech_ms >= 300 else Verdict("duck", "sound", 300)

    call = Call(policy).user(3.0, SPEECH).user(3.6, PAUSE).at(20)
    assert call.actions == [(3.0, "duck", "sound"), (3.3, "pause", "long"), (3.6, "resume", "quiet")]


@pytest.mark.parametrize("transcripts", ["live", "late"])
def test_two_turns(transcripts: Transcripts) -> None:
    """The second takes the hold over; the transcript of the first comes in between and frees nothing."""
    call = Call(transcripts=transcripts).user(3.0, SPEECH).user(3.2, PAUSE).user(3.2, COMMITTED)
    call.user(3.4, SPEECH, "t2").words(3.5, "mm", "t1", final=True)
    assert call.actions == [(3.0, "pause", "speech")]
    call.user(3.7, PAUSE, "t2").user(3.7, COMMITTED, "t2").words(3.9, "go on", "t2", final=True).at(20)
    assert [(one.action, one.turn_id) for _, one in call.told] == [("pause", "t1"), ("resume", "t2")]
    assert call.machine.ignored("t1")
    assert call.machine.ignored("t2")


def test_the_first_of_two_turns_interrupts_for_both() -> None:
    call = Call(transcripts="late").user(3.0, SPEECH).user(3.2, PAUSE).user(3.2, COMMITTED)
    call.user(3.4, SPEECH, "t2").words(3.5, "no", "t1", final=True).at(20)
    assert call.actions == [(3.0, "pause", "speech"), (3.5, "interrupt", "words")]
    assert call.machine.standing("t2") == "clear"


# Policies of others


def test_a_policy_that_raises_interrupts() -> None:
    def policy(_: Signals) -> Verdict:
        raise KeyError("mood")

    call = Call(policy).user(3.0, SPEECH).at(20)
    assert call.actions == [(3.0, "interrupt", "the policy failed: KeyError: 'mood'")]


@pytest.mark.parametrize("wrong", [None, "interrupt", Verdict("shout", "x")])  # type: ignore[arg-type]  # that's the test
def test_a_policy_that_gives_no_verdict_interrupts(wrong: Any) -> None:
    ((_, action, reason),) = Call(lambda _: wrong).user(3.0, SPEECH).at(20).actions
    assert action == "interrupt"
    assert repr(wrong) in reason


@pytest.mark.parametrize("soon", [0.0, -5.0, float("nan"), float("inf"), 1e-9])
def test_a_policy_can_not_keep_the_session_busy(soon: float) -> None:
    asked = 0

    def policy(_: Signals) -> Verdict:
        nonlocal asked
        asked += 1
        return Verdict("pause", "?", soon)

    call = Call(policy).user(3.0, SPEECH).user(3.1, PAUSE).at(20)
    assert call.actions[:2] == [(3.0, "pause", "?"), (8.0, "resume", "timeout")]
    assert asked < 2000


def test_a_policy_is_told_what_is_known() -> None:
    seen: list[Signals] = []

    def policy(signals: Signals) -> Verdict:
        seen.append(signals)
        return Verdict("duck", "sound", 250)

    call = Call(policy, "late")
    call.left_ms = 4000
    call.user(3.0, SPEECH).at(3.3).user(3.4, PAUSE, late_s=0.05)
    call.happens(InputTranscript(turn_id="t1", text="Ja", final=True, language="de"))
    common = {"turn_id": "t1", "agent_ms": 3000, "left_ms": 4000, "response_ids": ("r1",), "transcripts": "late"}
    assert seen[0] == Signals(phase="speech", speech_ms=0, source="server", **common)  # type: ignore[arg-type]  # by name
    assert (seen[1].speech_ms, seen[1].held) == (250, "duck")
    assert (seen[2].phase, seen[2].speech_ms, seen[2].silent_ms) == ("pause", 400, 0)
    assert (seen[3].text, seen[3].final, seen[3].language) == ("Ja", True, "de")
