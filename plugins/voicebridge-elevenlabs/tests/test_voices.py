"""Voices by name."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.errors import ConfigError
from voicebridge_elevenlabs.voices import voice_id_in, voices_in

KNOWN = {
    "George - Warm, Captivating Storyteller": ("g",),
    "Rachel": ("r",),
    "Sam": ("s1", "s2"),
    "sam - Raspy": ("s3",),
}


@pytest.mark.parametrize(
    ("name", "id"),
    [("Rachel", "r"), ("rachel ", "r"), ("george", "g"), ("GEORGE - warm, captivating storyteller", "g")],
    ids=["exact", "case", "short", "long"],
)
def test_a_voice_is_found(name: str, id: str) -> None:
    assert voice_id_in(KNOWN, name) == id


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Rachell", "Near are 'Rachel'"),
        ("Sam", "2 voices 'Sam': choose one by its id, s1, s2"),
        ("Zebedee", "There are"),
    ],
    ids=["near", "several", "unknown"],
)
def test_a_voice_that_is_not_clear(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        voice_id_in(KNOWN, name)


def test_an_account_without_voices() -> None:
    with pytest.raises(ConfigError, match="The account has none"):
        voice_id_in({}, "Rachel")


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"voices": None}, {"voices": [None, {}, {"name": "x"}, {"name": 1, "voice_id": "y"}]}],
    ids=["null", "list", "empty", "none", "broken"],
)
def test_lists_that_are_none_hold_no_voice(answer: Any) -> None:
    assert list(voices_in(answer)) == [{}]


def test_a_list_is_read() -> None:
    told = {"voices": [{"name": "A", "voice_id": "1"}, {"name": "A", "voice_id": "2"}, {"name": "B", "voice_id": "3"}]}
    assert list(voices_in(told)) == [{"A": ("1", "2"), "B": ("3",)}]
