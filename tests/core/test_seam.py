"""Where one model goes on for another: nothing is said twice, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebridge.core.seam import Seam


def continued(said: str, pieces: list[str]) -> str:
    seam = Seam(said)
    return "".join([*(seam.feed(piece) for piece in pieces), seam.flush()])


@pytest.mark.parametrize(
    ("said", "pieces", "new"),
    [
        ("The weather", [" is fine."], " is fine."),
        ("The weather", ["is fine."], " is fine."),
        ("The weather ", ["is fine."], "is fine."),
        ("The weather", [", by the way, is fine."], ", by the way, is fine."),
        ("The weather is", ["The weather ", "is fine."], " fine."),
        ("The weather is", ["the ", "WEATHER", " is fine."], " fine."),
        ("Well, the weather in Paris", ["The weather in Paris is fine."], " is fine."),
        ("Hello there. How are you", ["Hello there.", " How are", " you", " today?"], " today?"),
        ("It is very", ["very good."], " very good."),
        ("The weather is", ["The weather was fine."], " The weather was fine."),
        ("The weather is", ["The weath"], " The weath"),
        ("The weather is fine.", ["The weather is fine."], ""),
        ("今天天气很好，", ["今天天气很好，", "我们去公园。"], "我们去公园。"),
        ("今天天气很好，", ["我们去公园。"], "我们去公园。"),
        ("你好。今天天气", ["今天", "天气很好。"], "很好。"),
        ("วันนี้อากาศดี", ["วันนี้อากาศดีมาก"], "มาก"),
        ("", ["Hello."], "Hello."),
        ("Hello", [], ""),
    ],
)
def test_what_is_said_again_is_left_out(said: str, pieces: list[str], new: str) -> None:
    assert continued(said, pieces) == new


@example("a", [" ", "a"])
@given(st.text(alphabet="ab .", max_size=20), st.lists(st.text(alphabet="ab .", min_size=1, max_size=4), max_size=8))
def test_how_it_is_cut_makes_no_difference(said: str, pieces: list[str]) -> None:
    whole = "".join(pieces)
    assert continued(said, pieces).split() == continued(said, [whole] if whole else []).split()


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_the_beginning_is_ever_left_out(said: str, text: str) -> None:
    new = continued(said, [text])
    assert text.endswith((new, new[1:]))
