"""A backend whose sessions are no links: they tell what a test gives them, lies included, and nothing by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import voicebridge
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionFailed
from voicebridge.contract.events import Event, SessionReady
from voicebridge.contract.items import Item
from voicebridge.session.managed import ManagedSession
from voicebridge.testing.line_codec import LINE_CAPABILITIES

__all__ = ["Bare", "BareSession", "reading"]


class BareSession:
    """A `VoiceSession`. Its iterator ends at `aclose`, if it does (`ends`)."""

    def __init__(self, backend: Bare) -> None:
        self.backend = backend
        self.capabilities = backend.capabilities
        self.commands: list[Command] = []
        self.audio = b""
        self.closed = False
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def tell(self, *events: Event) -> None:
        for event in events:
            self._events.put_nowait(event)

    async def send(self, command: Command) -> None:
        if isinstance(command, SendAudio):
            self.audio += command.pcm
        else:
            self.commands.append(command)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event

    async def aclose(self) -> None:
        self.closed = True
        if self.backend.ends:
            self._events.put_nowait(None)


class Bare:
    """A `Backend`.

    Args:
        ready: its sessions say that they are.
        enters: its `connect` ever comes back.
        ends: the events of its sessions end when they are closed.
    """

    def __init__(
        self,
        *,
        ready: bool = True,
        enters: bool = True,
        ends: bool = True,
        capabilities: Capabilities = LINE_CAPABILITIES,
    ) -> None:
        self.ready, self.enters, self.ends, self.capabilities = ready, enters, ends, capabilities
        self.sessions: list[BareSession] = []

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[BareSession]:
        if not self.enters:
            await asyncio.get_running_loop().create_future()
        session = BareSession(self)
        self.sessions.append(session)
        if self.ready:
            session.tell(
                SessionReady(
                    session_id="bare",
                    model="test/bare",
                    capabilities=self.capabilities,
                    input_format=DOOR_FORMAT,
                    output_format=DOOR_FORMAT,
                )
            )
        yield session


@asynccontextmanager
async def reading(
    backend: voicebridge.Backend, **settings: object
) -> AsyncIterator[tuple[ManagedSession, list[Event]]]:
    """A managed session, and all that it tells."""
    events: list[Event] = []
    async with voicebridge.connect(backend, **settings) as session:  # type: ignore[arg-type]  # any of its keywords

        async def read() -> None:
            try:
                async for event in session:
                    events.append(event)
            except SessionFailed:
                pass

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        yield session, events
    await asyncio.wait_for(reader, 5)
