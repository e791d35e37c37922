"""Spec strings: what each names, and that what is none is refused in words that help."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.errors import ConfigError
from voicebridge.registry.spec import BackendSpec, CascadeSpec, check_name, parse


@pytest.mark.parametrize(
    ("spec", "meaning"),
    [
        ("local", BackendSpec("local")),
        ("vendor/model", BackendSpec("vendor", "model")),
        ("vendor/family/model:8b@2", BackendSpec("vendor", "family/model:8b@2")),
        ("replay/calls/7", BackendSpec("replay", "calls/7")),
        ("replay//srv/calls/7", BackendSpec("replay", "/srv/calls/7")),
        ("a/x+b/y+c/z", CascadeSpec(("a/x",), ("b/y",), ("c/z",))),
        ("a+b/y/z+c", CascadeSpec(("a",), ("b/y/z",), ("c",))),
        ("a/x|a/y+b|c|d+e", CascadeSpec(("a/x", "a/y"), ("b", "c", "d"), ("e",))),
    ],
)
def test_a_spec_has_one_meaning_and_is_written_back_the_same(spec: str, meaning: object) -> None:
    assert parse(spec) == meaning
    assert str(parse(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "a name is empty"),
        (" ", "no spaces"),
        (" local", "no spaces"),
        ("local\n", "no spaces"),
        ("lo\x00cal", "no spaces"),
        ("a/x + b/y + c/z", "no spaces"),
        ("/model", "slash"),
        ("vendor/", "slash"),
        ("vendor//", "slash"),
        ("vendor///model", "slash"),
        ("vendor/family//model", "slash"),
        ("//model", "slash"),
        ("a/x+b/y", "this has 2"),
        ("a+b+c+d", "this has 4"),
        ("a++c", "a name is empty"),
        ("+", "this has 2"),
        ("a|b", "`fallback=[...]`"),
        ("a|+b+c", "a name is empty"),
        ("a||x+b+c", "a name is empty"),
        ("a+b+c|", "a name is empty"),
        ("|", "`fallback=[...]`"),
        ("a|a+b+c", "a is there twice"),
        ("a | b+c+d", "no spaces"),
        (None, "NoneType"),
        (7, "int"),
        (b"local", "bytes"),
        (("a", "b", "c"), "tuple"),
    ],
)
def test_what_is_no_spec_is_refused_and_told_what_one_looks_like(spec: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert said in str(caught.value)
    assert "`local`, `vendor/model`" in str(caught.value)
    assert caught.value.fault.category == "config"


def test_a_long_mistake_is_not_repeated_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("x " * 10_000)
    assert len(str(caught.value)) < 500


@given(st.text())
def test_any_text_is_either_refused_or_written_back_the_same(text: str) -> None:
    try:
        meaning = parse(text)
    except ConfigError:
        return
    assert str(meaning) == text
    assert not any(check_name(name) for seat in text.split("+") for name in seat.split("|"))
