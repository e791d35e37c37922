"""A backend that may carry a call, with the settings that are its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.session import Backend

if TYPE_CHECKING:
    from voicebridge.pool.key_pool import KeyPool

__all__ = ["OWN_SETTINGS", "Candidate"]

OWN_SETTINGS = frozenset({"voice", "options", "api_key", "base_url", "model"})
"""Fields of `SessionConfig` that mean something to one backend only: they don't go along to another one."""


@dataclass(eq=False, slots=True, kw_only=True)
class Candidate:
    """One of the backends of a call. Each is only equal to itself."""

    spec: str | Backend
    """What the application calls it."""
    backend: Backend
    own: Mapping[str, Any] = field(default_factory=dict)
    """Its own settings. Those that are not there are as in a new config."""
    keys: KeyPool | None = None
    """Where it gets a key for each connection."""

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

    def config(self, shared: SessionConfig) -> SessionConfig:
        """The settings of a connection: those of the call, and its own.

        Raises:
            BadOption: a setting does not fit.
        """
        fields = SessionConfig.model_fields
        bare = {name: fields[name].get_default(call_default_factory=True) for name in OWN_SETTINGS}
        return shared.patched(bare | dict(self.own))
