"""The bare client with the faster codecs that voicebridge uses as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pybase64

from . import bare
from .arm import Dial

__all__ = ["phone"]


def _dumps(event: Any) -> str:
    return orjson.dumps(event).decode()


def _encode(pcm: bytes) -> str:
    return pybase64.b64encode_as_string(pcm)


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""
    async with bare.phone(port, (_dumps, orjson.loads, _encode, pybase64.b64decode)) as dial:
        yield dial
