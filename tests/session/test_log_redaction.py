"""What voicebridge logs while a session is open holds no personal data, whoever put it there."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.session.call_policy import redactor
from voicebridge.session.log_redaction import redacted_logs

LOG = logging.getLogger("voicebridge")


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, logger="voicebridge"):
        yield


def fail() -> None:
    try:
        raise ValueError("the user said: jo@example.com")
    except ValueError:
        LOG.exception("The call of %s failed", "555-0199")


def test_messages_and_tracebacks_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor(CallPolicy())):
        fail()
        logging.getLogger("voicebridge.wire").warning("%s", "jo@example.com")
    assert "The call of [phone] failed" in caplog.text
    assert "ValueError: the user said: [email]" in caplog.text
    assert "example.com" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records), "the error itself would tell"


def test_all_open_sessions_count_and_none_that_is_over(caplog: pytest.LogCaptureFixture) -> None:
    named = redactor(CallPolicy(redact=lambda text: text.replace("Jo", "[name]")))
    with redacted_logs(redactor(CallPolicy())):
        with redacted_logs(named):
            LOG.info("Jo jo@example.com")
        LOG.info("Jo jo@example.com")
    LOG.info("Jo jo@example.com")
    assert caplog.messages == ["[name] [email]", "Jo [email]", "Jo jo@example.com"]
    assert not LOG.filters


def test_a_redaction_that_fails_does_not_fail_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    with redacted_logs(redactor(CallPolicy(redact=broken))):
        LOG.info("Jo")
    assert "Jo" not in caplog.text
    assert len(caplog.records) == 2
