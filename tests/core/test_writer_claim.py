"""Who may write to a conversation."""

from __future__ import annotations

import pytest

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.core.writer_claim import CLAIM_S, Claim, check_claim, check_writer

FIRST = Claim(writer="first", told_at=100.0)


@pytest.mark.parametrize("after_s", [0.0, CLAIM_S - 0.1, -CLAIM_S + 0.1])
def test_a_call_that_is_there_keeps_it(after_s: float) -> None:
    with pytest.raises(ConfigError, match="in use by another call, which wrote"):
        check_claim("a", FIRST, "second", 100.0 + after_s)
    check_claim("a", FIRST, "first", 100.0 + after_s)


@pytest.mark.parametrize(
    ("known", "now", "gone"),
    [
        (None, 100.0, False),
        (FIRST, 100.0 + CLAIM_S, False),
        (FIRST, 100.0 - CLAIM_S, False),
        (FIRST, 101.0, True),
        (Claim(writer="first", told_at=100.0, ended=True), 100.0, False),
    ],
)
def test_what_nobody_has_may_be_claimed(known: Claim | None, now: float, gone: bool) -> None:
    check_claim("a", known, "second", now, gone=gone)


def test_only_the_last_who_claimed_it_writes() -> None:
    check_writer("a", None, "first")
    check_writer("a", FIRST, "first")
    for ended in (False, True):
        with pytest.raises(VoiceBridgeError, match="another call has taken the conversation 'a'"):
            check_writer("a", Claim(writer="second", told_at=0.0, ended=ended), "first")
