"""One link for all codecs: the session over a websocket. Its shape; the body follows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from voicebridge.contract.codec import Codec
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession

__all__ = ["open_link"]


@asynccontextmanager
async def open_link(
    codec: Codec, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
) -> AsyncIterator[VoiceSession]:
    """A session over the codec's wire. It is there at once and dials meanwhile; what goes wrong is told as events."""
    raise NotImplementedError
    yield
