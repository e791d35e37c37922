"""A server that others wrote judges the backend: a whole conversation, and the contract suite.

It has to be started by hand; plugins/voicebridge-openai/README.md tells how. These environment variables name it:

    VOICEBRIDGE_FOREIGN_SERVER   its address, such as ws://127.0.0.1:8765/v1/realtime
    VOICEBRIDGE_FOREIGN_BACKEND  how to talk to it, as voicebridge.connect takes it; speech-to-speech unless set

The server's speech detection is real, so the user's voice is, too: a recording that the local speech stage ships.
"""

from __future__ import annotations

import os
from importlib import resources
from typing import ClassVar

import pytest

from voicebridge.audio.file import read_recording
from voicebridge.contract.commands import Configure, Interrupt, SendText, SendToolResult
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
)
from voicebridge.session.door import backend_of
from voicebridge.testing.contract import BackendContract, Bench, Subject
from voicebridge.testing.contract.conversation import Conversation

URL = os.environ.get("VOICEBRIDGE_FOREIGN_SERVER", "")
SPEC = os.environ.get("VOICEBRIDGE_FOREIGN_BACKEND", "speech-to-speech")
pytestmark = [
    pytest.mark.judges,
    pytest.mark.skipif(not URL, reason="by hand: VOICEBRIDGE_FOREIGN_SERVER names no server"),
]
SPOKEN_S = 2.0
WEATHER = {
    "name": "look_up_weather",
    "description": "The weather of a city right now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def subject() -> Subject:
    pytest.importorskip("moonshine_voice", reason="the user's voice is a recording of the extra `local`")
    with resources.as_file(resources.files("moonshine_voice") / "assets" / "beckett.wav") as path:
        recording = read_recording(path)
    speech = recording.samples.tobytes()[: recording.format.size(SPOKEN_S * 1000)]
    return Subject(
        backend=backend_of(SPEC),
        config={"base_url": URL},
        speech=speech,
        speech_format=recording.format,
        tool_prompt="What is the weather in Paris?",
        parallel_prompt="What is the weather in Paris, and in Rome?",
    )


async def answer_to(talk: Conversation, turn_id: str) -> ResponseStarted:
    return await talk.until(ResponseStarted, where=lambda event: turn_id in event.answers)


async def test_a_whole_conversation() -> None:
    """At its end it is held to every rule of the suite as well."""
    async with Bench(subject()).open(instructions="Be brief.") as talk:
        for _ in range(2):  # spoken turns
            turn = await talk.take_turn()
            started = await answer_to(talk, turn.turn_id)
            assert started.cause == "user"
            assert (await talk.end_of(started)).status == "completed"
            heard = await talk.until(InputTranscript, turn_id=turn.turn_id, final=True)
            assert heard.text
            assert talk.all(OutputAudio, response_id=started.response_id)
            assert talk.all(OutputText, response_id=started.response_id)
        # The user interrupts by voice.
        turn = await talk.take_turn()
        cut = await answer_to(talk, turn.turn_id)
        await talk.until(OutputAudio, 3, response_id=cut.response_id)
        turn = await talk.take_turn()
        assert (await talk.end_of(cut)).status == "interrupted"
        assert (await talk.end_of(await answer_to(talk, turn.turn_id))).status == "completed"
        # A written turn, a note, and the application interrupts.
        assert (await talk.answered("What is the capital of France?")).status == "completed"
        note = SendText(text="The user is in a hurry.", role="system", respond=False)
        await talk.send(note)
        await talk.done(note)
        cut = await talk.response_to(await talk.say("Tell me of Paris."))
        await talk.until(OutputAudio, 3, response_id=cut.response_id)
        stop = Interrupt(heard={cut.response_id: 300.0})
        await talk.send(stop)
        await talk.done(stop)
        assert (await talk.end_of(cut)).status == "interrupted"
        # Tools come while it runs; the user asks for one by voice.
        change = Configure(patch={"tools": (WEATHER,)})
        await talk.send(change)
        await talk.done(change)
        turn = await talk.take_turn()
        call = await talk.until(ToolCall)
        assert call.name == "look_up_weather"
        result = SendToolResult(call_id=call.call_id, output="rain")
        await talk.send(result)
        await talk.done(result)
        told = await talk.response_to(result)
        assert told.cause == "tool"
        assert (await talk.end_of(told)).status == "completed"
        assert "rain" in "".join(piece.delta for piece in talk.all(OutputText, response_id=told.response_id))
        await talk.quiet()
    assert not talk.all(BackendError)
    assert len(talk.all(ResponseStarted)) == len(talk.all(ResponseEnded)) == 8


class TestContract(BackendContract):
    """The suite that the project ships."""

    spec: ClassVar[str] = SPEC

    def subject(self) -> Subject:
        return subject()
