"""The settings of a conversation, from the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from voicebridge.contract.errors import BadOption

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `ask` and `talk` have in common."""

    backend: str
    instructions: str | None
    voice: str | None
    silence_ms: int | None
    more: list[str]
    """`NAME=VALUE`, the value in JSON or as it stands."""

    def arguments(self) -> dict[str, Any]:
        """What `voicebridge.connect` and `VoiceAgent` are given beside the backend.

        Raises:
            BadOption: one of `more` is no `NAME=VALUE`.
        """
        given: dict[str, Any] = {}
        for one in self.more:
            name, sign, value = one.partition("=")
            if not (sign and name.isidentifier()):
                raise BadOption(f"{one!r} is no option: write NAME=VALUE, such as `--option timeout_s=10`.")
            if name in _OURS:
                raise BadOption(f"{name!r} can't be set by --option{_OURS[name]}.")
            given[name] = _value(value)
        if self.silence_ms is not None:
            turns = given.get("turns", {})
            given["turns"] = {**turns, "silence_ms": self.silence_ms} if isinstance(turns, dict) else turns
        return given | {"instructions": self.instructions, "voice": self.voice}

    @property
    def push_to_talk(self) -> bool:
        """The turns are to be ended by hand."""
        turns = self.arguments().get("turns")
        return isinstance(turns, dict) and turns.get("mode") == "manual"


_OURS = dict.fromkeys(("input_format", "output_format", "history", "tools", "provider_events"), "") | {
    "instructions": "; it has an option of its own: --instructions",
    "voice": "; it has an option of its own: --voice",
}
"""What the command sets itself, and where to set it instead."""


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
