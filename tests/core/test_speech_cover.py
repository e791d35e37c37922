"""How far a text was spoken when its voice broke off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.stages import Flush, Word
from voicebridge.core.speech_cover import SpeechCover, from_letter, letters, uncovered


def broken(*pieces: tuple[str, float, list[Word]]) -> tuple[str, int]:
    cover = SpeechCover()
    for text, ms, words in pieces:
        cover.add(text, ms, words)
    return cover.broke_off(), cover.covered


WORDS = [Word("One", 0, 200), Word("two,", 250, 500), Word("three.", 600, 900)]


@pytest.mark.parametrize(
    ("ms", "rest"),
    [(0, "One two, three."), (199, " two, three."), (300, " two, three."), (500, " three."), (901, ""), (5000, "")],
)
def test_by_the_times_of_words(ms: float, rest: str) -> None:
    assert broken(("One two, three.", ms, WORDS)) == (rest, letters("Onetwothree") - letters(rest))


def test_times_count_from_their_piece() -> None:
    cover = SpeechCover()
    cover.add("One two, three.", 300, WORDS[:1])
    cover.add("", 300, [Word("two,", 0, 200), Word("three.", 250, 400)])
    assert cover.broke_off() == " three."


def test_by_the_length_of_the_audio_and_rather_too_far() -> None:
    text = "This is a sentence of many words."
    for ms in range(0, 2000, 50):
        rest, _ = broken((text, float(ms), []))
        assert text.endswith(rest)
        assert len(text) - len(rest) >= ms / 60 - 1, "at 60 ms a character nothing is repeated"
        assert not rest or rest[0].isspace() or rest == text, "it begins with a whole word"


def test_by_the_pace_of_the_voice_where_that_is_known() -> None:
    slow, fast = 200.0, 30.0
    text = "ten letter words " * 4
    assert len(broken((text, len(text) * slow, []), (text, 1000.0, []))[0]) > len(
        broken((text, len(text) * fast, []), (text, 1000.0, []))[0]
    )


def test_pieces_that_are_complete_are_not_asked_for_again() -> None:
    assert broken(("One.", 300, []), (" Two.", 10_000, [])) == ("", 6)
    assert broken() == ("", 0)


def test_the_rest_of_the_text_begins_behind_what_was_spoken() -> None:
    pieces: list[str | Flush] = ["One ", "two", Flush(), " three,", " four.", Flush()]
    assert uncovered(pieces, 0) == pieces
    assert uncovered(pieces, 6) == [" three,", " four.", Flush()]
    assert uncovered(pieces, 11) == [" four.", Flush()]
    assert uncovered(pieces, 4) == ["wo", Flush(), " three,", " four.", Flush()]
    assert uncovered(pieces, 99) == []


@given(st.text(max_size=60), st.integers(0, 60))
def test_no_letter_is_lost_or_said_twice(text: str, count: int) -> None:
    assert letters(from_letter(text, count)) == max(0, letters(text) - count)
    assert text.endswith(from_letter(text, count))


@pytest.mark.parametrize(
    "text", ["今天天气很好我们一起去公园散步然后吃午饭吧。", "วันนี้อากาศดีมากเราไปเดินเล่นกันเถอะ"], ids=["zh", "th"]
)
def test_a_script_without_spaces_is_gone_on_with_in_the_middle(text: str) -> None:
    rest, covered = broken((text, 300.0, []))
    assert text.endswith(rest)
    assert covered == letters(text) - letters(rest)
    assert len(text) - len(rest) <= 8


def test_without_any_text_the_sound_of_what_was_given_counts() -> None:
    cover = SpeechCover()
    cover.add("", 600, [])
    assert cover.broke_off("One two three four five") == " four five"
