"""voicebridge without the managed session: one connection, and nothing above it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import voicebridge

from . import door
from .arm import Dial

__all__ = ["phone"]


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """Nothing is shared between calls but what the library shares by itself."""
    async with door.phone(port, voicebridge.connect_raw) as dial:
        yield dial
