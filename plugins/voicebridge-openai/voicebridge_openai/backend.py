"""The backends of this wire: a recipe for sessions from a dialect and a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BackendNotFound, ConfigError, Unsupported
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.transport.link import open_link

from .addresses import address, key_for
from .capabilities import capabilities_of
from .client_secrets import create_client_secret
from .codec import RealtimeCodec
from .dialects import DIALECTS, Dialect
from .models import MODELS, model_of
from .options import read_options

__all__ = ["RealtimeBackend", "make_backend"]


class RealtimeBackend:
    """A server that speaks the OpenAI Realtime wire, as a `Backend`.

    Args:
        model: as the spec names it. None: the dialect's default, or `SessionConfig.model`.
    """

    def __init__(self, dialect: Dialect, model: str | None = None) -> None:
        self.dialect = dialect
        self._model = model

    @property
    def capabilities(self) -> Capabilities:
        """What sessions with this model can do."""
        return capabilities_of(self.dialect, model_of(self.dialect.name, self._model or self.dialect.default_model))

    def check(self, config: SessionConfig) -> None:
        """What `connect` would raise before it dials."""
        model = self.model_for(config)
        key = key_for(self.dialect, address(self.dialect, model, config.base_url), config.api_key)
        RealtimeCodec(self.dialect, model, config, key)
        read_options(config.options, self.dialect, model_of(self.dialect.name, model))

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        """A session. It is there at once and dials meanwhile; with the option `client_secret`, after that was fetched.

        Raises:
            ConfigError: no key, no server, no model, or a setting that does not fit.
            BadOption: an option that this dialect does not know.
            Unsupported: a setting that this dialect has not.
            VoiceBridgeError: no ephemeral secret could be had.
        """
        if resume is not None:
            raise Unsupported(f"{self.dialect.name} can't resume a session: open a new one with the history.")
        model = self.model_for(config)
        url = address(self.dialect, model, config.base_url)
        key = key_for(self.dialect, url, config.api_key)
        codec = RealtimeCodec(self.dialect, model, config, key)
        options = read_options(config.options, self.dialect, model_of(self.dialect.name, model))
        if options.client_secret:
            secret = await create_client_secret(
                self.dialect, model, key, base_url=config.base_url, seconds=options.client_secret_seconds
            )
            codec = RealtimeCodec(self.dialect, model, config, secret.value)
        async with open_link(codec, config, history) as session:
            yield session

    def model_for(self, config: SessionConfig) -> str:
        """The model to ask for, by the vendor's own name.

        Raises:
            ConfigError: the spec and the config name two, or neither names one.
        """
        if self._model and config.model and self._model != config.model:
            raise ConfigError(f"The spec names the model {self._model!r}, and the setting model {config.model!r}.")
        named = self._model or config.model or self.dialect.default_model
        if not named:
            raise ConfigError(
                f"{self.dialect.name} needs to know the model: write {self.dialect.name}/<model>.", code="missing_model"
            )
        row = model_of(self.dialect.name, named)
        return row.name if row is not None and self.dialect.model_in == "session" else named


def make_backend(name: str, model: str | None) -> RealtimeBackend:
    """The backend of a spec.

    Raises:
        BackendNotFound: the vendor's models are not all of this wire, and that one is not.
    """
    dialect = DIALECTS[name]
    if name == "elevenlabs" and model is not None and not model.startswith("realtime"):
        known = [alias for row in MODELS if row.vendor == name for alias in row.aliases]
        raise BackendNotFound(
            f"'elevenlabs/{model}' is no realtime model. There are: {', '.join(f'{name}/{one}' for one in known)}.",
            code="unknown_backend",
        )
    row = model_of(name, model or "")
    if row is not None and row.kind == "transcription":
        raise BackendNotFound(
            f"'{name}/{model}' only transcribes: name it as the setting transcription={{'model': {model!r}}}.",
            code="unknown_backend",
        )
    return RealtimeBackend(dialect, model)
