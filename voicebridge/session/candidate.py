"""A backend that may carry a call, with the settings that are its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.session import Backend
from voicebridge.pool.key_pool import KeyPool

__all__ = ["OWN_SETTINGS", "Candidate", "config_fields"]

OWN_SETTINGS = frozenset({"voice", "options", "api_key", "base_url", "model"})
"""Fields of `SessionConfig` that mean something to one backend only: they don't go along to another one."""
_SOME_KEY = SecretStr("a key of the pool")


@dataclass(eq=False, slots=True, kw_only=True)
class Candidate:
    """One of the backends of a call. Each is only equal to itself."""

    spec: str | Backend
    """What the application calls it."""
    backend: Backend
    own: Mapping[str, Any] = field(default_factory=dict)
    """Its own settings. Those that are not there are as in a new config. A pool for `api_key` becomes `keys`."""
    keys: KeyPool | None = None
    """Where it gets a key."""

    def __post_init__(self) -> None:
        key = self.own.get("api_key")
        if isinstance(key, KeyPool):
            self.own, self.keys = {**self.own, "api_key": None}, key
        elif isinstance(key, str):
            self.own = {**self.own, "api_key": SecretStr(key)}

    @classmethod
    def of(
        cls, backend: Backend, config: SessionConfig, spec: str | Backend | None = None, keys: KeyPool | None = None
    ) -> Candidate:
        """A backend for which a config was made."""
        own = {name: getattr(config, name) for name in OWN_SETTINGS}
        return cls(spec=backend if spec is None else spec, backend=backend, own=own, keys=keys)

    @property
    def name(self) -> str:
        """For people."""
        return self.spec if isinstance(self.spec, str) else str(getattr(self.spec, "name", type(self.spec).__name__))

    def changed(self, own: Mapping[str, Any]) -> Candidate:
        """Another candidate: the same backend with these settings. A key takes the place of a pool."""
        keys = self.keys if own.get("api_key") is None else None
        return replace(self, own={**self.own, **own}, keys=keys)

    def check(self, shared: SessionConfig) -> None:
        """Whether it could be opened with these settings, as far as that can be known without a connection.

        Raises:
            ConfigError: a setting does not fit.
            Unsupported: a setting asks for what it can't do.
        """
        config = self.config(shared)
        if check := getattr(self.backend, "check", None):
            check(config if self.keys is None else config.patched({"api_key": _SOME_KEY}))

    def config(self, shared: SessionConfig) -> SessionConfig:
        """The settings of a connection: those of the call, and its own.

        Raises:
            BadOption: a setting does not fit.
        """
        fields = SessionConfig.model_fields
        bare = {name: fields[name].get_default(call_default_factory=True) for name in OWN_SETTINGS}
        return shared.patched(bare | dict(self.own))


def config_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as an application writes them, options of a backend by their own names, as fields of `SessionConfig`."""
    fields = {name: value for name, value in settings.items() if name in SessionConfig.model_fields}
    own = {name: value for name, value in settings.items() if name not in SessionConfig.model_fields}
    return fields | ({"options": {**fields.get("options", {}), **own}} if own else {})
