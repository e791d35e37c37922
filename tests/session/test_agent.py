"""An agent with a microphone and a speaker of the test's own, over scripted stages, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import pytest

import voicebridge
from voicebridge import (
    DOOR_FORMAT,
    Agent,
    AudioFormat,
    CallPolicy,
    InputTranscript,
    MessageItem,
    OutputHeard,
    OutputText,
    Prompt,
    SessionFailed,
    SessionRestarted,
    TextToSpeechTraits,
    Tool,
    ToolCall,
    ToolRequest,
    ToolResultItem,
    VoiceAgent,
)
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.captions import Captions
from voicebridge.session.history_store import MemoryHistoryStore
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.sound import ScriptedMicrophone
from voicebridge.testing.stages import ScriptedModel, ScriptedVoice

from .room import LONG, Room, one_question


def test_a_question_is_answered_and_what_was_played_is_reported() -> None:
    room = Room(instructions="Be kind.", voice=None)
    run_in_virtual_time(room.talk(one_question))
    assert [event.text for event in room.all(InputTranscript, final=True)] == ["hello there"]
    assert room.said == "Hi, nice to meet you."
    [heard] = room.all(OutputHeard)
    assert (heard.basis, heard.text) == ("measured", "Hi, nice to meet you.")
    assert len(room.speaker.heard.replace(b"\0\0", b"")) > 0
    assert heard.heard_ms == DOOR_FORMAT.ms(room.speaker.given)


def test_a_voice_at_another_rate_is_heard_to_its_end_as_well() -> None:
    tts = ScriptedVoice(traits=TextToSpeechTraits(format=AudioFormat(rate=22_050)))
    room = Room(tts=tts)
    run_in_virtual_time(room.talk(one_question))
    [heard] = room.all(OutputHeard)
    assert (heard.basis, heard.text) == ("measured", "Hi, nice to meet you.")


async def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def calls(*requests: ToolRequest) -> ScriptedModel:
    """A model that calls tools first, and then tells what it got."""

    def script(prompt: Prompt) -> Iterable[str | ToolRequest]:
        results = [item for item in prompt.items if isinstance(item, ToolResultItem)]
        if results:
            return ["I got ", ", ".join(f"{item.output}{'!' if item.is_error else ''}" for item in results)]
        return list(requests)

    return ScriptedModel(script)


def test_tools_are_run_and_their_results_answered() -> None:
    llm = calls(
        ToolRequest("k1", "add", '{"a": 1, "b": 2}'),
        ToolRequest("k2", "add", '{"a": 1}'),
        ToolRequest("k3", "multiply", "{}"),
    )
    room = Room(llm=llm, tools=[add])
    run_in_virtual_time(room.talk(one_question))
    assert llm.prompts[0].tools[0].description == "The sum of two numbers."
    assert room.said.startswith("I got 3, The arguments do not fit: b")
    assert "There is no tool 'multiply'. There are: add.!" in room.said
    assert [call.call_id for call in room.all(ToolCall)] == ["k1", "k2", "k3"]


def test_a_tool_that_runs_when_the_conversation_ends_is_cancelled() -> None:
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    room = Room(llm=calls(ToolRequest("k1", "wait", "")), tools=[wait])
    run_in_virtual_time(room.talk(one_question))
    assert cancelled == [True]


def test_a_session_that_fails_says_why() -> None:
    class Broken(ScriptedVoice):
        async def warm(self) -> None:
            raise OSError("no weights")

    room = Room(tts=Broken())
    with pytest.raises(SessionFailed, match="no weights"):
        run_in_virtual_time(room.talk(one_question))


def test_a_microphone_that_fails_ends_the_conversation() -> None:
    async def script(user: ScriptedMicrophone) -> None:
        raise voicebridge.NoSoundDevice("unplugged")

    with pytest.raises(voicebridge.NoSoundDevice, match="unplugged"):
        run_in_virtual_time(Room().talk(script))


def test_cancelled_it_leaves_nothing_behind() -> None:
    room = Room(llm=ScriptedModel([LONG] * 50, piece_s=1.0))

    async def main() -> None:
        room._test = asyncio.current_task()
        talk = asyncio.create_task(room.talk(one_question))
        await asyncio.sleep(3.0)
        talk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talk
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert room.speaker._queue.queued_ms == 0

    run_in_virtual_time(main())


def test_start_in_a_running_loop_says_what_to_use() -> None:
    async def main() -> None:
        with pytest.raises(voicebridge.ConfigError, match=r"await agent\.run"):
            VoiceAgent().start()

    asyncio.run(main())


def test_start_without_a_sound_device_names_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as if it were not installed
    with pytest.raises(voicebridge.NoSoundDevice, match=r"voicebridge ask FILE\.wav"):
        VoiceAgent().start()


def test_start_ends_at_ctrl_c_without_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def live(self: VoiceAgent, captions: Captions) -> None:
        captions.show(OutputText(response_id="r1", delta="I was just sa"))
        raise KeyboardInterrupt

    monkeypatch.setattr(VoiceAgent, "_live", live)
    VoiceAgent().start()
    assert capsys.readouterr().out == "Agent: I was just sa\n"


def test_what_an_agent_does_not_take() -> None:
    with pytest.raises(voicebridge.ConfigError, match="no function"):
        VoiceAgent(tools=[Tool(name="search")])
    with pytest.raises(voicebridge.ConfigError, match="takes no input_format"):
        VoiceAgent(input_format=PCM_16K)
    for turns in ({"mode": "manual"}, voicebridge.TurnPolicy(mode="manual")):
        with pytest.raises(voicebridge.ConfigError, match=r"never answer in push-to-talk.*EndTurn"):
            VoiceAgent(turns=turns)
    with pytest.raises(voicebridge.BadOption, match=r"turns\.mode"):
        VoiceAgent(turns={"mode": "telepathy"})


def test_a_team_hands_the_conversation_on() -> None:
    def script(prompt: Prompt) -> Iterable[str | ToolRequest]:
        if prompt.instructions == "You are the desk.":
            return [ToolRequest("k1", "handoff", '{"agent": "billing"}')]
        return ["Billing here."]

    team = [Agent("desk", "You are the desk."), Agent("billing", "You settle invoices.", description="invoices")]
    room = Room(llm=ScriptedModel(script), agents=team)
    run_in_virtual_time(room.talk(one_question))
    assert room.said == "Billing here."
    assert room.agent.session is not None
    assert room.agent.session.agent == "billing"


def test_the_session_of_a_talk_takes_commands() -> None:
    room = Room()

    async def script(user: ScriptedMicrophone) -> None:
        await room.until(lambda: room.agent.session)
        assert room.agent.session is not None
        await room.agent.session.send(voicebridge.SendText(text="Hello?"))
        await asyncio.sleep(5.0)

    run_in_virtual_time(room.talk(script))
    assert room.said == "Hi, nice to meet you."


def test_tools_that_nobody_would_answer_are_refused_in_a_team_as_well() -> None:
    with pytest.raises(voicebridge.ConfigError, match="no function"):
        VoiceAgent(agents=[Agent("desk", tools=[Tool(name="search")])])
    with pytest.raises(voicebridge.ConfigError, match="never answer in push-to-talk"):
        VoiceAgent(agents=[Agent("desk", options={"turns": {"mode": "manual"}})])


def test_what_is_queued_plays_on_over_a_handover() -> None:
    room = Room(llm=ScriptedModel([LONG] * 2))
    other = Room(llm=ScriptedModel(["Here is the other one."])).backend

    async def script(user: ScriptedMicrophone) -> None:
        await user.say(1.0)
        await room.until(lambda: room.speaker.played_ms("r1") >= 1000)
        assert room.agent.session is not None
        await room.agent.session.switch(other)
        await room.until(lambda: room.all(SessionRestarted))
        await asyncio.sleep(6.0)
        await user.say(1.0)
        await asyncio.sleep(5.0)

    run_in_virtual_time(room.talk(script))
    assert room.said == LONG * 2 + "Here is the other one."
    assert room.speaker.heard.count(b"\x00\x20") == room.speaker.given // 2
    assert [heard.text_basis for heard in room.all(OutputHeard)] == ["whole", "whole"]
    assert room.all(SessionRestarted)[0].lost_audio_ms == 0


def test_what_connect_takes_an_agent_takes() -> None:
    class Broken(ScriptedVoice):
        async def warm(self) -> None:
            raise OSError("no weights")

    store = MemoryHistoryStore()
    spare = Room().backend
    room = Room(tts=Broken(), fallback=[spare], history=store, conversation="a", policy=CallPolicy(disclosure="Hello."))
    run_in_virtual_time(room.talk(one_question))
    assert room.said == "Hello.Hi, nice to meet you."
    kept = [record.item.text for record in asyncio.run(store.load("a")) if isinstance(record.item, MessageItem)]
    assert [text for text in kept if text] == ["Hello.", "hello there", "Hi, nice to meet you."]
