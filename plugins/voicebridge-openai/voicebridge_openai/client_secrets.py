"""Ephemeral secrets: keys that open sessions for minutes, for a browser or device that must not hold the real one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import SecretStr

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.transport.secrets import Secrets
from voicebridge.transport.wire import retry_after

from .addresses import address, headers, key_for
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
        key: None: the one in the environment.
        seconds: how long it can open sessions: 10 to 7200.
        transport: another one is for tests.

    Raises:
        ConfigError: this dialect is unknown or has none, the key is missing, or it would be sent unencrypted.
        VoiceBridgeError: the vendor refused, or could not be reached.
    """
    row = _row(dialect)
    realtime = address(row, model, base_url)
    sent = dict(headers(row, RealtimeOptions(), key_for(row, realtime, key)))
    parts = urlsplit(realtime)
    scheme = "https" if parts.scheme == "wss" else "http"
    url = urlunsplit((scheme, parts.netloc, f"{parts.path}/client_secrets", "", ""))
    body = {
        "expires_after": {"anchor": "created_at", "seconds": seconds},
        "session": {"type": "realtime", "model": model},
    }
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, transport=transport) as client:
            answer = await client.post(url, json=body, headers=sent)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        problem = "timeout" if isinstance(error, httpx.TimeoutException) else "reset"
        raise VoiceBridgeError(meaning_of(Closed(by="nobody", problem=problem))) from error  # type: ignore[arg-type]  # both are problems
    return _secret_in(answer, Secrets(sent.values()))


def _row(dialect: Dialect | str) -> Dialect:
    row = DIALECTS.get(dialect) if isinstance(dialect, str) else dialect
    if row is None:
        raise ConfigError(f"There is no backend {dialect!r}: choose {', '.join(DIALECTS)}.", code="unknown_backend")
    if not row.client_secrets:
        raise ConfigError(f"{row.name} has no client secrets.", code="bad_option")
    return row


def _secret_in(answer: httpx.Response, secrets: Secrets) -> ClientSecret:
    if answer.status_code >= 400:
        fault = meaning_of(
            Closed(
                by="peer",
                status=answer.status_code,
                body=secrets.scrubbed(answer.text[:2000])[:300],
                retry_after_s=retry_after(answer.headers.get_list("Retry-After")),
            )
        )
        raise VoiceBridgeError(replace(fault, message=secrets.scrubbed(fault.message)))
    try:
        read = answer.json()
        value, expires_at = read["value"], float(read["expires_at"])
        if not (isinstance(value, str) and value and math.isfinite(expires_at)):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        message = "The server's answer holds no client secret. Check base_url."
        raise VoiceBridgeError(Fault(category="protocol", code="no_client_secret", message=message)) from None
    return ClientSecret(SecretStr(value), expires_at)
