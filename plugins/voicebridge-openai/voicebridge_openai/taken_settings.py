"""The settings that the vendor goes by: those it has taken, and the changes that are on their way to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebridge.contract.config import SessionConfig

from .session_settings import merged

__all__ = ["TakenSettings", "patched"]


def patched(config: SessionConfig, patch: Mapping[str, Any]) -> SessionConfig:
    """The config with a patch. How turns end stays as it is where the patch does not say.

    Raises:
        BadOption: a field does not exist or a value does not fit.
    """
    after = config.patched(patch)
    if after.turns.mode is None and config.turns.mode is not None:
        after = after.patched({"turns": after.turns.model_copy(update={"mode": config.turns.mode})})
    return after


class TakenSettings:
    """Follows each change from its frame to the vendor's answer: one that is refused takes no other with it.

    Args:
        body: the `session` object of the opening.
    """

    def __init__(self, config: SessionConfig, body: Mapping[str, Any]) -> None:
        self._config, self._body = config, dict(body)
        self._pending: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
        """Commands that are not answered: the id, the patch of the config and that of the session, oldest first."""
        self.config = config
        """What holds once the vendor has taken all that is on its way."""
        self.body: dict[str, Any] = dict(body)
        """The same as the `session` object."""

    @property
    def instructions(self) -> str | None:
        """Those of the session."""
        value = self.body.get("instructions")
        return value if isinstance(value, str) else None

    def sent(self, command_id: str, patch: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        """A change is on its way."""
        self._pending.append((command_id, patch, change))
        self._add_up()

    def kept(self, patch: Mapping[str, Any]) -> None:
        """A change of nothing that the vendor knows of."""
        self._config = patched(self._config, patch)
        self._add_up()

    def answered(self, command_id: str | None, *, taken: bool) -> None:
        """The vendor has taken a change, or refused it."""
        for index, (sent_by, patch, change) in enumerate(self._pending):
            if sent_by == command_id:
                del self._pending[index]
                if taken:
                    self._config, self._body = patched(self._config, patch), merged(self._body, change)
                self._add_up()
                return

    def _add_up(self) -> None:
        self.config, self.body = self._config, self._body
        for _, patch, change in self._pending:
            self.config, self.body = patched(self.config, patch), merged(self.body, change)
