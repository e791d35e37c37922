"""Keys by their fingerprints."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from pydantic import SecretStr

from voicebridge.contract.errors import ConfigError

__all__ = ["by_fingerprint", "fingerprint"]


def fingerprint(key: SecretStr | str) -> str:
    """Eight hex digits that name a key and don't give it away."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    return hmac.new(b"voicebridge key pool", text.encode(), hashlib.sha256).hexdigest()[:8]


def by_fingerprint(keys: Sequence[SecretStr | str]) -> dict[str, SecretStr]:
    """The keys in their order, each once.

    Raises:
        ConfigError: there is none, or one that can't be a key.
    """
    if isinstance(keys, Mapping) or not isinstance(keys, Iterable):
        raise ConfigError(f"A key pool takes a list of keys, not {type(keys).__name__}.", code="bad_setting")
    if isinstance(keys, str | SecretStr):
        raise ConfigError("A key pool takes a list of keys, not one key: put it in brackets.", code="bad_setting")
    found = {}
    for number, key in enumerate(keys, 1):
        if not isinstance(key, str | SecretStr):
            raise ConfigError(f"Key {number} of the key pool is no text, but {type(key).__name__}.", code="bad_setting")
        secret = key if isinstance(key, SecretStr) else SecretStr(key)
        text = secret.get_secret_value()
        if not text.isprintable() or text.split() != [text]:
            raise ConfigError(f"Key {number} of the key pool is empty or has white space in it.", code="bad_setting")
        found[fingerprint(secret)] = secret
    if not found:
        raise ConfigError("A key pool needs one key at least.", code="no_keys")
    return found
