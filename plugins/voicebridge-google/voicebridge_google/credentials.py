"""Who asks: an access token or an API key that was given, or what google-auth finds.

Google's default credentials (a service account's file, those of gcloud, those of the machine) give tokens that last an
hour. Fetching one is blocking work of google-auth, so it is done in a thread; it is fetched again in good time, while
the old one is still used. Whether Speech-to-Text v2 takes API keys, which Text-to-Speech does, nobody has verified.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from importlib.util import find_spec
from threading import Lock
from typing import Any, Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, MissingExtra, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.transport.api_key import api_key
from voicebridge.transport.tcp import is_this_machine

from .models import CREDENTIALS_VARIABLE, TOKEN_VARIABLE

__all__ = ["Credentials", "DefaultCredentials", "GivenToken", "credentials_for"]

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_EARLY_S = 300.0
"""A token that ends within this is replaced while it is still used."""
_LEAST_S = 30.0
"""One that ends within this is not used any more."""
_PATIENCE_S = 10.0


class Credentials(Protocol):
    """Gives what a request shows."""

    async def headers(self) -> Mapping[str, str]:
        """Of the next request.

        Raises:
            VoiceBridgeError: no token can be had.
        """

    async def project(self) -> str | None:
        """The project that they belong to, where they say so."""


class GivenToken:
    """Are `Credentials`. An API key of Google begins with `AIza`; everything else is an access token."""

    def __init__(self, token: str) -> None:
        name, value = ("X-Goog-Api-Key", token) if token.startswith("AIza") else ("Authorization", f"Bearer {token}")
        self._headers = {name: value} if token else {}

    async def headers(self) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        return self._headers

    async def project(self) -> str | None:
        """A token does not tell."""
        return None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DefaultCredentials:
    """Are `Credentials`, found as google-auth finds them, for all sessions of a process.

    Args:
        now: the time, with its zone.
    """

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._lock = Lock()
        self._found: Any = None
        self._project: str | None = None
        self._early: asyncio.Future[None] | None = None

    async def headers(self) -> Mapping[str, str]:
        """See `Credentials.headers`."""
        left_s = self._left_s()
        if left_s < _LEAST_S:
            await asyncio.to_thread(self._fetch, _LEAST_S)
        elif left_s < _EARLY_S:
            self._fetch_early()
        headers: dict[str, str] = {}
        self._found.apply(headers)
        return headers

    async def project(self) -> str | None:
        """See `Credentials.project`."""
        if self._found is None:
            await asyncio.to_thread(self._fetch, _LEAST_S)
        return self._project

    def _left_s(self) -> float:
        if self._found is None or not self._found.token:
            return 0.0
        expiry: datetime | None = self._found.expiry
        return (expiry.replace(tzinfo=UTC) - self._now()).total_seconds() if expiry else _EARLY_S

    def _fetch_early(self) -> None:
        if self._early is None or self._early.done():
            self._early = asyncio.get_running_loop().run_in_executor(None, self._fetch, _EARLY_S)
            # What went wrong shows when the token that is there has ended.
            self._early.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _fetch(self, least_s: float) -> None:
        """In a thread: find credentials, and get a token, unless somebody just did."""
        from google.auth import default
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        with self._lock:
            try:
                if self._found is None:
                    self._found, self._project = default(scopes=[_SCOPE])
                if self._left_s() < least_s:
                    self._found.refresh(partial(Request(), timeout=_PATIENCE_S))
            except DefaultCredentialsError as error:
                raise ConfigError(_no_credentials(str(error)), code="missing_key") from None
            except TransportError:
                raise VoiceBridgeError(_UNREACHED) from None
            except GoogleAuthError as error:
                raise VoiceBridgeError(_refused(str(error.args[0] if error.args else error))) from None


def credentials_for(config: SessionConfig, base_url: str) -> Credentials:
    """Those that were given, else those of the environment.

    Raises:
        ConfigError: there are none, or one would cross the network unencrypted.
    """
    given = config.api_key is not None or bool(os.environ.get(TOKEN_VARIABLE, "").strip())
    if given or is_this_machine(base_url):
        return GivenToken(api_key(config, TOKEN_VARIABLE, vendor="Google Cloud", base_url=base_url))
    if not _has_google_auth():
        raise MissingExtra(
            "Google Cloud needs an access token: pass api_key=... (`gcloud auth print-access-token` prints one), set "
            f"{TOKEN_VARIABLE}, or install the extra `google` (google-auth) and set {CREDENTIALS_VARIABLE}.",
            code="missing_key",
        )
    return _default_credentials()


@lru_cache(maxsize=1)
def _default_credentials() -> DefaultCredentials:
    return DefaultCredentials()


def _has_google_auth() -> bool:
    try:
        return find_spec("google.auth") is not None and find_spec("requests") is not None
    except ModuleNotFoundError:  # there is no `google` at all
        return False


_UNREACHED = Fault(
    category="network",
    code="token_unreached",
    message="Google gave no access token: its server did not answer. Try again.",
    retryable=True,
)


def _no_credentials(details: str) -> str:
    first = details.split(". ")[0].rstrip(".")[:200]
    return (
        f"No Google credentials were found ({first}): set {CREDENTIALS_VARIABLE}, or pass an access token as api_key."
    )


def _refused(details: str) -> Fault:
    shown = " ".join(details.split())[:200].rstrip(".")
    return Fault(category="auth", code="token_refused", message=f"Google gave no access token: {shown}.")
