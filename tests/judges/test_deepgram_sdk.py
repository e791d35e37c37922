"""The vendor's own SDK before the simulator: its connections, and its types for every frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("deepgram", reason="the deepgram SDK is in the extra `judges`")

from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1 import types as listen
from deepgram.listen.v2 import types as flux
from deepgram.speak.v1 import types as speak
from pydantic import BaseModel

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge.testing.simulator.bare_client import tone

pytestmark = pytest.mark.judges

KEY = "a-key-of-a-test"
RATE = 16_000


@asynccontextmanager
async def client(*, key: str = KEY, **options: Any) -> AsyncIterator[AsyncDeepgramClient]:
    settings = SimulatorSettings(options={"pace": 0.0, "keys": (KEY,), **options})
    async with simulator("deepgram", settings).serve() as url:
        http = url.replace("ws", "http", 1)
        yield AsyncDeepgramClient(
            api_key=key,
            environment=DeepgramClientEnvironment(base=http, production=url, agent=url, agent_rest=http),
        )


def whole(event: Any) -> Any:
    """The event, held against its own type: the SDK itself takes anything."""
    assert isinstance(event, BaseModel), event
    type(event).model_validate(event.model_dump(exclude_unset=True))
    return event


async def until(connection: Any, kinds: Sequence[type], *, within_s: float = 10.0) -> list[Any]:
    """What comes, up to the first one of these types."""
    events = []
    async with asyncio.timeout(within_s):
        while True:
            event = await connection.recv()
            events.append(event if isinstance(event, bytes) else whole(event))
            if isinstance(event, tuple(kinds)):
                return events


async def until_told(connection: Any, kind: str) -> list[Any]:
    """The same by the name of the event: the SDK takes `Cleared` for `Flushed`, which look alike."""
    events = await until(connection, [speak.SpeakV1Flushed, speak.SpeakV1Cleared])
    while events[-1].type != kind:
        events += await until(connection, [speak.SpeakV1Flushed, speak.SpeakV1Cleared])
    return events


async def say(connection: Any, ms: int, *, loud: bool) -> None:
    for _ in range(ms // 20):
        await connection.send_media(tone(20, rate=RATE) if loud else bytes(RATE // 1000 * 20 * 2))


async def test_nova_writes_down_what_was_said_when_it_is_asked_to():
    asked = {"model": "nova-3", "encoding": "linear16", "sample_rate": RATE, "endpointing": "false"}
    async with (
        client(transcripts=("Where is the station?",)) as deepgram,
        deepgram.listen.v1.connect(**asked, interim_results=True) as connection,
    ):
        await say(connection, 1500, loud=True)
        await connection.send_keep_alive(listen.ListenV1KeepAlive(type="KeepAlive"))
        await connection.send_finalize(listen.ListenV1Finalize(type="Finalize"))
        results = []
        while not results or not results[-1].from_finalize:
            results += await until(connection, [listen.ListenV1Results])
        await connection.send_close_stream(listen.ListenV1CloseStream(type="CloseStream"))
        (metadata,) = await until(connection, [listen.ListenV1Metadata])
    assert [result.is_final for result in results][-1]
    assert not any(result.is_final for result in results[:-1])
    assert len(results) > 1
    best = results[-1].channel.alternatives[0]
    assert best.transcript == "Where is the station?"
    assert [word.punctuated_word for word in best.words] == best.transcript.split()
    assert metadata.duration == pytest.approx(1.5)


async def test_nova_ends_turns_by_silence_where_it_shall():
    asked = {"model": "nova-3", "encoding": "linear16", "sample_rate": RATE, "endpointing": 200}
    async with (
        client() as deepgram,
        deepgram.listen.v1.connect(**asked, vad_events=True, utterance_end_ms=1000) as connection,
    ):
        await say(connection, 600, loud=True)
        await say(connection, 400, loud=False)
        events = await until(connection, [listen.ListenV1UtteranceEnd])
    kinds = [type(event) for event in events]
    assert kinds == [listen.ListenV1SpeechStarted, listen.ListenV1Results, listen.ListenV1UtteranceEnd]
    assert events[1].speech_final
    assert not events[1].from_finalize


async def test_flux_tells_turns():
    asked = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": RATE, "eager_eot_threshold": 0.5}
    async with client(transcripts=("one", "two")) as deepgram, deepgram.listen.v2.connect(**asked) as connection:
        (connected,) = await until(connection, [flux.ListenV2Connected])
        infos: list[Any] = []
        for pause_ms in (140, 500):  # the first one is long enough to be taken for an end, and no end
            await say(connection, 600, loud=True)
            await say(connection, pause_ms, loud=False)
        while not infos or infos[-1].event != "EndOfTurn":
            infos += await until(connection, [flux.ListenV2TurnInfo])
        await say(connection, 600, loud=True)
        await connection.send_force_end_turn()
        while infos[-1].turn_index != 1 or infos[-1].event != "EndOfTurn":
            infos += await until(connection, [flux.ListenV2TurnInfo])
    first = [info.event for info in infos if info.turn_index == 0 and info.event != "Update"]
    assert first == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]
    ends = [info for info in infos if info.event == "EndOfTurn"]
    assert [(end.transcript, end.trigger) for end in ends] == [("one", "model"), ("two", "manual")]
    eager = [info for info in infos if info.event == "EagerEndOfTurn"][-1]
    assert eager.transcript == ends[0].transcript
    assert [event.sequence_id for event in [connected, *infos]] == list(range(len(infos) + 1))


async def test_flux_takes_other_thresholds_while_it_listens():
    asked = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": RATE}
    async with client() as deepgram, deepgram.listen.v2.connect(**asked) as connection:
        await connection.send_configure(flux.ListenV2Configure(thresholds={"eot_threshold": 0.9}))
        *_, done = await until(connection, [flux.ListenV2ConfigureSuccess])
    assert done.thresholds.eot_threshold == 0.9


async def test_aura_speaks_what_was_flushed_and_falls_silent_when_it_is_cleared():
    asked = {"model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": 24_000}
    async with client(pace=1.0) as deepgram, deepgram.speak.v1.connect(**asked) as connection:
        await connection.send_text(speak.SpeakV1Text(text="Hi."))
        await connection.send_flush(speak.SpeakV1Flush(type="Flush"))
        metadata, *audio, flushed = await until_told(connection, "Flushed")
        await connection.send_text(speak.SpeakV1Text(text="A much longer sentence, which takes some time to say."))
        await connection.send_flush(speak.SpeakV1Flush(type="Flush"))
        await until(connection, [bytes])
        await connection.send_clear(speak.SpeakV1Clear(type="Clear"))
        *_, cleared = await until_told(connection, "Cleared")
        await connection.send_close(speak.SpeakV1Close(type="Close"))
    assert isinstance(metadata, speak.SpeakV1Metadata)
    assert all(isinstance(frame, bytes) for frame in audio)
    assert sum(map(len, audio)) == 24_000 * 2 * 195 // 1000, "three characters of 65 ms"
    assert (flushed.sequence_id, cleared.sequence_id) == (0, 1)


async def test_aura_warns_of_too_many_flushes():
    asked = {"model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": 24_000}
    async with client(most_flushes=1) as deepgram, deepgram.speak.v1.connect(**asked) as connection:
        for _ in range(2):
            await connection.send_flush(speak.SpeakV1Flush(type="Flush"))
        *_, warning = await until(connection, [speak.SpeakV1Warning])
    assert warning.description


async def test_aura_over_http():
    async with client() as deepgram:
        pieces = deepgram.speak.v1.audio.generate(
            text="Hello.", model="aura-2-luna-en", encoding="linear16", container="none", sample_rate=24_000
        )
        audio = b"".join([piece async for piece in pieces])
        with pytest.raises(ApiError) as refused:
            async for _ in deepgram.speak.v1.audio.generate(text=" ", model="aura-2-luna-en"):
                pass
    assert len(audio) == 24_000 * 2 * 390 // 1000
    assert refused.value.status_code == 400


async def test_a_wrong_key_is_refused():
    async with client(key="another-key-of-a-test") as deepgram:
        with pytest.raises(ApiError) as refused:
            async with deepgram.listen.v1.connect(model="nova-3"):
                pass
    assert refused.value.status_code == 401
