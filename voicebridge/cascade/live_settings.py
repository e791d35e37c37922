"""The settings of a session, and how they change while it runs."""

from __future__ import annotations

from contextlib import suppress

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Configure
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.fault import Fault

from .seats import Seats
from .stage_fault import fault_of

__all__ = ["LiveSettings"]

_LIVE = frozenset({"instructions", "voice", "speed", "language", "tools", "turns", "max_output_tokens"})


class LiveSettings:
    """The config of a session, which all its stages have.

    Args:
        config: what they were configured with.
    """

    def __init__(self, seats: Seats, config: SessionConfig, capabilities: Capabilities) -> None:
        self._seats, self._capabilities = seats, capabilities
        self.config = config
        self._changed: frozenset[str] = frozenset()
        """Settings that were set since the session began."""

    def patched(self, command: Configure) -> SessionConfig:
        """The config as the command would have it.

        Raises:
            Unsupported: it can't be changed while the session runs.
            BadOption: a value does not fit.
        """
        if beyond := sorted(set(command.patch) - _LIVE):
            raise Unsupported(f"A cascade can't change {', '.join(beyond)} while it runs.", command_id=command.id)
        config = self.config.patched(command.patch)
        if config.turns.mode is None:
            config = config.patched({"turns": config.turns.model_copy(update={"mode": self.config.turns.mode})})
        if config.turns.mode not in self._capabilities.turns:
            raise Unsupported(f"This cascade can't find turns by {config.turns.mode!r}.", command_id=command.id)
        return config

    def change(self, command: Configure) -> Fault | None:
        """Give all stages the new settings, or, if one refuses, the old ones; and then why."""
        changed = self._changed | set(command.patch)
        try:
            config = self.patched(command)  # again: others may have been carried out since it was sent
            self._seats.configure(config, changed)
        except Exception as error:
            with suppress(Exception):  # they took these settings before
                self._seats.configure(self.config, self._changed)
            return fault_of("stage", error)
        self.config, self._changed = config, changed
        return None
