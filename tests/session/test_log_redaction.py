"""What voicebridge logs while a session is open holds no personal data, whoever put it there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.session.call_policy import redactor
from voicebridge.session.log_redaction import KnownSecrets, redacted_logs

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
    assert logging.getLogRecordFactory() is logging.LogRecord


def test_a_redaction_that_fails_does_not_fail_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    with redacted_logs(redactor(CallPolicy(redact=broken))):
        LOG.info("Jo")
    assert "Jo" not in caplog.text
    assert len(caplog.records) == 2


@pytest.mark.parametrize("name", ["voicebridge.audio.portaudio", "voicebridge.made.later"])
def test_every_logger_below_is_covered(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor(CallPolicy())):
        logging.getLogger(name).warning("%s", "jo@example.com", stack_info=True)
        logging.getLogger("voicebridges").warning("%s", "jo@example.com")
    assert [record.getMessage() for record in caplog.records] == ["[email]", "jo@example.com"]


@pytest.mark.parametrize("arguments", [("str",), (), ({"a": 1},), (1, 2)], ids=repr)
def test_a_log_call_that_is_wrong_does_not_raise(arguments: Any, caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor(CallPolicy())):
        LOG.warning("%d of jo@example.com: %d", *arguments)
        LOG.warning(Unprintable())
    assert "example.com" not in caplog.text
    assert "[email]" in caplog.messages[0] or arguments == (1, 2)
    assert len(caplog.messages) == 2


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("jo@example.com")


def test_a_redaction_that_raises_all_the_same_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    with redacted_logs(broken):
        LOG.info("Jo")
    assert caplog.messages == ["[redacted]"]


def test_a_factory_that_others_put_above_stays(caplog: pytest.LogCaptureFixture) -> None:
    def marked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = inner(*args, **kwargs)
        record.mark = "theirs"
        return record

    before = logging.getLogRecordFactory()
    try:
        with redacted_logs(redactor(CallPolicy())):
            inner = logging.getLogRecordFactory()
            logging.setLogRecordFactory(marked)
        assert logging.getLogRecordFactory() is marked
        for _ in range(2):
            with redacted_logs(redactor(CallPolicy())):
                LOG.info("jo@example.com")
        LOG.info("jo@example.com")
        assert logging.getLogRecordFactory() is marked
    finally:
        logging.setLogRecordFactory(before)
    assert caplog.messages == ["[email]", "[email]", "jo@example.com"]
    assert all(record.__dict__["mark"] == "theirs" for record in caplog.records)


def test_secrets_are_known_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "from-environment")
    monkeypatch.setenv("POOL_API_KEYS", "pool-key-1, pool-key-2")
    hidden = KnownSecrets()
    hidden.add_those_in({"api_key": SecretStr("of-the-call"), "voice": "marin-the-voice"})
    hidden.add_those_in({"options": {"auth_token": "of-an-option", "mode": "some-mode-name"}, "base_url": None})
    hidden.add("later-one")
    text = "of-the-call of-an-option later-one from-environment pool-key-1 pool-key-2"
    assert set(hidden(text).split()) == {"[hidden]"}
    assert hidden("marin-the-voice some-mode-name") == "marin-the-voice some-mode-name"
