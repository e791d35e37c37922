"""Headers as they may be sent: with keys that are keys, to those who may see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from voicebridge.contract.errors import ConfigError

from .tcp import is_this_machine

__all__ = ["TOKEN", "check_encrypted", "check_headers", "with_keys_only"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A name as HTTP writes it (RFC 9110, section 5.6.2)."""
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|")
_SECRET_NAMES = ("auth", "key", "token", "secret", "cookie")
_SCHEMES = frozenset({"", "basic", "bearer", "key", "token"})
"""What is left of the value of a header where there is no key."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse in words what a library would fail on, or send as it is.

    Raises:
        ConfigError: a value or a name is none. The value is not shown.
    """
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            raise ConfigError(
                f"The header {name} holds what none can, such as a line break. Check that the key was copied alone."
            )
        if not TOKEN.fullmatch(name):
            raise ConfigError(f"{name!r} is no name of a header.")


def check_encrypted(url: str, headers: Mapping[str, str]) -> None:
    """Refuse to send a key to another machine in the clear.

    Raises:
        ConfigError: it would be.
    """
    clear = urlsplit(url).scheme.lower() in ("http", "ws") and not is_this_machine(url)
    if clear and any(part in name.lower() for name in headers for part in _SECRET_NAMES):
        raise ConfigError("A key is sent over encrypted connections only: use https:// or wss://.", code="bad_base_url")


def with_keys_only(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without those whose key is empty, such as `Authorization: Bearer `."""
    return {name: value for name, value in headers.items() if value.strip().lower() not in _SCHEMES}
