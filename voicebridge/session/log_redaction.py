"""Logs without personal data, while sessions are open.

voicebridge itself logs no transcripts. But the message of an error may hold one, and whatever a backend's library puts
into it, so each record goes through the redaction of every open session before any handler has it. Loggers of plugins
are their own business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["redacted_logs"]

_LOGGERS = ("voicebridge", "voicebridge.wire")
"""Those that sessions log to. A filter sees what is logged to its very logger, not to those below it."""
_formatter = logging.Formatter()


class _Redaction(logging.Filter):
    """Applies all redactions that are in use: which session a record belongs to, nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[Callable[[str], str]] = []

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redacted(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _formatter.formatException(record.exc_info)
        if record.exc_text:
            # The error itself would still have all of it.
            record.exc_text, record.exc_info = self._redacted(record.exc_text), None
        return True

    def _redacted(self, text: str) -> str:
        for hook in dict.fromkeys(self.hooks):  # most sessions have the same one
            text = hook(text)
        return text


_redaction = _Redaction()


@contextmanager
def redacted_logs(redact: Callable[[str], str]) -> Iterator[None]:
    """Apply it to everything that voicebridge logs meanwhile, tracebacks included.

    Args:
        redact: never raises, as what `redactor` makes.
    """
    if not _redaction.hooks:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_redaction)
    _redaction.hooks.append(redact)
    try:
        yield
    finally:
        _redaction.hooks.remove(redact)
        if not _redaction.hooks:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(_redaction)
