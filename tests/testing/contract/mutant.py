"""A backend that is right in all but one thing, and what that thing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    Event,
    SessionReady,
)
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession

from .test_cascade import scripted_subject


class Mutant:
    """A session that is right in all but what a subclass changes. Is a `VoiceSession`."""

    def __init__(self, session: VoiceSession, config: SessionConfig) -> None:
        self.inner, self.config = session, config
        self.capabilities = self.declared(session.capabilities)
        self.more: list[Event] = []

    @staticmethod
    def declared(can: Capabilities) -> Capabilities:
        return can

    async def send(self, command: Command) -> None:
        await self.inner.send(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self.more:
            event = await anext(aiter(self.inner))
            if isinstance(event, SessionReady):
                event = replace(event, capabilities=self.declared(event.capabilities))
            self.more += self.told(event)
        return self.more.pop(0)

    def told(self, event: Event) -> Sequence[Event]:
        return [event]

    async def aclose(self) -> None:
        await self.inner.aclose()

    @staticmethod
    def opened(config: SessionConfig, history: Sequence[Item]) -> tuple[SessionConfig, Sequence[Item]]:
        return config, history

    swallows = False
    """Errors of the application."""
    trips = False
    """Over being cancelled."""


class MutantBackend:
    def __init__(self, mutant: type[Mutant]) -> None:
        self.mutant = mutant
        self.backend = scripted_subject().backend

    @property
    def capabilities(self) -> Capabilities:
        return self.mutant.declared(self.backend.capabilities)

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[Any]:
        async with self.backend.connect(*self.mutant.opened(config, history)) as session:
            mutant = self.mutant(session, config)
            try:
                yield mutant
            except ZeroDivisionError:
                if not mutant.swallows:
                    raise
            except asyncio.CancelledError:
                if mutant.trips:
                    raise RuntimeError("not connected") from None
                raise


CASES: list[tuple[type[Mutant], str, str]] = []


def caught_by(check: str, words: str) -> Callable[[type[Mutant]], type[Mutant]]:
    def add(mutant: type[Mutant]) -> type[Mutant]:
        CASES.append((mutant, check, words))
        return mutant

    return add


LEAKED: list[Any] = []
