"""The user breaks in: what is heard of the agent after that, and what the server is told was heard."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import Interrupt, SendText
from voicebridge.contract.events import (
    Event,
    Interruption,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.core.interruption_policy import InterruptionPolicy
from voicebridge.testing.sound import ScriptedSpeaker

from .managed_call import Call, Line, WatchedServer, call

LONG = "This goes on for more than ten seconds, word by word, and nobody would listen to all of it, would they?" * 2
"""206 characters at 50 ms: 10.3 s."""


class Player:
    """A speaker in real time that obeys `Interruption`, and reports."""

    def __init__(self, talk: Call) -> None:
        self.speaker = ScriptedSpeaker()
        self.late: list[OutputAudio] = []
        """Audio that came behind a decision that it should not be heard."""
        self._talk = talk
        self._stopped: set[str] = set()
        talk.on_event = self._happened

    def _happened(self, event: Event) -> None:
        if isinstance(event, OutputAudio):
            if event.response_id in self._stopped:
                self.late.append(event)
            self.speaker.play(event.pcm, event.response_id)
        elif isinstance(event, Interruption) and event.action == "interrupt":
            self._stopped.update(event.response_ids)
            self.speaker.clear()

    async def run(self) -> None:
        """Play and report until cancelled."""
        playing = asyncio.create_task(self.speaker.run())
        try:
            while True:
                for response_id, ms in self.speaker.progress().items():
                    await self._talk.session.played(response_id, ms)
                await asyncio.sleep(0.05)
        finally:
            playing.cancel()


def truncated(line: Line) -> list[int]:
    return [frame["audio_end_ms"] for frame in line.frames("conversation.item.truncate")]


@pytest.mark.parametrize("pace", [40, 1.5], ids=["after its end", "while it is made"])
@pytest.mark.parametrize("reports", [True, False], ids=["reported", "assumed"])
async def test_with_ten_seconds_queued_nothing_is_heard_after_the_decision(pace: float, reports: bool) -> None:
    server = WatchedServer(pace=pace, ms_per_char=50, replies=(LONG, "Of course."))
    async with call(server, speed=1) as talk:
        player = Player(talk)
        playing = asyncio.create_task(player.run() if reports else asyncio.sleep(60))
        await talk.say()
        started = await talk.next(ResponseStarted)
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1.0)
        await talk.say(600)
        decision = await talk.next(Interruption)
        played_ms = player.speaker.played_ms(started.response_id)
        heard = await talk.next(OutputHeard, response_id=started.response_id)
        await talk.next(ResponseEnded, 2)
        playing.cancel()
    assert decision.response_ids == (started.response_id,)
    assert player.late == []
    about = (decision.at - began) * 1000
    assert heard.heard_ms == pytest.approx(about, abs=150)
    if reports:
        assert heard.basis == "measured"
        assert abs(heard.heard_ms - played_ms) < 80
    [cut] = truncated(server.lines[0])[-1:]
    assert cut == pytest.approx(talk.all(OutputHeard, response_id=started.response_id)[-1].heard_ms, abs=80), (
        "the player may have come a little farther than it had told"
    )
    spoken = server.lines[0].conversation
    assert [entry.item for entry in spoken], "the conversation is there"
    assert len(heard.text) < len(LONG) / 2


async def test_what_was_not_heard_at_all_is_deleted() -> None:
    server = WatchedServer(pace=40, ms_per_char=50, replies=(LONG, "Of course."))
    async with call(server) as talk:
        await talk.send(SendText(text="Tell me."))
        started = await talk.next(ResponseStarted)
        ended = await talk.next(ResponseEnded)
        await talk.send(Interrupt(heard={started.response_id: 0.0}))
        await talk.next(OutputHeard)
        await talk.send(SendText(text="Again."))
        await talk.next(ResponseEnded, 2)
    assert ended.status == "completed"
    assert truncated(server.lines[0]) == []
    assert len(server.lines[0].frames("conversation.item.delete")) == 1
    assert LONG not in [getattr(item, "text", "") for item in talk.session.history]
    account = talk.session.account
    assert account.output.discarded


# The session decides


WORDS = {sound: ("Go on.", sound or "", "Stop it now") for sound in ("mm-hmm", None)}


@pytest.mark.parametrize("sound", ["mm-hmm", None], ids=["a listener's word", "a cough"])
async def test_a_listener_does_not_stop_the_agent_and_is_not_answered(sound: str | None) -> None:
    server = WatchedServer(pace=40, ms_per_char=30, replies=(LONG, "You are welcome."), transcripts=WORDS[sound])
    async with call(server, speed=1, interruption=InterruptionPolicy()) as talk:
        await talk.say()
        first = await talk.next(ResponseStarted)
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        await asyncio.sleep(0.8)
        await talk.say(240)
        await talk.next(UserTurn, 2, phase="committed")
        resumed = await talk.until(
            lambda: [one for one in talk.all(Interruption) if one.action in ("resume", "ignore")], "a resume"
        )
        await asyncio.sleep(0.6)
        still = talk.session._audible()
        unwanted = talk.all(ResponseStarted)[1:]
        before = len(talk.all(Interruption))
        await talk.say(900)
        await talk.until(
            lambda: [one for one in talk.all(Interruption)[before:] if one.action == "interrupt"], "a stop"
        )
        await talk.until(lambda: len(talk.all(UserTurn, phase="committed")) == 3)
        await talk.until(
            lambda: talk.all(ResponseEnded)[-1].status == "completed" and len(talk.all(ResponseEnded)) == 3
        )
    update = server.lines[0].frames("session.update")[0]["session"]["audio"]["input"]["turn_detection"]
    assert update["interrupt_response"] is False, "the server does not stop the agent by itself"
    assert resumed
    assert still == (first.response_id,), "it speaks on"
    assert len(unwanted) == 1
    assert [heard.heard_ms for heard in talk.all(OutputHeard, response_id=unwanted[0].response_id)] == [0.0]
    assert talk.all(Interruption, reason="unwanted", response_ids=(unwanted[0].response_id,))
    assert "You are welcome." not in str(talk.session.history)


# A backend that can't forget


async def test_one_that_cannot_forget_is_told_what_was_heard_and_the_history_is_not() -> None:
    server = WatchedServer(pace=40, ms_per_char=50, replies=(LONG, "Of course."), dialect="xai")
    async with call(server, spec="xai/grok-voice-latest") as talk:
        await talk.say()
        started = await talk.next(ResponseStarted)
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        await asyncio.sleep(0.8)
        await talk.say()
        [heard] = [await talk.next(OutputHeard, response_id=started.response_id)]
        await talk.until(lambda: talk.all(ResponseEnded, status="completed")[-1].response_id != started.response_id)
    [line] = server.lines
    assert truncated(line) == []
    notes = [frame["item"] for frame in line.frames("conversation.item.create")]
    assert [item["role"] for item in notes] == ["system"]
    assert repr(heard.text) in notes[0]["content"][0]["text"]
    history = [(getattr(item, "role", ""), getattr(item, "text", "")) for item in talk.session.history]
    assert ("assistant", heard.text) in history
    assert "system" not in dict(history), "the next backend is told by what was heard itself"


async def test_what_plays_on_after_a_move_can_still_be_interrupted() -> None:
    server = WatchedServer(pace=40, ms_per_char=50, replies=(LONG, "Of course."))
    async with call(server) as talk:
        await talk.send(SendText(text="Tell me."))
        started = await talk.next(ResponseStarted)
        await talk.next(ResponseEnded)
        await talk.session.switch("openai/gpt-realtime-2", base_url=server.url, api_key="any")
        assert talk.session._audible() == (started.response_id,), "it has come whole, and plays on"
        await talk.say()
        [heard] = [await talk.next(OutputHeard, response_id=started.response_id)]
        await talk.next(ResponseEnded, 2)
    assert len(heard.text) < len(LONG) / 2
    assert ("assistant", LONG) in server.lines[-1].seed
    notes = [text for role, text in server.lines[-1].seed if role == "system"]
    assert [repr(heard.text) in note for note in notes] == [True]
    first = next(item for item in talk.session.history if getattr(item, "role", "") == "assistant")
    assert getattr(first, "text", "") == heard.text
