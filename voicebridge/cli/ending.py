"""How a command ends: its exit status, and the one line that says why.

0    done
1    the backend failed, or nothing was heard
2    the command line, the file or the settings are not right, or something is not installed
3    no sound device, or no connection
70   a bug of voicebridge
130  Ctrl-C
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from voicebridge.contract.errors import ConfigError, NoSoundDevice, Unsupported, VoiceBridgeError
from voicebridge.session.plain_text import plain

__all__ = ["DEBUG_VARIABLE", "FAILED", "STOPPED", "UNREACHABLE", "USAGE", "ended", "log_lines", "status_of", "told"]

FAILED = 1
USAGE = 2
UNREACHABLE = 3
BUG = 70
STOPPED = 130
DEBUG_VARIABLE = "VOICEBRIDGE_DEBUG"
"""An environment variable: set to anything, errors come with their traceback."""


def ended(error: BaseException) -> int:
    """Say on stderr why the command ended, and give its exit status."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else USAGE if error.code else 0
    if isinstance(error, VoiceBridgeError):
        code = error.fault.code
        _say(f"{error}{f' [{code}]' if code else ''}")
        return status_of(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        _say("stopped.")
        return STOPPED
    # Typer has its own exceptions for a wrong command line, from one module or another, as its version is.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        _say(f"{error.format_message().rstrip('.')}.{hint}")
        return USAGE
    _say(
        f"{type(error).__name__}: {error}. This is a bug of voicebridge or of a plugin. Please report it with the "
        f"traceback, which {DEBUG_VARIABLE}=1 shows."
    )
    return BUG


def status_of(error: VoiceBridgeError) -> int:
    """The exit status for an error that voicebridge raised on purpose."""
    if isinstance(error, NoSoundDevice) or error.category == "network":
        return UNREACHABLE
    if isinstance(error, (ConfigError, Unsupported)) or error.category in ("config", "auth"):
        return USAGE
    return FAILED


def told(problem: str) -> int:
    """Say on stderr what the backend failed at, and give the exit status for that."""
    _say(problem)
    return FAILED


class _LogLines(logging.Handler):
    """What voicebridge logs, a line each. A traceback says nothing to a user who did not ask for it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else "")
            if text and os.environ.get(DEBUG_VARIABLE):
                print(text, file=sys.stderr)
            why = text.strip().rpartition("\n")[2]
            _say(f"{record.getMessage()}{f' ({why})' if why else ''}")
        except Exception:
            self.handleError(record)


@contextmanager
def log_lines() -> Iterator[None]:
    """Meanwhile, warnings and errors in the log of voicebridge are lines on stderr."""
    handler, logger = _LogLines(logging.WARNING), logging.getLogger("voicebridge")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _say(problem: str) -> None:
    print("voicebridge:", plain(" ".join(problem.split())), file=sys.stderr, flush=True)
