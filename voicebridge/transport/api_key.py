"""Which key a stage sends."""

from __future__ import annotations

import os

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError

from .headers import check_encrypted
from .tcp import is_this_machine

__all__ = ["api_key"]


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
