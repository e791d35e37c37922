"""Logs without personal data and keys, while sessions are open.

voicebridge itself logs no transcripts. But the message of an error may hold one, and whatever a backend's library puts
into it, so each record of the logger `voicebridge` and of those below it goes through the redaction of every open
session before any handler has it: its message and its traceback, not what `extra` adds. Loggers of other names are
their owners' business.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from voicebridge.transport.secrets import Secrets

__all__ = ["KnownSecrets", "redacted_logs"]

_ROOT = "voicebridge"
_UNFIT = "[arguments that do not fit the message]"
_NOTHING_LEFT = "[redacted]"
_SECRET_NAME = re.compile(r"key|token|secret|password|authorization", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"_API_KEYS?$")
_formatter = logging.Formatter()


class KnownSecrets:
    """Takes the keys of a session out of texts, by their values: those of its settings, and those in the environment
    (`..._API_KEY`), which backends read by themselves. Values of fewer than eight characters are not looked for."""

    def __init__(self) -> None:
        names = [name for name in os.environ if _ENVIRONMENT.search(name)]
        self._values = {part.strip() for name in names for part in os.environ[name].split(",")}
        self._secrets = Secrets(self._values)

    def add(self, *values: str) -> None:
        """These are secret as well."""
        if not self._values.issuperset(values):
            self._values.update(values)
            self._secrets = Secrets(self._values)

    def add_those_in(self, settings: Mapping[str, Any]) -> None:
        """So are those among these settings, and in the options of a backend among them."""
        for name, value in settings.items():
            if isinstance(value, SecretStr):
                self.add(value.get_secret_value())
            elif isinstance(value, Mapping):
                self.add_those_in(value)
            elif isinstance(value, str) and _SECRET_NAME.search(name):
                self.add(value)

    def __call__(self, text: str) -> str:
        """The text without them."""
        return self._secrets.scrubbed(text)


class _RecordFactory:
    """Makes records as the factory before it does, and redacts those of voicebridge.

    A filter would see what is logged to its very logger alone, and not what is logged to those below it.
    """

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        if _hooks and (record.name == _ROOT or record.name.startswith(f"{_ROOT}.")):
            try:
                _redact(record)
            except Exception:  # who logs must not fail by it, and what is not redacted must not be seen
                record.msg, record.args, record.exc_info, record.exc_text = _NOTHING_LEFT, (), None, None
        return record


_hooks: list[Callable[[str], str]] = []
"""All redactions that are in use: which session a record belongs to, nobody knows."""


def _redact(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except Exception:
        text = f"{record.msg} {_UNFIT}"
    record.msg, record.args = _redacted(text), ()
    if record.exc_info and not record.exc_text:
        record.exc_text = _formatter.formatException(record.exc_info)
    if record.exc_text:
        # The error itself would still have all of it.
        record.exc_text, record.exc_info = _redacted(record.exc_text), None
    if record.stack_info:
        record.stack_info = _redacted(record.stack_info)


def _redacted(text: str) -> str:
    for hook in dict.fromkeys(_hooks):  # most sessions have the same one
        text = hook(text)
    return text


@contextmanager
def redacted_logs(*redact: Callable[[str], str]) -> Iterator[None]:
    """Apply these, in order, to everything that voicebridge logs meanwhile, tracebacks included.

    Args:
        redact: such as what `redactor` makes. If one raises, nothing of the record is left.
    """
    if not isinstance(logging.getLogRecordFactory(), _RecordFactory):  # somebody may have put another one above ours
        logging.setLogRecordFactory(_RecordFactory(logging.getLogRecordFactory()))
    _hooks.extend(redact)
    try:
        yield
    finally:
        for hook in redact:
            _hooks.remove(hook)
        ours = logging.getLogRecordFactory()
        if not _hooks and isinstance(ours, _RecordFactory):
            logging.setLogRecordFactory(ours.inner)
