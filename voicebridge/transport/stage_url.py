"""The address of a stage's websocket, from the one address that a user gives for all of a vendor's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from voicebridge.contract.errors import ConfigError

__all__ = ["websocket_url"]

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def websocket_url(base_url: str, path: str, query: Mapping[str, str | Sequence[str]]) -> str:
    """The URL to dial.

    Args:
        base_url: `https://host`, `wss://host`, or with the beginning of a path; its own query is kept.
        path: appended.
        query: what is empty is left out; a sequence becomes a parameter each.

    Raises:
        ConfigError: `base_url` is no such address, or holds a name and password.
    """
    try:
        parts = urlsplit(base_url.strip())
        fits = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets around what is no address, a port that is none
        fits = False
    if not fits or any(not character.isprintable() or character.isspace() for character in base_url.strip()):
        raise ConfigError("base_url must look like https://host or wss://host.", code="bad_base_url")
    if parts.username or parts.password:
        raise ConfigError("base_url holds a password: pass it as api_key.", code="bad_base_url")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in query.items():
        pairs += [(name, one) for one in ([value] if isinstance(value, str) else value) if one != ""]
    whole = f"{parts.path.rstrip('/')}/{path.lstrip('/')}"
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, whole, urlencode(pairs, quote_via=quote), ""))
