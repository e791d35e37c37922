"""The simulator speaks as other servers of this wire do, where that is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.bare_client import BareClient, bare_client
from voicebridge_openai.dialects import DIALECTS as OF_THE_CLIENT
from voicebridge_openai.simulator import simulator, wire
from voicebridge_openai.simulator.dialects import DIALECTS

from .test_door import refused

Speak = Callable[..., Awaitable[None]]
TRANSCRIBED = "conversation.item.input_audio_transcription"

KEYS: dict[str, dict[str, str]] = {
    "azure": {"api-key": "k"},
    "xai": {"Authorization": "Bearer k"},
    "elevenlabs": {"xi-api-key": "k"},
    "speech-to-speech": {},
}


def served(dialect: str, **options: Any) -> Any:
    return simulator(SimulatorSettings(options={"dialect": dialect, "pace": 0, **options})).serve()


@asynccontextmanager
async def client_of(dialect: str, **options: Any) -> AsyncIterator[BareClient]:
    async with (
        served(dialect, **options) as url,
        bare_client(f"{url}/realtime?model=any", KEYS[dialect]) as client,
    ):
        await client.until("session.created")
        yield client


async def ask(client: BareClient) -> dict[str, Any]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create")
    done: dict[str, Any] = (await client.until("response.done"))["response"]
    return done


def test_each_row_has_a_client_and_an_unknown_one_is_refused() -> None:
    assert set(DIALECTS) == set(OF_THE_CLIENT) - {"openai-compatible"}
    with pytest.raises(BadOption, match="speech-to-speech"):
        served("gemini")


@pytest.mark.parametrize("dialect", KEYS)
def test_addresses_are_those_of_the_client(dialect: str) -> None:
    assert OF_THE_CLIENT[dialect].path == f"{DIALECTS[dialect].base_path}/realtime"


@pytest.mark.parametrize(
    ("dialect", "headers"),
    [
        ("azure", {}),
        ("xai", {"api-key": "k"}),
        ("elevenlabs", {"Authorization": "Bearer k"}),
        ("elevenlabs", {"xi-api-key": ""}),
    ],
)
async def test_a_key_in_another_place_is_no_key(dialect: str, headers: dict[str, str]) -> None:
    async with served(dialect) as url:
        assert (await refused(f"{url}/realtime?model=any", headers))[0] == 401
        async with bare_client(f"{url}/realtime?model=any", KEYS[dialect]) as client:
            await client.until("session.created")


async def test_another_path_is_not_served() -> None:
    async with served("elevenlabs") as url:
        other = url.replace("/v1/convai", "/v1")
        assert (await refused(f"{other}/realtime", KEYS["elevenlabs"]))[0] == 404


async def test_only_some_look_for_the_model_in_the_address() -> None:
    async with served("xai") as url:
        assert (await refused(f"{url}/realtime", KEYS["xai"]))[0] == 400
    async with served("elevenlabs") as url, bare_client(f"{url}/realtime", KEYS["elevenlabs"]) as client:
        await client.send("session.update", session={"type": "realtime", "model": "eleven_realtime_v1_max"})
        assert (await client.until("session.updated"))["session"]["model"] == "eleven_realtime_v1_max"


async def test_xai_has_settings_at_the_top_and_numbers_its_conversations() -> None:
    async with client_of("xai") as client:
        assert "id" not in client.frames[0]["session"]
        assert (await client.until("conversation.created"))["conversation"]["id"]
        await client.until("ping")
        detection = {"type": "server_vad", "silence_duration_ms": 300}
        await client.send("session.update", session={"type": "realtime", "voice": "ara", "turn_detection": detection})
        session = (await client.until("session.updated"))["session"]
        assert session["voice"] == "ara"
        assert session["turn_detection"]["silence_duration_ms"] == 300
        assert "voice" not in session["audio"]["output"]
        assert "turn_detection" not in session["audio"]["input"]
        below = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await client.send("session.update", session=below)
        assert (await client.until("error"))["error"]["param"] == "session.audio.input.turn_detection"


async def test_xai_tells_all_of_a_transcript_again_and_again(speak: Speak) -> None:
    async with client_of("xai", transcripts=["one two"]) as client:
        await speak(client)
        final = await client.until(f"{TRANSCRIBED}.completed", status="completed")
        assert final["transcript"] == "one two"
        await client.until("response.done")
        told = [(f["type"].split(".")[-1], f["transcript"]) for f in client.frames if f["type"].startswith(TRANSCRIBED)]
        assert told == [
            ("updated", "one"),
            ("completed", "one"),
            ("updated", "one two"),
            ("completed", "one two"),
            ("completed", "one two"),
        ]
        assert all(f["audio_duration_ms"] > 0 for f in client.frames if f["type"] == "response.output_audio.delta")


async def test_elevenlabs_counts_nothing_and_finds_turns_by_their_meaning(speak: Speak) -> None:
    async with client_of("elevenlabs", transcripts=["one two"]) as client:
        assert client.frames[0]["session"]["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
        await speak(client, silence_ms=1200)
        assert "usage" not in await client.until(f"{TRANSCRIBED}.completed", transcript="one two")
        assert (await client.until("response.done"))["response"]["usage"] is None
        by_loudness = {"input": {"turn_detection": {"type": "server_vad"}}}
        await client.send("session.update", session={"type": "realtime", "audio": by_loudness})
        assert (await client.until("error"))["error"]["code"] == "invalid_value"
        await client.send("conversation.item.delete", item_id="any")
        assert (await client.until("error"))["error"]["code"] == "unknown_or_invalid_event"


async def test_elevenlabs_hangs_up_on_the_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = replace(DIALECTS["elevenlabs"], idle_s=0.3)
    monkeypatch.setattr(wire, "DIALECTS", {"elevenlabs": impatient})
    async with client_of("elevenlabs") as client:
        for _ in range(4):
            await client.send("input_audio_buffer.append", audio="")
            await client.quiet(0.1)
        code, reason = await client.ended(within_s=5)
        assert (code, "No message" in reason) == (1000, True)


async def test_speech_to_speech_differs_in_its_events(speak: Speak) -> None:
    async with client_of("speech-to-speech") as client:
        await client.send("response.cancel")
        await client.send("conversation.item.truncate", item_id="any", content_index=0, audio_end_ms=1)
        await client.send("input_audio_buffer.clear")
        error = (await client.until("error"))["error"]
        assert (error["type"], error["code"]) == ("unknown_or_invalid_event", None)
        off = {"output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
        await client.send("session.update", session={"type": "realtime", **off})
        session = (await client.until("session.updated"))["session"]
        assert session["output_modalities"] == ["audio"]
        await ask(client)
        assert "conversation.item.created" in client.kinds()
        assert not {"conversation.item.added", "conversation.item.done"} & set(client.kinds())
        await speak(client)  # it is still listened for
        await client.until(f"{TRANSCRIBED}.completed")
        assert client.kinds().count("error") == 1


async def test_speech_to_speech_stops_before_it_says_why(speak: Speak) -> None:
    async with client_of("speech-to-speech", pace=1.0, replies=["A long story, " * 20]) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await speak(client)
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        await client.until("input_audio_buffer.speech_started")


async def test_an_unknown_event_comes_beside_the_others() -> None:
    settings = SimulatorSettings(faults=("unknown on response.created",), options={"pace": 0})
    async with simulator(settings).serve() as url, bare_client(f"{url}/realtime?model=any", KEYS["xai"]) as client:
        await ask(client)
        [unknown] = [frame for frame in client.frames if frame["type"] == "unheard_of.event"]
        [created] = [frame for frame in client.frames if frame["type"] == "response.created"]
        assert unknown["response"] == created["response"]
