"""The interruption machine in any order of turns, transcripts, responses and time: its promises hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicebridge.contract.events import Event, InputTranscript, Interruption, OutputAudio, ResponseEnded, UserTurn
from voicebridge.core.interruption import InterruptionMachine
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals, Verdict

ACTIONS = ["wait", "ignore", "duck", "pause", "resume", "interrupt"]
TEXTS = ["", "mm-hmm", "yeah", "yeah but", "yeah but wait", "[noise]", "no"]
LONGEST_HOLD_S = 5.0
_INSTANT = 1e-6
"""Seconds: more than what sums of floats are off by."""


class AnyOrder(RuleBasedStateMachine):
    """A user whose turns come as the contract has them, an agent with any responses, and a policy with any whim."""

    @initialize(
        whims=st.none() | st.lists(st.sampled_from([*ACTIONS, "raise", "nonsense"]), min_size=1, max_size=12),
        again=st.lists(st.sampled_from([None, 0.0, 120.0, 700.0, 1e7]), min_size=1, max_size=5),
        at_first=st.sampled_from(["pause", "duck", "ignore", "interrupt"]),
        transcripts=st.sampled_from(["live", "late", "none"]),
        protect_ms=st.sampled_from([0.0, 500.0]),
    )
    def begin(self, whims: list[str] | None, again: list[float | None], at_first: Any, **fields: Any) -> None:
        self.whims, self.again, self.asked = whims, again, 0
        self.own = InterruptionPolicy(at_first=at_first, protect_ms=fields["protect_ms"])
        self.machine = InterruptionMachine(
            self._policy, transcripts=fields["transcripts"], longest_hold_s=LONGEST_HOLD_S
        )
        self.now, self.audible, self.responses = 10.0, (), 0
        self.turns: dict[str, str] = {}
        """The phase of each, the newest last."""
        self.final: set[str] = set()
        self.spoken_over: dict[str, set[str]] = {}
        self.told: list[Interruption] = []
        self.hold: tuple[str, float] | None = None
        """What is held, and since when."""
        self.sounds: Counter[str] = Counter()
        """By turn, how often the user began to speak in it."""
        self.wrong: list[str] = []
        """What was not right with signals. Told afterwards: what a policy raises is caught."""

    audible: tuple[str, ...] = ()

    def _policy(self, signals: Signals) -> Verdict:
        self.asked += 1
        self.wrong += [problem for problem, is_so in self._problems(signals).items() if is_so]
        if self.whims is None:
            return self.own(signals)
        whim = self.whims[self.asked % len(self.whims)]
        if whim == "raise":
            raise RuntimeError("a whim")
        if whim == "nonsense":
            return None  # type: ignore[return-value]  # what a careless callable gives
        return Verdict(whim, "whim", self.again[self.asked % len(self.again)])  # type: ignore[arg-type]  # one of ACTIONS

    def _problems(self, signals: Signals) -> dict[str, bool]:
        judged = set(signals.response_ids)
        return {
            "a length below 0": signals.speech_ms < 0 or signals.silent_ms < 0,
            "judged by what is not heard": not judged <= set(self.audible),
            "judged over what it was not spoken over": not judged <= self.spoken_over[signals.turn_id],
        }

    def _note(self, told: list[Interruption]) -> None:
        for one in told:
            assert one.reason
            assert set(one.response_ids) <= set(self.audible)
            last = self.told[-1] if self.told else None
            if one.action in ("duck", "pause"):
                assert self.hold is None or self.hold[0] != one.action, "held already"
                assert one.response_ids, "held, though nothing is heard"
                self.hold = (one.action, self.hold[1] if self.hold else self.now)
            elif one.action == "resume":
                assert self.hold is not None, "nothing was held"
                self.hold = None
            elif one.action == "interrupt":
                assert one.response_ids
                before = {
                    response for other in self.told if other.action == "interrupt" for response in other.response_ids
                }
                assert before.isdisjoint(one.response_ids), "interrupted twice"
                self.hold = None
                self.audible = tuple(response for response in self.audible if response not in one.response_ids)
            else:
                assert self.hold is None, "a player that holds would not know what this means"
                ignored = sum(1 for other in self.told if other.action == "ignore" and other.turn_id == one.turn_id)
                assert ignored < self.sounds[one.turn_id or ""], "one sound is ignored once"
            if last and last.action == one.action and one.action != "ignore":
                assert set(last.response_ids).isdisjoint(one.response_ids), "the same again"
            self.told.append(one)

    def _happens(self, event: Event) -> None:
        self._speak_over()
        self._note(self.machine.happened(event, self.now, self.audible))

    def _speak_over(self) -> None:
        for turn, phase in self.turns.items():
            if phase == "speech":
                self.spoken_over[turn] |= set(self.audible)

    # The user

    @rule(source=st.sampled_from(["server", "local", "client", "inferred"]))
    def new_turn(self, source: Any) -> None:
        turn = f"t{len(self.turns) + 1}"
        for other, phase in self.turns.items():
            if phase == "speech":
                self.turns[other] = "pause"
        self.turns[turn], self.spoken_over[turn] = "speech", set()
        self.sounds[turn] += 1
        self._happens(UserTurn(turn_id=turn, phase="speech", audio_ms=self.now * 1000, source=source))

    @precondition(lambda self: self.turns)
    @rule(
        data=st.data(),
        phase=st.sampled_from(["speech", "pause", "committed", "discarded"]),
        behind_ms=st.floats(0, 900),
    )
    def turn_goes_on(self, data: st.DataObject, phase: Any, behind_ms: float) -> None:
        """Also one that is over: a vendor may say anything."""
        turn = data.draw(st.sampled_from(list(self.turns)[-3:]))
        if self.turns[turn] not in ("committed", "discarded"):
            self.sounds[turn] += phase == "speech"
            self.turns[turn] = phase
        self._happens(UserTurn(turn_id=turn, phase=phase, audio_ms=self.now * 1000 - behind_ms))

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), text=st.sampled_from(TEXTS), final=st.booleans())
    def words(self, data: st.DataObject, text: str, final: bool) -> None:
        turn = data.draw(st.sampled_from([*list(self.turns)[-3:], "nobody"]))
        self._happens(InputTranscript(turn_id=turn, text=text, final=final))

    # The agent

    @rule()
    def response_begins(self) -> None:
        self.responses += 1
        response = f"r{self.responses}"
        self.audible = (*self.audible, response)
        assert self.machine.happened(OutputAudio(response_id=response, pcm=b"", offset_ms=0), self.now) == []

    @precondition(lambda self: self.audible)
    @rule(data=st.data(), told=st.booleans())
    def response_was_heard(self, data: st.DataObject, told: bool) -> None:
        response = data.draw(st.sampled_from(self.audible))
        self.audible = tuple(other for other in self.audible if other != response)
        if told:
            self._happens(ResponseEnded(response_id=response, status="completed"))

    @precondition(lambda self: self.audible)
    @rule()
    def application_interrupts(self) -> None:
        cut, self.audible = self.audible, ()
        event = Interruption(action="interrupt", reason="command", response_ids=cut)
        told = self.machine.happened(event, self.now, ())
        self._note(told)
        assert [one.reason for one in told] in ([], ["ended"]), "only what was held and ended unnoticed before"
        self.hold = None

    # The clock

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.3, 0.6, 1.5, 6.0]))
    def time_passes(self, seconds: float) -> None:
        end, asked = self.now + seconds, self.asked
        while (due := self.machine.due_at()) is not None and due <= end:
            self.now = max(self.now, due)
            self._speak_over()
            self._note(self.machine.due(self.now, self.audible))
            after = self.machine.due_at()
            assert after is None or after > self.now, "the session would spin"
        self.now = end
        assert self.asked - asked < 20 + 100 * seconds * (1 + len(self.turns)), "the policy is asked without end"

    # Promises

    @invariant()
    def signals_were_right(self) -> None:
        assert getattr(self, "wrong", []) == []

    @invariant()
    def a_hold_ends_in_time(self) -> None:
        if not hasattr(self, "machine") or self.hold is None:
            return
        due = self.machine.due_at()
        assert due is not None, "a hold that nothing ends"
        assert due <= self.hold[1] + LONGEST_HOLD_S + _INSTANT
        assert self.now <= self.hold[1] + LONGEST_HOLD_S + _INSTANT

    @invariant()
    def nothing_is_decided_of_turns_in_silence(self) -> None:
        for turn, over in getattr(self, "spoken_over", {}).items():
            if not over:
                assert self.machine.standing(turn) == "clear"

    def teardown(self) -> None:
        """The agent ends: nothing stays held, undecided or due."""
        if not hasattr(self, "machine"):
            return
        for turn in self.turns:
            if self.turns[turn] in ("speech", "pause"):
                self._happens(UserTurn(turn_id=turn, phase="committed", audio_ms=self.now * 1000))
                self.turns[turn] = "committed"
        self.audible = ()
        self.time_passes(20.0)
        assert self.hold is None
        if self.whims is None:
            assert self.machine.due_at() is None
            assert all(self.machine.standing(turn) != "undecided" for turn in self.turns)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
