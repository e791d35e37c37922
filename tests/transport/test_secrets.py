"""What servers repeat of a key, whole, cut or in quotes, is told to nobody."""

from __future__ import annotations

import logging

import pytest

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.events import BackendError, CommandSettled, Event, ResponseEnded, SessionNotice
from voicebridge.contract.fault import Fault
from voicebridge.transport.secrets import Secrets
from voicebridge.transport.tcp import is_this_machine

KEY = "sk-CANARY-0123456789"
SECRETS = Secrets.of(Endpoint(url="ws://x", headers={"Authorization": f"Bearer {KEY}"}, subprotocols=("realtime",)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"Incorrect API key: {KEY}.", "Incorrect API key: [hidden]."),
        (f"'{KEY}' is bad", "'[hidden]' is bad"),
        (f"got {KEY[:14]}", "got [hidden]"),
        ("realtime is down", "realtime is down"),
        ("Bearer of news", "Bearer of news"),
        ("", ""),
    ],
)
def test_what_is_told_of_what_was_said(said: str, told: str) -> None:
    assert SECRETS.scrubbed(said) == told


@pytest.mark.parametrize("event_class", [BackendError, CommandSettled, ResponseEnded])
def test_faults_of_events_are_clean_and_else_unchanged(event_class: type[Event]) -> None:
    fault = Fault(category="auth", code="bad_key", message=f"No: {KEY}", retry_after_s=2)
    fields = {"command_id": "c1"} if event_class is CommandSettled else {}
    fields |= {"response_id": "r1", "status": "failed"} if event_class is ResponseEnded else {}
    hidden = SECRETS.hidden(event_class(**fields, fault=fault))
    assert hidden == event_class(
        **fields, fault=Fault(category="auth", code="bad_key", message="No: [hidden]", retry_after_s=2)
    )


def test_an_event_without_a_secret_is_the_same_object() -> None:
    for event in (SessionNotice(), BackendError(fault=Fault(category="busy", message="Later."))):
        assert SECRETS.hidden(event) is event


def test_the_librarys_words_on_headers_are_dropped_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("voicebridge.wire")
    before = log.level
    caplog.set_level(logging.DEBUG)
    log.setLevel(logging.DEBUG)  # as a program does that sets all loggers to debug
    try:
        log.debug("> Authorization: Bearer %s", KEY)
        log.warning("something else")
    finally:
        log.setLevel(before)
    assert [record.getMessage() for record in caplog.records] == ["something else"]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("ws://127.0.0.1:8800/v1", True),
        ("ws://localhost/v1", True),
        ("ws://[::1]:9/", True),
        ("wss://api.localhost", True),
        ("wss://api.example.com", False),
        ("ws://10.0.0.1", False),
        ("wss://localhost.example.com", False),
    ],
)
def test_no_proxy_stands_before_this_machine(url: str, here: bool) -> None:
    assert is_this_machine(url) is here


def test_the_secret_part_of_an_address_is_scrubbed_and_not_in_its_repr() -> None:
    signed = Endpoint(url="ws://x/y?language=en", secret_query="X-Signature=0123456789abcdef&X-Token=ab%2Fcd%2Bef%2Fgh")
    assert "0123456789abcdef" not in repr(signed)
    scrubbed = Secrets.of(signed).scrubbed("want 0123456789abcdef, and ab/cd+ef/gh, and ab%2Fcd%2Bef%2Fgh")
    assert scrubbed == "want [hidden], and [hidden], and [hidden]"
