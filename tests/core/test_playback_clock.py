"""The playback clock: each row of its table, and that what was told last is what was heard."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.events import (
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.core.playback import TOLERANCE_MS
from voicebridge.core.playback_clock import PlaybackClock

TEXT = "One two three four."
Status = Literal["completed", "interrupted", "incomplete", "failed", "lost"]
Told = tuple[str, float, str, str, str]


def plain(told: list[OutputHeard]) -> list[Told]:
    return [(e.response_id, round(e.heard_ms, 3), e.text, e.basis, e.text_basis) for e in told]


class Stage:
    """A clock, and the time."""

    def __init__(self, *response_ids: str) -> None:
        self.clock = PlaybackClock(DOOR_FORMAT)
        self.now = 100.0
        for response_id in response_ids:
            self.say(response_id)

    def say(self, response_id: str, ms: float = 1000, text: str = TEXT) -> None:
        """A response, text first, all at once."""
        self.start(response_id)
        self.text(response_id, text)
        self.audio(response_id, ms)

    def start(self, response_id: str) -> None:
        assert self.clock.happened(ResponseStarted(response_id=response_id, cause="user"), self.now) == []

    def text(self, response_id: str, delta: str, start: float | None = None, end: float | None = None) -> None:
        event = OutputText(response_id=response_id, delta=delta, start_ms=start, end_ms=end)
        assert self.clock.happened(event, self.now) == []

    def audio(self, response_id: str, ms: float) -> None:
        event = OutputAudio(response_id=response_id, pcm=bytes(DOOR_FORMAT.size(ms)), offset_ms=0)
        assert self.clock.happened(event, self.now) == []

    def end(self, response_id: str, status: Status = "completed") -> list[Told]:
        return plain(self.clock.happened(ResponseEnded(response_id=response_id, status=status), self.now))

    def below(
        self, response_id: str, ms: float, text: str, basis: Any = "measured", found: Any = "aligned"
    ) -> list[Told]:
        event = OutputHeard(response_id=response_id, heard_ms=ms, text=text, basis=basis, text_basis=found)
        return plain(self.clock.happened(event, self.now))

    def report(self, response_id: str, ms: float) -> list[Told]:
        return plain(self.clock.report(response_id, ms, self.now))

    def cut(self, *response_ids: str, **heard: float) -> list[Told]:
        return plain(self.clock.cut(response_ids, heard, self.now))

    def cut_all(self, **heard: float) -> list[Told]:
        return plain(self.clock.cut(None, heard, self.now))

    def undelivered(self, response_id: str, ms: float) -> list[Told]:
        return plain(self.clock.undelivered(response_id, ms))

    def wait(self, seconds: float) -> list[Told]:
        """What is told meanwhile, each when it is due."""
        until, told = self.now + seconds, []
        while (due_at := self.clock.due_at()) is not None and due_at <= until:
            self.now = max(self.now, due_at)
            told += plain(self.clock.due(self.now))
        self.now = until
        return told


# Nobody reports


def test_played_to_its_end() -> None:
    stage = Stage("r1")
    assert stage.clock.due_at() is None, "while it runs nothing is due"
    assert stage.end("r1") == []
    assert stage.clock.due_at() == pytest.approx(101)
    assert stage.wait(0.99) == []
    assert stage.clock.audible(stage.now) == ("r1",)
    assert stage.wait(0.02) == [("r1", 1000, TEXT, "estimated", "whole")]
    assert stage.clock.audible(stage.now) == ()
    assert stage.clock.due_at() is None


@pytest.mark.parametrize("early_s", [0.0, 1e-9, 0.0009])
def test_a_timer_that_fires_a_little_early_is_enough(early_s: float) -> None:
    stage = Stage("r1")
    stage.end("r1")
    assert stage.clock.due(101 - 0.002) == []
    assert plain(stage.clock.due(101 - early_s)) == [("r1", 1000, TEXT, "estimated", "whole")]


def test_one_after_the_other() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    assert stage.wait(1.5) == [("r1", 1000, TEXT, "estimated", "whole")]
    assert stage.cut_all() == [("r2", 500, "One two", "estimated", "proportion")]


def test_what_waits_behind_a_cut_plays_at_once() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    stage.wait(0.5)
    assert stage.cut("r1") == [("r1", 500, "One two", "estimated", "proportion")]
    assert stage.wait(0.99) == []
    assert stage.wait(0.02) == [("r2", 1000, TEXT, "estimated", "whole")]


def test_a_pause_holds_it() -> None:
    stage = Stage("r1")
    stage.end("r1")
    stage.wait(0.4)
    stage.clock.pause(stage.now)
    assert stage.clock.due_at() is None
    assert stage.wait(50) == []
    stage.clock.pause(stage.now)
    assert stage.wait(50) == []
    assert stage.clock.due(stage.now) == []
    assert stage.clock.audible(stage.now) == ("r1",)
    stage.clock.resume(stage.now)
    stage.clock.resume(stage.now)
    assert stage.wait(0.59) == []
    assert stage.wait(0.02) == [("r1", 1000, TEXT, "estimated", "whole")]


def test_cut_in_a_pause() -> None:
    stage = Stage("r1")
    stage.wait(0.5)
    stage.clock.pause(stage.now)
    stage.wait(9)
    assert stage.cut_all() == [("r1", 500, "One two", "estimated", "proportion")]
    stage.say("r2")
    stage.wait(0.5)
    assert stage.cut_all() == [("r2", 500, "One two", "estimated", "proportion")], "nothing was left to hold"


def test_audio_that_comes_in_a_pause_waits() -> None:
    stage = Stage()
    stage.clock.pause(stage.now)
    stage.say("r1")
    stage.wait(9)
    stage.clock.resume(stage.now)
    stage.wait(0.5)
    assert stage.cut_all() == [("r1", 500, "One two", "estimated", "proportion")]


@given(
    st.lists(
        st.tuples(st.integers(0, 700), st.sampled_from(["audio", "pause", "resume"]), st.integers(1, 900)), max_size=15
    ),
    st.integers(0, 4000),
)
def test_the_estimate_is_what_a_speaker_would_have_played(steps: list[tuple[int, str, int]], after: int) -> None:
    """Against a speaker that plays millisecond by millisecond, and holds what it has in a pause."""
    clock, queue, played, paused = PlaybackClock(DOOR_FORMAT), 0, 0, False
    clock.happened(ResponseStarted(response_id="r1", cause="user"), 0.0)
    now = 0
    for wait, what, ms in [*steps, (after, "end", 0)]:
        for _ in range(wait):
            if queue and not paused:
                queue, played = queue - 1, played + 1
        now += wait
        if what == "audio":
            queue += ms
            clock.happened(OutputAudio(response_id="r1", pcm=bytes(48 * ms), offset_ms=0), now / 1000)
        elif what == "pause":
            paused = True
            clock.pause(now / 1000)
        elif what == "resume":
            paused = False
            clock.resume(now / 1000)
    [heard] = clock.cut(None, {}, now / 1000)
    assert heard.heard_ms == pytest.approx(played, abs=1e-6)


# The player reports


def test_reports_to_the_end() -> None:
    stage = Stage("r1")
    assert stage.report("r1", 500) == []
    assert stage.end("r1") == []
    assert stage.report("r1", 970) == []
    assert stage.report("r1", 985) == [("r1", 1000, TEXT, "measured", "whole")]
    assert stage.report("r1", 1000) == []
    assert stage.wait(99) == []


def test_a_report_before_the_end_is_known_is_enough() -> None:
    stage = Stage("r1")
    assert stage.report("r1", 1000) == []
    assert stage.end("r1") == [("r1", 1000, TEXT, "measured", "whole")]
    assert stage.clock.due_at() is None


def test_its_word_counts_and_never_goes_back() -> None:
    stage = Stage("r1")
    for ms in (300, 200, -5, float("nan"), float("inf")):
        assert stage.report("r1", ms) == []
    stage.wait(0.9)
    assert stage.cut_all() == [("r1", 300, "One", "measured", "proportion")]


def test_never_more_than_was_received() -> None:
    stage = Stage("r1")
    stage.report("r1", 5000)
    assert stage.cut_all() == [("r1", 1000, TEXT, "measured", "proportion")]
    assert stage.report("r1", 6000) == []


def test_a_player_that_gets_on_is_waited_for() -> None:
    stage = Stage("r1")
    stage.report("r1", 10)
    stage.end("r1")
    for ms in range(100, 900, 100):
        assert stage.wait(1.4) == []
        assert stage.report("r1", ms) == []
    assert stage.clock.audible(stage.now) == ("r1",)
    assert stage.report("r1", 1000) == [("r1", 1000, TEXT, "measured", "whole")]


def test_one_that_has_stopped_is_not() -> None:
    stage = Stage("r1")
    stage.report("r1", 450)
    stage.end("r1")
    assert stage.wait(2.9) == []
    assert stage.clock.audible(stage.now) == ("r1",)
    assert stage.wait(0.2) == [("r1", 450, "One two", "measured", "proportion")]
    assert stage.report("r1", 700) == [], "it goes on"
    assert stage.clock.audible(stage.now) == ("r1",)
    assert stage.report("r1", 1000) == [("r1", 1000, TEXT, "measured", "whole")]


def test_in_a_pause_it_has_not_stopped() -> None:
    stage = Stage("r1")
    stage.report("r1", 450)
    stage.end("r1")
    stage.clock.pause(stage.now)
    assert stage.wait(60) == []
    stage.clock.resume(stage.now)
    assert stage.wait(2.9) == []
    assert stage.wait(0.2) == [("r1", 450, "One two", "measured", "proportion")]


def test_a_player_that_gets_on_in_a_pause_plays_on() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    stage.report("r1", 100)
    stage.clock.pause(stage.now)
    stage.wait(0.4)
    assert stage.report("r1", 500) == [], "this may have been on its way"
    assert stage.clock.due_at() is None
    stage.wait(0.3)
    assert stage.report("r1", 800) == []
    assert stage.clock.audible(stage.now) == ("r1", "r2")
    assert stage.clock.left_ms(stage.now) == pytest.approx(200 + 1000)
    stage.clock.resume(stage.now)
    assert stage.report("r1", 1000) == [("r1", 1000, TEXT, "measured", "whole")]
    assert stage.cut_all(r2=50) == [("r2", 50, "", "measured", "proportion")]


@pytest.mark.parametrize("ms", [float("inf"), float("nan"), -1.0])
def test_what_is_no_time_ends_no_pause(ms: float) -> None:
    stage = Stage("r1")
    stage.clock.pause(stage.now)
    stage.report("r1", ms)
    stage.wait(60)
    assert stage.clock.audible(stage.now) == ("r1",)


def test_a_player_that_is_slower_than_was_assumed() -> None:
    stage = Stage("r1")
    stage.end("r1")
    assert stage.wait(1.1) == [("r1", 1000, TEXT, "estimated", "whole")]
    assert stage.report("r1", 500) == []
    assert stage.clock.audible(stage.now) == ("r1",)
    assert stage.cut_all() == [("r1", 500, "One two", "measured", "proportion")]


def test_what_waits_behind_a_late_player_is_late_too() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    stage.wait(0.9)
    stage.report("r1", 100)
    stage.wait(0.9)
    stage.report("r1", 1000)
    stage.wait(0.5)
    assert stage.cut_all() == [("r2", 500, "One two", "estimated", "proportion")]


def test_one_that_reports_is_given_time_to_begin_with_the_next() -> None:
    stage = Stage("r1")
    stage.report("r1", 990)
    stage.end("r1")
    stage.say("r2", 100, "Yes.")
    stage.end("r2")
    assert stage.wait(1.5) == []
    assert stage.report("r2", 100) == [("r2", 100, "Yes.", "measured", "whole")]
    stage.say("r3", 100, "Yes.")
    stage.end("r3")
    assert stage.wait(2.0) == []
    assert stage.wait(0.2) == [("r3", 100, "Yes.", "estimated", "whole")], "it does not report any more"
    stage.say("r4", 100, "Yes.")
    stage.end("r4")
    assert stage.wait(0.2) == [("r4", 100, "Yes.", "estimated", "whole")]


def test_one_that_had_stopped_and_is_through() -> None:
    stage = Stage("r1")
    stage.report("r1", 450)
    stage.end("r1")
    assert stage.wait(3.1) == [("r1", 450, "One two", "measured", "proportion")]
    assert stage.report("r1", 990) == [("r1", 1000, TEXT, "measured", "whole")]
    assert stage.clock.audible(stage.now) == ()
    stage.wait(60)
    stage.say("r2")
    stage.say("r3")
    assert stage.report("r1", 1000) == []
    stage.wait(1.5)
    assert stage.cut("r3") == [("r3", 500, "One two", "estimated", "proportion")], "that held nothing up"


def test_what_waits_behind_one_that_was_thought_to_be_through() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    assert stage.wait(1.2) == [("r1", 1000, TEXT, "estimated", "whole")]
    stage.report("r1", 400)
    stage.wait(0.6)
    stage.report("r1", 1000)
    stage.wait(0.5)
    assert stage.cut("r2") == [("r2", 500, "One two", "estimated", "proportion")]


def test_what_waits_behind_it_has_not_begun() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    assert stage.wait(1.2) == [("r1", 1000, TEXT, "estimated", "whole")]
    stage.report("r1", 400)
    stage.wait(0.3)
    assert stage.cut("r2") == [("r2", 0, "", "estimated", "proportion")]


def test_silence_on_one_response_does_not_end_the_wait_for_another() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    stage.report("r2", 450)
    assert stage.wait(3.1) == [("r1", 1000, TEXT, "estimated", "whole")]
    assert stage.wait(0.8) == []
    assert stage.wait(0.2) == [("r2", 450, "One two", "measured", "proportion")]


def test_a_late_report_on_what_was_cut_holds_nothing_up() -> None:
    stage = Stage("r1")
    stage.wait(0.3)
    stage.cut("r1")
    stage.say("r2")
    stage.wait(0.2)
    assert stage.report("r1", 200) == [("r1", 200, "One", "measured", "proportion")]
    stage.wait(0.3)
    assert stage.cut("r2") == [("r2", 500, "One two", "estimated", "proportion")]


# Cut


def test_nothing_was_heard() -> None:
    stage = Stage("r1")
    assert stage.cut("r1") == [("r1", 0, "", "estimated", "proportion")]
    stage.say("r2")
    assert stage.cut("r2", r2=0) == [("r2", 0, "", "measured", "proportion")]
    assert stage.cut("r2", r2=-7) == []


def test_what_the_application_says_counts_most() -> None:
    stage = Stage("r1")
    stage.report("r1", 900)
    assert stage.cut("r1", r1=500, r2=9) == [("r1", 500, "One two", "measured", "proportion")]
    assert stage.cut("r1", r1=500) == [], "nothing new"
    assert stage.cut("r1") == []
    assert stage.cut("r1", r1=250) == [("r1", 250, "One", "measured", "proportion")]
    assert stage.cut("r1", r1=float("nan")) == []
    assert stage.cut("r2", r1=800) == [], "of others it is not looked at"
    assert stage.cut_all(r1=800) == [("r1", 800, "One two three", "measured", "proportion")]


def test_a_late_report_corrects_a_cut() -> None:
    stage = Stage("r1")
    stage.wait(0.5)
    assert stage.cut("r1", "nobody") == [("r1", 500, "One two", "estimated", "proportion")]
    assert stage.report("r1", 500.5) == [], "less than a millisecond is no news"
    assert stage.end("r1", "interrupted") == []
    assert stage.report("r1", 800) == [("r1", 800, "One two three", "measured", "proportion")]
    assert stage.wait(99) == []


def test_a_cut_of_what_was_played_to_its_end_by_the_estimate() -> None:
    stage = Stage("r1")
    stage.end("r1")
    stage.wait(1.1)
    assert stage.cut("r1") == []
    assert stage.report("r1", 500) == [("r1", 500, "One two", "measured", "proportion")], "it plays no more"


def test_nobody_is_known() -> None:
    stage = Stage()
    assert stage.cut("r1", r1=5) == stage.cut_all(r1=5) == stage.report("r1", 5) == stage.undelivered("r1", 5) == []
    assert stage.end("r1") == stage.below("r1", 5, "x", "provider") == stage.below("r1", 5, "x") == []
    stage.audio("r1", 1000)
    stage.text("r1", TEXT)
    assert stage.clock.audible(stage.now) == stage.clock.unsettled() == ()
    assert stage.clock.happened(UserTurn(turn_id="t1", phase="speech", audio_ms=0), stage.now) == []


def test_text_that_comes_behind_its_audio_corrects_the_words_at_the_end() -> None:
    stage = Stage()
    stage.start("r1")
    stage.audio("r1", 800)
    stage.wait(0.5)
    assert stage.cut_all() == [("r1", 500, "", "estimated", "proportion")]
    stage.audio("r1", 200)
    stage.text("r1", TEXT)
    assert stage.end("r1", "interrupted") == [("r1", 500, "One two", "estimated", "proportion")]
    assert stage.end("r1", "interrupted") == []


# How it ends


def test_it_ends_once() -> None:
    stage = Stage("r1")
    assert stage.end("r1") == stage.end("r1", "interrupted") == []
    assert stage.wait(1.1) == [("r1", 1000, TEXT, "estimated", "whole")]


def test_played_to_its_end_it_is_not_audible_even_before_that_is_told() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.end("r2")
    assert stage.clock.audible(100.9) == ("r1", "r2")
    assert stage.clock.audible(101.1) == ("r2",)
    stage.clock.report("r2", 100, 101.1)
    assert stage.clock.audible(102.5) == ("r2",), "its player says that it is not so far"


def test_interrupted_is_a_cut() -> None:
    stage = Stage("r1")
    stage.wait(0.5)
    assert stage.end("r1", "interrupted") == [("r1", 500, "One two", "estimated", "proportion")]


@pytest.mark.parametrize("status", ["failed", "lost"])
def test_what_was_delivered_plays_out(status: Status) -> None:
    stage = Stage("r1")
    assert stage.undelivered("r1", 400) == []
    assert stage.end("r1", status) == []
    assert stage.wait(0.59) == []
    assert stage.wait(0.02) == [("r1", 600, "One two", "estimated", "proportion")]
    stage.say("r2")
    stage.end("r2", status)
    assert stage.report("r2", 990) == [("r2", 990, "One two three", "measured", "proportion")]


def test_incomplete_is_all_that_there_was_to_hear() -> None:
    stage = Stage("r1")
    stage.end("r1", "incomplete")
    assert stage.wait(1.1) == [("r1", 1000, TEXT, "estimated", "whole")]


@pytest.mark.parametrize("status", ["completed", "interrupted", "incomplete", "failed", "lost"])
def test_written_answers_are_not_heard(status: Status) -> None:
    stage = Stage()
    stage.start("r1")
    stage.clock.happened(OutputText(response_id="r1", delta="Hi.", kind="text"), stage.now)
    assert stage.clock.audible(stage.now) == ()
    assert stage.clock.unsettled() == ("r1",)
    assert stage.end("r1", status) == stage.wait(9) == []
    assert stage.clock.unsettled() == ()


def test_a_written_answer_that_is_cut() -> None:
    stage = Stage()
    stage.start("r1")
    stage.clock.happened(OutputText(response_id="r1", delta="Hi.", kind="text"), stage.now)
    assert stage.cut_all() == stage.end("r1", "interrupted") == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("completed", []),
        ("incomplete", []),
        ("interrupted", [("r1", 0, "", "measured", "proportion")]),
        ("failed", [("r1", 0, "", "measured", "proportion")]),
        ("lost", [("r1", 0, "", "measured", "proportion")]),
    ],
)
def test_a_spoken_answer_without_audio(status: Status, told: list[Told]) -> None:
    stage = Stage()
    stage.start("r1")
    stage.text("r1", "Never spoken.")
    assert stage.end("r1", status) == told
    assert stage.cut_all(r1=500) == stage.wait(9) == []


def test_cut_before_its_audio() -> None:
    stage = Stage()
    stage.start("r1")
    stage.text("r1", "Never spoken.")
    assert stage.cut_all() == [("r1", 0, "", "measured", "proportion")]
    stage.audio("r1", 500)
    assert stage.clock.audible(stage.now) == ()
    assert stage.end("r1", "interrupted") == stage.report("r1", 500) == []


def test_thoughts_are_not_spoken() -> None:
    stage = Stage()
    stage.start("r1")
    stage.clock.happened(OutputText(response_id="r1", delta="Hmm.", kind="thought"), stage.now)
    stage.text("r1", "Yes.")
    stage.audio("r1", 100)
    stage.end("r1")
    assert stage.wait(1) == [("r1", 100, "Yes.", "estimated", "whole")]


# Never delivered


def test_what_was_never_delivered_was_not_heard() -> None:
    stage = Stage("r1")
    stage.wait(0.8)
    assert stage.undelivered("r1", 700) == []
    assert stage.clock.audible(stage.now) == ("r1",), "it runs"
    assert stage.cut_all() == [("r1", 300, "One", "estimated", "proportion")]
    assert stage.report("r1", 900) == [], "that can't be"


def test_known_after_it_was_told() -> None:
    stage = Stage("r1")
    stage.wait(0.8)
    assert stage.cut_all() == [("r1", 800, "One two three", "estimated", "proportion")]
    assert stage.undelivered("r1", 100) == []
    assert stage.undelivered("r1", 600) == [("r1", 300, "One", "estimated", "proportion")]
    assert stage.undelivered("r1", 5000) == [("r1", 0, "", "estimated", "proportion")]
    for nothing in (0, -5, float("nan"), float("inf")):
        assert stage.undelivered("r1", nothing) == []


def test_nothing_of_it_was_delivered() -> None:
    stage = Stage("r1", "r2")
    stage.undelivered("r1", 1000)
    assert stage.clock.audible(stage.now) == ("r2",)
    assert stage.end("r1", "lost") == [("r1", 0, "", "estimated", "proportion")]
    stage.end("r2")
    assert stage.wait(0.99) == []
    assert stage.wait(0.02) == [("r2", 1000, TEXT, "estimated", "whole")]


def test_more_may_come_after_it() -> None:
    stage = Stage("r1")
    stage.undelivered("r1", 5000)
    stage.audio("r1", 500)
    stage.end("r1", "lost")
    assert stage.report("r1", 490) == [("r1", 490, "One", "measured", "proportion")]


def test_what_will_have_been_heard() -> None:
    stage = Stage("r1")
    stage.undelivered("r1", 500)
    expected = stage.clock.expected("r1")
    assert expected
    assert plain([expected]) == [("r1", 500, "One two", "estimated", "proportion")]
    assert plain([expected]) == stage.end("r1", "lost") + stage.wait(1)
    assert stage.clock.expected("r1") is None
    assert stage.clock.expected("r2") is None


def test_purged_after_it_was_lost() -> None:
    stage = Stage("r1")
    assert stage.end("r1", "lost") == []
    assert stage.undelivered("r1", 600) == []
    assert stage.wait(0.39) == []
    assert stage.wait(0.02) == [("r1", 400, "One two", "estimated", "proportion")]


# Words


def test_by_the_times_of_the_words() -> None:
    stage = Stage()
    stage.start("r1")
    for start, word in ((0, "One"), (100, " two"), (200, " three"), (300, " four.")):
        stage.text("r1", word, start, start + 100)
    stage.audio("r1", 1000)
    assert stage.cut_all(r1=199) == [("r1", 199, "One", "measured", "aligned")]
    assert stage.report("r1", 300) == [("r1", 300, "One two three", "measured", "aligned")]


def test_by_proportion_over_all_audio_that_came() -> None:
    stage = Stage()
    stage.start("r1")
    stage.audio("r1", 250)
    stage.text("r1", "One two ")
    stage.audio("r1", 250)
    stage.text("r1", "three four.")
    stage.audio("r1", 500)
    assert stage.cut_all(r1=500) == [("r1", 500, "One two", "measured", "proportion")]


def test_times_that_can_not_be_are_none() -> None:
    stage = Stage()
    stage.start("r1")
    stage.text("r1", TEXT, float("nan"), float("inf"))
    stage.audio("r1", 1000)
    assert stage.cut_all(r1=500) == [("r1", 500, "One two", "measured", "proportion")]


# From below


@pytest.mark.parametrize("basis", ["measured", "estimated"])
def test_another_clock_below_is_not_believed(basis: str) -> None:
    stage = Stage("r1")
    stage.wait(0.5)
    assert stage.below("r1", 900, "One two three", basis, "proportion") == []
    assert stage.cut_all() == [("r1", 500, "One two", "estimated", "proportion")]
    assert stage.below("r1", 500, "One two", basis, "proportion") == []


def test_the_words_of_the_same_moment_are() -> None:
    stage = Stage()
    stage.say("r1", text=TEXT + " And so on, at length, far ahead of all audio.")
    assert stage.cut_all(r1=500) == [("r1", 500, "One two three four. And so on,", "measured", "proportion")]
    assert stage.below("r1", 495, "One two") == [("r1", 500, "One two", "measured", "aligned")]
    assert stage.below("r1", 495, "One two") == []
    assert stage.below("r1", 495, "Other words") == []
    assert stage.cut_all(r1=1000) == [
        ("r1", 1000, TEXT + " And so on, at length, far ahead of all audio.", "measured", "proportion")
    ]


def test_words_that_were_known_below_before_the_cut() -> None:
    stage = Stage()
    stage.say("r1", text=TEXT + " And so on, at length, far ahead of all audio.")
    stage.wait(0.5)
    assert stage.below("r1", 500, "One two", "estimated", "proportion") == []
    assert stage.end("r1", "interrupted") == [("r1", 500, "One two", "estimated", "proportion")]


def test_words_that_were_found_by_proportion_of_less_text_are_not_kept() -> None:
    stage = Stage()
    stage.start("r1")
    stage.audio("r1", 1000)
    stage.text("r1", "One two")
    stage.wait(0.5)
    assert stage.below("r1", 500, "One", "estimated", "proportion") == []
    stage.text("r1", " three four.")
    assert stage.end("r1", "interrupted") == [("r1", 500, "One two", "estimated", "proportion")]


def test_a_correction_of_the_vendor_is_told_on() -> None:
    stage = Stage("r1")
    stage.wait(0.3)
    assert stage.below("r1", 700, "One, two", "provider") == [("r1", 700, "One, two", "provider", "aligned")]
    assert stage.clock.audible(stage.now) == ()
    assert stage.end("r1", "interrupted") == stage.cut_all() == stage.below("r1", 700, "x", "measured") == []
    assert stage.below("r1", 7000, "One, two", "provider") == [("r1", 1000, "One, two", "provider", "aligned")]
    assert stage.below("r1", float("nan"), "One", "provider") == []
    assert stage.below("r1", -1, "One", "provider") == [("r1", 0, "", "provider", "aligned")]
    assert stage.report("r1", 300) == [("r1", 300, "One", "measured", "proportion")], "the last one counts"


def test_what_waits_behind_a_correction_plays_at_once() -> None:
    stage = Stage("r1", "r2")
    stage.end("r1")
    stage.wait(0.3)
    assert len(stage.below("r1", 300, "One", "provider")) == 1
    stage.wait(0.5)
    assert stage.cut_all() == [("r2", 500, "One two", "estimated", "proportion")]


def test_a_correction_after_the_end() -> None:
    stage = Stage("r1")
    stage.undelivered("r1", 100)
    stage.end("r1")
    assert stage.wait(2) == [("r1", 900, "One two three", "estimated", "proportion")]
    assert stage.below("r1", 950, "One", "provider", "proportion") == [("r1", 900, "One", "provider", "proportion")]


# Memory


def test_a_long_call_is_forgotten() -> None:
    stage = Stage()
    for number in range(600):  # two seconds each: twenty minutes
        stage.start(f"r{number}")
        for _ in range(100):
            stage.audio(f"r{number}", 20)
            stage.text(f"r{number}", "word ")
        if number % 7:
            stage.report(f"r{number}", 900)
        assert stage.end(f"r{number}", "lost" if number % 5 == 0 else "completed") == []
        assert len(stage.wait(4.1)) == 1
        assert len(stage.clock._player._responses) <= 17
        assert not stage.clock._playing
    assert [number for number in range(600) if stage.clock.knows(f"r{number}")] == list(range(584, 600))
    assert stage.cut("r599", r599=500)[0][1] == 500
    assert stage.cut("r583", r583=500) == []


def test_other_formats() -> None:
    clock = PlaybackClock(AudioFormat(encoding="ulaw", rate=8000))
    clock.happened(ResponseStarted(response_id="r1", cause="user"), 0.0)
    clock.happened(OutputAudio(response_id="r1", pcm=bytes(8000), offset_ms=0), 0.0)
    assert clock.cut(None, {}, 5.0)[0].heard_ms == 1000


# All of it, in any order


class _Truth:
    """What is known of a response, written down as simply as can be."""

    def __init__(self) -> None:
        self.said = ""
        self.received = self.undelivered = 0.0
        self.played: float | None = None
        self.provider: float | None = None
        self.cut = self.ended = self.complete = False
        self.told: list[OutputHeard] = []

    @property
    def playable(self) -> float:
        return max(0.0, self.received - self.undelivered)


class PlaybackMachine(RuleBasedStateMachine):
    """Everything that can happen to a few responses, against what must be true at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = PlaybackClock(DOOR_FORMAT)
        self.now = 50.0
        self.truths: dict[str, _Truth] = {}
        self.paused = False

    def of(self, number: int) -> tuple[str, _Truth]:
        ids = list(self.truths)
        id = ids[-1 - number % len(ids)]
        return id, self.truths[id]

    def tell(self, told: list[OutputHeard]) -> None:
        for heard in told:
            truth = self.truths[heard.response_id]
            if truth.told:
                before = truth.told[-1]
                assert (heard.heard_ms, heard.text, heard.basis) != (before.heard_ms, before.text, before.basis)
            truth.told.append(heard)

    @rule()
    def start(self) -> None:
        id = f"r{len(self.truths)}"
        self.truths[id] = _Truth()
        self.tell(self.clock.happened(ResponseStarted(response_id=id, cause="user"), self.now))

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 2), ms=st.integers(1, 3000))
    def audio(self, number: int, ms: int) -> None:
        id, truth = self.of(number)
        if truth.ended:
            return
        if not self.clock.knows(id) or id not in self.clock.unsettled():
            truth.undelivered += ms
        truth.received += ms
        self.tell(self.clock.happened(OutputAudio(response_id=id, pcm=bytes(48 * ms), offset_ms=0), self.now))

    @precondition(lambda self: self.truths)
    @rule(
        number=st.integers(0, 2),
        delta=st.text("ab ,你", max_size=8),
        start=st.none() | st.integers(-10, 4000),
        length=st.none() | st.integers(-10, 500),
    )
    def text(self, number: int, delta: str, start: int | None, length: int | None) -> None:
        id, truth = self.of(number)
        if truth.ended:
            return
        truth.said += delta
        end = None if start is None or length is None else start + length
        self.tell(self.clock.happened(OutputText(response_id=id, delta=delta, start_ms=start, end_ms=end), self.now))

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 2), status=st.sampled_from(["completed", "completed", "interrupted", "failed", "lost"]))
    def end(self, number: int, status: Status) -> None:
        id, truth = self.of(number)
        if truth.ended:
            return
        truth.ended, truth.complete = True, status == "completed"
        truth.cut = truth.cut or status == "interrupted"
        self.tell(self.clock.happened(ResponseEnded(response_id=id, status=status), self.now))

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 9), ms=st.floats(-100, 5000) | st.sampled_from([0.0, float("nan"), float("inf")]))
    def report(self, number: int, ms: float) -> None:
        id, truth = self.of(number)
        if 0 <= ms < 1e9 and self.clock.knows(id) and ms > (-1.0 if truth.played is None else truth.played):
            truth.played, truth.provider = ms, None
        self.tell(self.clock.report(id, ms, self.now))

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 9), ms=st.none() | st.floats(-100, 5000) | st.just(0.0))
    def cut(self, number: int, ms: float | None) -> None:
        id, truth = self.of(number)
        if self.clock.knows(id):
            truth.cut = True
            if ms is not None:
                truth.played, truth.provider = max(0.0, ms), None
        self.tell(self.clock.cut([id, "nobody"], {} if ms is None else {id: ms}, self.now))
        assert id not in self.clock.unsettled()

    @rule()
    def cut_all(self) -> None:
        for id in self.clock.unsettled():
            self.truths[id].cut = True
        self.tell(self.clock.cut(None, {}, self.now))
        self.paused = False
        assert self.clock.unsettled() == self.clock.audible(self.now) == ()
        assert self.clock.due_at() is None

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 9), ms=st.floats(-10, 3000))
    def undelivered(self, number: int, ms: float) -> None:
        id, truth = self.of(number)
        if self.clock.knows(id) and ms > 0:
            truth.undelivered += min(ms, truth.playable)
        self.tell(self.clock.undelivered(id, ms))

    @precondition(lambda self: self.truths)
    @rule(number=st.integers(0, 9), ms=st.floats(-100, 5000))
    def corrected(self, number: int, ms: float) -> None:
        id, truth = self.of(number)
        known = self.clock.knows(id)
        event = OutputHeard(response_id=id, heard_ms=ms, text=truth.said.strip(), basis="provider")
        told = self.clock.happened(event, self.now)
        assert len(told) == known
        if known:
            truth.provider, truth.cut = min(max(ms, 0.0), truth.playable), True
            truth.told += told  # a vendor may say the same twice

    @precondition(lambda self: self.truths)
    @rule(
        number=st.integers(0, 9),
        ms=st.floats(-100, 5000),
        share=st.floats(0, 1),
        found=st.sampled_from(["aligned", "proportion"]),
    )
    def told_below(self, number: int, ms: float, share: float, found: Any) -> None:
        id, truth = self.of(number)
        text = truth.said.strip()[: int(share * len(truth.said))].strip()
        event = OutputHeard(response_id=id, heard_ms=ms, text=text, basis="measured", text_basis=found)
        before = truth.told[-1] if truth.told else None
        self.tell(self.clock.happened(event, self.now))
        if before:
            assert (truth.told[-1].heard_ms, truth.told[-1].basis) == (before.heard_ms, before.basis), "only the words"

    @rule(seconds=st.floats(0.001, 4))
    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(200):
            due_at = self.clock.due_at()
            if due_at is None or due_at > until:
                break
            self.now = max(self.now, due_at)
            self.tell(self.clock.due(self.now))
        else:
            raise AssertionError("it is always due")
        self.now = until

    @rule()
    def pause_or_resume(self) -> None:
        self.paused = not self.paused
        (self.clock.pause if self.paused else self.clock.resume)(self.now)

    @invariant()
    def what_was_told_is_true(self) -> None:
        unsettled = self.clock.unsettled()
        for id, truth in self.truths.items():
            if not truth.told or id in unsettled or not self.clock.knows(id):
                continue
            last = truth.told[-1]
            assert 0 <= last.heard_ms <= truth.playable + 1e-6
            assert truth.said.strip().startswith(last.text)
            assert last.text == "" or last.heard_ms > 0
            if last.text_basis == "whole":
                assert truth.complete
                assert last.text == truth.said.strip()
            if truth.provider is not None:
                assert last.heard_ms <= truth.provider + 1e-6
            elif truth.played is not None and truth.received:
                expected = min(truth.played, truth.playable)
                to_the_end = truth.ended and truth.played >= truth.received - TOLERANCE_MS
                assert abs(last.heard_ms - expected) < 1 or (to_the_end and last.heard_ms == truth.received)

    @invariant()
    def settled_is_told(self) -> None:
        unsettled = self.clock.unsettled()
        for id, truth in self.truths.items():
            if id in unsettled:
                assert not truth.told or not truth.cut, "what was cut stays settled"
            else:
                assert truth.told or not truth.received, "it was settled in silence"

    @invariant()
    def bounded(self) -> None:
        unsettled = set(self.clock.unsettled())
        assert self.clock._playing.keys() <= unsettled
        assert len(self.clock._player._responses) <= max(17, len(unsettled) + 17)
        assert set(self.clock.audible(self.now)) <= unsettled

    def teardown(self) -> None:
        """When all has ended and time passes, all is told."""
        for number in range(len(self.truths)):
            self.end(number, "completed")
        self.clock.resume(self.now)
        self.wait(1000)
        assert self.clock.unsettled() == ()
        self.what_was_told_is_true()
        self.settled_is_told()


TestPlaybackMachine = PlaybackMachine.TestCase
TestPlaybackMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
