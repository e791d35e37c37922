"""The user's voice: turns that are found, turns that are ended by hand, and voices that fall in."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from voicebridge.testing.simulator.bare_client import tone

LONG = "A long story that goes on and on, word after word, and does not come to its end. " * 4


def detection(**fields: Any) -> dict[str, Any]:
    return {"input": {"turn_detection": {"type": "server_vad", **fields}}}


async def test_where_speech_began_and_ended(simulate: Any, update: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await update(client, audio=detection(prefix_padding_ms=100, silence_duration_ms=300))
        await client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(48 * 1000)).decode())
        await speak(client, 500)
        started = await client.until("input_audio_buffer.speech_started")
        stopped = await client.until("input_audio_buffer.speech_stopped")
        committed = await client.until("input_audio_buffer.committed")
        await client.until("response.done")
        assert abs(started["audio_start_ms"] - 900) <= 40
        assert abs(stopped["audio_end_ms"] - 1800) <= 40
        assert started["item_id"] == stopped["item_id"] == committed["item_id"]
        await speak(client, 500)
        again = await client.until("input_audio_buffer.speech_started")
        assert abs(again["audio_start_ms"] - 1800) <= 40  # not before what is committed


async def test_a_turn_without_an_answer(simulate: Any, update: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await update(client, audio=detection(create_response=False))
        await speak(client)
        await client.until("input_audio_buffer.committed")
        await client.quiet()
        assert "response.created" not in client.kinds()
        await client.send("response.create")
        await client.until("response.done")


async def test_a_voice_that_falls_in_cancels_the_answer(simulate: Any, write: Any, speak: Any) -> None:
    async with simulate(pace=2) as (server, client):
        await write(client, LONG)
        await client.until("response.output_audio.delta")
        await speak(client, 300, silence_ms=0)
        await client.until("input_audio_buffer.speech_started")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "cancelled"
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert done["output"][0]["status"] == "incomplete"
        said = done["output"][0]["content"][0]["transcript"]
        assert f"You said: {LONG}".startswith(said)
        kinds = [frame["type"] for frame in client.frames]
        tail = kinds[kinds.index("input_audio_buffer.speech_started") :]
        assert tail[1:7] == [
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert server.turns.turns[0].status == "cancelled"


async def test_a_voice_that_may_not_interrupt(simulate: Any, update: Any, write: Any, speak: Any) -> None:
    async with simulate(pace=15) as (_, client):
        await update(client, audio=detection(interrupt_response=False))
        await write(client, LONG)
        await client.until("response.output_audio.delta")
        await speak(client)
        error = await client.until("error")
        assert error["error"]["code"] == "conversation_already_has_active_response"
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_push_to_talk(simulate: Any, update: Any) -> None:
    async with simulate(transcripts=["What time is it?"]) as (_, client):
        transcription = {"model": "gpt-4o-transcribe"}
        await update(client, audio={"input": {"turn_detection": None, "transcription": transcription}})
        await client.send("input_audio_buffer.append", audio=base64.b64encode(tone(90)).decode())
        await client.send("input_audio_buffer.commit", event_id="short")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "short")
        await client.send("input_audio_buffer.append", audio=base64.b64encode(tone(1000)).decode())
        await client.send("input_audio_buffer.commit")
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert told["transcript"] == "What time is it?"
        assert told["usage"]["input_token_details"]["audio_tokens"] == 11
        assert not [kind for kind in client.kinds() if kind.startswith("response.")]
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "You said: What time is it?"
        assert done["usage"]["input_token_details"]["audio_tokens"] == 11


async def test_a_buffer_that_is_cleared(simulate: Any, update: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await update(client, audio={"input": {"turn_detection": None}})
        await speak(client)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.send("input_audio_buffer.commit")
        assert (await client.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_speech_that_is_cleared_makes_no_turn(simulate: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await speak(client, 300, silence_ms=0)
        await client.until("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.clear")
        await speak(client, 0, silence_ms=800)
        assert "input_audio_buffer.committed" not in client.kinds()
        await client.quiet()
        await speak(client)
        await client.until("response.done")


async def test_speech_that_is_committed_by_hand_goes_on_as_another_turn(simulate: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await speak(client, 600, silence_ms=0)
        first = await client.until("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.commit")
        assert (await client.until("input_audio_buffer.committed"))["item_id"] == first["item_id"]
        await speak(client, 600)
        second = await client.until("input_audio_buffer.speech_started")
        assert second["item_id"] != first["item_id"]
        assert abs(second["audio_start_ms"] - 600) <= 40
        stopped = await client.until("input_audio_buffer.speech_stopped")
        assert stopped["item_id"] == second["item_id"]
        assert abs(stopped["audio_end_ms"] - 1400) <= 40
        assert (await client.until("input_audio_buffer.committed"))["item_id"] == second["item_id"]
        await client.until("response.done")


async def test_speech_keeps_its_item_though_detection_is_switched_off(simulate: Any, update: Any, speak: Any) -> None:
    async with simulate() as (_, client):
        await speak(client, 400, silence_ms=0)
        started = await client.until("input_audio_buffer.speech_started")
        await update(client, audio={"input": {"turn_detection": None}})
        await speak(client, 200)
        await client.send("input_audio_buffer.commit")
        assert (await client.until("input_audio_buffer.committed"))["item_id"] == started["item_id"]
        await speak(client, 400)
        await client.send("input_audio_buffer.commit")
        assert (await client.until("input_audio_buffer.committed"))["item_id"] != started["item_id"]


async def test_a_user_who_says_nothing_for_too_long(simulate: Any, update: Any, write: Any, speak: Any) -> None:
    async with simulate(pace=0, replies=["Hi."], transcripts=["Not said."]) as (server, client):
        listens = {"transcription": {"model": "whisper-1"}, **detection(idle_timeout_ms=5000)["input"]}
        await update(client, audio={"input": listens})
        await speak(client, 0, silence_ms=7000)
        await client.quiet()
        assert "input_audio_buffer.timeout_triggered" not in client.kinds()  # nobody has asked the user anything
        await write(client, "Hello")
        await client.until("response.done")
        played = 195  # "Hi." as a tone
        await speak(client, 0, silence_ms=played + 5000 - 40)
        await client.quiet()
        assert "input_audio_buffer.timeout_triggered" not in client.kinds()
        await speak(client, 0, silence_ms=60)
        waited = await client.until("input_audio_buffer.timeout_triggered")
        assert abs(waited["audio_start_ms"] - (7000 + played)) <= 20
        assert abs(waited["audio_end_ms"] - waited["audio_start_ms"] - 5000) <= 20
        assert (await client.until("input_audio_buffer.committed"))["item_id"] == waited["item_id"]
        assert (await client.until("conversation.item.added"))["item"]["id"] == waited["item_id"]
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert (told["item_id"], told["transcript"]) == (waited["item_id"], "")
        await client.until("response.done")
        await client.quiet()
        assert server.turns is not None
        assert server.turns.turns[-1].cause == "idle"
        await speak(client, 400)
        await speak(client, 0, silence_ms=200)
        assert (await client.until("response.done"))["response"]["output"][0]["content"][0]["transcript"] == (
            "You said: Not said."
        )
        assert client.kinds().count("input_audio_buffer.timeout_triggered") == 1


@pytest.mark.parametrize(("kind", "silence"), [("audio/pcmu", b"\xff"), ("audio/pcma", b"\xd5")])
async def test_telephone_audio_both_ways(simulate: Any, update: Any, kind: str, silence: bytes) -> None:
    from voicebridge.audio.converter import Converter
    from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat

    encoding: Any = "ulaw" if kind == "audio/pcmu" else "alaw"
    phone = AudioFormat(encoding=encoding, rate=8000)
    async with simulate(replies=["Hello there."]) as (_, client):
        await update(client, audio={"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}})
        converter = Converter(DOOR_FORMAT, phone)
        audio = converter.convert(tone(800)) + converter.flush() + silence * 8 * 600
        await client.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
        stopped = await client.until("input_audio_buffer.speech_stopped")
        assert abs(stopped["audio_end_ms"] - 1000) <= 40
        done = (await client.until("response.done"))["response"]
        assert done["audio"]["output"]["format"] == {"type": kind}
    said = b"".join(base64.b64decode(f["delta"]) for f in client.frames if f["type"] == "response.output_audio.delta")
    assert abs(phone.ms(len(said)) - len("Hello there.") * 65) < 20


async def test_what_was_understood_comes_from_the_script_then_from_the_clock(simulate: Any, speak: Any) -> None:
    async with simulate(transcripts=["First."]) as (_, client):
        said = []
        for _ in range(2):
            await speak(client)
            done = (await client.until("response.done"))["response"]
            said.append(done["output"][0]["content"][0]["transcript"])
        assert said == ["You said: First.", "You said: 1.2 seconds of speech"]


async def test_a_transcription_that_fails(simulate: Any, update: Any, speak: Any) -> None:
    async with simulate(transcripts=[None]) as (_, client):
        await update(client, audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        await speak(client)
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "transcription_failed"
        done = (await client.until("response.done"))["response"]
        assert (done["status"], done["output"][0]["content"][0]["transcript"]) == (
            "completed",
            "I did not understand that.",
        )


async def test_the_log_tells_what_caused_a_turn_and_when(simulate: Any, update: Any, write: Any, speak: Any) -> None:
    async with simulate() as (server, client):
        await speak(client)
        await client.until("response.done")
        await write(client, "Hi")
        await client.until("response.done")
        await update(client, audio={"input": {"turn_detection": None}})
        await speak(client)
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        await client.until("response.done")
        await client.quiet()
        spoken, written, pushed = server.turns.turns
    assert [record.turn for record in server.turns.turns] == [1, 2, 3]
    assert (spoken.cause, written.cause, pushed.cause) == ("speech", "request", "request")
    order = ["speech_started", "speech_stopped", "committed", "response_created", "first_audio", "done"]
    assert sorted(spoken.stamps, key=lambda name: spoken.stamps[name]) == order
    assert spoken.audio_ms == {"started": 0, "last_speech": 800.0, "stopped": 1000}
    assert list(written.stamps) == ["requested", "response_created", "first_audio", "done"]
    assert list(pushed.stamps) == ["committed", "requested", "response_created", "first_audio", "done"]


async def test_a_request_while_the_user_speaks_is_a_turn_of_its_own(
    simulate: Any, update: Any, write: Any, speak: Any
) -> None:
    async with simulate() as (server, client):
        await update(client, audio=detection(interrupt_response=False))
        await speak(client, 300, silence_ms=0)
        await client.until("input_audio_buffer.speech_started")
        await write(client, "Hi")
        await client.until("response.done")
        await speak(client, 0, silence_ms=400)
        await client.until("response.done")
        await client.quiet()
        written, spoken = server.turns.turns
    assert (written.cause, spoken.cause) == ("request", "speech")
    assert "speech_started" not in written.stamps
    assert {"speech_started", "speech_stopped", "committed"} <= spoken.stamps.keys()
