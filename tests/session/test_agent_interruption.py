"""An agent whose user makes a sound while it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge import (
    DOOR_FORMAT,
    Event,
    Interrupt,
    Interruption,
    InterruptionPolicy,
    OutputHeard,
    ProviderEvent,
    ReportPlayed,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
    VoiceAgent,
)
from voicebridge.contract.stages import PCM_16K
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.sound import ScriptedMicrophone, ScriptedSpeaker
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .room import IN_FLIGHT_MS, LONG, Room


def interrupted(speak_s: float = 0.5, **settings: Any) -> tuple[Room, list[float]]:
    """A room in which the user interrupts a long answer after a second; what was queued before and after that."""
    room = Room(llm=ScriptedModel([LONG] * 5), **{"interruption": InterruptionPolicy.at_once()} | settings)
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
    room = Room(
        llm=ScriptedModel([LONG] * 50, piece_s=1.0),
        tts=ScriptedVoice(character_ms=20),
        interruption=InterruptionPolicy.at_once(),
    )

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


@pytest.mark.parametrize(
    "settings",
    [
        {"turns": {"silence_ms": 200, "auto_interrupt": False}},
        {"interruption": InterruptionPolicy.never()},
    ],
)
def test_an_agent_that_was_told_not_to_yield_goes_on(settings: dict[str, Any]) -> None:
    room, (before, after) = interrupted(**settings | ({} if "interruption" in settings else {"interruption": None}))
    assert 0 < after < before
    assert not room.all(ResponseEnded, status="interrupted")


def a_sound(seconds: float, words: str, **settings: Any) -> Room:
    """A room in which the user makes a sound while a long answer is heard, and then listens to its end."""
    room = Room(stt=ScriptedRecogniser(["hello there", words]), llm=ScriptedModel([LONG] * 2), **settings)

    async def script(user: ScriptedMicrophone) -> None:
        await user.say(1.0)
        await room.until(lambda: room.speaker.played_ms("r1") >= 1000)
        await user.say(seconds)
        await asyncio.sleep(12.0)

    run_in_virtual_time(room.talk(script))
    return room


def decided(room: Room) -> list[str]:
    return [event.action for event in room.all(Interruption)]


def test_after_a_cough_the_agent_goes_on_from_where_it_stood() -> None:
    told: list[Interruption] = []
    room = a_sound(0.2, "", on_interrupt=told.append)
    assert decided(room) == ["pause", "resume"]
    assert [decision.action for decision in told] == ["pause", "resume"]
    [heard] = room.all(OutputHeard)
    assert (heard.text, heard.text_basis, heard.basis) == ((LONG * 2).strip(), "whole", "measured")
    # It was silent meanwhile, and every sample was heard.
    assert room.speaker.heard.count(LOUD) == room.speaker.given // 2
    paused, resumed = (room.told_at[room.events.index(event)] for event in room.all(Interruption))
    assert not any(piece_of(room, paused + 0.02, resumed - 0.01))


def test_words_interrupt_it() -> None:
    room = a_sound(1.5, "no, wait")
    assert decided(room) == ["pause", "interrupt"]
    assert room.all(OutputHeard, response_id="r1")[-1].heard_ms == pytest.approx(1000, abs=120)
    assert room.speaker.heard.count(LOUD) < room.speaker.given // 2


LOUD = b"\x00\x20"
AUDIBLE_MS = 60
"""The most that may be heard of the agent once it is decided that it should be silent."""


def piece_of(room: Room, start: float, end: float) -> bytes:
    """What came out of the speaker between two moments, in seconds since it began."""
    size = room.speaker.format.size
    return bytes(room.speaker.heard[size(start * 1000) : size(end * 1000)])


@pytest.mark.parametrize("policy", [InterruptionPolicy(), InterruptionPolicy.at_once()])
def test_nothing_is_heard_60_ms_after_the_decision(policy: InterruptionPolicy) -> None:
    room = a_sound(1.5, "no, wait", interruption=policy)
    first = room.all(Interruption)[0]
    assert first.action in ("pause", "interrupt")
    told_at = room.told_at[room.events.index(first)]
    answer = next(
        at for at, event in enumerate(room.events) if isinstance(event, ResponseStarted) and event.response_id == "r2"
    )
    assert any(piece_of(room, told_at - 0.05, told_at))
    assert not any(piece_of(room, told_at + AUDIBLE_MS / 1000, room.told_at[answer]))
    # Told when it was decided: no time passes between the decision and the speaker.
    assert room.told_at[room.events.index(first)] == pytest.approx(first.at - room.began_at, abs=0.001)


def test_a_ducked_agent_speaks_on_softly() -> None:
    room = a_sound(0.2, "", interruption=InterruptionPolicy(at_first="duck"))
    assert decided(room) == ["duck", "resume"]
    ducked, resumed = (room.told_at[room.events.index(event)] for event in room.all(Interruption))
    loud = int.from_bytes(LOUD, "little")
    assert loudest(piece_of(room, ducked + 0.03, resumed - 0.01)) == loud // 4
    assert loudest(piece_of(room, resumed + 0.03, resumed + 0.2)) == loud


def loudest(pcm: bytes) -> int:
    return max(memoryview(pcm).cast("h"))


class OldSpeaker:
    """A sink that knows no pause, no duck and no drop."""

    def __init__(self) -> None:
        self._speaker = ScriptedSpeaker()
        for name in ("format", "play", "end", "clear", "played_ms", "progress", "run", "_queue"):
            setattr(self, name, getattr(self._speaker, name))

    @property
    def heard(self) -> bytearray:
        return self._speaker.heard

    @property
    def given(self) -> int:
        return self._speaker.given


def test_a_speaker_that_can_not_pause_is_interrupted_at_once() -> None:
    room = a_sound(0.2, "", speaker=OldSpeaker())
    assert decided(room)[0] == "interrupt"
    assert room.all(OutputHeard, response_id="r1")[-1].heard_ms == pytest.approx(1000, abs=120)


def test_with_a_policy_of_its_own_it_speaks_on_until_that_is_sure() -> None:
    room = a_sound(0.2, "", speaker=OldSpeaker(), interruption=InterruptionPolicy())
    assert decided(room) == ["pause", "resume"]
    assert room.all(OutputHeard)[-1].text_basis == "whole"


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


STARTED = ResponseStarted(response_id="r1", cause="user")
AUDIO = voicebridge.OutputAudio(response_id="r1", pcm=b"\x00\x20" * 24_000 * 5, offset_ms=0)


def meet(puppet: Puppet, **settings: Any) -> ScriptedSpeaker:
    """Three seconds with a puppet."""
    speaker = ScriptedSpeaker()

    async def main() -> None:
        playing = asyncio.create_task(speaker.run())
        agent = VoiceAgent(backend=puppet, **{"interruption": InterruptionPolicy.at_once()} | settings)
        await agent.run(ScriptedMicrophone(lambda user: asyncio.sleep(3.0)), speaker)
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
    puppet = Puppet(STARTED, AUDIO, news, AUDIO if isinstance(news, UserTurn) else news)
    speaker = meet(puppet)
    # Played from 1.0 s, when it came, to 1.5 s, when it was cut.
    reports = [command for command in puppet.sent if isinstance(command, ReportPlayed)]
    assert {report.response_id for report in reports} == {"r1"}
    assert reports[-1].ms == pytest.approx(500, abs=15)
    assert speaker.played_ms("r1") == reports[-1].ms
    stops = [command.heard for command in puppet.sent if isinstance(command, Interrupt)]
    # Who was cut by its own backend need not be stopped.
    assert bool(stops) == isinstance(news, UserTurn)
    assert all(heard["r1"] == pytest.approx(500, abs=15) for heard in stops[-1:])


def test_a_backend_that_knows_no_interrupt_is_told_what_was_played() -> None:
    speech = UserTurn(turn_id="t1", phase="speech", audio_ms=1000)
    puppet = Puppet(STARTED, AUDIO, speech, interrupt=frozenset({"auto"}))
    speaker = meet(puppet)
    assert [command for command in puppet.sent if isinstance(command, ReportPlayed)][-1].ms == pytest.approx(
        500, abs=15
    )
    assert speaker.played_ms("r1") == pytest.approx(500, abs=25)


def test_what_all_was_heard_is_not_cut() -> None:
    puppet = Puppet(
        STARTED,
        AUDIO,
        ResponseEnded(response_id="r1", status="completed"),
        *[ProviderEvent(kind="noise")] * 7,
        OutputHeard(response_id="r1", heard_ms=4990, text="", basis="provider"),
    )
    speaker = ScriptedSpeaker()

    async def main() -> None:
        playing = asyncio.create_task(speaker.run())
        await VoiceAgent(backend=puppet).run(ScriptedMicrophone(lambda user: asyncio.sleep(7.0)), speaker)
        playing.cancel()

    run_in_virtual_time(main())
    assert not [command for command in puppet.sent if isinstance(command, Interrupt)]
    assert speaker.played_ms("r1") == pytest.approx(5000)


def test_a_backend_that_knows_only_push_to_talk_is_refused() -> None:
    puppet = Puppet()
    puppet.capabilities = replace(puppet.capabilities, turns=frozenset({"manual"}))
    with pytest.raises(voicebridge.ConfigError, match="knows only push-to-talk"):
        meet(puppet)
