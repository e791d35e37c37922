"""Text files that a user names: what can't be read or written is an error that names the file."""

from __future__ import annotations

from pathlib import Path

from voicebridge.contract.errors import ConfigError

__all__ = ["read_text", "write_text"]


def read_text(path: Path) -> str:
    """What a file of UTF-8 text holds.

    Raises:
        ConfigError: it can't be read, or is no such text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from error


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text, in place of what was there.

    Raises:
        ConfigError: it can't be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be written: {getattr(error, 'strerror', None) or error}.") from error
