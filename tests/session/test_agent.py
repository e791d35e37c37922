"""An agent with a microphone and a speaker of the test's own, over scripted stages, in virtual time."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge import (
    DOOR_FORMAT,
    AudioFormat,
    Event,
    InputTranscript,
    Interrupt,
    OutputHeard,
    OutputText,
    Prompt,
    ProviderEvent,
    ResponseEnded,
    SessionFailed,
    SessionReady,
    TextToSpeechTraits,
    Tool,
    ToolCall,
    ToolRequest,
    ToolResultItem,
    UserTurn,
    VoiceAgent,
)
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.agent import _Talk
from voicebridge.session.captions import Captions
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.sound import FRAME_MS, ScriptedMicrophone, ScriptedSpeaker
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

IN_FLIGHT_MS = 10
"""What the speaker's device has taken is still heard when the rest is cleared."""
LONG = "a rather long answer that takes a while to say, "


class Room:
    """A user with an agent in front of them."""

    def __init__(self, *, stt: Any = None, llm: Any = None, tts: Any = None, **settings: Any) -> None:
        self.backend = CascadeBackend(
            stt=stt or ScriptedRecogniser(["hello there"]),
            llm=llm or ScriptedModel(["Hi,", " nice to meet you."]),
            tts=tts or ScriptedVoice(),
            detector=EnergyDetector(frame_ms=FRAME_MS, eager_ms=40),
        )
        settings.setdefault("turns", {"silence_ms": 200})
        self.agent = VoiceAgent(backend=self.backend, **settings)
        self.events: list[Event] = []
        self.speaker = ScriptedSpeaker()
        self._test: asyncio.Task[Any] | None = None

    async def talk(self, script: Callable[[ScriptedMicrophone], Coroutine[Any, Any, None]]) -> None:
        """Until the user's script has ended."""
        playing = asyncio.create_task(self.speaker.run())
        try:
            await self.agent.run(ScriptedMicrophone(script), self.speaker, on_event=self.events.append)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            leaked = asyncio.all_tasks() - {asyncio.current_task(), self._test}
            assert not leaked, leaked

    def all(self, kind: type[Any], **fields: Any) -> list[Any]:
        """The events of a class whose fields have these values."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in fields.items())]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait."""
        for _ in range(6000):
            if found := condition():
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"it never came; got {self.events}")

    @property
    def said(self) -> str:
        return "".join(event.delta for event in self.all(OutputText))


async def one_question(user: ScriptedMicrophone) -> None:
    await user.say(1.0)
    await asyncio.sleep(5.0)


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


def interrupted(speak_s: float = 0.5, **settings: Any) -> tuple[Room, list[float]]:
    """A room in which the user interrupts a long answer after a second; what was queued before and after that."""
    room = Room(llm=ScriptedModel([LONG] * 5), **settings)
    queued: list[float] = []

    async def script(user: ScriptedMicrophone) -> None:
        await user.say(1.0)
        await room.until(lambda: room.speaker.played_ms("r1") >= 1000)
        queued.append(room.speaker._queue.queued_ms)
        await user.say(speak_s)
        queued.append(room.speaker._queue.queued_ms)

    run_in_virtual_time(room.talk(script))
    return room, queued


def test_the_speaker_falls_silent_at_once_when_the_user_speaks() -> None:
    room, (before, after) = interrupted()
    assert before > 10_000
    assert after == 0
    # All its audio had come long before: the session had taken it for ended.
    [ended] = room.all(ResponseEnded)
    assert ended.status == "completed"
    heard = room.all(OutputHeard)[-1]
    assert heard.basis == "measured"
    # The detector needs three frames to be sure, and the frames come every 20 ms.
    assert 1000 <= heard.heard_ms <= 1120
    assert heard.heard_ms == pytest.approx(room.speaker.played_ms("r1"), abs=IN_FLIGHT_MS)


