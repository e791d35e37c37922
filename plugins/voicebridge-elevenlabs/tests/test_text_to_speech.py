"""The voice's stage before the simulated vendor, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Speech
from voicebridge.testing.guards import no_leaked_tasks

TEXT = ("Hello there,", " how are you today?")
Stream = Callable[..., AsyncIterator[Any]]


async def said(stage: Any, text: AsyncIterator[str], speech: list[Speech] | None = None) -> list[Speech]:
    """What was spoken; in `speech`, also where that fails."""
    speech = [] if speech is None else speech
    async with aclosing(stage.speak(text)) as outputs:
        async for output in outputs:
            if isinstance(output, Speech):
                speech.append(output)
    return speech


def handshakes(vendor: Any) -> list[tuple[str, Any]]:
    """From now on: the address and the JSON of each frame that the vendor gets."""
    seen: list[tuple[str, Any]] = []
    vendor.server.frame_received = lambda request, frame: seen.append((request.path, json.loads(frame)))
    return seen


@pytest.mark.parametrize("transport", ["websocket", "http"])
@pytest.mark.parametrize("alignment", ["segment", "message"])
async def test_every_word_is_told_where_it_sounds(serve: Any, stream: Stream, transport: str, alignment: str) -> None:
    async with serve(alignment=alignment, odd_pieces=True) as vendor:
        stage = vendor.voice(options={"transport": transport})
        await stage.warm()
        speech = await said(stage, stream(*TEXT))
        await stage.aclose()
    assert "".join(one.text for one in speech) == "".join(TEXT)
    at, words = 0.0, []
    for one in speech:
        words += [(word.text, at + word.start_ms) for word in one.words]
        at += stage.traits.format.ms(len(one.pcm))
    assert [text for text, _ in words] == ["Hello", "there,", "how", "are", "you", "today?"]
    # 65 ms a character, a blank counted to the word behind it; the websocket's clauses end with a blank of 60 ms more.
    second = 12 * 65 + (60 if transport == "websocket" else 0)
    places = [0, 5 * 65, second, *(second + n * 65 for n in (3, 7, 11))]
    assert [start for _, start in words] == pytest.approx(places, abs=70)


async def test_the_connection_is_greeted_before_there_is_anything_to_say(
    serve: Any, stream: Stream, happens: Any
) -> None:
    async with serve() as vendor:
        seen = handshakes(vendor)
        stage = vendor.voice(options={"stability": 0.5})
        await stage.warm()
        await happens(lambda: seen)
        assert [frame for _, frame in seen] == [{"text": " ", "voice_settings": {"stability": 0.5}}]
        assert vendor.server.connections == 1
        await said(stage, stream("Hi."))
        assert [frame["text"] for _, frame in seen if frame["text"] != " "] == ["Hi. ", ""]
        await happens(lambda: vendor.server.connections == 2)  # the one that waits for the next answer
        await said(stage, stream("Hi."))
        await stage.aclose()


async def test_a_voice_is_found_by_its_name(serve: Any, stream: Stream) -> None:
    async with serve() as vendor:
        seen = handshakes(vendor)
        stage = vendor.voice(voice="rachel")
        await stage.warm()
        await said(stage, stream("Hi."))
        await stage.aclose()
        assert {path for path, _ in seen} == {"/v1/text-to-speech/simulatedVoice000001/stream-input"}
        wrong = vendor.voice(voice="Rachell", api_key="k2")
        with pytest.raises(ConfigError, match="Near are 'Rachel'"):
            await wrong.warm()
        await wrong.aclose()
        stage.configure(SessionConfig.model_validate({"base_url": vendor.url, "api_key": "k1", "voice": "Adam"}))
        with pytest.raises(ConfigError, match="no voice 'Addam'"):
            stage.configure(SessionConfig.model_validate({"base_url": vendor.url, "api_key": "k1", "voice": "Addam"}))
        await stage.aclose()


async def test_settings_change_between_two_answers(serve: Any, stream: Stream) -> None:
    async with serve() as vendor:
        stage = vendor.voice()
        slow = sum(len(one.pcm) for one in await said(stage, stream("Hello there.")))
        stage.configure(SessionConfig.model_validate({"base_url": vendor.url, "api_key": "k1", "speed": 1.2}))
        fast = sum(len(one.pcm) for one in await said(stage, stream("Hello there.")))
        await stage.aclose()
    assert fast < slow * 0.9


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_other_settings_leave_the_answer_alone_that_is_being_spoken(
    serve: Any, stream: Stream, transport: str
) -> None:
    async with no_leaked_tasks(), serve(pace=8) as vendor:
        stage = vendor.voice(options={"transport": transport})
        speech = []
        async for output in stage.speak(stream(*TEXT)):
            if isinstance(output, Speech) and not speech:
                asked = {"base_url": vendor.url, "api_key": "k1", "voice": "EXAVITQu4vr4xnSDxMaL"}
                stage.configure(SessionConfig.model_validate(asked | {"options": {"transport": transport}}))
                await stage.get_ready()
            speech += [output] if isinstance(output, Speech) else []
        await stage.aclose()
    assert "".join(one.text for one in speech) == "".join(TEXT)


async def test_an_interruption_closes_the_connection_at_once(serve: Any, happens: Any) -> None:
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "Hello there, and so on."
            await asyncio.sleep(0.05)

    async with no_leaked_tasks(), serve(pace=1) as vendor:
        stage = vendor.voice()
        await stage.warm()
        outputs = stage.speak(endless())
        async for output in outputs:
            if isinstance(output, Speech):
                break
        began = asyncio.get_running_loop().time()
        await outputs.aclose()
        assert asyncio.get_running_loop().time() - began < 0.5
        await happens(lambda: vendor.server.turns.turns)
        assert vendor.server.turns.turns[0].status == "cancelled"
        await stage.aclose()


@pytest.mark.parametrize(
    ("fault", "category"),
    [
        ("reset on audio occurrence 6", "network"),
        ("cut on audio occurrence 6", "network"),
        ('close 1011 "failed" on audio occurrence 6', "network"),
        ('close 1008 "You have no credits" on audio occurrence 6', "quota"),
        ("garbage on audio occurrence 6", "protocol"),
        ("garbage truncated on audio occurrence 6", "protocol"),
    ],
    ids=["reset", "cut", "failed", "quota", "garbage", "truncated"],
)
async def test_a_voice_that_dies_has_told_exactly_what_it_spoke(
    serve: Any, stream: Stream, fault: str, category: str
) -> None:
    async with no_leaked_tasks(), serve(faults=[fault]) as vendor:
        stage = vendor.voice()
        speech: list[Speech] = []
        with pytest.raises(VoiceBridgeError) as error:
            await said(stage, stream("One two three four five."), speech)
        await stage.aclose()
    assert error.value.fault.category == category
    # Five pieces of 100 ms came: "One two" is 7 characters of 65 ms.
    assert sum(len(one.pcm) for one in speech) == 5 * 4800
    assert "".join(one.text for one in speech) == "One two"


async def test_what_nobody_expects_does_no_harm(serve: Any, stream: Stream) -> None:
    async with serve(faults=["unknown on audio every"]) as vendor:
        stage = vendor.voice()
        assert "".join(one.text for one in await said(stage, stream(*TEXT))) == "".join(TEXT)
        await stage.aclose()


async def test_an_end_without_the_last_word_is_an_end(serve: Any, stream: Stream) -> None:
    async with serve(faults=["drop on final"]) as vendor:
        stage = vendor.voice()
        assert "".join(one.text for one in await said(stage, stream(*TEXT))) == "".join(TEXT)
        await stage.aclose()


@pytest.mark.parametrize("transport", ["websocket", "http"])
@pytest.mark.parametrize(
    ("options", "key", "category"),
    [
        ({"keys": ("right",)}, "wrong", "auth"),
        ({"empty_accounts": ("k1",)}, "k1", "quota"),
    ],
    ids=["key", "quota"],
)
async def test_what_the_vendor_refuses(
    serve: Any, stream: Stream, transport: str, options: dict[str, Any], key: str, category: str
) -> None:
    async with serve(**options) as vendor:
        stage = vendor.voice(api_key=key, options={"transport": transport})
        with pytest.raises(VoiceBridgeError) as error:
            await said(stage, stream("Hi."))
        await stage.aclose()
    assert error.value.fault.category == category
    assert not error.value.fault.retryable
    assert key not in error.value.fault.message.split()


@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_one_answer_too_many_is_tried_again_by_others(serve: Any, stream: Stream, transport: str) -> None:
    async with serve(most_at_once=1, pace=1) as vendor:
        first, second = (vendor.voice(options={"transport": transport}) for _ in range(2))
        running = asyncio.create_task(said(first, stream("A long sentence that takes its time.")))
        await asyncio.sleep(0.3)
        with pytest.raises(VoiceBridgeError) as error:
            await said(second, stream("Hi."))
        assert (error.value.fault.category, error.value.fault.retryable) == ("rate", True)
        assert await running
        await first.aclose()
        await second.aclose()


async def test_a_voice_that_no_one_knows_by_its_id(serve: Any, stream: Stream) -> None:
    async with serve() as vendor:
        stage = vendor.voice(voice="abcdefghij0123456789")
        with pytest.raises(VoiceBridgeError) as error:
            await said(stage, stream("Hi."))
        await stage.aclose()
    assert (error.value.fault.category, error.value.fault.code) == ("config", "voice_not_found")
