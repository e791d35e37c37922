"""Personal data is found by its shape, and other numbers are mostly left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.core.redaction import redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Write to jo.doe+x@mail.example.org, please.", "Write to [email], please."),
        ("It is jo at example dot com.", "It is [email]."),
        ("Call +1 (555) 010-9999 now", "Call [phone] now"),
        ("0171 1234567", "[phone]"),
        ("555-0199", "[phone]"),
        ("+49 30 901820", "[phone]"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111.", "[card]."),
        ("378282246310005", "[card]"),
        ("4111 1111 1111 1112", "[number]"),
        ("jo@example.com and 555-0199", "[email] and [phone]"),
    ],
)
def test_what_is_found(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "See you at noon.",
        "On 2026-11-24 at 10:30, or 24.11.2026.",
        "It costs 1500000 euros, or 12,50.",
        "Version 3.11.4",
        "a@b",
        "The bus 100 comes in 15 minutes",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert redact(text) == text


@given(st.text(alphabet="ab @.1234567890-+() atdo", max_size=200))
def test_nothing_is_found_twice(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize("text", ["1-" * 50_000, "a." * 50_000, "a@" * 50_000, "(" * 100_000, "a at a dot " * 10_000])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 5, "a quadratic pattern would take minutes"