def test_the_next_answer_knows_only_what_was_heard() -> None:
    llm = ScriptedModel(lambda prompt: [LONG] * 5)
    room = Room(llm=llm, stt=ScriptedRecogniser(["first", "second"]))

    async def script(user: ScriptedMicrophone) -> None:
        await user.say(1.0)
        await room.until(lambda: room.speaker.played_ms("r1") >= 1000)
        await user.say(0.5)
        await room.until(lambda: room.speaker.played_ms("r2") >= 100)

    run_in_virtual_time(room.talk(script))
    items = llm.prompts[-1].items
    assert [getattr(item, "role", "") for item in items] == ["user", "assistant", "user"]
    said = room.all(OutputHeard, response_id="r1")[-1].text
    assert items[1] == voicebridge.MessageItem(role="assistant", text=said, interrupted=True)
    assert LONG.startswith(said)


def test_an_answer_that_still_comes_is_stopped() -> None:
    room = Room(llm=ScriptedModel([LONG] * 50, piece_s=1.0), tts=ScriptedVoice(character_ms=20))

    async def script(user: ScriptedMicrophone) -> None:
        await user.say(1.0)
        await room.until(lambda: room.speaker.played_ms("r1") >= 1500)
        await user.say(0.3)
        assert room.speaker._queue.queued_ms == 0
        given = room.speaker.given
        await asyncio.sleep(0.1)
        assert room.speaker.given == given

    run_in_virtual_time(room.talk(script))
    assert room.all(ResponseEnded)[0].status == "interrupted"
    assert room.all(OutputHeard)[-1].heard_ms == pytest.approx(room.speaker.played_ms("r1"), abs=IN_FLIGHT_MS)


def test_an_agent_that_was_told_not_to_yield_goes_on() -> None:
    room, (before, after) = interrupted(turns={"silence_ms": 200, "auto_interrupt": False})
    assert 0 < after < before
    assert not room.all(ResponseEnded, status="interrupted")


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


