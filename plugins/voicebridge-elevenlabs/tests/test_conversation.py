"""Whole conversations: Scribe, a model, and a voice."""

from __future__ import annotations

from typing import Any

import pytest

import voicebridge
from voicebridge.contract.commands import Interrupt, SendText
from voicebridge.contract.events import InputTranscript, OutputAudio, OutputHeard, ResponseEnded, UsageReported
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.stages import ScriptedModel


@pytest.mark.parametrize("recogniser", ["scribe_v2_realtime", "scribe_v2"])
@pytest.mark.parametrize("transport", ["websocket", "http"])
async def test_a_spoken_turn_is_answered(serve: Any, talk: Any, recogniser: str, transport: str) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            stt=voicebridge.stage(f"elevenlabs/{recogniser}", **where),
            llm=ScriptedModel(["It is ", "ten o'clock. ", "Time to go."]),
            tts=voicebridge.stage("elevenlabs/eleven_turbo_v2", voice="Rachel", transport=transport, **where),
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
        causes = {record.cause for record in vendor.server.turns.turns}
        assert any(cause.startswith("text-to-speech") for cause in causes)
        assert any(cause.startswith("speech-to-text") for cause in causes)


async def test_what_was_heard_is_known_to_the_word(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hi",), pace=4) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six seven eight nine ten."]),
            tts=voicebridge.stage("elevenlabs/eleven_flash_v2_5", **where),
        ) as user:
            await user.session.send(SendText(text="count"))
            first = await user.until(OutputAudio, count=12)
            # "One two three" is 13 characters of 65 ms.
            await user.session.send(Interrupt(heard={first.response_id: 13 * 65 + 10}))
            assert (await user.until(ResponseEnded)).status == "interrupted"
            assert (await user.until(OutputHeard)).text == "One two three"


async def test_a_voice_that_dies_fails_the_answer_and_not_the_call(serve: Any, talk: Any) -> None:
    async with no_leaked_tasks(), serve(faults=["reset on audio occurrence 4 connection 1"]) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1"}
        async with talk(
            llm=ScriptedModel(["One two three four five six."]),
            tts=voicebridge.stage("elevenlabs/eleven_flash_v2_5", **where),
        ) as user:
            await user.session.send(SendText(text="count"))
            ended = await user.until(ResponseEnded)
            assert (ended.status, ended.fault.category) == ("failed", "network")
            await user.session.send(SendText(text="again"))
            assert (await user.until(ResponseEnded, count=2)).status == "completed"
