"""The voice before the simulated vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Speech, Usage
from voicebridge.testing.guards import no_leaked_tasks

Stream = Callable[..., AsyncIterator[Any]]


async def spoken(stage: Any, text: AsyncIterator[Any]) -> list[Speech | Usage]:
    async with aclosing(stage.speak(text)) as outputs:
        return [output async for output in outputs]


async def test_clauses_are_spoken_as_long_as_they_are(serve: Any, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(odd_pieces=True) as vendor:
        stage = vendor.voice(voice="Jenny", speed=2.0)
        await stage.warm()
        outputs = await spoken(stage, stream("Tom & Jerry <3.", " How are you?"))
        await stage.aclose()
    speech = [one for one in outputs if isinstance(one, Speech)]
    assert "".join(one.text for one in speech) == "Tom & Jerry <3. How are you?"
    assert stage.traits.format.ms(sum(len(one.pcm) for one in speech)) == pytest.approx(28 * 65 / 2, rel=0.1)
    assert all(len(one.pcm) % 2 == 0 for one in speech)
    assert [one.units["characters"] for one in outputs if isinstance(one, Usage)] == [15, 12]


@pytest.mark.parametrize("status", [404, 405])
async def test_a_proxy_that_lists_no_voices_does_no_harm(serve: Any, stream: Stream, status: int) -> None:
    async with no_leaked_tasks(), serve(faults=[f"handshake {status} connection 1"]) as vendor:
        stage = vendor.voice()
        await stage.warm()
        assert await spoken(stage, stream("Hello."))
        await stage.aclose()


async def test_a_voice_that_is_not_listed_shows_when_it_warms_up(serve: Any) -> None:
    async with serve() as vendor:
        stage = vendor.voice(voice="Jeny")
        with pytest.raises(ConfigError, match="en-US-JennyNeural"):
            await stage.warm()
        await stage.aclose()


async def test_audio_comes_before_it_is_whole(serve: Any) -> None:
    async def text() -> AsyncIterator[str]:
        yield "A sentence that takes more than two seconds to say."

    async with no_leaked_tasks(), serve(pace=1) as vendor:
        stage = vendor.voice()
        async with aclosing(stage.speak(text())) as outputs:
            first = await anext(outputs)
            assert 0 < len(first.pcm) < stage.traits.format.size(1000)
        await stage.aclose()
        async with asyncio.timeout(5):
            while not vendor.server.turns.turns:  # noqa: ASYNC110 - the simulator writes it down
                await asyncio.sleep(0.01)
        assert vendor.server.turns.turns[0].status == "cancelled"


@pytest.mark.parametrize(
    ("options", "category", "retry_after_s"),
    [({"keys": ("right",)}, "auth", None), ({"used_up": ("k1",)}, "quota", None)],
    ids=["key", "quota"],
)
async def test_what_the_vendor_refuses(
    serve: Any, stream: Stream, options: dict[str, Any], category: str, retry_after_s: float | None
) -> None:
    async with no_leaked_tasks(), serve(**options) as vendor:
        stage = vendor.voice()
        with pytest.raises(VoiceBridgeError) as error:
            await spoken(stage, stream("Hello."))
        await stage.aclose()
    assert (error.value.fault.category, error.value.fault.retry_after_s) == (category, retry_after_s)


async def test_too_many_at_once_is_a_rate_fault_that_says_when(serve: Any, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(profile="speech=400", most_at_once=1) as vendor:
        one, two = vendor.voice(), vendor.voice()
        first = asyncio.ensure_future(spoken(one, stream("Hello.")))
        await asyncio.sleep(0.2)
        with pytest.raises(VoiceBridgeError) as error:
            await spoken(two, stream("Hello."))
        fault = error.value.fault
        assert (fault.category, fault.retryable, fault.retry_after_s) == ("rate", True, 1)
        assert await first
        await one.aclose()
        await two.aclose()
