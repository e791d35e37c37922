"""Where to dial, and with which key: a secret is sent as a header or not at all."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from voicebridge.contract.errors import ConfigError

from .dialects import Dialect
from .options import RealtimeOptions

__all__ = ["address", "headers", "is_local", "key_for"]

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_SECRETS = frozenset(
    {
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "key",
        "sig",
        "signature",
        "subscription-key",
        "token",
    }
)


def address(dialect: Dialect, model: str, base_url: str | None) -> str:
    """The websocket's URL.

    Args:
        base_url: a host (`https://me.example`), its API (`.../v1`) or the very address (`.../v1/realtime`).

    Raises:
        ConfigError: there is none, or it is no address, or it holds a secret.
    """
    given = base_url or os.environ.get(dialect.base_url_variable or "-", "") or dialect.url
    if not given:
        or_variable = f", or set {dialect.base_url_variable}" if dialect.base_url_variable else ""
        raise ConfigError(
            f"{dialect.name} needs to know its server: pass base_url=...{or_variable}.", code="missing_base_url"
        )
    parts = _parts(given)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if parts.username or parts.password or any(name.lower() in _SECRETS for name, _ in query):
        raise ConfigError(
            "base_url holds a secret: pass it as api_key, which is sent as a header.", code="bad_base_url"
        )
    path = parts.path.rstrip("/")
    if not path:
        path = dialect.path
    elif not path.endswith("/realtime"):
        path += "/realtime"
    if model and "model" not in dict(query):
        query.append(("model", model))
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, urlencode(query, quote_via=quote), ""))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # an address in brackets that is none, a port that is none
        fits = False
    if not fits or any(not character.isprintable() or character.isspace() for character in url.strip()):
        raise ConfigError("base_url must look like https://host/v1 or wss://host/v1/realtime.", code="bad_base_url")
    return parts


def is_local(url: str) -> bool:
    """Whether a server runs on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def key_for(dialect: Dialect, url: str, given: SecretStr | None) -> SecretStr | None:
    """The key to connect with: the one given, else the one in the environment. None, where none is needed.

    Raises:
        ConfigError: there is none, or it would cross the network unencrypted.
    """
    local = is_local(url)
    # What the environment holds for a vendor is not shown to whatever runs on a port of this machine.
    stored = "" if local and not dialect.url.startswith("ws://") else os.environ.get(dialect.key_variable or "-", "")
    key = given if given is not None and given.get_secret_value() else SecretStr(stored) if stored else None
    if key is None and dialect.key_required and not local:
        raise ConfigError(
            f"{dialect.name} needs a key: pass api_key=..., or set {dialect.key_variable}.", code="missing_key"
        )
    if key is not None and not local and url.startswith("ws://"):
        raise ConfigError("A key is sent over encrypted connections only: use https:// or wss://.", code="bad_base_url")
    return key


def headers(dialect: Dialect, options: RealtimeOptions, key: SecretStr | None) -> Mapping[str, str]:
    """What is sent with the handshake.

    Raises:
        ConfigError: the key holds what no header can.
    """
    sent: dict[str, str] = {}
    if key is not None:
        secret = key.get_secret_value().strip()
        if not (secret.isascii() and secret.isprintable()):
            raise ConfigError("The key holds characters that no key has: copy it again.", code="bad_key")
        sent[dialect.header] = dialect.header_format.format(key=secret)
    named = {
        "OpenAI-Organization": options.organization,
        "OpenAI-Project": options.project,
        "OpenAI-Safety-Identifier": options.safety_identifier,
    }
    return sent | {name: value for name, value in named.items() if value is not None}
