"""Commands of a session that makes some itself: their fates are none of the application's. And its interruptions."""

from __future__ import annotations

import asyncio

from voicebridge.contract.events import CommandSettled
from voicebridge.contract.fault import Fault

__all__ = ["OwnCommands"]


class OwnCommands:
    """Remembers commands until they are settled."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._fates: dict[str, asyncio.Future[Fault | None]] = {}
        self._interrupts: set[str] = set()

    def __len__(self) -> int:
        return len(self._own) + len(self._fates) + len(self._interrupts)

    def add(self, command_id: str) -> None:
        """A machine asks for it."""
        self._own.add(command_id)

    def is_own(self, settled: CommandSettled) -> bool:
        """Whether the application is not told of that."""
        return settled.command_id in self._own

    def forget(self, command_id: str) -> None:
        """It was not sent, or is settled."""
        self._own.discard(command_id)
        self._interrupts.discard(command_id)

    # Those that somebody waits for

    def awaited(self, command_id: str) -> asyncio.Future[Fault | None]:
        """Its fate, None if it went well. `leave` it in any case."""
        self._own.add(command_id)
        fate = self._fates[command_id] = asyncio.get_running_loop().create_future()
        return fate

    def leave(self, command_id: str, *, sent: bool) -> None:
        """Nobody waits for it any more. One that was sent is still settled, and nobody told."""
        del self._fates[command_id]
        if not sent:
            self.forget(command_id)

    def settle(self, settled: CommandSettled) -> bool:
        """An own one is settled. Whether somebody waited for that."""
        self.forget(settled.command_id)
        fate = self._fates.get(settled.command_id)
        if fate is not None and not fate.done():
            fate.set_result(settled.fault)
        return fate is not None

    # Interruptions by the application

    def interrupts(self, command_id: str) -> None:
        """The application interrupts the agent, who is silent from here on, whatever the backend can do."""
        self._interrupts.add(command_id)

    def told(self, settled: CommandSettled) -> CommandSettled:
        """What the application is told of a command: an interruption goes well where the backend knows none."""
        if settled.command_id not in self._interrupts:
            return settled
        self._interrupts.discard(settled.command_id)
        unknown = settled.fault is not None and settled.fault.category == "unsupported"
        return CommandSettled(command_id=settled.command_id) if unknown else settled
