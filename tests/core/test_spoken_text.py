"""Words and their places: the ways in which backends tell them. Pieces of a cascade are in test_playback.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.core.spoken_text import SpokenText

Times = tuple[float | None, float | None]


def said(*pieces: tuple[str, float | None, float | None]) -> SpokenText:
    text = SpokenText()
    for delta, start, end in pieces:
        text.say(delta, start, end)
    return text


def test_without_times_it_is_spread_over_all_audio() -> None:
    text = said(("One two ", None, None), ("three four.", None, None))
    assert text.until(500, 1000) == ("One two", "proportion")
    assert text.until(500, 2000) == ("One", "proportion")
    assert text.until(1000, 1000) == ("One two three four.", "proportion")
    assert text.until(0, 1000) == ("", "proportion")
    assert text.whole == "One two three four."


def test_with_times() -> None:
    text = said(("One", 0, 200), (" two three", 400, 800))
    assert [text.until(ms, 1000) for ms in (199, 200, 400, 601, 800)] == [
        ("", "aligned"),
        ("One", "aligned"),
        ("One", "aligned"),
        ("One two", "aligned"),
        ("One two three", "aligned"),
    ]


def test_pieces_shorter_than_words() -> None:
    text = said(("Hel", 0, 100), ("lo", 100, 200), (".", 200, 250), (" 你", 250, 300), ("好", 300, 400))
    assert [text.until(ms, 1000)[0] for ms in (100, 200, 250, 300, 400)] == [
        "",
        "Hello",
        "Hello.",
        "Hello. 你",
        "Hello. 你好",
    ]


def test_starts_alone_are_enough() -> None:
    text = said(("One", 0, None), (" two", 400, None))
    assert [text.until(ms, 1000)[0] for ms in (399, 400, 999, 1000)] == ["", "One", "One", "One two"]


def test_ends_alone_are_enough() -> None:
    text = said(("One", None, 400), (" two", None, 1000))
    assert [text.until(ms, 2000)[0] for ms in (399, 400, 999, 1000)] == ["", "One", "One", "One two"]


def test_without_times_between_times() -> None:
    text = said(
        ("One", 0, 200), (" two", None, None), (" three", None, None), (" four", 800, 1000), (" five", None, None)
    )
    assert text.until(500, 2000) == ("One two", "proportion")
    assert text.until(800, 2000) == ("One two three", "proportion")
    assert text.until(1000, 2000) == ("One two three four", "aligned")
    assert text.until(1999, 2000) == ("One two three four", "proportion")
    assert text.until(2000, 2000) == ("One two three four five", "proportion")


def test_text_ahead_of_its_audio_is_not_spoken() -> None:
    assert said(("One", 0, 200), (" two", 2000, None)).until(1000, 1000) == ("One", "aligned")
    assert said(("One", 0, 200), (" two", 900, 1200)).until(1000, 1000) == ("One", "aligned")


@pytest.mark.parametrize("times", [(float("nan"), float("nan")), (float("-inf"), float("inf"))])
def test_what_is_no_time_is_not_known(times: Times) -> None:
    assert said(("One two three four.", *times)).until(500, 1000) == ("One two", "proportion")


LONG = " One two three four. And so on, at length."


def test_nothing_is_placed_in_silence() -> None:
    text = said(("One", None, None))
    text.place("One", 10, timed=True)
    assert text.until(0, 1000) == ("", "proportion")
    assert text.until(1, 1000) == ("One", "aligned")


def test_times_that_contradict_each_other() -> None:
    text = said(("One", 500, 200), (" two", None, None))
    assert text.until(499, 1000)[0] == ""
    assert text.until(500, 1000)[0] == "One"
    assert text.until(1000, 1000)[0] == "One two"


def test_placed_by_somebody_who_knows() -> None:
    text = said((LONG, None, None))
    text.place("One two", 500, timed=True)
    for ms in (480, 500, 520):
        assert text.until(ms, 1000) == ("One two", "aligned")
    assert text.until(300, 1000) == ("One", "aligned")
    assert text.until(1000, 1000) == (LONG.strip(), "proportion")
    text.place("One two three four.", 800, timed=True)
    assert text.until(800, 1000) == ("One two three four.", "aligned")
    text.say(" More.")
    assert text.until(800, 1000) == ("One two three four.", "aligned")
    assert text.whole == LONG.strip() + " More."


def test_placed_by_proportion_of_less_text() -> None:
    text = said(("One two", None, None))
    text.place("One", 500, timed=False)
    assert text.until(500, 1000) == ("One", "proportion")
    text.say(" three four.")
    assert text.until(500, 1000) == ("One two", "proportion")


def test_other_words_are_not_placed() -> None:
    text = said(("One two three four.", None, None))
    text.place("Eleven", 500, timed=True)
    assert text.until(500, 1000) == ("One two", "proportion")


@pytest.mark.parametrize("times", [(0, 1000), (0, None), (None, 1000)])
def test_nor_are_words_with_times_of_their_own(times: Times) -> None:
    text = said(("One two three four.", *times))
    text.place("One", 500, timed=True)
    assert text.until(500, 1000)[0] == "One two"


def test_nothing_said() -> None:
    text = SpokenText()
    text.place("One", 500, timed=True)
    assert text.until(500, 1000) == ("", "proportion")
    assert text.whole == ""


times = st.none() | st.integers(-100, 3000) | st.just(float("nan"))


@given(
    st.lists(st.tuples(st.text("ab ,你", max_size=8), times, times) | st.integers(1, 2000), max_size=10),
    st.lists(st.integers(-10, 3000), min_size=2, max_size=2).map(sorted),
)
def test_more_time_is_more_text(steps: list[tuple[str, float | None, float | None] | int], moments: list[int]) -> None:
    """However contradictory the times are. A number places what is said by half of it."""
    text = SpokenText()
    for step in steps:
        if isinstance(step, int):
            text.place(text.until(step / 2, step)[0], step, timed=step % 2 == 0)
        else:
            text.say(*step)
    less, more = (text.until(ms, 2500)[0] for ms in moments)
    assert more.startswith(less)
    assert text.whole.startswith(more)


def test_words_behind_those_that_were_placed_have_no_audio_where_that_ends() -> None:
    text = SpokenText()
    text.say("The first sentence.")
    text.say(" And then")
    text.place("The first sentence.", 1140, timed=False)
    assert text.until(1140, 1140)[0] == "The first sentence."
    assert text.until(1300, 1500)[0] == "The first sentence. And", "more audio came"
