"""Where the service is reached, and with what."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.transport.api_key import api_key

from .models import KEY_VARIABLE, REGION_VARIABLE

__all__ = ["Address"]

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_REGION = re.compile(r"[a-z][a-z0-9]{2,40}")


@dataclass(frozen=True, slots=True)
class Address:
    """One resource at one server."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, service: Literal["stt", "tts"], region: str | None, config: SessionConfig) -> Address:
        """The one that the settings name.

        Args:
            region: as the option has it. None: that of the environment.

        Raises:
            ConfigError: there is neither region nor `base_url`, or one of them is none; there is no key, or it would
                cross the network unencrypted.
        """
        base_url = _http_url(config.base_url, service) if config.base_url else _regional(service, region)
        key = api_key(config, KEY_VARIABLE, vendor="Azure Speech", base_url=base_url)
        # Tokens of `issueToken` are JWTs, those of Microsoft Entra begin with `aad#`.
        token = key.startswith(("eyJ", "aad#"))
        shown = {"Authorization": f"Bearer {key}"} if token else {"Ocp-Apim-Subscription-Key": key}
        return cls(base_url, shown if key else {})


def _regional(service: str, region: str | None) -> str:
    name = (region or os.environ.get(REGION_VARIABLE, "")).strip().lower().replace(" ", "")
    if not name:
        raise ConfigError(
            f"Azure Speech needs the region of its resource: pass the option region, as in region='westeurope', or set "
            f"{REGION_VARIABLE}. Other clouds are named by base_url.",
            code="missing_region",
        )
    if not _REGION.fullmatch(name):
        raise ConfigError(f"{name!r} is no region of Azure: write it as in westeurope.", code="bad_region")
    return f"https://{name}.{service}.speech.microsoft.com"


def _http_url(base_url: str, service: str) -> str:
    try:
        parts = urlsplit(base_url.strip())
        fits = parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:  # brackets around what is no address
        fits = False
    if not fits:
        raise ConfigError(
            f"base_url must look like https://westeurope.{service}.speech.microsoft.com.", code="bad_base_url"
        )
    path = re.sub(r"/cognitiveservices/v1$", "", parts.path.rstrip("/"))
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
