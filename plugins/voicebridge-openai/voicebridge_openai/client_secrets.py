"""Ephemeral secrets: keys that open sessions for minutes, for a browser or device that must not hold the real one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import SecretStr

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault

from .addresses import address, headers
from .dialects import DIALECTS, Dialect
from .options import RealtimeOptions
from .vendor_errors import meaning_of

__all__ = ["ClientSecret", "create_client_secret"]

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What opens a session in place of the key."""

    value: SecretStr
    expires_at: float
    """Seconds since 1970. Sessions that are open then go on."""


async def create_client_secret(
    dialect: Dialect | str,
    model: str,
    key: SecretStr | None,
    *,
    base_url: str | None = None,
    seconds: int = 600,
    transport: httpx.AsyncBaseTransport | None = None,
) -> ClientSecret:
    """Exchange the key for an ephemeral secret.

    Args:
        seconds: how long it can open sessions: 10 to 7200.
        transport: another one is for tests.

    Raises:
        ConfigError: this dialect has none.
        VoiceBridgeError: the vendor refused, or could not be reached.
    """
    dialect = DIALECTS[dialect] if isinstance(dialect, str) else dialect
    if not dialect.client_secrets:
        raise ConfigError(f"{dialect.name} has no client secrets.", code="bad_option")
    parts = urlsplit(address(dialect, model, base_url))
    scheme = "https" if parts.scheme == "wss" else "http"
    url = urlunsplit((scheme, parts.netloc, f"{parts.path}/client_secrets", "", ""))
    body = {
        "expires_after": {"anchor": "created_at", "seconds": seconds},
        "session": {"type": "realtime", "model": model},
    }
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, transport=transport) as client:
            answer = await client.post(url, json=body, headers=dict(headers(dialect, RealtimeOptions(), key)))
    except httpx.HTTPError as error:
        problem = "timeout" if isinstance(error, httpx.TimeoutException) else "reset"
        raise VoiceBridgeError(meaning_of(Closed(by="nobody", problem=problem))) from error  # type: ignore[arg-type]  # both are problems
    if answer.status_code >= 400:
        raise VoiceBridgeError(meaning_of(Closed(by="nobody", status=answer.status_code, body=answer.text[:300])))
    try:
        read = answer.json()
        return ClientSecret(SecretStr(str(read["value"])), float(read["expires_at"]))
    except (ValueError, KeyError, TypeError) as error:
        message = "The server's answer holds no client secret. Check base_url."
        raise VoiceBridgeError(Fault(category="protocol", code="no_client_secret", message=message)) from error
