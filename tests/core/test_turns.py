"""The turn machine: each row of its table, and what holds for any order of inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voicebridge.contract.config import TurnPolicy
from voicebridge.contract.events import InputTranscript, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, Transcript, TurnSignal
from voicebridge.core.turns import BargeIn, Commit, DropGuess, Effect, Guess, Listen, Tell, TurnMachine

FAULT = Fault(category="network", message="Gone.", code="gone")


def speech(ms: float = 1000) -> Any:
    return lambda machine: machine.signal(TurnSignal("speech", ms))


def eager(ms: float = 2000) -> Any:
    return lambda machine: machine.signal(TurnSignal("eager_end", ms))


def resumed(ms: float = 2500) -> Any:
    return lambda machine: machine.signal(TurnSignal("resumed", ms))


def end(ms: float = 2000) -> Any:
    return lambda machine: machine.signal(TurnSignal("end", ms))


def pushed(ms: float = 0) -> Any:
    return lambda machine: machine.open_by_client(ms)


def let_go(ms: float = 3000, respond: bool = True, command_id: str | None = None) -> Any:
    return lambda machine: machine.end_by_client(ms, respond=respond, command_id=command_id)


def withdraw() -> Any:
    def given(machine: TurnMachine) -> list[Effect]:
        machine.withdraw_answers()
        return []

    return given


def discard(ms: float = 1800) -> Any:
    return lambda machine: machine.discard(ms)


def text(mark: int | None, words: str = "hello", final: bool = True) -> Any:
    return lambda machine: machine.transcript(Transcript(f" {words} " if final else words, final=final, mark=mark))


def failed() -> Any:
    return lambda machine: machine.recogniser_failed(FAULT)


def turn(phase: Any, ms: float, turn_id: str = "t1", source: Any = "local") -> Tell:
    return Tell(UserTurn(turn_id=turn_id, phase=phase, audio_ms=ms, source=source))


def words(said: str, turn_id: str = "t1", final: bool = False, fault: Fault | None = None) -> Tell:
    return Tell(InputTranscript(turn_id=turn_id, text=said, final=final, fault=fault))


Input = Callable[[TurnMachine], list[Effect]]
FRESH, UNWANTED = {"fresh": True}, {"fresh": True, "wanted": False}
COMMITTED = [turn("committed", 2000), words("hello", final=True), Commit("t1", "hello", True)]

ROWS: dict[str, tuple[list[Input], Input, list[Effect], str | None]] = {
    "quiet, speech": ([], speech(), [Listen(1000), turn("speech", 1000), BargeIn()], "t1"),
    "quiet, push-to-talk": ([], pushed(), [Listen(0), turn("speech", 0, source="client")], "t1"),
    "speaking, eager_end": ([speech()], eager(), [Mark(1), turn("pause", 2000)], "t1"),
    "paused, text of the mark": (
        [speech(), eager()],
        text(1),
        [words("hello"), Guess("t1", "hello")],
        "t1",
    ),
    "paused, resumed": (
        [speech(), eager(), text(1)],
        resumed(),
        [DropGuess(), turn("speech", 2500)],
        "t1",
    ),
    "paused, speech": ([speech(), eager(), text(1)], speech(2500), [DropGuess(), turn("speech", 2500)], "t1"),
    "paused, end, text known": ([speech(), eager(), text(1)], end(), [Mark(2, **UNWANTED), *COMMITTED], None),
    "paused, end, text not yet known": ([speech(), eager()], end(), [Mark(2, **UNWANTED)], None),
    "speaking, end": ([speech()], end(), [Mark(1, **FRESH)], None),
    "paused, end, the mark had no text": ([speech(), eager(), text(1, "")], end(), [Mark(2, **FRESH)], None),
    "paused, end, after it was resumed": ([speech(), eager(), text(1), resumed()], end(), [Mark(2, **FRESH)], None),
    "quiet, text of a waiting mark": ([speech(), end()], text(1), COMMITTED, None),
    "quiet, text of the early mark": ([speech(), eager(), end()], text(1), COMMITTED, None),
    "speaking, text of a waiting mark": ([speech(), end(), speech(4000)], text(1), COMMITTED, "t2"),
    "quiet, text of a waiting mark that nobody wants answered any more": (
        [speech(), end(), withdraw()],
        text(1),
        [*COMMITTED[:2], Commit("t1", "hello", False)],
        None,
    ),
    "withdrawing is not for the open turn": (
        [speech(), eager(), text(1), withdraw()],
        end(),
        [Mark(2, **UNWANTED), *COMMITTED],
        None,
    ),
    "any, no text of a waiting mark": ([speech(), end()], text(1, ""), [turn("discarded", 2000)], None),
    "any, text of a later mark": (
        [speech(), end(), speech(4000), end(5000)],
        text(2),
        [
            words(
                "",
                final=True,
                fault=Fault(
                    category="protocol",
                    code="mark_passed_over",
                    message="The speech recogniser gave no text for this turn.",
                ),
            ),
            turn("discarded", 2000),
            turn("committed", 5000, "t2"),
            words("hello", "t2", final=True),
            Commit("t2", "hello", True),
        ],
        None,
    ),
    "speaking, discard": (
        [speech()],
        discard(),
        [DropGuess(), Mark(1, **UNWANTED), turn("discarded", 1800)],
        None,
    ),
    "paused, discard": (
        [speech(), eager(), text(1)],
        discard(),
        [DropGuess(), Mark(2, **UNWANTED), turn("discarded", 1800)],
        None,
    ),
    "waiting, recogniser failed": (
        [speech(), end()],
        failed(),
        [words("", final=True, fault=FAULT), turn("discarded", 2000)],
        None,
    ),
    "speaking, recogniser failed": ([speech()], failed(), [], "t1"),
    "end after the recogniser failed": ([speech(), eager(), failed()], end(), [Mark(2, **FRESH)], None),
    "a text that is known outlives the recogniser": (
        [speech(), eager(), text(1), failed()],
        end(),
        [Mark(2, **UNWANTED), *COMMITTED],
        None,
    ),
    # A client's turn
    "client, end": ([pushed()], let_go(), [Mark(1, **FRESH)], None),
    "client, text": (
        [pushed(), let_go(respond=False)],
        text(1),
        [
            turn("committed", 3000, source="client"),
            words("hello", final=True),
            Commit("t1", "hello", False),
        ],
        None,
    ),
    "a detector's turn ended by the client": (
        [speech(), eager(), text(1)],
        let_go(respond=False),
        [
            Mark(2, **UNWANTED),
            turn("committed", 3000),
            words("hello", final=True),
            Commit("t1", "hello", False),
        ],
        None,
    ),
    "the next turn of the client does not silence the one before": (
        [pushed(), let_go(), pushed(4000)],
        text(1),
        [turn("committed", 3000, source="client"), words("hello", final=True), Commit("t1", "hello", True)],
        "t2",
    ),
    "the commit names the command that ended the turn": (
        [pushed(), let_go(command_id="c7")],
        text(1),
        [
            turn("committed", 3000, source="client"),
            words("hello", final=True),
            Commit("t1", "hello", True, "c7"),
        ],
        None,
    ),
    # Speech that goes on after a command ended its turn
    "cut off, then silence": ([speech(), let_go(1500)], end(1799), [], None),
    "cut off, then a pause": (
        [speech(), let_go(1500)],
        eager(1800),
        [Listen(1500), turn("speech", 1500, "t2"), BargeIn(), Mark(2), turn("pause", 1800, "t2")],
        "t2",
    ),
    "cut off, then an end": (
        [speech(), let_go(1500)],
        end(1800),
        [Listen(1500), turn("speech", 1500, "t2"), BargeIn(), Mark(2, **FRESH)],
        None,
    ),
    "cut off, then speech again": (
        [speech(), let_go(1500)],
        resumed(1800),
        [Listen(1500), turn("speech", 1500, "t2"), BargeIn()],
        "t2",
    ),
    "cut off, the word ends, then a pause and speech again": (
        [speech(), let_go(1500), eager(1700)],
        resumed(2500),
        [Listen(2500), turn("speech", 2500, "t2"), BargeIn()],
        "t2",
    ),
    "ended in its pause, then speech again": (
        [speech(), eager(), let_go(2200)],
        resumed(2500),
        [Listen(2500), turn("speech", 2500, "t2"), BargeIn()],
        "t2",
    ),
    "ended in its pause, then the end": ([speech(), eager(), let_go(2200)], end(2600), [], None),
    "cut off, then another turn": (
        [speech(), let_go(1500)],
        speech(4000),
        [Listen(4000), turn("speech", 4000, "t2"), BargeIn()],
        "t2",
    ),
    "cut off, another turn, its end": ([speech(), let_go(1500), speech(4000), end(5000)], end(9000), [], None),
    "cut off, then discarded": ([speech(), let_go(1500), discard(1600)], end(3000), [], None),
    "discarded in the middle of speech": ([speech(), discard()], end(3000), [], None),
    "a client's turn is cut off by nobody": ([pushed(), let_go(1500)], end(3000), [], None),
    # Interim texts
    "interim text of the open turn": ([speech()], text(None, "hel", final=False), [words("hel")], "t1"),
    "interim text of the turn that waits": (
        [speech(), end(), speech(4000)],
        text(None, "hel", final=False),
        [words("hel")],
        "t2",
    ),
    "interim text that names a mark": ([speech(), end()], text(1, "hel", final=False), [words("hel")], None),
    "interim text of nothing": ([], text(None, "hel", final=False), [], None),
    "interim text without a word": ([speech()], text(None, "", final=False), [], "t1"),
    # What changes nothing
    "quiet, eager_end": ([], eager(), [], None),
    "quiet, end": ([], end(), [], None),
    "quiet, end by the client": ([], let_go(), [], None),
    "quiet, discard": ([], discard(), [], None),
    "quiet, recogniser failed": ([], failed(), [], None),
    "speaking, speech": ([speech()], speech(1500), [], "t1"),
    "speaking, resumed": ([speech()], resumed(), [], "t1"),
    "quiet, withdrawing": ([], withdraw(), [], None),
    "speaking, push-to-talk": ([speech()], pushed(1500), [], "t1"),
    "paused, eager_end": ([speech(), eager()], eager(2100), [], "t1"),
    "paused, a guess, eager_end": ([speech(), eager(), text(1)], eager(2100), [], "t1"),
    "paused, the text again": ([speech(), eager(), text(1)], text(1, "other"), [], "t1"),
    "paused, no text of the mark": ([speech(), eager()], text(1, ""), [], "t1"),
    "speaking, text of an old mark": ([speech(), eager(), resumed()], text(1), [], "t1"),
    "text of a discarded turn": ([speech(), eager(), discard()], text(1), [], None),
    "text of a committed turn": ([speech(), end(), text(1)], text(1), [], None),
    "text of no mark of ours": ([speech(), eager()], text(99), [], "t1"),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str) -> None:
    before, given, effects, open_turn = ROWS[row]
    machine = TurnMachine()
    for earlier in before:
        earlier(machine)
    assert given(machine) == effects
    assert machine.turn_id == open_turn


def test_the_turn_that_the_recogniser_is_at() -> None:
    machine = TurnMachine()
    assert machine.heard_turn_id is None
    speech()(machine)
    assert machine.heard_turn_id == "t1"
    end()(machine)
    speech(4000)(machine)
    end(5000)(machine)
    speech(7000)(machine)
    assert machine.heard_turn_id == "t1"
    text(1)(machine)
    assert machine.heard_turn_id == "t2"
    text(2)(machine)
    assert machine.heard_turn_id == "t3"


def test_without_guessing_a_pause_marks_nothing() -> None:
    machine = TurnMachine(guess=False)
    speech()(machine)
    assert eager()(machine) == [turn("pause", 2000)]
    assert end()(machine) == [Mark(1, **FRESH)]


def test_without_barge_in_the_turn_before_is_answered_all_the_same() -> None:
    machine = TurnMachine(policy=TurnPolicy(auto_interrupt=False))
    assert speech()(machine) == [Listen(1000), turn("speech", 1000)]
    end()(machine)
    speech(4000)(machine)
    assert text(1)(machine)[-1] == Commit("t1", "hello", True)


def test_turns_that_are_not_answered_by_themselves() -> None:
    machine = TurnMachine(policy=TurnPolicy(auto_respond=False))
    speech()(machine)
    end()(machine)
    assert text(1)(machine)[-1] == Commit("t1", "hello", False)
    speech()(machine)
    let_go(respond=True)(machine)
    assert text(2)(machine)[-1] == Commit("t2", "hello", True)


def test_language_is_passed_on() -> None:
    machine = TurnMachine()
    speech()(machine)
    [told] = machine.transcript(Transcript("ol", language="pt"))
    assert told == Tell(InputTranscript(turn_id="t1", text="ol", final=False, language="pt"))
    end()(machine)
    told = machine.transcript(Transcript("ola", final=True, mark=1, language="pt"))[1]
    assert told == Tell(InputTranscript(turn_id="t1", text="ola", final=True, language="pt"))


class AnyOrder(RuleBasedStateMachine):
    """Inputs in any order, also such as no detector and no recogniser should give."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = TurnMachine()
        self.now = 0.0
        self.marks: list[Mark] = []
        self.phases: dict[str, list[str]] = {}
        self.finals: dict[str, InputTranscript] = {}
        self.commits: list[str] = []
        self.guess: Guess | None = None
        self.cut_ms: float | None = None
        self.sources: dict[str, str] = {}
        self.wanted: dict[str, tuple[bool, str | None]] = {}
        """By turn that has ended: whether to respond, and the command that ended it."""

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Mark):
                assert effect.n > (self.marks[-1].n if self.marks else 0)
                assert effect.wanted or effect.fresh, "a mark for nothing"
                self.marks.append(effect)
            elif isinstance(effect, Guess):
                assert effect.text
                assert self.guess is None, "the guess before was neither dropped nor used"
                assert effect.turn_id == self.machine.turn_id
                self.guess = effect
            elif isinstance(effect, DropGuess):
                self.guess = None
            elif isinstance(effect, Commit):
                self._commit(effect)
            elif isinstance(effect, Tell):
                self._told(effect.event)

    def _commit(self, commit: Commit) -> None:
        assert commit.text
        assert self.phases[commit.turn_id][-1] == "committed"
        assert self.finals[commit.turn_id].text == commit.text
        assert (commit.respond, commit.command_id) == self.wanted[commit.turn_id]
        assert commit.turn_id not in self.commits
        assert all(int(other[1:]) < int(commit.turn_id[1:]) for other in self.commits), "not in the order of the turns"
        self.commits.append(commit.turn_id)
        if self.guess:
            assert self.guess == Guess(commit.turn_id, commit.text)
            self.guess = None

    def _told(self, event: UserTurn | InputTranscript) -> None:
        if isinstance(event, InputTranscript):
            assert event.turn_id in self.phases, "a text of a turn that never began"
            assert event.turn_id not in self.finals, "a text after the final one"
            if event.final:
                self.finals[event.turn_id] = event
                assert (event.fault is None) == (self.phases[event.turn_id][-1] == "committed")
            else:
                assert event.text
                assert self.phases[event.turn_id][-1] in ("speech", "pause")
            return
        phases = self.phases.setdefault(event.turn_id, [])
        assert self.sources.setdefault(event.turn_id, event.source) == event.source
        legal = {
            None: ("speech",),
            "speech": ("pause", "committed", "discarded"),
            "pause": ("speech", "committed", "discarded"),
            "committed": (),
            "discarded": (),
        }
        assert event.phase in legal[phases[-1] if phases else None]
        phases.append(event.phase)

    @rule(phase=st.sampled_from(["speech", "eager_end", "resumed", "end"]), ms=st.integers(0, 500))
    def signal(self, phase: Any, ms: int) -> None:
        self.now += ms
        before, turns = self.machine.turn_id, len(self.phases)
        opens, cut_ms = self._opens(phase)
        ended = before or (f"t{turns + 1}" if opens else None)
        if phase == "end" and ended:
            self.wanted[ended] = (self.machine.policy.auto_respond, None)
        effects = self.machine.signal(TurnSignal(phase, self.now))
        self._take(effects)
        assert len(self.phases) - turns == opens
        if opens:
            assert effects[0] == Listen(self.now if cut_ms is None else cut_ms)
            assert (BargeIn() in effects) == self.machine.policy.auto_interrupt

    def _opens(self, phase: str) -> tuple[bool, float | None]:
        """Whether a signal opens a turn, and where, if that is not where the signal is."""
        if self.machine.turn_id:
            return False, None
        cut_ms, self.cut_ms = self.cut_ms, None
        if phase == "speech":
            return True, None
        if cut_ms is not None and self.now - cut_ms >= 300:
            return True, cut_ms
        return phase == "resumed", None

    @precondition(lambda self: self.marks)
    @rule(back=st.integers(1, 4), said=st.sampled_from(["", " ", "yes", "no "]))
    def answer(self, back: int, said: str) -> None:
        self._take(self.machine.transcript(Transcript(said, final=True, mark=self.marks[-back:][0].n)))

    @rule(mark=st.none() | st.integers(-1, 30), said=st.sampled_from(["", "well"]), final=st.booleans())
    def write(self, mark: int | None, said: str, final: bool) -> None:
        self._take(self.machine.transcript(Transcript(said, final=final, mark=mark)))

    @rule()
    def push(self) -> None:
        if not self.machine.turn_id:
            self.cut_ms = None
        self._take(self.machine.open_by_client(self.now))

    @rule(respond=st.booleans(), command_id=st.none() | st.just("c1"))
    def let_go(self, respond: bool, command_id: str | None) -> None:
        before = self.machine.turn_id
        if before:
            self.wanted[before] = (respond, command_id)
            if self.sources[before] == "local" and self.phases[before][-1] == "speech":
                self.cut_ms = self.now
        effects = self.machine.end_by_client(self.now, respond=respond, command_id=command_id)
        self._take(effects)
        assert self.machine.turn_id is None
        assert bool(effects) == (before is not None)

    @rule()
    def withdraw(self) -> None:
        self.machine.withdraw_answers()
        for turn_id in self._waiting():
            self.wanted[turn_id] = (False, self.wanted[turn_id][1])

    def _waiting(self) -> list[str]:
        """Turns that have ended without a text so far."""
        undecided = [id for id, phases in self.phases.items() if phases[-1] in ("speech", "pause")]
        return [id for id in undecided if id != self.machine.turn_id]

    @rule()
    def discard(self) -> None:
        before, self.cut_ms = self.machine.turn_id, None
        self._take(self.machine.discard(self.now))
        assert self.machine.turn_id is None
        assert before is None or self.phases[before][-1] == "discarded"
        assert self.guess is None

    @rule()
    def fail(self) -> None:
        self._take(self.machine.recogniser_failed(FAULT))
        still_open = {id for id, phases in self.phases.items() if phases[-1] in ("speech", "pause")}
        assert still_open == ({self.machine.turn_id} - {None}), "a turn waits for a text that never comes"

    @rule(guess=st.booleans(), auto_respond=st.booleans(), auto_interrupt=st.booleans())
    def change(self, guess: bool, auto_respond: bool, auto_interrupt: bool) -> None:
        self.machine.guess = guess
        self.machine.policy = TurnPolicy(auto_respond=auto_respond, auto_interrupt=auto_interrupt)

    @invariant()
    def a_guess_is_of_the_open_turn_in_its_pause(self) -> None:
        if self.guess:
            assert self.guess.turn_id == self.machine.turn_id
            assert self.phases[self.guess.turn_id][-1] == "pause"

    @invariant()
    def the_recogniser_is_at_the_oldest_turn(self) -> None:
        assert self.machine.heard_turn_id == next(iter(self._waiting()), self.machine.turn_id)

    @invariant()
    def the_open_turn_is_open(self) -> None:
        if self.machine.turn_id:
            assert self.phases[self.machine.turn_id][-1] in ("speech", "pause")

    @invariant()
    def committed_is_commit(self) -> None:
        assert sorted(self.commits) == sorted(id for id, phases in self.phases.items() if phases[-1] == "committed")

    def teardown(self) -> None:
        """Once the recogniser has answered the last mark, or failed, no turn is left hanging."""
        self._take(self.machine.discard(self.now))
        if self.marks:
            self._take(self.machine.transcript(Transcript("yes", final=True, mark=self.marks[-1].n + 1)))
        assert all(phases[-1] in ("committed", "discarded") for phases in self.phases.values())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
