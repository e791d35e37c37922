"""A call that moves: its time is over, another backend is wanted, or another voice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Configure, SendText
from voicebridge.contract.events import (
    CommandSettled,
    Interruption,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.items import MessageItem
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge_openai.backend import RealtimeBackend
from voicebridge_openai.dialects import DIALECTS

from .managed_call import Call, WatchedServer, call

STORY = "Once upon a time there was a voice that went on and on and would not stop for anyone."
XAI = "xai/grok-voice-latest"


def written(talk: Call) -> list[tuple[str, str]]:
    return [(item.role, item.text) for item in talk.session.history if isinstance(item, MessageItem)]


# The time of a connection is over


async def test_a_known_end_is_met_at_a_turn_boundary_and_nobody_notices() -> None:
    server = WatchedServer(pace=40, session_s=8)
    short = RealtimeBackend(replace(DIALECTS["openai"], max_session_s=8.0), "model-of-8-seconds")
    async with call(server, spec=short) as talk:
        await talk.say()
        await talk.next(ResponseEnded)
        restarted = await talk.next(SessionRestarted)
        before = written(talk)
        await talk.say()
        await talk.next(ResponseEnded, 2)
    assert (restarted.reason, restarted.gap_ms, restarted.lost_audio_ms) == ("expiry", 0.0, 0.0)
    first, second = server.lines
    assert second.seed == before
    assert second.came_at - first.came_at == pytest.approx(3, abs=0.5), "five seconds before the end"
    assert talk.session.account.input.dropped.get("too_old", 0) == 0
    assert server.heard >= set(range(talk.sent - 48_000)), "what was said during the move was heard"


async def test_an_answer_is_not_cut_by_a_known_end() -> None:
    server = WatchedServer(pace=10, session_s=10, replies=(STORY,), ms_per_char=30)
    short = RealtimeBackend(replace(DIALECTS["openai"], max_session_s=10.0), "model-of-10-seconds")
    async with call(server, spec=short) as talk:
        await asyncio.sleep(4.5)
        await talk.say()
        ended = await talk.next(ResponseEnded)
        heard = await talk.next(OutputHeard)
        restarted = await talk.next(SessionRestarted)
    assert ended.status == "completed"
    assert heard.text_basis == "whole"
    assert heard.at <= restarted.at
    assert (restarted.reason, restarted.gap_ms) == ("expiry", 0.0)
    assert server.lines[1].came_at < heard.at, "the next connection was there before"


# Another backend


async def while_idle(talk: Call) -> None:
    await talk.next(OutputHeard)


async def while_the_user_speaks(talk: Call) -> None:
    await talk.next(OutputHeard)
    talk._loud = 40
    await talk.next(UserTurn, 2, phase="speech")


async def while_the_agent_speaks(talk: Call) -> None:
    await talk.send(SendText(text="Tell me a story."))
    started = await talk.next(ResponseStarted, 2)
    await talk.until(lambda: talk.audio_ms(started.response_id), "audio")


@pytest.mark.parametrize("moment", [while_idle, while_the_user_speaks, while_the_agent_speaks])
async def test_a_switch_to_another_vendor_and_back(moment: object) -> None:
    one = WatchedServer(pace=10, ms_per_char=10, replies=("Hello.", STORY))
    other = WatchedServer(pace=40, dialect="xai", transcripts=("the sentence of the switch", "later"))
    async with call(one, other) as talk:
        await talk.say()
        await talk.next(ResponseEnded)
        await moment(talk)  # type: ignore[operator]  # pytest wants an object
        await talk.session.switch(XAI, base_url=other.url, api_key="any")
        there = await talk.next(SessionRestarted)
        answered = len(talk.all(ResponseEnded))
        if moment is while_the_user_speaks:
            answered += 1
        await talk.next(OutputHeard, answered)
        asked = written(talk)
        await talk.session.switch("openai/gpt-realtime-2", base_url=one.url, api_key="any")
        back = await talk.next(SessionRestarted, 2)
        await talk.say()
        await talk.until(lambda: len(one.lines) == 2 and talk.all(ResponseEnded)[-1].response_id.startswith("g3"))
    for restarted in (there, back):
        assert (restarted.reason, restarted.gap_ms, restarted.lost_audio_ms) == ("swap", 0.0, 0.0)
    assert all(ended.status == "completed" for ended in talk.all(ResponseEnded))
    assert not talk.all(Interruption)
    line = other.lines[-1]  # one that was told too little by the time of the move is dropped
    before = [("user", "this is turn 1"), ("assistant", "Hello.")]
    if moment is while_the_agent_speaks:
        before += [("user", "Tell me a story."), ("assistant", STORY)]
    assert line.seed == before
    if moment is while_the_user_speaks:
        assert ("user", "the sentence of the switch") in asked
    assert one.lines[1].seed == asked
    assert len(one.heard | other.heard) >= talk.sent - 24_000


# A cascade


ULAW = AudioFormat(encoding="ulaw", rate=8_000)


def cascade(model: ScriptedModel) -> CascadeBackend:
    return CascadeBackend(
        stt=ScriptedRecogniser(["I speak to the cascade"]),
        llm=model,
        tts=ScriptedVoice(character_ms=10),
        detector=EnergyDetector(),
    )


@pytest.mark.parametrize("door", [None, ULAW], ids=["pcm", "ulaw"])
@pytest.mark.parametrize("moment", [while_idle, while_the_user_speaks, while_the_agent_speaks])
async def test_to_a_cascade_and_back(moment: object, door: AudioFormat | None) -> None:
    server = WatchedServer(pace=10, ms_per_char=10, replies=("Hello.", STORY))
    formats: dict[str, Any] = {} if door is None else {"input_format": door, "output_format": door}
    async with call(server, exact=False, **formats) as talk:
        await talk.say()
        await talk.next(ResponseEnded)
        await moment(talk)  # type: ignore[operator]  # pytest wants an object
        model = ScriptedModel(["Yes, ", "this is the cascade."])
        await talk.session.switch(cascade(model))
        answered = len(talk.all(ResponseEnded))
        if moment is not while_the_user_speaks:
            await talk.until(lambda: not talk.session._is_playing())
            await talk.say()
        await talk.next(OutputHeard, answered + 1)
        asked = written(talk)
        await talk.session.switch("openai/gpt-realtime-2", base_url=server.url, api_key="any")
        await talk.say()
        await talk.until(lambda: talk.all(ResponseEnded)[-1].response_id.startswith("g3"))
    for restarted in talk.all(SessionRestarted):
        assert (restarted.reason, restarted.gap_ms, restarted.lost_audio_ms) == ("swap", 0.0, 0.0)
        if door is not None:
            assert (restarted.ready.input_format, restarted.ready.output_format) == (door, door)
    assert all(ended.status == "completed" for ended in talk.all(ResponseEnded))
    assert not talk.all(Interruption)
    assert asked[-2:] == [("user", "I speak to the cascade"), ("assistant", "Yes, this is the cascade.")]
    assert server.lines[1].seed == asked
    items = model.prompts[-1].items
    assert [(item.role, item.text) for item in items if isinstance(item, MessageItem)] == asked[:-1]


# Another voice


@pytest.mark.parametrize("moment", [while_idle, while_the_user_speaks, while_the_agent_speaks])
async def test_another_voice_in_the_middle_of_a_call_takes_another_connection(moment: object) -> None:
    server = WatchedServer(pace=10, ms_per_char=10, replies=("Hello.", STORY))
    async with call(server, voice="marin") as talk:
        await talk.say()
        await talk.next(ResponseEnded)
        await moment(talk)  # type: ignore[operator]  # pytest wants an object
        change = Configure(patch={"voice": "cedar"})
        await talk.send(change)
        await talk.next(CommandSettled, command_id=change.id)
        if moment is not while_the_user_speaks:
            await talk.until(lambda: not talk.session._is_playing())
            await talk.say()
        await talk.until(lambda: talk.all(ResponseEnded)[-1].response_id.startswith("g2"))
    [settled] = talk.all(CommandSettled, command_id=change.id)
    assert settled.fault is None
    [restarted] = talk.all(SessionRestarted)
    assert (restarted.reason, restarted.gap_ms, restarted.lost_audio_ms) == ("reconfigure", 0.0, 0.0)
    assert not talk.all(Interruption)
    assert all(ended.status == "completed" for ended in talk.all(ResponseEnded))
    before = [("user", "this is turn 1"), ("assistant", "Hello.")]
    if moment is while_the_agent_speaks:
        before += [("user", "Tell me a story."), ("assistant", STORY)]
    line = server.lines[-1]
    assert line.seed == before
    [update] = line.frames("session.update")[:1]
    assert update["session"]["audio"]["output"]["voice"] == "cedar"
    assert len(server.heard) >= talk.sent - 24_000
