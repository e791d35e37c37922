"""Where the two services are reached."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from voicebridge.contract.errors import ConfigError

__all__ = ["checked_location", "service_url"]

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,40}")


def checked_location(location: str) -> str:
    """It, where it can be one.

    Raises:
        ConfigError: it can't.
    """
    if not _LOCATION.fullmatch(location):
        raise ConfigError(f"{location!r} is no location: write us, eu, global or a region.", code="bad_location")
    return location


def service_url(service: Literal["speech", "texttospeech"], location: str, base_url: str | None) -> str:
    """The address before `/v1` or `/v2`.

    Args:
        location: `us`, `eu`, `global`, or a region.
        base_url: what the user gave; it comes before the location.

    Raises:
        ConfigError: `base_url` is no address.
    """
    if base_url is None:
        return f"https://{'' if location == 'global' else f'{location}-'}{service}.googleapis.com"
    try:
        parts = urlsplit(base_url.strip())
        fits = parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:  # brackets around what is no address
        fits = False
    if not fits:
        raise ConfigError(f"base_url must look like https://{service}.googleapis.com.", code="bad_base_url")
    path = re.sub(r"/v[12]$", "", parts.path.rstrip("/"))
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
