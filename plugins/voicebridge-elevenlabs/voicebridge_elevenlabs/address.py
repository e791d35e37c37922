"""Where the vendor is reached, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.transport.api_key import api_key

from .models import KEY_VARIABLE

__all__ = ["Address"]

_DEFAULT = "https://api.elevenlabs.io"
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_LARGEST_FRAME = 16 * 1024 * 1024
"""The vendor sends frames of more than a megabyte (elevenlabs/elevenlabs-python#482)."""


@dataclass(frozen=True, slots=True)
class Address:
    """One account at one server."""

    host: str
    """Scheme, host and what of the path comes before `/v1`."""
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, config: SessionConfig) -> Address:
        """The one that the settings name.

        Raises:
            ConfigError: `base_url` is none, there is no key, or it would cross the network unencrypted.
        """
        base_url = config.base_url or _DEFAULT
        try:
            parts = urlsplit(base_url)
            fits = parts.scheme in _SCHEMES and bool(parts.hostname) and not parts.query and parts.port != 0
        except ValueError:  # an address in brackets that is none, a port that is none
            fits = False
        if not fits:
            raise ConfigError("base_url must look like https://api.elevenlabs.io.", code="bad_base_url")
        key = api_key(config, KEY_VARIABLE, vendor="ElevenLabs", base_url=base_url)
        scheme = _SCHEMES[parts.scheme].replace("ws", "http")
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(urlunsplit((scheme, parts.netloc, path, "", "")), {"xi-api-key": key} if key else {})

    def endpoint(self, path: str, query: Mapping[str, str | list[str]]) -> Endpoint:
        """A websocket of the API."""
        url = f"{self.host.replace('http', 'ws', 1)}/v1/{path}?{urlencode(query, doseq=True, quote_via=quote)}"
        return Endpoint(url=url, headers=self.headers, max_frame_bytes=_LARGEST_FRAME)
