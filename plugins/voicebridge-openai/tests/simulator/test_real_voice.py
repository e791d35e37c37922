"""With the models that are installed: it speaks with a voice, and hears what was really said."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.voice import StageVoice, voice_named

INSTALLED = {row.seat for row in registry().rows().stages if not row.about.missing()}


@pytest.mark.skipif(not {"stt", "tts", "detector"} <= INSTALLED, reason="the extra `local` brings the models")
async def test_a_turn_with_real_voices(simulate: Any, update: Any) -> None:
    voice = voice_named("installed", ms_per_char=65)
    assert isinstance(voice, StageVoice)
    question = b"".join([pcm async for pcm, _ in voice.speak("What is the weather in London today?", DOOR_FORMAT)])
    await voice.aclose()
    async with simulate(voice="installed", detector="installed", recogniser="installed") as (server, client):
        await update(client, audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
        pcm = bytes(48 * 500) + question + bytes(48 * 1000)
        for start in range(0, len(pcm), 4800):
            await client.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + 4800]).decode())
        told = await client.until("conversation.item.input_audio_transcription.completed", within_s=60)
        done = (await client.until("response.done", within_s=60))["response"]
    assert "weather in london" in told["transcript"].lower()
    assert done["output"][0]["content"][0]["transcript"] == f"You said: {told['transcript']}"
    assert len([f for f in client.frames if f["type"] == "response.output_audio_transcript.delta"]) > 5
    # 8 words are no less than 1.5 s and no more than 6 s of speech.
    assert 30 < done["usage"]["output_token_details"]["audio_tokens"] < 120
    found = server.turns.turns[0].audio_ms
    assert 100 < found["started"] < 700
    assert abs(found["last_speech"] - (500 + len(question) / 48)) < 500
