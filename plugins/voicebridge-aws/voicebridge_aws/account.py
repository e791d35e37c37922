"""Whose requests they are: keys, and a region.

Keys come from botocore's own chain (environment, the vendor's files, single sign-on, roles of containers and machines),
which may ask the network and renews what expires: off the event loop. Or they are given as `api_key`, the one setting
that is a secret: `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, and a third part where there is a session token. That is how a key
from a vault, or a leased one, reaches one seat and not the environment of the whole process.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.transport.headers import check_encrypted
from voicebridge.transport.tcp import is_this_machine

from .options import AccountOptions

__all__ = ["Account", "Keys"]

_LOCAL_REGION = "us-east-1"
_HOW = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in with the vendor's command line, or pass "
    "api_key='ACCESS_KEY_ID:SECRET_ACCESS_KEY'"
)


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs a request."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


_ANYBODY = Keys("anybody", "simulated")
"""For a server on this machine that was given no keys: it is not shown the real ones."""


class Account:
    """Made by `of`. `keys` are asked for anew for each request, because they expire."""

    def __init__(self, region: str, profile: str | None, given: Keys | None) -> None:
        self.region = region
        self._profile, self._given = profile, given
        self._found: Any = None
        """Credentials of botocore."""

    @classmethod
    def of(cls, config: SessionConfig, options: AccountOptions) -> Account:
        """The account that a config means. Asks nobody yet.

        Raises:
            ConfigError: there is no region, `api_key` is none, or it would cross the network unencrypted.
        """
        local = config.base_url is not None and is_this_machine(config.base_url)
        given = _given(config, local)
        if config.base_url is not None:
            check_encrypted(config.base_url, {"key": ""})
        if local and given is None and options.profile is None:
            given = _ANYBODY
        return cls(_region(options) or (_LOCAL_REGION if local else _no_region()), options.profile, given)

    async def keys(self) -> Keys:
        """Those of now.

        Raises:
            VoiceBridgeError: there are none, or they could not be had (category auth).
        """
        if self._given is not None:
            return self._given
        try:
            if self._found is None:
                self._found = await asyncio.to_thread(_chain, self._profile)
            if self._found is None:
                raise VoiceBridgeError(_fault(f"There are no credentials for Amazon: {_HOW}.", "missing_key"))
            lasting = not hasattr(self._found, "refresh_needed")
            frozen = self._found if lasting else await asyncio.to_thread(self._found.get_frozen_credentials)
        except VoiceBridgeError:
            raise
        except Exception as error:  # programs and services of others give them, and botocore raises more than its own
            words = " ".join(str(error).split())[:200].rstrip(".")
            raise VoiceBridgeError(_fault(f"No credentials for Amazon could be had: {words}.", "bad_key")) from None
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)


def _given(config: SessionConfig, local: bool) -> Keys | None:
    text = config.api_key.get_secret_value().strip() if config.api_key is not None else ""
    if not text:
        return None
    if local and ":" not in text:  # a name of a caller, as any simulator takes it
        text = f"{text}:{_ANYBODY.secret_key}"
    access_key, _, rest = text.partition(":")
    secret_key, _, token = rest.partition(":")
    if not access_key or not secret_key or not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError(
            "Amazon has no single key: leave api_key out, and the credentials come from where the vendor's own tools "
            "look for them; or pass api_key='ACCESS_KEY_ID:SECRET_ACCESS_KEY', with ':SESSION_TOKEN' behind it where "
            "there is one.",
            code="bad_key",
        )
    return Keys(access_key, secret_key, token or None)


def _region(options: AccountOptions) -> str | None:
    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        return region
    from botocore.exceptions import BotoCoreError

    try:
        told = _session(options.profile).get_config_variable("region")  # reads a file; asks nobody
    except BotoCoreError as error:
        raise ConfigError(f"The Amazon profile can't be read: {error}.", code="bad_profile") from None
    return str(told) if told else None


def _no_region() -> str:
    raise ConfigError(
        "Amazon needs a region: pass region='us-east-1' (or the one nearby), or set AWS_REGION.", code="missing_region"
    )


def _chain(profile: str | None) -> Any:
    return _session(profile).get_credentials()


def _session(profile: str | None) -> Any:
    import botocore.session

    return botocore.session.Session(profile=profile)


def _fault(message: str, code: str) -> Fault:
    return Fault(category="auth", code=code, message=message)
