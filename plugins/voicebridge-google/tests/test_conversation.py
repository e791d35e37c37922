"""Whole conversations: a recogniser, a model, and a voice."""

from __future__ import annotations

from typing import Any

import voicebridge
from voicebridge.contract.commands import SendText
from voicebridge.contract.events import InputTranscript, OutputAudio, ResponseEnded, UsageReported
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.stages import ScriptedModel


async def test_a_spoken_turn_is_answered(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            stt=voicebridge.stage("google/chirp_3", project="demo", **where),
            llm=ScriptedModel(["It is ", "ten o'clock. ", "Time to go."]),
            tts=voicebridge.stage("google/chirp-3-hd", voice="Puck", **where),
            speculate="none",
        ) as user:
            await user.speak(800)
            ended = await user.until(ResponseEnded)
        assert ended.status == "completed"
        assert [one.text for one in user.all(InputTranscript, final=True)] == ["What is the time?"]
        assert user.all(OutputAudio)
        used = [one.units for one in user.all(UsageReported)]
        assert sum(units.get("characters", 0) for units in used) == len("It is ten o'clock.") + len("Time to go.")
        assert any(units.get("audio_s", 0) >= 1 for units in used)
        assert {record.cause for record in vendor.server.turns.turns} == {"recognize", "text:synthesize"}


async def test_a_voice_that_dies_once_is_asked_again(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(faults=["cut on body connection 2"]) as vendor:  # the first lists the voices
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six."]), tts=voicebridge.stage("google/chirp-3-hd", **where)
        ) as user:
            await user.session.send(SendText(text="count"))
            assert (await user.until(ResponseEnded)).status == "completed"
        assert [record.status for record in vendor.server.turns.turns] == ["cancelled", "completed"]


async def test_a_voice_that_stays_dead_fails_the_answer_and_not_the_call(serve: Any, talk: Any) -> None:
    faults = [f"handshake 503 connection {n}" for n in range(2, 8)]
    async with no_leaked_tasks(), serve(faults=faults) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six."]), tts=voicebridge.stage("google/chirp-3-hd", **where)
        ) as user:
            await user.session.send(SendText(text="count"))
            ended = await user.until(ResponseEnded)
            assert (ended.status, ended.fault.category) == ("failed", "busy")
