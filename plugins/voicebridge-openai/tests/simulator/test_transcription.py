"""Sessions that only transcribe: `intent=transcription`."""

from __future__ import annotations

import base64

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.bare_client import BareClient, bare_client, tone
from voicebridge_openai.simulator import simulator

HEADERS = {"Authorization": "Bearer sk-test"}
MODEL = {"model": "gpt-4o-transcribe"}


async def append(client: BareClient, ms: float) -> None:
    """Send a tone."""
    await client.send("input_audio_buffer.append", audio=base64.b64encode(tone(ms)).decode())


async def test_commits_are_transcribed_and_not_answered() -> None:
    server = simulator(SimulatorSettings(options={"transcripts": ["Hello."]}))
    async with server.serve() as url, bare_client(f"{url}/realtime?intent=transcription", HEADERS) as client:
        session = (await client.until("session.created"))["session"]
        assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
        settings = {"transcription": MODEL, "turn_detection": None}
        await client.send("session.update", session={"type": "transcription", "audio": {"input": settings}})
        heard = (await client.until("session.updated"))["session"]["audio"]["input"]
        assert heard["turn_detection"] is None
        assert heard["transcription"]["model"] == "gpt-4o-transcribe"
        await append(client, 400)
        await client.send("input_audio_buffer.commit")
        committed = await client.until("input_audio_buffer.committed")
        done = await client.until("conversation.item.input_audio_transcription.completed")
        assert (done["item_id"], done["transcript"]) == (committed["item_id"], "Hello.")
        await client.send("response.create")
        assert "takes no response.create" in (await client.until("error"))["error"]["message"]


async def test_speech_detection_ends_turns_and_answers_none() -> None:
    server = simulator(SimulatorSettings(options={"transcripts": ["Hello."]}))
    async with server.serve() as url, bare_client(f"{url}/realtime?intent=transcription", HEADERS) as client:
        detection = (await client.until("session.created"))["session"]["audio"]["input"]["turn_detection"]
        assert "create_response" not in detection
        await client.send(
            "session.update", session={"type": "transcription", "audio": {"input": {"transcription": MODEL}}}
        )
        await append(client, 600)
        await client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(48 * 600)).decode())
        await client.until("input_audio_buffer.speech_stopped")
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.quiet()
        assert not [kind for kind in client.kinds() if kind.startswith("response.")]


async def test_what_such_a_session_refuses() -> None:
    async with (
        simulator(SimulatorSettings()).serve() as url,
        bare_client(f"{url}/realtime?intent=transcription", HEADERS) as client,
    ):
        await client.until("session.created")
        whisper = {"transcription": {"model": "gpt-realtime-whisper"}}
        for session, problem in (
            ({"type": "realtime"}, "session.type"),
            ({"type": "transcription", "instructions": "x"}, "session.instructions"),
            ({"type": "transcription", "audio": {"input": whisper}}, "session.audio.input.turn_detection"),
        ):
            await client.send("session.update", session=session)
            assert (await client.until("error"))["error"]["param"] == problem
