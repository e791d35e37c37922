"""What is left of given words when some of them were said."""

from __future__ import annotations

import pytest

from voicebridge.core.verbatim import rest_of


@pytest.mark.parametrize(
    ("text", "said", "rest"),
    [
        ("One two three.", "", "One two three."),
        ("One two three.", "One two", "three."),
        ("One  two\nthree.", "One two", "three."),
        ("One two three.", "One two three.", ""),
        ("One two three.", "One two three. Four", None),
        ("One two three.", "Something else", None),
        ("One two three.", "One tw", None),
    ],
)
def test_the_rest(text: str, said: str, rest: str | None) -> None:
    assert rest_of(text, said) == rest
