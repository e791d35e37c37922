"""Every sample of a session is counted once: against a model that keeps each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import TypeAdapter

from voicebridge.contract.account import Account, DropReason
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.core.ledger import AudioLedger, SentPlaces

SECOND = DOOR_FORMAT.size(1000)
PLACES = st.integers(0, 500)
SIZES = st.integers(0, 150)
REASONS = st.sampled_from(["too_old", "discarded", "unconfirmed"])
RESPONSES = st.sampled_from(["r1", "r2", "r3"])


def ledger() -> AudioLedger:
    return AudioLedger(DOOR_FORMAT, DOOR_FORMAT)


def test_the_users_voice_arrives_or_is_dropped_for_a_reason() -> None:
    books = ledger()
    books.captured(10 * SECOND)
    books.dropped(2 * SECOND, 3 * SECOND, "too_old")
    books.delivered(5 * SECOND)
    heard = books.account().input
    assert (heard.delivered, heard.dropped, heard.pending) == (96_000, {"too_old": 24_000}, 120_000)
    heard = books.close(sent=7 * SECOND).input
    assert heard.delivered == 96_000
    assert heard.dropped == {"too_old": 24_000, "unconfirmed": 48_000, "closed": 72_000}
    assert heard.pending == 0


def test_a_gap_that_another_connection_has_heard_is_none() -> None:
    books = ledger()
    books.captured(10 * SECOND)
    books.delivered(4 * SECOND)
    books.dropped(2 * SECOND, 5 * SECOND, "too_old")
    assert books.account().input.dropped == {"too_old": 24_000}
    books.delivered(10 * SECOND)
    assert books.account().input.delivered == 9 * 24_000


def test_the_watermark_may_stand_in_a_gap() -> None:
    books = ledger()
    books.captured(10 * SECOND)
    books.dropped(2 * SECOND, 6 * SECOND, "too_old")
    books.delivered(4 * SECOND)
    books.dropped(3 * SECOND, 7 * SECOND, "discarded")
    books.delivered(10 * SECOND)
    heard = books.account().input
    assert (heard.delivered, heard.dropped) == (5 * 24_000, {"too_old": 4 * 24_000, "discarded": 24_000})


def test_the_watermark_never_goes_back() -> None:
    books = ledger()
    books.captured(4 * SECOND)
    books.delivered(3 * SECOND)
    books.delivered(SECOND)
    assert books.watermark == 3 * SECOND
    assert books.account().input.delivered == 3 * 24_000


def test_no_more_is_delivered_than_was_captured() -> None:
    books = ledger()
    books.captured(SECOND)
    books.delivered(2 * SECOND)
    assert books.account().input.delivered == 24_000


def test_the_agents_voice_is_played_or_discarded() -> None:
    books = ledger()
    books.received("r1", 3 * SECOND)
    assert books.account().output.pending == 72_000
    books.heard("r1", 500.0, final=False)
    assert (books.account().output.played, books.account().output.pending) == (12_000, 60_000)
    books.undelivered("r1", SECOND)
    books.heard("r1", 1000.0)
    said = books.account().output
    assert (said.played, said.discarded, said.pending) == (24_000, {"undelivered": 24_000, "interrupted": 24_000}, 0)
    books.heard("r1", 1250.0)
    assert books.account().output.played == 30_000, "a correction counts"


def test_a_response_that_still_plays_at_the_end() -> None:
    books = ledger()
    books.received("r1", 2 * SECOND)
    books.heard("r1", 1500.0, final=False)
    said = books.close().output
    assert (said.played, said.discarded, said.pending) == (36_000, {"closed": 12_000}, 0)


def test_what_comes_after_the_end_is_counted_too() -> None:
    books = ledger()
    books.close()
    books.captured(SECOND)
    books.received("late", SECOND)
    account = books.account()
    assert account.balanced
    assert (account.input.dropped, account.output.discarded) == ({"closed": 24_000}, {"closed": 24_000})


def test_a_long_call_takes_no_memory() -> None:
    books = ledger()
    for number in range(1000):
        books.received(f"r{number}", SECOND)
        books.heard(f"r{number}", 750.0)
    assert len(books._voices) <= 64
    said = books.account().output
    assert (said.received, said.played, said.discarded) == (24_000_000, 18_000_000, {"interrupted": 6_000_000})


def test_an_account_is_plain_data_and_reads_well() -> None:
    books = ledger()
    books.captured(2 * SECOND)
    books.delivered(SECOND)
    books.received("r1", SECOND)
    account = books.close(sent=2 * SECOND)
    adapter: TypeAdapter[Any] = TypeAdapter(Account)
    assert adapter.validate_json(adapter.dump_json(account)) == account
    assert str(account) == (
        "user:  48000 samples captured (2.00 s) = 24000 delivered, 24000 dropped (24000 unconfirmed), 0 pending\n"
        "agent: 24000 samples received (1.00 s) = 0 played, 24000 discarded (24000 closed), 0 pending"
    )


def test_an_account_that_does_not_add_up_says_so() -> None:
    books = ledger()
    books.captured(SECOND)
    account = books.account()
    assert account.balanced
    assert not replace(account, closed=True).balanced, "something is pending"
    assert not replace(account, input=replace(account.input, captured=1)).balanced
    assert not replace(account, output=replace(account.output, played=1)).balanced


@pytest.mark.parametrize(
    ("confirmed", "place"), [(0, 0), (1, 101), (100, 200), (101, 301), (150, 350), (151, 351), (999, 360)]
)
def test_confirmed_bytes_of_a_connection_have_a_place_in_the_stream(confirmed: int, place: int) -> None:
    sent = SentPlaces()
    sent.sent(100, 40)
    sent.sent(140, 60)
    sent.sent(300, 60)
    assert sent.place(confirmed) == place


class Ledger(RuleBasedStateMachine):
    """Each sample of the user's voice has its fate in a list; each response its size. A sample has 4 bytes."""

    format = AudioFormat(rate=8_000, channels=2)

    def __init__(self) -> None:
        super().__init__()
        self.books = AudioLedger(self.format, self.format)
        self.bytes = 0
        self.fates: list[str] = []
        """By sample."""
        self.mark = 0
        self.received: dict[str, int] = {}
        self.delivered_before = 0

    @precondition(lambda self: not self.books.closed)
    @rule(size=SIZES)
    def capture(self, size: int) -> None:
        self.books.captured(size)
        self.bytes += size
        self.fates += ["pending"] * (self.bytes // 4 - len(self.fates))

    @precondition(lambda self: not self.books.closed)
    @rule(upto=PLACES)
    def deliver(self, upto: int) -> None:
        self.books.delivered(upto)
        for sample in range(min(upto // 4, len(self.fates))):
            if self.fates[sample] == "pending":
                self.fates[sample] = "delivered"

    @precondition(lambda self: not self.books.closed)
    @rule(start=PLACES, size=SIZES, reason=REASONS)
    def drop(self, start: int, size: int, reason: DropReason) -> None:
        self.books.dropped(start, start + size, reason)
        for sample in range(start // 4, min((start + size) // 4, len(self.fates))):
            if self.fates[sample] == "pending":
                self.fates[sample] = reason

    @rule(response=RESPONSES, size=SIZES)
    def receive(self, response: str, size: int) -> None:
        self.books.received(response, size)
        self.received[response] = self.received.get(response, 0) + size

    @rule(response=RESPONSES, ms=st.floats(-5, 40), final=st.booleans())
    def hear(self, response: str, ms: float, final: bool) -> None:
        self.books.heard(response, ms, final=final)

    @rule(response=RESPONSES, size=SIZES)
    def undeliver(self, response: str, size: int) -> None:
        self.books.undelivered(response, size)

    @precondition(lambda self: self.bytes > 500)
    @rule(sent=PLACES)
    def close(self, sent: int) -> None:
        first = not self.books.closed
        self.books.close(sent=sent)
        for sample, fate in enumerate(self.fates):
            if first and fate == "pending":
                self.fates[sample] = "unconfirmed" if sample < sent // 4 else "closed"

    @invariant()
    def every_sample_is_counted_once(self) -> None:
        account = self.books.account()
        heard, said = account.input, account.output
        assert account.balanced
        assert heard.captured == len(self.fates)
        assert heard.delivered == self.fates.count("delivered")
        assert heard.pending == self.fates.count("pending")
        assert heard.dropped == {fate: self.fates.count(fate) for fate in set(self.fates) - {"delivered", "pending"}}
        assert heard.delivered >= self.delivered_before
        self.delivered_before = heard.delivered
        assert said.received == sum(size // 4 for size in self.received.values())
        assert min(said.played, said.pending, *said.discarded.values(), 0) == 0
        assert not (account.closed and (heard.pending or said.pending))


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
