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
        ("It is 5550199, or 123456789.", "It is [number], or [number]."),
        ("x5550109999", "x[phone]"),
        ("tel5550109999x12", "tel[phone]x12"),
        ("４１１１ １１１１ １１１１ １１１１", "[card]"),
        ("4111, 1111, 1111, 1111", "[card]"),
        ("3782, 822463, 10005", "[card]"),
        ("5, 5, 5, 0, 1, 9, 9", "[phone]"),
        ("DE89370400440532013000", "[iban]"),
        ("de89 3704 0044 0532 0130 00, please", "[iban], please"),
        ("GB29 NWBK 6016 1331 9268 19", "[iban]"),
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
        "It costs 150000 euros, 4,111,111 dollars, or 12,50.",
        "The formats are 24000, 16000 and 8000.",
        "Version 3.11.4",
        "a@b",
        "as12 from that time on they came back",
        "The bus 100 comes in 15 minutes",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert redact(text) == text


@given(st.text(alphabet="ab @.1234567890-+() atdo", max_size=200))
def test_nothing_is_found_twice(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "AA11 " + "aaaa " * 50_000,
        "1111, " * 50_000,
        "1-" * 50_000,
        "a." * 50_000,
        "a@" * 50_000,
        "(" * 100_000,
        "a at a dot " * 10_000,
    ],
)
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 5, "a quadratic pattern would take minutes"
