"""A connection that is lost while the agent speaks: it speaks on, of itself, and nothing is said or lost twice."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.events import (
    InputTranscript,
    Interruption,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
)
from voicebridge.contract.items import MessageItem

from .managed_call import WatchedServer, call, nothing_left

STORY = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
_TRANSCRIPT = "conversation.item.input_audio_transcription.*"
_SPEECH = "response.output_audio.delta"


@pytest.mark.parametrize("known", [True, False], ids=["transcript", "no transcript"])
@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_the_agent_is_heard_again_without_a_word_of_the_user(how: str, known: bool) -> None:
    async with nothing_left():
        await asyncio.gather(*(lost_at(frame, how, known) for frame in range(1, 14)))


async def lost_at(frame: int, how: str, known: bool) -> None:
    faults = [f"{how} on {_SPEECH} occurrence {frame} connection 1"]
    if not known:
        faults.append(f"drop on {_TRANSCRIPT} every connection 1")
    server = WatchedServer(*faults, pace=40, ms_per_char=15, replies=(STORY,))
    async with call(server, alone=False) as talk:
        await talk.say()
        lost = await talk.next(ResponseEnded)
        restarted = await talk.next(SessionRestarted)
        again = await talk.next(ResponseEnded, 2)
        await talk.next(OutputHeard, 2)
        delivered_ms = talk.audio_ms(lost.response_id)
        await asyncio.sleep(0.05)
    assert lost.status == "lost"
    assert again.status == "completed"
    assert talk.audio_ms(again.response_id) > 0
    assert (restarted.reason, restarted.lost_audio_ms) == ("drop", 0.0)
    assert restarted.gap_ms < 1000
    assert len(talk.all(ResponseStarted)) == 2
    assert not talk.all(Interruption), "the user did not speak again"
    [heard] = talk.all(OutputHeard, response_id=lost.response_id)
    assert heard.heard_ms == pytest.approx(delivered_ms), "what was delivered is played to its end"
    history = [(item.role, item.text) for item in talk.session.history if isinstance(item, MessageItem)]
    said = [("assistant", heard.text)] if heard.text else []
    asked = [("user", "this is turn 1")]
    answered = [("assistant", talk.words(again.response_id))]
    _, second = server.lines
    if talk.all(InputTranscript, turn_id="t1", final=True):
        assert second.seed == asked + said
        assert history == asked + said + answered
        [request] = second.frames("response.create")
        assert repr(heard.text) in request["response"].get("instructions", "''")
    else:  # it hears the question again, and knows what it has said
        assert second.frames("response.create") == []
        assert second.seed[: len(said)] == said
        assert [repr(heard.text) in text for role, text in second.seed[len(said) :]] == [True] * len(said)
        assert history == said + asked + answered
