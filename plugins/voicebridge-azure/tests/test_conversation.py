"""Whole conversations: a recogniser, a model, and a voice."""

from __future__ import annotations

from typing import Any

import voicebridge
from voicebridge.contract.commands import Interrupt, SendText
from voicebridge.contract.events import InputTranscript, OutputAudio, ResponseEnded, UsageReported
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.stages import ScriptedModel


async def test_a_spoken_turn_is_answered(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            stt=voicebridge.stage("azure/speech", **where),
            llm=ScriptedModel(["It is ", "ten o'clock. ", "Time to go."]),
            tts=voicebridge.stage("azure/neural", voice="Jenny", **where),
            speculate="none",
        ) as user:
            await user.speak(800)
            ended = await user.until(ResponseEnded)
        assert ended.status == "completed"
        assert [one.text for one in user.all(InputTranscript, final=True)] == ["What is the time?"]
        assert user.all(OutputAudio)
        used = [one.units for one in user.all(UsageReported)]
        assert sum(units.get("characters", 0) for units in used) == len("It is ten o'clock.") + len("Time to go.")
        assert any(units.get("audio_s", 0) > 0.8 for units in used)
        assert {record.cause for record in vendor.server.turns.turns} == {"speech/recognition", "cognitiveservices/v1"}


async def test_an_interruption_closes_the_request(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(pace=1) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six seven eight nine ten."]),
            tts=voicebridge.stage("azure/neural", **where),
        ) as user:
            await user.session.send(SendText(text="count"))
            await user.until(OutputAudio, count=2)
            await user.session.send(Interrupt())
            assert (await user.until(ResponseEnded)).status == "interrupted"
        assert [record.status for record in vendor.server.turns.turns] == ["cancelled"]


async def test_a_voice_that_stays_dead_fails_the_answer_and_not_the_call(serve: Any, talk: Any) -> None:
    faults = [f"handshake 429 connection {n}" for n in range(2, 8)]  # the first lists the voices
    async with no_leaked_tasks(), serve(faults=faults) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six."]), tts=voicebridge.stage("azure/neural", **where)
        ) as user:
            await user.session.send(SendText(text="count"))
            ended = await user.until(ResponseEnded)
            assert (ended.status, ended.fault.category) == ("failed", "rate")
