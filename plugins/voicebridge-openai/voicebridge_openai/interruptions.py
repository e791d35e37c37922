"""Interruptions under way: which frames each waits for, and what was heard when the vendor has cut its items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voicebridge.contract.events import CommandSettled, Event, OutputHeard
from voicebridge.contract.fault import Fault

__all__ = ["Interruptions", "Pending"]


@dataclass(slots=True)
class Pending:
    """An `Interrupt` that is not settled."""

    command_id: str
    left: set[str] = field(default_factory=set)
    """What it waits for: responses that are cancelled, and items that are cut."""
    fault: Fault | None = None


class Interruptions:
    """Settles each `Interrupt` when all that it asked for was acknowledged."""

    def __init__(self) -> None:
        self._pending: list[Pending] = []
        self._heard: dict[tuple[str | None, str], OutputHeard] = {}
        """By the command, and the item whose acknowledgement tells it."""

    def begin(self, command_id: str, waits_for: Sequence[str]) -> list[Event]:
        """One begins. With nothing to wait for it is settled at once."""
        if not waits_for:
            return [CommandSettled(command_id=command_id)]
        self._pending.append(Pending(command_id, set(waits_for)))
        return []

    def will_hear(self, command_id: str, item_id: str, heard: OutputHeard) -> None:
        """What to tell once the vendor has cut this item for this command."""
        self._heard[command_id, item_id] = heard

    def cut(self, command_id: str | None, item_id: str, fault: Fault | None = None) -> list[Event]:
        """The vendor has cut or deleted an item for a command, or said why not."""
        heard = self._heard.pop((command_id, item_id), None)
        told: list[Event] = [heard] if heard and not fault else []
        return told + (self._acknowledged(f"cut {item_id}", fault, command_id) if command_id is not None else [])

    def cancelled(self, response_id: str, fault: Fault | None = None) -> list[Event]:
        """A response has ended, or there was none to cancel: whoever wanted that has it."""
        return self._acknowledged(f"cancel {response_id}", fault)

    def _acknowledged(self, what: str, fault: Fault | None, command_id: str | None = None) -> list[Event]:
        events: list[Event] = []
        for pending in self._pending:
            if what in pending.left and command_id in (None, pending.command_id):
                pending.left.discard(what)
                pending.fault = pending.fault or fault
                if not pending.left:
                    events.append(CommandSettled(command_id=pending.command_id, fault=pending.fault))
        self._pending = [pending for pending in self._pending if pending.left]
        return events
