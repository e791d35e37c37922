"""Clauses: nothing is lost, nothing that belongs together is cut, and chunks make no difference."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebridge.core.clauses import ClauseSplitter

WORDS = ["Hi", "I", "so", "then", "Mr", "Dr.", "e.g.", "U.S.", "3.14", "1,000", "10:30", "10：30", "a.b.com/c?d=1,2"]
MARKS = [
    ".",
    ",",
    "!",
    "?",
    ";",
    ":",
    "...",
    "…",
    "?!",
    '."',
    "！",
    "。",
    "，",
    ".)",
    "'",
    '"',
    "」",
    "(",
    "-",
    "42",
    "",
]
PROSE = st.lists(
    st.tuples(st.sampled_from(WORDS) | st.text("ab1你", max_size=4), st.sampled_from(MARKS)), max_size=25
).map(lambda pairs: " ".join(word + mark for word, mark in pairs))
ANY = PROSE | st.text(st.sampled_from("aI1. ,!?;:…。，\"'”)」你\n-")) | st.text()


def split(pieces: Iterable[str], **settings: int) -> list[str]:
    """All clauses, with what the flush gives as the last one."""
    splitter = ClauseSplitter(**settings)
    clauses = [clause for piece in pieces for clause in splitter.feed(piece)]
    assert all(clauses), "an empty clause"
    return [clause for clause in (*clauses, splitter.flush()) if clause]


@st.composite
def chunked(draw: st.DrawFn, texts: st.SearchStrategy[str] = ANY) -> list[str]:
    text = draw(texts)
    places = range(len(text) + 1)
    after_marks = [at for at in places if text[:at] and not text[at - 1].isalnum()]
    some = st.sets(st.integers(0, len(text)), max_size=len(text)) | st.just(set(places)) | st.just(set(after_marks))
    cuts = sorted(draw(some))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(chunked(), st.integers(1, 8), st.integers(1, 6), st.integers(1, 12))
def test_joined_clauses_are_the_text(pieces: list[str], first: int, later: int, longest: int) -> None:
    clauses = split(pieces, first_words=first, later_words=later, longest_words=longest)
    assert "".join(clauses) == "".join(pieces)
    for number, clause in enumerate(clauses):
        clinging = 8 * any(char.isdigit() or char == "." for char in clause)
        assert len(clause.split()) <= (longest if number else first) + clinging


AT_ONCE = re.compile(r"[^\W\d_][!?;,…。！？；：，、][\"'”’)\]»」』）】》.,:!?;…。！？；：，、]*")
"""A mark after a letter, and what follows it directly."""


def waits_for_nothing(text: str) -> bool:
    """Whether a clause may end at once with a piece that ends so."""
    return any(match.end() == len(text) for match in AT_ONCE.finditer(text))


@example(["This is a text without any comma that is much longer than a first clause may be."])
@given(chunked())
def test_chunks_make_no_difference(pieces: list[str]) -> None:
    """Where none ends with a mark after a letter: the module's docstring says what is with those."""
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if waits_for_nothing("".join(joined)):
            joined[-1] += piece
        else:
            joined.append(piece)
    assert split(joined) == split(["".join(pieces)])


SPACED = st.lists(
    st.tuples(st.sampled_from(["Hi", "I", "don't", "Mr.", "3.14", "1,000", "a.b?c"]), st.sampled_from([*".,!?;:", ""])),
    max_size=40,
).map(lambda pairs: " ".join(word + mark for word, mark in pairs))


