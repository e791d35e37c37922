"""Once for real: a person is speaking to a realtime server when the call moves to the models on this machine."""

from __future__ import annotations

import asyncio
from importlib import resources

import pytest

import voicebridge
from voicebridge import DOOR_FORMAT, InputTranscript, SendAudio, SessionRestarted, UserTurn
from voicebridge.audio.converter import Converter
from voicebridge.audio.file import read_recording
from voicebridge.contract.items import MessageItem

pytest.importorskip("moonshine_voice", reason="the models of `local` are not installed")

SENTENCE = "it was the age of foolishness"
"""Spoken from 6.6 s to 8.2 s of the recording. (A Tale of Two Cities, Dickens, 1859; read aloud.)"""
CUT_AT_S = 7.0
WAITS_AT_S = 8.0
"""A machine that is busy may take longer to open the next session: then the recording waits, in mid-sentence."""
ENDS_AT_S = 8.5
FRAME_S = 0.02


def voice() -> bytes:
    with resources.as_file(resources.files("moonshine_voice") / "assets" / "two_cities.wav") as path:
        recording = read_recording(path)
    converter = Converter(recording.format, DOOR_FORMAT)
    pcm = converter.convert(recording.pcm) + converter.flush()
    return pcm[: DOOR_FORMAT.size(ENDS_AT_S * 1000)] + bytes(DOOR_FORMAT.size(1500))


@pytest.mark.slow
async def test_the_sentence_that_is_cut_by_the_move_is_heard_whole() -> None:
    pcm, size = voice(), DOOR_FORMAT.size(FRAME_S * 1000)
    events: list[voicebridge.Event] = []
    async with (
        voicebridge.connect("local") as warm,  # the models are loaded: the move itself takes no time
        voicebridge.simulator("openai-realtime").serve() as url,
        voicebridge.connect("openai/gpt-realtime-2", base_url=url, api_key="any") as session,
    ):
        await anext(aiter(warm))
        reading = asyncio.create_task(_read(session, events))
        loop = asyncio.get_running_loop()
        began, moving = loop.time(), None
        for number, start in enumerate(range(0, len(pcm), size)):
            await session.send(SendAudio(pcm=pcm[start : start + size]))
            if moving is None and number * FRAME_S >= CUT_AT_S:
                moving = asyncio.create_task(session.switch("local"))
            elif moving is not None and not moving.done() and number * FRAME_S >= WAITS_AT_S:
                await moving
                began = loop.time() - number * FRAME_S
            await asyncio.sleep(max(0.0, began + (number + 1) * FRAME_S - loop.time()))
        assert moving is not None
        await moving
        await asyncio.wait_for(reading, 20)
        account, history = session.account, session.history

    (restarted,) = (one for one in events if isinstance(one, SessionRestarted))
    assert (restarted.reason, restarted.gap_ms, restarted.lost_audio_ms) == ("swap", 0, 0)
    at = events.index(restarted)
    begun = [one.turn_id for one in events[:at] if isinstance(one, UserTurn) and one.phase == "speech"]
    over = [one.turn_id for one in events[:at] if isinstance(one, UserTurn) and one.phase in ("committed", "discarded")]
    assert begun[-1] in over, "the turn that was cut is not left open"
    said = [one.text for one in events if isinstance(one, InputTranscript) and one.final][-1]
    assert "".join(c for c in said.lower() if c.isalpha() or c == " ").strip() == SENTENCE
    assert account.balanced
    assert not account.input.dropped
    assert account.input.captured == len(pcm) // DOOR_FORMAT.frame_bytes
    words = [item.text for item in history if isinstance(item, MessageItem) and item.role == "user"]
    assert sum("foolish" in text for text in words) == 1, "and once"


async def _read(session: voicebridge.VoiceSession, events: list[voicebridge.Event]) -> None:
    """Until the first turn after the move is written down."""
    moved = False
    async for event in session:
        events.append(event)
        moved = moved or isinstance(event, SessionRestarted)
        if moved and isinstance(event, InputTranscript) and event.final:
            return
