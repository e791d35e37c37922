"""Playback: how much of each response left the speaker, and which words those were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.stages import Word
from voicebridge.core.playback import TOLERANCE_MS, Player, ResponsePlayback


def heard(player: Player, response_id: str, now: float) -> tuple[float, str]:
    playback = player.settle(response_id, now)
    assert playback is not None
    assert playback.settled
    return round(playback.heard_ms, 6), playback.basis


def player(*pieces: tuple[str, float, float]) -> Player:
    """A player that received pieces: response, milliseconds, at which second."""
    made = Player()
    for response_id, ms, now in pieces:
        made.received(response_id, ms, now)
    return made


# By estimate


@pytest.mark.parametrize(("now", "ms"), [(10.0, 0), (10.25, 250), (11.0, 1000), (12.0, 2000), (99.0, 2000), (9.0, 0)])
def test_a_response_that_came_all_at_once(now: float, ms: float) -> None:
    assert heard(player(("r1", 1500, 10.0), ("r1", 500, 10.0)), "r1", now) == (ms, "estimated")


@pytest.mark.parametrize(
    ("now", "ms"),
    [
        (1.5, 500),  # silent since 1.2
        (2.0, 500),  # the late piece begins
        (2.1, 600),
        (2.3, 800),
        (9.0, 800),
    ],
)
def test_a_late_piece_leaves_a_hole(now: float, ms: float) -> None:
    pieces = [("r1", 200.0, 1.0), ("r1", 300.0, 1.2)]
    if now >= 2.0:
        pieces.append(("r1", 300.0, 2.0))
    assert heard(player(*pieces), "r1", now) == (ms, "estimated")


def test_responses_are_played_one_after_the_other() -> None:
    pieces = [("r1", 1000.0, 0.0), ("r2", 1000.0, 0.0), ("r3", 1000.0, 0.0)]
    queued = player(*pieces)
    assert queued.unsettled() == ("r1", "r2", "r3")
    assert heard(queued, "r1", 1.0) == (1000, "estimated")
    assert heard(queued, "r2", 1.4) == (400, "estimated")
    assert heard(queued, "r3", 1.4) == (0, "estimated")
    assert queued.unsettled() == ()


def test_what_is_queued_behind_a_cut_plays_at_once() -> None:
    queued = player(("r1", 1000, 0.0), ("r2", 1000, 0.0), ("r3", 1000, 0.0))
    assert heard(queued, "r2", 0.5) == (0, "estimated")  # dropped before its turn
    assert heard(queued, "r1", 0.6) == (600, "estimated")
    assert heard(queued, "r3", 0.9) == (300, "estimated")


def test_after_a_cut_the_next_response_is_played_at_once() -> None:
    cut = player(("r1", 60_000, 0.0))
    assert heard(cut, "r1", 1.0) == (1000, "estimated")
    cut.received("r2", 1000, 1.5)
    assert heard(cut, "r2", 1.75) == (250, "estimated")


def test_settling_twice_skips_once() -> None:
    queued = player(("r1", 1000, 0.0), ("r2", 1000, 0.0))
    assert heard(queued, "r1", 0.5) == (500, "estimated")
    assert heard(queued, "r1", 0.6) == (500, "estimated"), "what was heard is fixed"
    assert heard(queued, "r2", 0.8) == (300, "estimated")


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 1500)), min_size=1, max_size=12),
    st.integers(0, 4000),
)
def test_the_estimate_is_what_a_speaker_would_have_played(pieces: list[tuple[int, int]], after: int) -> None:
    """Against a speaker that plays millisecond by millisecond; pieces of some length after some wait."""
    estimate, now, arrivals = Player(), 0, {}
    for wait, length in pieces:
        now += wait
        arrivals[now] = arrivals.get(now, 0) + length
        estimate.received("r1", length, now / 1000)
    queue = played = 0
    for ms in range(now + after):
        queue += arrivals.get(ms, 0)
        if queue:
            queue, played = queue - 1, played + 1
    settled = estimate.settle("r1", (now + after) / 1000)
    assert settled is not None
    assert settled.heard_ms == pytest.approx(played, abs=1e-6)


# By report


def test_reports_count_more_than_the_estimate() -> None:
    reported = player(("r1", 1000, 0.0))
    reported.report("r1", 300, 0.0)
    assert heard(reported, "r1", 0.9) == (300, "measured")


def test_reports_never_go_back_nor_beyond_what_was_received() -> None:
    reported = player(("r1", 1000, 0.0))
    reported.report("r1", 700, 0.0)
    reported.report("r1", 200, 0.0)
    assert heard(reported, "r1", 0.1) == (700, "measured")
    reported.report("r1", 5000, 0.0)
    assert heard(reported, "r1", 0.1) == (1000, "measured")


def test_a_cut_counts_more_than_the_reports_before() -> None:
    cut = player(("r1", 1000, 0.0))
    cut.report("r1", 700, 0.0)
    cut.cut("r1", 400)
    assert heard(cut, "r1", 0.9) == (400, "measured")
    cut.cut("r1", 0)
    assert heard(cut, "r1", 0.9) == (0, "measured")


def test_a_report_after_settling_corrects_the_estimate() -> None:
    late = player(("r1", 1000, 0.0))
    assert heard(late, "r1", 0.5) == (500, "estimated")
    late.report("r1", 450, 0.0)
    assert heard(late, "r1", 0.9) == (450, "measured")
    assert late.unsettled() == ()


@pytest.mark.parametrize("ms", [-5.0, float("nan"), float("-inf"), float("inf")])
def test_reports_that_can_not_be_are_ignored(ms: float) -> None:
    reported = player(("r1", 1000, 0.0))
    reported.report("r1", ms, 0.0)
    assert heard(reported, "r1", 0.5) == (500, "estimated")
    reported = player(("r1", 1000, 0.0))
    reported.report("r1", 300, 0.0)
    reported.report("r1", ms, 0.0)
    assert heard(reported, "r1", 0.5) == (300, "measured")


@pytest.mark.parametrize(("ms", "counted"), [(-5.0, 0), (float("nan"), 700), (float("-inf"), 700)])
def test_cuts_that_can_not_be(ms: float, counted: float) -> None:
    cut = player(("r1", 1000, 0.0))
    cut.report("r1", 700, 0.0)
    cut.cut("r1", ms)
    assert heard(cut, "r1", 0.9) == (counted, "measured")


# To the end


@pytest.mark.parametrize("missing", [0.0, 1e-9, 2.0, TOLERANCE_MS])
def test_heard_to_the_end_but_for_a_rounding(missing: float) -> None:
    ended = player(("r1", 1000, 0.0))
    response = ended.response("r1")
    assert response
    response.over = response.complete = True
    ended.report("r1", 1000 - missing, 0.0)
    assert heard(ended, "r1", 0.5) == (1000, "measured")
    assert response.whole


def test_more_than_a_rounding_is_missing() -> None:
    ended = player(("r1", 1000, 0.0))
    response = ended.response("r1")
    assert response
    response.over = response.complete = True
    ended.report("r1", 1000 - TOLERANCE_MS - 1, 0.0)
    assert heard(ended, "r1", 0.5) == (979, "measured")
    assert not response.whole
    ended.cut("r1", 1000)
    assert heard(ended, "r1", 0.5) == (1000, "measured")
    assert response.whole, "a correction upwards counts as well"


def test_while_more_may_come_nothing_is_heard_to_its_end() -> None:
    running = player(("r1", 1000, 0.0))
    running.report("r1", 990, 0.0)
    assert heard(running, "r1", 0.5) == (990, "measured")
    response = running.response("r1")
    assert response
    assert not response.whole
    running.cut("r1", 1000)
    assert heard(running, "r1", 0.5) == (1000, "measured")
    assert not response.whole


@given(st.lists(st.floats(0.1, 5000), min_size=1, max_size=20), st.floats(0, 1e5))
def test_an_estimate_at_the_end_is_the_whole(pieces: list[float], began: float) -> None:
    """Sums of fractions must not cost a response its last word, nor a short one everything."""
    undisturbed = Player()
    for ms in pieces:
        undisturbed.received("r1", ms, began)
    response = undisturbed.response("r1")
    assert response
    response.over = response.complete = True
    undisturbed.settle("r1", response.ends_at)
    assert response.whole
    assert response.heard_ms == response.received_ms


def test_a_response_without_audio_is_not_known() -> None:
    nobody = Player()
    nobody.report("r1", 100, 0.0)
    nobody.cut("r1", 100)
    assert nobody.response("r1") is None
    assert nobody.settle("r1", 0.0) is None
    assert nobody.unsettled() == ()


def test_old_responses_are_forgotten() -> None:
    many = Player()
    for number in range(40):
        many.received(f"r{number}", 100.0, 0.0)
        many.settle(f"r{number}", 0.0)
    kept = [number for number in range(40) if many.response(f"r{number}")]
    assert kept == list(range(24, 40))


def test_what_still_plays_is_not_forgotten() -> None:
    many = player(*((f"r{number}", 100.0, 0.0) for number in range(40)))
    assert many.unsettled() == tuple(f"r{number}" for number in range(40))
    for number in range(5, 40):
        many.settle(f"r{number}", 0.0)
    many.received("r40", 100.0, 0.0)
    kept = [number for number in range(41) if many.response(f"r{number}")]
    assert kept == [*range(5), *range(30, 41)]


# Which words


def spoken(*pieces: tuple[float, str], words: tuple[Word, ...] = ()) -> ResponsePlayback:
    made = ResponsePlayback()
    for ms, text in pieces:
        made.add(ms, text, words if text else ())
    return made


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-1, ""),
        (0, ""),
        (200, ""),  # "Hel"
        (500, "Hello"),
        (999, "Hello"),
        (1000, "Hello you."),
        (1001, "Hello you."),
        (1500, "Hello you. How"),
        (1999, "Hello you. How are"),
        (2000, "Hello you. How are they?"),
        (9000, "Hello you. How are they?"),
    ],
)
def test_by_proportion_to_whole_words(ms: float, text: str) -> None:
    assert spoken((1000, "Hello you."), (1000, " How are they?")).text_until(ms) == text


def test_a_word_that_just_ended_was_heard() -> None:
    assert spoken((800, "Hell you")).text_until(400) == "Hell"
    assert spoken((800, "Hell you")).text_until(399) == ""


def test_wide_characters_are_words() -> None:
    assert spoken((600, "你好，世界。")).text_until(250) == "你好"


def test_a_piece_without_text_goes_on_with_the_one_before() -> None:
    playback = spoken((100, "One two"), (100, ""), (200, ""), (400, " three four"))
    assert playback.received_ms == 800
    assert playback.text_until(399) == "One"
    assert playback.text_until(400) == "One two"
    assert playback.text_until(799) == "One two three"


def test_audio_before_the_first_text() -> None:
    playback = spoken((500, ""), (500, "Hello"))
    assert playback.text_until(500) == ""
    assert playback.text_until(1000) == "Hello"


def test_text_that_comes_before_its_audio() -> None:
    playback = spoken((0, "Hello you"), (1000, ""))
    assert playback.text_until(0) == ""
    assert playback.text_until(600) == "Hello"
    assert playback.text_until(1000) == "Hello you"
    assert spoken((0, "Hello")).text_until(0) == "", "without audio nothing was heard"
    assert spoken((500, "Hello"), (0, " you")).text_until(500) == "Hello you"


TIMED = (Word("Hello", 0, 300), Word("you", 500, 800), Word("there", 800, 1000))


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (299, "So."),
        (300, "So. Hello,"),
        (799, "So. Hello,"),
        (800, "So. Hello, you"),
        (999, "So. Hello, you"),
        (1000, "So. Hello, you there."),
    ],
)
def test_by_the_times_of_the_words(ms: float, text: str) -> None:
    playback = spoken((500, "So."))
    playback.add(1000, " Hello, you there.", TIMED)
    assert playback.text_until(500 + ms) == text


def test_times_that_come_with_later_pieces() -> None:
    playback = ResponsePlayback()
    playback.add(500, "Hello, you there.", TIMED[:1])
    playback.add(500, "", [Word("you", 0, 300), Word("there", 300, 500)])
    assert playback.text_until(799) == "Hello,"
    assert playback.text_until(800) == "Hello, you"


def test_times_of_later_pieces_count_from_their_own_first_sample() -> None:
    playback = spoken((1000, "So."))
    playback.add(500, " Hello you there", [Word("Hello", 0, 400)])
    playback.add(500, "", [Word("you", 100, 300), Word("there", 300, 400)])
    assert playback.text_until(1799) == "So. Hello"
    assert playback.text_until(1800) == "So. Hello you"
    assert playback.text_until(1899) == "So. Hello you"
    assert playback.text_until(1900) == "So. Hello you there", "silence follows the last word"


def test_times_of_characters() -> None:
    playback = ResponsePlayback()
    playback.add(500, "ab cd", [Word(char, at * 100, at * 100 + 100) for at, char in enumerate("ab cd")])
    assert [playback.text_until(ms) for ms in (199, 200, 300, 400, 500)] == ["", "ab", "ab", "ab", "ab cd"]


def test_words_that_the_text_writes_in_another_way() -> None:
    playback = spoken((100, "It is"))
    playback.add(1000, " 42 km", [Word("forty", 0, 300), Word("two", 300, 600), Word("kilometres", 600, 1000)])
    assert playback.text_until(1090) == "It is forty two"
    mixed = ResponsePlayback()
    mixed.add(1000, "about 42 km", [Word("about", 0, 300), Word("forty-two", 300, 600), Word("km", 600, 1000)])
    assert mixed.text_until(999) == "about"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.text("ab ,你", max_size=8)), max_size=8),
    st.lists(st.integers(-10, 5000), min_size=2, max_size=2).map(sorted),
)
def test_more_time_is_more_text(pieces: list[tuple[int, str]], times: list[int]) -> None:
    playback = spoken(*((float(ms), text) for ms, text in pieces))
    whole = "".join(text for _, text in pieces).strip()
    less, more = (playback.text_until(ms) for ms in times)
    assert more.startswith(less)
    assert whole.startswith(more)
    if playback.received_ms:
        assert playback.text_until(playback.received_ms) == whole
