"""Doors that do not open: every stage says why, and whether to try again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark
from voicebridge.testing.guards import no_leaked_tasks

Work = Callable[[Any], AsyncIterator[Any]]


@pytest.fixture
def works(stream: Any, tone: Any) -> dict[str, Work]:
    """A piece of work of each kind of stage."""
    return {
        "voice": lambda vendor: _of(vendor.voice(), "speak", stream("Hi.")),
        "voice over http": lambda vendor: _of(vendor.voice(options={"transport": "http"}), "speak", stream("Hi.")),
        "live": lambda vendor: _of(vendor.recogniser(), "listen", stream(tone(0.5), Mark(1))),
        "upload": lambda vendor: _of(vendor.recogniser("scribe_v2"), "listen", stream(tone(0.5), Mark(1))),
    }


async def _of(stage: Any, method: str, given: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async with aclosing(getattr(stage, method)(given)) as outputs:
            async for output in outputs:
                yield output
    finally:
        await stage.aclose()


async def _all(outputs: AsyncIterator[Any]) -> list[Any]:
    return [output async for output in outputs]


@pytest.mark.parametrize("kind", ["voice", "voice over http", "live", "upload"])
@pytest.mark.parametrize(
    ("fault", "category", "retryable"),
    [
        ("handshake 429 retry-after 7", "rate", True),
        ("handshake 401", "auth", False),
        ("handshake 503", "busy", True),
        ("handshake reset", "network", True),
        ("handshake garbage", "protocol", False),
    ],
    ids=["429", "401", "503", "reset", "garbage"],
)
async def test_a_door_that_does_not_open(
    serve: Any, works: dict[str, Work], kind: str, fault: str, category: str, retryable: bool
) -> None:
    async with no_leaked_tasks(), serve(faults=[fault]) as vendor:
        with pytest.raises(VoiceBridgeError) as error:
            await _all(works[kind](vendor))
    assert (error.value.fault.category, error.value.fault.retryable) == (category, retryable)
    assert error.value.fault.retry_after_s == (7 if "429" in fault else None)
    assert "k1" not in error.value.fault.message


@pytest.mark.parametrize("kind", ["voice", "live"])
async def test_a_door_at_which_nobody_answers(serve: Any, works: dict[str, Work], kind: str) -> None:
    async with no_leaked_tasks(), serve(faults=["handshake stall"]) as vendor:
        with pytest.raises(VoiceBridgeError) as error:
            await _all(works[kind](vendor))
    assert (error.value.fault.category, error.value.fault.retryable) == ("network", True)