@example(["One,", " two!", " Three 1,", "000, a.b?", "c", "!"])
@given(chunked(SPACED))
def test_where_each_mark_has_its_space_no_chunk_makes_a_difference(pieces: list[str]) -> None:
    assert split(pieces) == split(["".join(pieces)])


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("Hi, nice to meet you. How are you", ["Hi,", " nice to meet you.", " How are you"]),
        ("Yes. No. Maybe.", ["Yes.", " No.", " Maybe."]),
        # Later clauses end early only at the end of a sentence.
        ("Hi, one, two, three, four, five", ["Hi,", " one, two, three, four,", " five"]),
        ("Hi, one two three: four", ["Hi,", " one two three: four"]),
        ("It costs 1,000 or 3.14 at 10:30, then.", ["It costs 1,000 or 3.14 at 10:30,", " then."]),
        ("Go to example.com/a?b=1,2; then", ["Go to example.com/a?b=1,2;", " then"]),
        ("Write to me@example.org. Now!", ["Write to me@example.org.", " Now!"]),
        ("See Dr. Who, e.g. at 5 p.m. today.", ["See Dr. Who,", " e.g. at 5 p.m. today."]),
        ("(Mr. J. R. R. Tolkien) wrote.", ["(Mr. J. R. R. Tolkien) wrote."]),
        ("So do I. And you?", ["So do I.", " And you?"]),
        ("Salt, etc., is here.", ["Salt,", " etc., is here."]),
        ("Well... I think", ["Well...", " I think"]),
        ("Hmm… I think", ["Hmm…", " I think"]),
        ("Wait…what", ["Wait…", "what"]),
        ('He said "go." Then "stop!" now', ['He said "go."', ' Then "stop!"', " now"]),
        ("Really?! Yes.", ["Really?!", " Yes."]),
        ("Hi, so;! Then we", ["Hi,", " so;!", " Then we"]),
        ("Hi, so;, then we", ["Hi,", " so;, then we"]),
        ("It is (approx. five) now.", ["It is (approx. five) now."]),
        ("Hi!。then", ["Hi!。", "then"]),
        ("嗯……好", ["嗯……", "好"]),
        ("(It works.) Good.", ["(It works.)", " Good."]),
        ("你好，世界。今天", ["你好，", "世界。", "今天"]),
        ("他说「好。」然后", ["他说「好。」", "然后"]),
        ("現在10：30，好", ["現在10：30，", "好"]),
        ("... !!! ???", ["... !!! ???"]),
        ("- , hello, you", ["- , hello,", " you"]),
        ("one two three four five six seven eight nine", ["one two three four five six seven", " eight nine"]),
        ("one two three four five six seven. Eight", ["one two three four five six seven.", " Eight"]),
        ("one two three four five six seven eight, nine", ["one two three four five six seven", " eight, nine"]),
        ("  \n Hi, you", ["  \n Hi,", " you"]),
        ("   ", ["   "]),
        # A line is as good as a sentence.
        (
            "First a title\nThen one two\n- milk\n\n- bread",
            ["First a title", "\nThen one two", "\n- milk", "\n\n- bread"],
        ),
        ("\n\n- \n", ["\n\n- \n"]),
        # The limit does not part a number, nor a title from its name.
        ("you can call me now at 555 123 4567 or write", ["you can call me now at 555 123 4567 or", " write"]),
        ("this was said to us by Dr. Smith himself", ["this was said to us by Dr. Smith", " himself"]),
        ("it is five to one by 10:30 tomorrow then", ["it is five to one by 10:30 tomorrow", " then"]),
        ("On Jan. 5, at St. Paul, we met.", ["On Jan. 5,", " at St. Paul, we met."]),
        (
            "We are at No. 5 Main St., room No. 7. No. Then",
            ["We are at No. 5 Main St.,", " room No. 7.", " No.", " Then"],
        ),
        ("He has a Ph.D. in physics, z.B. optics", ["He has a Ph.D. in physics,", " z.B. optics"]),
        ("It weighs 5 lbs. and costs on Tue. 3 dollars", ["It weighs 5 lbs. and costs on", " Tue. 3 dollars"]),
        # Other scripts.
        ("مرحبا، كيف حالك؟ أنا بخير", ["مرحبا،", " كيف حالك؟", " أنا بخير"]),
        ("नमस्ते। आप कैसे हैं", ["नमस्ते।", " आप कैसे हैं"]),
        ("สวัสดีครับผมชื่อ สมชายครับ", ["สวัสดีครับผมชื่อ", " สมชายครับ"]),
        ("天" * 130, ["天" * 60, "天" * 60, "天" * 10]),
        ("   \n", ["   \n"]),
        ("Hi,\n\nyou. \t", ["Hi,", "\n\nyou.", " \t"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_examples(text: str, clauses: list[str]) -> None:
    assert split([text]) == clauses
    assert "".join(clauses) == text


def test_a_long_sentence_without_marks_is_cut_all_the_same() -> None:
    text = "Yes. " + " ".join(f"word{number}" for number in range(70))
    clauses = split([text])
    assert [len(clause.split()) for clause in clauses] == [1, 30, 30, 10]
    assert split(text) == clauses


@pytest.mark.parametrize(
    "piece", ["Hi,", "Stop!", "What?", "Hi;", "“Hi,", "It's Bob's,", "你好，", "好。", "Hmm…", "10你好，"]
)
def test_a_mark_after_a_plain_word_waits_for_nothing(piece: str) -> None:
    assert ClauseSplitter().feed(piece) == [piece]


@pytest.mark.parametrize(
    "piece", ["Hi.", "Hi:", "1,", "3!", "10：", "a.b?", "x/y,", "v2,", "me@home,", "Hi ,", ",", "...", "Mr."]
)
def test_other_marks_wait_for_what_follows(piece: str) -> None:
    splitter = ClauseSplitter()
    assert splitter.feed(piece) == []
    assert splitter.flush() == piece


def test_a_short_clause_in_the_middle_does_not_end_at_once() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("Hi, ") == ["Hi,"]
    assert [splitter.feed(piece) for piece in ("one,", " two three,", " four,")] == [[], [], [" one, two three, four,"]]


def test_what_a_mark_at_the_end_of_a_piece_costs() -> None:
    assert split(['"Hi!"', " he said."]) == ['"Hi!"', " he said."]
    assert split(['"Hi!', '" he said.']) == ['"Hi!', '" he said.']
    assert split(["a,b c"]) == ["a,b c"]
    assert split(["a,", "b c"]) == ["a,", "b c"]


def test_a_clause_comes_as_soon_as_it_is_known() -> None:
    splitter = ClauseSplitter()
    given = [splitter.feed(piece) for piece in ["Hel", "lo", " there", ".", " Th", "is is", " it."]]
    assert given == [[], [], [], [], ["Hello there."], [], []]
    assert splitter.flush() == " This is it."
    assert splitter.flush() == ""


@pytest.mark.parametrize("settings", [{"first_words": 0}, {"longest_words": 0}])
def test_a_clause_has_at_least_a_word(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one word"):
        ClauseSplitter(**settings)


@pytest.mark.parametrize(
    "unit", ["a", "!", ".", ",", "a.", "a,", "1,", "。", "你", "…", " ", ". ", '"', "a. ", "a b, "]
)
def test_the_work_grows_with_the_text_and_no_faster(unit: str) -> None:
    """Counted in lines of Python that run: to look again at what is held would multiply them."""

    def lines(length: int) -> int:
        count = 0

        def trace(frame: object, event: str, _: object) -> object:
            nonlocal count
            count += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            split((unit * length)[:length])
        finally:
            sys.settrace(before)
        return count

    assert lines(2_000) < 2.5 * lines(1_000)


@pytest.mark.parametrize("unit", ["a", "!", "a.", "a,", "1,", "你", " ", "a b "])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by character"])
def test_a_hundred_thousand_characters(unit: str, whole: bool) -> None:
    """Not timed: with work that grows with the square, this alone would take minutes."""
    text = (unit * 100_000)[:100_000]
    assert "".join(split([text] if whole else text)) == text
