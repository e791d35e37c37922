"""Which key a stage sends, and that it is never sent where others can read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError

__all__ = ["api_key", "check_encrypted", "is_this_machine", "with_keys_only"]

_SECRET_NAMES = ("auth", "key", "token", "secret", "cookie")
_SCHEMES = frozenset({"", "basic", "bearer", "key", "token"})
"""What is left of the value of a header where there is no key."""


def api_key(config: SessionConfig, variable: str, *, vendor: str, base_url: str) -> str:
    """The key that was given, else the one in the environment. Empty for a server on this machine that was given none.

    What the environment holds for a vendor is not shown to whatever listens on a port of this machine.

    Args:
        variable: the environment variable that holds the vendor's key.
        vendor: as people know it, for the error.

    Raises:
        ConfigError: there is none, or it holds what no header can, or it would cross the network unencrypted.
    """
    local = is_this_machine(base_url)
    given = config.api_key.get_secret_value().strip() if config.api_key is not None else ""
    key = given or ("" if local else os.environ.get(variable, "").strip())
    if not key and not local:
        raise ConfigError(f"{vendor} needs a key: pass api_key=..., or set {variable}.", code="missing_key")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("The key holds characters that no key has: copy it again.", code="bad_key")
    if key:
        check_encrypted(base_url, {"key": key})
    return key


def check_encrypted(url: str, headers: Mapping[str, str]) -> None:
    """Refuse to send a key to another machine in the clear.

    Raises:
        ConfigError: it would be.
    """
    clear = urlsplit(url).scheme.lower() in ("http", "ws") and not is_this_machine(url)
    if clear and any(part in name.lower() for name in headers for part in _SECRET_NAMES):
        raise ConfigError("A key is sent over encrypted connections only: use https:// or wss://.", code="bad_base_url")


def is_this_machine(url: str) -> bool:
    """Whether a server runs on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # brackets around what is no address
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def with_keys_only(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without those whose key is empty, such as `Authorization: Bearer `."""
    return {name: value for name, value in headers.items() if value.strip().lower() not in _SCHEMES}
