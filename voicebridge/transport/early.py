"""Commands that come before the backend is ready: kept in order, so that first words are not lost."""

from __future__ import annotations

import asyncio
from collections import deque

from voicebridge.contract.commands import Command, SendAudio

__all__ = ["EarlyCommands"]


class EarlyCommands:
    """A queue with a bound on audio.

    Args:
        max_audio_bytes: of audio for which there is room.
    """

    def __init__(self, max_audio_bytes: int) -> None:
        self._max_audio_bytes = max_audio_bytes
        self._commands: deque[Command] = deque()
        self._audio_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def add(self, command: Command) -> None:
        """Keep it until `release`."""
        self._commands.append(command)
        if isinstance(command, SendAudio):
            self._audio_bytes += len(command.pcm)
            if self._audio_bytes >= self._max_audio_bytes:
                self._room.clear()

    @property
    def has_room(self) -> bool:
        """Whether there is room for audio."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until there is room for audio."""
        await self._room.wait()

    def release(self) -> deque[Command]:
        """All of them, in order. Nobody waits any more."""
        commands, self._commands = self._commands, deque()
        self._audio_bytes = 0
        self._room.set()
        return commands
