"""The table of how connections end, as it is printed, against what the code says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.codec import Closed
from voicebridge.core import closing
from voicebridge.core.closing import fault_of


def refused(*statuses: int, body: str = "") -> list[Closed]:
    return [Closed(by="peer", status=status, body=body) for status in statuses]


def by_peer(*codes: int) -> list[Closed]:
    return [Closed(by="peer", code=code, reason="because") for code in codes]


def lost(*problems: str) -> list[Closed]:
    return [Closed(by="nobody", problem=problem) for problem in problems]  # type: ignore[arg-type]  # the words of it


ROWS = {
    "HTTP 401, 403": refused(401, 403),
    "HTTP 402; 403 or 429 that speaks of quota": [
        *refused(402),
        *refused(403, 429, body='{"code": "insufficient_quota"}'),
        *refused(403, 429, body="Quota exceeded"),
    ],
    "HTTP 429": refused(429),
    "HTTP 408, 425, 5xx (503: busy)": refused(408, 425, 500, 502, 504, 529, 599, 503),
    "any other refusal": refused(200, 301, 400, 404, 405, 410, 418, 422),
    "close 1000, 1001 by the peer": by_peer(1000, 1001),
    "close 1008": by_peer(1008),
    "close 1013": by_peer(1013),
    "close 1011, 1012, 1014, and no close at all": [
        *by_peer(1011, 1012, 1014, 1005, 1006),
        *lost("reset", "silent"),
        Closed(by="nobody"),
        Closed(by="us", code=1011),  # the library's word for a failure of its own
    ],
    "close 1002, 1003, 1007, 1009, 1010, 3000-4999": [
        *by_peer(1002, 1003, 1007, 1009, 1010, 3000, 4000, 4999),
        *[Closed(by="us", code=code) for code in (1002, 1007, 1009)],
    ],
    "no such host, TLS": lost("no_such_host", "tls"),
    "no answer yet, name service, refused, reset": lost("timeout", "dns", "refused", "reset"),
    "not a websocket server": lost("garbage"),
    "we closed": [Closed(by="us"), Closed(by="us", code=1000), Closed(by="us", code=1001)],
}


def printed() -> list[tuple[str, str, str]]:
    """The rows of the table in the module's docstring."""
    lines = (closing.__doc__ or "").splitlines()
    head = next(line for line in lines if line.startswith("seen "))
    second, third = head.index("category"), head.index("again?")
    table = lines[lines.index(head) + 1 :]
    rows = table[: table.index("")]
    return [(row[:second].strip(), row[second:third].strip(), row[third:].strip()) for row in rows]


@pytest.mark.parametrize(("seen", "category", "again"), printed())
def test_each_row_of_the_printed_table(seen: str, category: str, again: str) -> None:
    for closed in ROWS[seen]:
        fault = fault_of(closed)
        expected = "busy" if closed.status == 503 else category
        assert (fault.category, fault.retryable) == (expected, again.startswith("yes")), closed
        assert fault.code
        assert fault.message.endswith(".")
        assert not fault.message.endswith("..")


def test_the_table_is_whole() -> None:
    assert [seen for seen, _, _ in printed()] == list(ROWS)


def test_retry_after_is_passed_on() -> None:
    assert fault_of(Closed(by="peer", status=429, retry_after_s=7.5)).retry_after_s == 7.5


def test_what_the_server_said_is_told() -> None:
    assert (
        "session hit the maximum" in fault_of(Closed(by="peer", code=1001, reason="session hit the maximum.")).message
    )
    long = fault_of(Closed(by="peer", status=400, body="<html>\n\n  " + "word " * 200)).message
    assert "<html> word word" in long, "on one line"
    assert len(long) < 400


def test_our_own_refusal_does_not_blame_the_servers_will() -> None:
    assert "We refused" in fault_of(Closed(by="us", code=1009)).message
    assert "The server closed" in fault_of(Closed(by="peer", code=1009)).message


ANY = st.builds(
    Closed,
    by=st.sampled_from(["peer", "us", "nobody"]),
    code=st.none() | st.integers(-5, 70_000),
    reason=st.text(max_size=300),
    status=st.none() | st.integers(0, 9_999),
    body=st.text(max_size=300),
    retry_after_s=st.none() | st.floats(0, 1e9),
    problem=st.sampled_from(["", "dns", "no_such_host", "refused", "timeout", "reset", "tls", "silent", "garbage"]),
)


@given(ANY)
def test_every_end_has_a_meaning(closed: Closed) -> None:
    fault = fault_of(closed)
    assert fault.message
    assert fault.code
    assert fault.retryable == (fault.category in ("network", "rate", "busy", "planned_end"))
    if closed.by == "us" and closed.status is None and not closed.problem and closed.code in (None, 1000, 1001):
        assert fault.category == "closed"


def test_a_failure_of_our_own_library_is_not_called_the_servers() -> None:
    assert "server failed" not in fault_of(Closed(by="us", code=1011, reason="internal error")).message
