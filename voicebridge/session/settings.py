"""What a call is set to: the settings that hold on every backend, its backends, and changes that are under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Configure
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled

from .candidate import OWN_SETTINGS, Candidate

__all__ = ["Move", "Settings"]


@dataclass(slots=True)
class Move:
    """Settings that take another connection."""

    shared: SessionConfig
    candidates: tuple[Candidate, ...]
    target: Candidate
    """To whom the call is to go."""
    touched: frozenset[str] = frozenset()
    """The settings that it changes."""
    commands: list[str] = field(default_factory=list)
    """The ids of those who asked for it."""
    named: list[str] = field(default_factory=list)
    """Of these, the ones that named the backend."""
    swaps: bool = False
    """It goes to another backend."""


class Settings:
    """Keeps them true: a change holds from when it is settled.

    Args:
        shared: its fields in `OWN_SETTINGS` are not looked at; they are the candidates'.
        candidates: the preferred one first.
        decides_interruptions: whether the session stops the agent itself, so that no backend should.
    """

    def __init__(
        self, shared: SessionConfig, candidates: Sequence[Candidate], *, decides_interruptions: bool = False
    ) -> None:
        self._decides_interruptions = decides_interruptions
        self.shared = shared
        self.candidates = tuple(candidates)
        self.move: Move | None = None
        self.superseded: list[str] = []
        """The ids of those who named a backend to which the call does not go, since the last move goes elsewhere."""
        self.changed: Callable[[], None] = lambda: None
        """Called when what is shared has changed."""
        self._live: dict[str, tuple[Configure, Candidate]] = {}
        """Changes that a connection was asked to make as it runs, and whose it was."""

    def config(self, candidate: Candidate) -> SessionConfig:
        """With what a connection to this candidate is opened.

        Raises:
            BadOption: a setting does not fit.
        """
        moving = self.move is not None and candidate is self.move.target
        config = candidate.config(self.move.shared if self.move is not None and moving else self.shared)
        if self._decides_interruptions and "auto_off" in candidate.backend.capabilities.interrupt:
            return config.patched({"turns": config.turns.model_copy(update={"auto_interrupt": False})})
        return config

    def changed_since(self, config: SessionConfig, candidate: Candidate) -> dict[str, Any]:
        """The settings in which a connection that was opened with `config` is not as it should be by now."""
        due = self.config(candidate)
        return {
            name: new for name in SessionConfig.model_fields if (new := getattr(due, name)) != getattr(config, name)
        }

    def is_live(self, patch: Mapping[str, Any], capabilities: Capabilities) -> bool:
        """Whether a connection can be changed in that way while it runs."""
        return self.move is None and set(patch) <= capabilities.live_update

    def asked(self, command: Configure, candidate: Candidate) -> None:
        """A connection of this candidate was asked to change as it runs."""
        self._live[command.id] = (command, candidate)

    def withdraw(self, command_id: str) -> None:
        """It was not taken after all."""
        self._live.pop(command_id, None)

    def settled(self, event: CommandSettled) -> Configure | None:
        """A command was settled: a change holds. One that the backend refused to make as it runs is given back."""
        command, candidate = self._live.pop(event.command_id, (None, None))
        if command is None or candidate is None:
            return None
        if event.fault is None:
            own, rest = _parted(command.patch)
            candidate.own = {**candidate.own, **own}
            self.shared = self.shared.patched(rest)
            self.changed()
            if self.move is not None:  # it was asked for before the move was
                self.move.shared = self.move.shared.patched(_without(rest, self.move.touched))
                if not self.move.swaps:
                    self.move.target.own = {**self.move.target.own, **_without(own, self.move.touched)}
            return None
        return command if event.fault.category == "unsupported" else None

    def begin_move(self, command: Configure, serving: Candidate, target: Candidate | None) -> Candidate:
        """Begin to change what takes another connection. To whom the call goes.

        Args:
            serving: who carries the call now.
            target: another backend; None: the same one, set otherwise.

        Raises:
            ConfigError: a setting does not fit.
            Unsupported: a setting asks for what the backend can't do.
        """
        patch = {name: value for name, value in command.patch.items() if name != "backend"}
        own, rest = _parted(patch)
        earlier, named, self.superseded = self.move, target is not None, []
        candidates = self.candidates if earlier is None else earlier.candidates
        if target is not None:
            target = target.changed(own)
            candidates = (target, *candidates[1:])
        else:
            changed = earlier.target if earlier is not None else serving if serving in candidates else candidates[0]
            target = changed.changed(own)
            candidates = tuple(target if one is changed else one for one in candidates)
        shared = (self.shared if earlier is None else earlier.shared).patched(rest)
        target.check(shared)
        move = Move(shared, candidates, target, frozenset(patch), [command.id])
        move.swaps = target.backend is not serving.backend
        if named:
            move.named.append(command.id)
        if earlier is not None:
            move.touched |= earlier.touched
            if target.backend is not earlier.target.backend:
                self.superseded = earlier.named
            else:
                move.named[:0] = earlier.named
            move.commands[:0] = [one for one in earlier.commands if one not in self.superseded]
        self.move = move
        return target

    def end_move(self, *, done: bool) -> list[str]:
        """The move is over. The ids of the commands that asked for it."""
        move, self.move = self.move, None
        if move is None:
            return []
        if done:
            self.shared, self.candidates = move.shared, move.candidates
            self.changed()
        return move.commands


def _without(patch: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in patch.items() if name not in names}


def _parted(patch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What belongs to one backend, and what to all."""
    own = {name: value for name, value in patch.items() if name in OWN_SETTINGS}
    return own, {name: value for name, value in patch.items() if name not in OWN_SETTINGS}
