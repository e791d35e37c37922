"""The vendor's own SDK before the simulator: its connections, and its types for every event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("cartesia", reason="the cartesia SDK is in the extra `judges`")

import cartesia
from cartesia import AsyncCartesia
from cartesia.types import TTSSSEEvent, WebsocketResponse
from cartesia.types.stt import STTAutoFinalizeWebsocketResponse, STTManualFinalizeWebsocketResponse
from pydantic import TypeAdapter

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge.testing.simulator.bare_client import tone

pytestmark = pytest.mark.judges

KEY = "a-key-of-a-test"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
RATE = 16_000
OUTPUT: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
SPEECH: TypeAdapter[Any] = TypeAdapter(WebsocketResponse)
EVENTS: TypeAdapter[Any] = TypeAdapter(TTSSSEEvent)
TEXTS: TypeAdapter[Any] = TypeAdapter(STTManualFinalizeWebsocketResponse)
TURNS: TypeAdapter[Any] = TypeAdapter(STTAutoFinalizeWebsocketResponse)


@asynccontextmanager
async def client(*, key: str = KEY, **options: Any) -> AsyncIterator[AsyncCartesia]:
    settings = SimulatorSettings(options={"pace": 0.0, "keys": (KEY,), **options})
    async with simulator("cartesia", settings).serve() as url:
        http = url.replace("ws", "http", 1)
        async with AsyncCartesia(api_key=key, base_url=http, websocket_base_url=url, max_retries=0) as made:
            yield made


def whole(event: Any, types: TypeAdapter[Any]) -> Any:
    """The event, held against the types: the SDK itself takes anything."""
    types.validate_python(event.model_dump(exclude_unset=True))
    return event


async def until(connection: Any, types: TypeAdapter[Any], kind: str, *, within_s: float = 10.0) -> list[Any]:
    """What comes, up to the first event of that kind."""
    events = []
    async with asyncio.timeout(within_s):
        while not events or events[-1].type != kind:
            events.append(whole(await connection.recv(), types))
    return events


async def say(connection: Any, ms: int, *, loud: bool) -> None:
    for _ in range(ms // 20):
        await connection.send_raw(tone(20, rate=RATE) if loud else bytes(RATE // 1000 * 20 * 2))


async def test_a_context_of_several_inputs():
    async with client() as made, made.tts.websocket_connect() as connection:
        context = connection.context(
            model_id="sonic-3", voice={"id": VOICE}, output_format=OUTPUT, add_timestamps=True, timeout=10
        )
        await context.push("Hello there,")
        await context.push(" how are you?")
        await context.no_more_inputs()
        events = [whole(event, SPEECH) async for event in context.receive()]
    audio = b"".join(event.audio for event in events if event.type == "chunk")
    words = [word for event in events if event.type == "timestamps" for word in event.word_timestamps.words]
    starts = [start for event in events if event.type == "timestamps" for start in event.word_timestamps.start]
    assert words == ["Hello", "there,", "how", "are", "you?"]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert len(audio) == 24_000 * 2 * 65 * len("Hello there, how are you?") // 1000
    assert events[-1].type == "done"


async def test_flushes_have_numbers():
    async with client() as made, made.tts.websocket_connect() as connection:
        context = connection.context(model_id="sonic-3", voice={"id": VOICE}, output_format=OUTPUT, timeout=10)
        await context.push("One.")
        await context.push("", flush=True)
        await context.push(" Two.")
        await context.no_more_inputs()
        events = [whole(event, SPEECH) async for event in context.receive()]
    assert [event.flush_id for event in events if event.type == "flush_done"] == [1]
    assert not any(event.type == "timestamps" for event in events), "nobody asked for them"


async def test_a_cancelled_context_falls_silent_and_the_connection_serves_on():
    async with client(pace=1.0) as made, made.tts.websocket_connect() as connection:
        first = connection.context(model_id="sonic-3", voice={"id": VOICE}, output_format=OUTPUT, timeout=10)
        await first.push("A much longer sentence, which takes some time to say.")
        assert (await anext(aiter(first.receive()))).type == "chunk"
        await first.cancel()
        second = connection.context(model_id="sonic-3", voice={"id": VOICE}, output_format=OUTPUT, timeout=10)
        await second.push("Yes?")
        await second.no_more_inputs()
        events = [whole(event, SPEECH) async for event in second.receive()]
    assert events[-1].type == "done"


async def test_an_error_of_a_context():
    async with client() as made, made.tts.websocket_connect() as connection:
        context = connection.context(model_id="no-such-model", voice={"id": VOICE}, output_format=OUTPUT, timeout=10)
        await context.push("Hello.")
        (error,) = [whole(event, SPEECH) async for event in context.receive()]
    assert (error.type, error.status_code, error.error_code) == ("error", 404, "model_not_found")


async def test_speech_by_server_sent_events():
    async with client() as made:
        stream = await made.tts.generate_sse(
            model_id="sonic-3", transcript="Hi you.", voice={"id": VOICE}, output_format=OUTPUT, add_timestamps=True
        )
        events = [whole(event, EVENTS) async for event in stream]
    assert {event.type for event in events} == {"chunk", "timestamps", "done"}
    assert len(b"".join(event.audio for event in events if event.type == "chunk")) == 24_000 * 2 * 455 // 1000


async def test_speech_as_bytes_and_a_refusal():
    async with client() as made:
        answer = await made.tts.generate(
            model_id="sonic-3", transcript="Hi you.", voice={"id": VOICE}, output_format=OUTPUT
        )
        assert len(await answer.read()) == 24_000 * 2 * 455 // 1000
        with pytest.raises(cartesia.BadRequestError):
            await made.tts.generate(model_id="sonic-3", transcript="", voice={"id": VOICE}, output_format=OUTPUT)


async def test_voices_by_the_page():
    async with client(voices=("Ada", "Adam", "Eve")) as made:
        names = [voice.name async for voice in made.voices.list(limit=2)]
        found = [voice.name async for voice in made.voices.list(q="ada")]
    assert names == ["Ada", "Adam", "Eve"]
    assert found == ["Ada", "Adam"]


async def test_ink_writes_down_what_was_said_when_it_is_asked_to():
    async with (
        client(transcripts=("Where is the station?",)) as made,
        made.stt.manual_finalize.websocket(model="ink-2", encoding="pcm_s16le", sample_rate=RATE) as connection,
    ):
        await say(connection, 1500, loud=True)
        await connection.send("finalize")
        events = await until(connection, TEXTS, "flush_done")
        await connection.send("close")
        (done,) = await until(connection, TEXTS, "done")
    final = [event for event in events if event.type == "transcript" and event.is_final]
    assert "".join(event.text for event in final) == "Where is the station?"
    assert len(final) == 2
    said = [word for event in final for some in event.words for word in some.words]
    assert said == ["Where", "is", "the", "station?"]
    assert done.request_id == final[0].request_id


async def test_ink_tells_turns():
    async with (
        client(transcripts=("one two three",)) as made,
        made.stt.auto_finalize.websocket(model="ink-2", encoding="pcm_s16le", sample_rate=RATE) as connection,
    ):
        for pause_ms in (140, 500):
            await say(connection, 700, loud=True)
            await say(connection, pause_ms, loud=False)
        events = await until(connection, TURNS, "turn.end")
    kinds = [event.type for event in events if event.type != "turn.update"]
    assert kinds == ["connected", "turn.start", "turn.eager_end", "turn.resume", "turn.eager_end", "turn.end"]
    assert events[-1].transcript == "one two three"


async def test_a_wrong_key_is_refused():
    async with client(key="another-key-of-a-test") as made:
        with pytest.raises(cartesia.AuthenticationError):
            await made.tts.generate(model_id="sonic-3", transcript="Hi", voice={"id": VOICE}, output_format=OUTPUT)
