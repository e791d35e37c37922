"""Timed characters: whole words come out, nothing of the text is lost, however the pieces were cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.stages import Word
from voicebridge.core.char_words import CharWords, Covered, TimedChar

MS = 10.0


def timed(text: str, at: int = 0) -> list[TimedChar]:
    """Each character takes 10 ms."""
    return [TimedChar(char, (at + n) * MS, (at + n + 1) * MS) for n, char in enumerate(text)]


def follow(text: str, pieces: Sequence[str]) -> list[Covered]:
    """What is covered after each piece of what the voice says, and at the end."""
    words = CharWords()
    words.sent(text)
    told, at = [], 0
    for piece in pieces:
        told.append(words.spoken(timed(piece, at)))
        at += len(piece)
    return [*told, words.rest()]


def texts(told: Sequence[Covered]) -> list[str]:
    return [covered.text for covered in told]


def spoken(told: Sequence[Covered]) -> list[str]:
    return [word.text for covered in told for word in covered.words]


def test_a_word_has_the_times_of_its_characters() -> None:
    [first, rest] = follow("Hi there. ", ["Hi there. "])
    assert first == Covered("Hi there.", (Word("Hi", 0, 20), Word("there.", 30, 90)))
    assert rest == Covered(" ")


def test_a_word_that_is_cut_is_told_with_the_piece_that_ends_it() -> None:
    told = follow("Good morning to you", ["Good mor", "ning to", " you"])
    assert texts(told) == ["Good", " morning to", " you", ""]
    assert told[1].words[0] == Word("morning", 50, 120)


def test_what_was_not_spoken_is_still_waiting() -> None:
    words = CharWords()
    words.sent("One two")
    words.sent(" three")
    assert words.spoken(timed("One two thr")).text == "One two"
    assert words.waiting == " three"


def test_space_that_the_voice_leaves_out_or_adds_is_that_of_the_text() -> None:
    told = follow("  One,\n two  three ", [" One, two", "   three"])
    assert texts(told) == ["  One,\n two", "  three", " "]
    assert spoken(told) == ["One,", "two", "three"]


@pytest.mark.parametrize(
    ("text", "voice", "covered"),
    [
        ("It costs $5 today, sir.", "It costs five dollars today, sir.", ["It", "costs", "today,", "sir."]),
        ("I'm fine", "I am fine", ["fine"]),
        ("cannot go", "can not go", ["cannot", "go"]),
        ("HELLO World!", "hello world", ["HELLO", "World!"]),
        ("Go to 10 Main St. now", "Go to ten Main Street now", ["Go", "to", "Main", "now"]),
        ("one two three", "one two two three", ["one", "two", "three"]),
    ],
    ids=["number", "contraction", "split", "case", "abbreviation", "stutter"],
)
def test_words_are_found_again(text: str, voice: str, covered: list[str]) -> None:
    told = follow(text, [voice])
    assert spoken(told) == covered
    assert "".join(texts(told)) == text


def test_a_wide_character_is_a_word() -> None:
    told = follow("你好。我很好", ["你好", "。我"])
    assert texts(told) == ["你好", "。我", "很好"]
    assert spoken(told) == ["你", "好", "。", "我"]


def test_a_voice_that_says_something_else_covers_nothing_until_the_end() -> None:
    told = follow("Good morning", ["completely other words than those"])
    assert texts(told) == ["", "Good morning"]
    assert spoken(told) == []


def test_words_that_were_not_sent_are_left_out() -> None:
    assert CharWords().spoken(timed("Hello there")) == Covered()


def test_text_may_follow_later() -> None:
    words = CharWords()
    words.sent("First clause,")
    first = words.spoken(timed("First clause, "))
    words.sent(" second one.")
    second = words.spoken(timed("second one. ", 14))
    assert (first.text, second.text, words.rest().text) == ("First clause,", " second one.", "")
    assert second.words[0] == Word("second", 140, 200)


def test_times_that_run_backwards_give_no_negative_length() -> None:
    words = CharWords()
    words.sent("ab")
    [word] = words.spoken([TimedChar("a", 50, 60), TimedChar("b", 10, 20)]).words
    assert word == Word("ab", 50, 60) or word.end_ms >= word.start_ms


TEXT = st.text("ab c.,5é好 \n'", max_size=40)


@given(TEXT, st.lists(st.integers(1, 5), max_size=20))
def test_cuts_make_no_difference_and_nothing_is_lost(text: str, cuts: list[int]) -> None:
    pieces, at = [], 0
    for cut in [*cuts, len(text)]:
        pieces.append(text[at : at + cut])
        at += cut
    told, whole = follow(text, pieces), follow(text, [text])
    assert "".join(texts(told)) == text
    assert [word for covered in told for word in covered.words] == [word for one in whole for word in one.words]
    assert spoken(told) == spoken(whole)
    assert "".join(spoken(told)) == "".join(text.split())


@given(TEXT, TEXT)
def test_whatever_the_voice_says_the_text_comes_out_once_and_words_in_order(text: str, voice: str) -> None:
    told = follow(text, [voice[:7], voice[7:]])
    assert "".join(texts(told)) == text
    at = 0
    for word in spoken(told):
        at = text.index(word, at) + len(word)
