"""A call over a managed session in virtual time, held to every promise at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import voicebridge
from voicebridge.contract.events import OutputText
from voicebridge.contract.items import MessageItem
from voicebridge.contract.session import Backend
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.managed import ManagedSession
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.user import FRAME_MS, User

__all__ = ["Call", "call", "virtually"]


class Call(User):
    """A user in a managed session."""

    def __init__(self, session: ManagedSession) -> None:
        super().__init__(session)
        self.managed = session

    def said(self) -> list[str]:
        """What each response said, in order."""
        texts: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, OutputText):
                texts[event.response_id] = texts.get(event.response_id, "") + event.delta
        return list(texts.values())

    def remembered(self) -> list[tuple[str, str]]:
        """What a new backend would be told."""
        return [(item.role, item.text) for item in self.managed.history if isinstance(item, MessageItem)]

    async def wait(self, kind: type[Any], **fields: Any) -> Any:
        """As `until`, with the microphone off."""
        for _ in range(3000):
            if found := self.all(kind, **fields):
                return found[0]
            await asyncio.sleep(FRAME_MS / 1000)
        raise AssertionError(f"no {kind.__name__} {fields} came; got {self.events}")


@asynccontextmanager
async def call(
    backend: Backend, *fallback: Any, hears: bool = True, dropped: str = "", **options: Any
) -> AsyncIterator[Call]:
    """Its end is checked: every command settled once, every response ended, every sample accounted for.

    Args:
        hears: every backend takes audio.
        dropped: why some of the user's voice may be lost all the same.
    """
    options.setdefault("input_format", PCM_16K)
    options.setdefault("turns", {"silence_ms": 200} if hears else {})
    async with voicebridge.connect(backend, fallback=fallback, **options) as session:
        user = Call(session)
        try:
            yield user
        finally:
            await user.done()
    user.check()
    account = session.account
    assert account.closed
    assert account.balanced, str(account)
    assert dropped or not (hears and account.input.dropped), "none of the user's voice is lost"


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test runs in virtual time, and may leave no task behind."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def guarded() -> None:
            async with no_leaked_tasks():
                await test(*args, **kwargs)

        run_in_virtual_time(guarded())

    return run