class Puppet:
    """A backend that is its own session: it tells what the test wants, and keeps what it is sent."""

    def __init__(self, *events: Event, interrupt: frozenset[Any] = frozenset({"verb"})) -> None:
        self.capabilities = voicebridge.Capabilities(
            interrupt=interrupt, formats_in=(PCM_16K,), formats_out=(DOOR_FORMAT,)
        )
        self._script = [*events]
        self.sent: list[Any] = []

    def connect(self, config: Any, history: Any = (), resume: Any = None) -> Any:
        return self

    async def __aenter__(self) -> Puppet:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def send(self, command: Any) -> None:
        if not isinstance(command, voicebridge.SendAudio):
            self.sent.append(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if not self._script:
            await asyncio.sleep(3600)
        await asyncio.sleep(0.5)
        return self._script.pop(0)

    async def aclose(self) -> None: ...


AUDIO = voicebridge.OutputAudio(response_id="r1", pcm=b"\x00\x20" * 24_000 * 5, offset_ms=0)


def meet(puppet: Puppet) -> ScriptedSpeaker:
    """Three seconds with a puppet."""
    speaker = ScriptedSpeaker()

    async def main() -> None:
        playing = asyncio.create_task(speaker.run())
        await VoiceAgent(backend=puppet).run(ScriptedMicrophone(lambda user: asyncio.sleep(3.0)), speaker)
        playing.cancel()

    run_in_virtual_time(main())
    return speaker


@pytest.mark.parametrize(
    "news",
    [
        UserTurn(turn_id="t1", phase="speech", audio_ms=1000),
        ResponseEnded(response_id="r1", status="interrupted"),
        OutputHeard(response_id="r1", heard_ms=500, text="", basis="provider"),
    ],
)
def test_whatever_says_that_it_was_cut_the_speaker_is_cleared_and_its_position_told(news: Event) -> None:
    puppet = Puppet(AUDIO, news, AUDIO if isinstance(news, UserTurn) else news)
    speaker = meet(puppet)
    [stop] = [command for command in puppet.sent if isinstance(command, Interrupt)]
    # Played from 0.5 s, when it came, to 1.0 s, when it was cut.
    assert stop == Interrupt(id=stop.id, response_id="r1", heard={"r1": stop.heard["r1"]})
    assert stop.heard["r1"] == pytest.approx(500, abs=15)
    assert speaker.played_ms("r1") == pytest.approx(500, abs=25)


def test_a_backend_that_knows_no_interrupt_is_told_what_was_played() -> None:
    puppet = Puppet(AUDIO, UserTurn(turn_id="t1", phase="speech", audio_ms=1000), interrupt=frozenset({"auto"}))
    speaker = meet(puppet)
    assert {type(command).__name__ for command in puppet.sent} == {"ReportPlayed"}
    assert speaker.played_ms("r1") == pytest.approx(500, abs=25)


def test_what_all_was_heard_is_not_cut() -> None:
    puppet = Puppet(
        AUDIO,
        ResponseEnded(response_id="r1", status="completed"),
        *[ProviderEvent(kind="noise")] * 7,
        OutputHeard(response_id="r1", heard_ms=4990, text="", basis="estimated"),
    )
    speaker = ScriptedSpeaker()

    async def main() -> None:
        playing = asyncio.create_task(speaker.run())
        await VoiceAgent(backend=puppet).run(ScriptedMicrophone(lambda user: asyncio.sleep(7.0)), speaker)
        playing.cancel()

    run_in_virtual_time(main())
    assert not [command for command in puppet.sent if isinstance(command, Interrupt)]
    assert speaker.played_ms("r1") == pytest.approx(5000)


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


def test_a_backend_that_knows_only_push_to_talk_is_refused() -> None:
    puppet = Puppet()
    puppet.capabilities = replace(puppet.capabilities, turns=frozenset({"manual"}))
    with pytest.raises(voicebridge.ConfigError, match="knows only push-to-talk"):
        meet(puppet)


def test_a_result_that_can_not_be_sent_ends_the_conversation() -> None:
    class NoTools(Puppet):
        async def send(self, command: Any) -> None:
            if isinstance(command, voicebridge.SendToolResult):
                raise voicebridge.Unsupported("No tools here.")

    puppet = NoTools(ToolCall(response_id="r1", call_id="k1", name="add", arguments="{}"))
    with pytest.raises(voicebridge.Unsupported, match="No tools here"):
        meet(puppet)


def test_what_was_cut_is_forgotten_once_it_has_ended() -> None:
    """Whether it ended before it was cut, as audio comes faster than it plays, or after."""
    talks: list[Any] = []

    class Watched(_Talk):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            talks.append(self)

    ended = ResponseEnded(response_id="r1", status="completed")
    speech = UserTurn(turn_id="t1", phase="speech", audio_ms=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voicebridge.session.agent._Talk", Watched)
        for events in ((AUDIO, ended, speech), (AUDIO, speech, ended)):
            puppet = Puppet(*events)
            meet(puppet)
            assert [type(command) for command in puppet.sent if isinstance(command, Interrupt)] == [Interrupt]
            assert (talks[-1]._silenced, talks[-1]._running, talks[-1]._sounding) == (set(), set(), {})


def test_captions() -> None:
    out = io.StringIO()
    captions = Captions(out)
    fault = voicebridge.Fault(category="protocol", message="It broke.")
    for event in (
        SessionReady(
            session_id="s",
            model="m",
            capabilities=voicebridge.Capabilities(),
            input_format=DOOR_FORMAT,
            output_format=DOOR_FORMAT,
        ),
        InputTranscript(turn_id="t1", text="What", final=False),
        InputTranscript(turn_id="t1", text="What is it?", final=True),
        OutputText(response_id="r1", delta=" hmm", kind="thought"),
        ToolCall(response_id="r1", call_id="k", name="look", arguments="{}"),
        OutputText(response_id="r1", delta=" It is\n"),
        OutputText(response_id="r1", delta=" a"),
        ResponseEnded(response_id="r1", status="interrupted"),
        InputTranscript(turn_id="t2", text="", final=True, fault=fault),
        OutputText(response_id="r2", delta="Well"),
        ResponseEnded(response_id="r2", status="failed", fault=fault),
        voicebridge.BackendError(fault=fault),
        OutputText(response_id="r3", delta="So"),
    ):
        captions.show(event)
    captions.end()
    assert out.getvalue().splitlines() == [
        "Ready: speak. Ctrl-C ends the conversation.",
        "You: What is it?",
        "(look {})",
        "Agent: It is  a ...",
        "! It broke.",
        "Agent: Well",
        "! It broke.",
        "! It broke.",
        "Agent: So",
    ]
