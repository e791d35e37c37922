"""The settings of a conversation, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.errors import BadOption
from voicebridge.core.interruption_policy import InterruptionPolicy

__all__ = ["InterruptionChoice", "Settings"]


class InterruptionChoice(StrEnum):
    """What the user's voice does to the agent's."""

    AT_ONCE = "at-once"
    PATIENT = "patient"
    NEVER = "never"

    @property
    def policy(self) -> InterruptionPolicy:
        """The policy of that name."""
        made: dict[str, Callable[[], InterruptionPolicy]] = {
            "at-once": InterruptionPolicy.at_once,
            "patient": InterruptionPolicy,
            "never": InterruptionPolicy.never,
        }
        return made[self.value]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `ask` and `talk` have in common."""

    backend: str
    instructions: str | None
    voice: str | None
    silence_ms: int | None
    more: list[str]
    """`NAME=VALUE`, the value in JSON or as it stands."""
    fallback: list[str] = field(default_factory=list)
    history: str | None = None
    conversation: str | None = None
    interruption: InterruptionChoice | None = None
    disclosure: str | None = None

    def arguments(self) -> dict[str, Any]:
        """What `voicebridge.connect` and `VoiceAgent` are given beside the backend.

        Raises:
            BadOption: one of `more` is no `NAME=VALUE`, or a conversation is named and no history.
        """
        given: dict[str, Any] = {}
        for one in self.more:
            name, sign, value = one.partition("=")
            if not (sign and _is_name(name)):
                raise BadOption(f"{one!r} is no option: write NAME=VALUE, such as `--option timeout_s=10`.")
            if name in _OURS:
                raise BadOption(f"{name!r} can't be set by --option{_OURS[name]}.")
            given[name] = _value(value)
        if self.silence_ms is not None:
            turns = given.get("turns", {})
            given["turns"] = {**turns, "silence_ms": self.silence_ms} if isinstance(turns, dict) else turns
        return given | {"instructions": self.instructions, "voice": self.voice} | self._of_the_call()

    def _of_the_call(self) -> dict[str, Any]:
        """What holds whatever backend serves."""
        if self.conversation is not None and self.history is None:
            raise BadOption(
                "--conversation names one in a history: say which, such as `--history sqlite:///calls.db`.",
                code="bad_option",
            )
        # Who asks for the sound to be kept is the one who speaks, or has the recording.
        keeps_audio = self.history is not None and "audio=true" in self.history.partition("?")[2]
        policy = CallPolicy(disclosure=self.disclosure, consent=(lambda: True) if keeps_audio else None)
        call = {
            "fallback": self.fallback or None,
            "history": self.history,
            "conversation": self.conversation,
            "interruption": self.interruption and self.interruption.policy,
            "policy": policy if policy != CallPolicy() else None,
        }
        return {name: value for name, value in call.items() if value is not None}

    def kept_in(self, conversation: str) -> str | None:
        """Where the conversation can be read afterwards, in words. None: nowhere."""
        if self.history is None:
            return None
        return f"What was said is kept. Read it with: voicebridge history {self.history} {conversation}"

    @property
    def push_to_talk(self) -> bool:
        """The turns are to be ended by hand."""
        turns = self.arguments().get("turns")
        return isinstance(turns, dict) and turns.get("mode") == "manual"


_OURS = dict.fromkeys(("input_format", "output_format", "tools", "agents", "provider_events"), "") | {
    name: f"; it has an option of its own: --{option}"
    for name, option in {
        "instructions": "instructions",
        "voice": "voice",
        "history": "history",
        "conversation": "conversation",
        "fallback": "fallback",
        "interruption": "interruption",
        "policy": "disclosure",
    }.items()
}
"""What the command sets itself, and where to set it instead."""


def _is_name(text: str) -> bool:
    """A name, or one with the seat of a cascade before it: `tts.voice`, `tts.2.voice`."""
    first, *others = text.split(".")
    return first.isidentifier() and all(other.isidentifier() or other.isdecimal() for other in others)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
