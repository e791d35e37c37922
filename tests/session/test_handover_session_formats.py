"""A session that outlives its connections: one format for the caller, whatever each connection takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

import voicebridge
from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import SessionReady, SessionRestarted, UserTurn
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import NETWORK, STREAM, ULAW, Line, Lines, Refusal, bench, final, say, settle, turn, virtually, voice

BOTH = replace(LINE_CAPABILITIES, formats_in=(DOOR_FORMAT, ULAW))


def as_ulaw(pcm: bytes) -> bytes:
    """As far as it is known without what follows."""
    return Converter(DOOR_FORMAT, ULAW).convert(pcm)


class Moody(Lines):
    """Each connection takes the format that its line speaks, whatever was asked for."""

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        line = self.lines[len(self.configs)]
        formats = (line.format,) if isinstance(line, Line) else (DOOR_FORMAT,)
        self.capabilities = replace(LINE_CAPABILITIES, formats_in=formats)
        return super().connect(config, history, resume)


@pytest.mark.parametrize("format", [DOOR_FORMAT, ULAW])
def test_milliseconds_are_those_of_the_format_that_the_wire_speaks(format: AudioFormat) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(format=format), Line(format=format)
        async with bench(first, second, capabilities=BOTH, config=SessionConfig(input_format=format)) as b:
            assert b.session.capabilities.formats_in == (format,)
            size = format.size
            for at in range(0, 4000, 100):
                await b.session.send(SendAudio(pcm=STREAM[size(at) : size(at + 100)]))
                await settle(0.1)
                if at == 1000:
                    first.tell(turn("t1", "committed", 1000), final("t1", "Hello"))
                elif at == 3000:
                    first.end()
            assert second.audio == STREAM[size(1000) : size(4000)]
            assert [one.lost_audio_ms for one in b.of(SessionRestarted)] == [0]
            second.tell(turn("t1", "committed", 500))
            await settle()
            assert b.of(UserTurn)[-1].audio_ms == 1500

    test()


@virtually
async def test_half_a_minute_is_half_a_minute_in_any_format() -> None:
    first, second = Line(format=ULAW), Line(format=ULAW)
    async with bench(first, second, capabilities=BOTH, config=SessionConfig(input_format=ULAW)) as b:
        for at in range(42):
            await b.session.send(SendAudio(pcm=STREAM[ULAW.size(at * 1000) : ULAW.size((at + 1) * 1000)]))
            await settle(1)
        first.end()
        await settle(1)
        assert 30_000 <= ULAW.ms(len(second.audio)) <= 31_100
        assert b.of(SessionRestarted)[0].lost_audio_ms == 42_000 - ULAW.ms(len(second.audio))


@pytest.mark.parametrize("format", [DOOR_FORMAT, ULAW])
def test_the_door_gives_first_words_in_the_format_of_a_wire_that_refuses_the_first_dial(format: AudioFormat) -> None:
    @virtually
    async def test() -> None:
        line = Line(format=format)
        backend = Lines([Refusal(NETWORK, 0.3), line], capabilities=BOTH)
        said = STREAM[: format.size(2000)]
        async with voicebridge.connect(backend, input_format=format) as session:
            assert session.capabilities.formats_in == (format,)
            for at in range(0, len(said), format.size(100)):
                await session.send(SendAudio(pcm=said[at : at + format.size(100)]))
                await settle(0.1)
            assert line.audio == said
            ready = await anext(aiter(session))
            assert isinstance(ready, SessionReady)
            assert ready.input_format == format

    test()


@virtually
async def test_connections_of_other_formats_hear_the_same() -> None:
    first, second, third = Line(), Line(format=ULAW), Line()
    backend = Moody([first, second, third])
    async with bench(backend=backend) as b:
        await say(b.session, 0, 1000)
        first.end()
        await say(b.session, 1000, 2000)
        assert second.audio == as_ulaw(voice(0, 2000))
        ready = b.of(SessionRestarted)[0].ready
        assert (ready.input_format, ready.capabilities.formats_in) == (DOOR_FORMAT, (DOOR_FORMAT,))
        assert b.session.capabilities.formats_in == (DOOR_FORMAT,)
        second.tell(turn("t1", "committed", 1500), final("t1", "Hello"))
        await settle()
        second.end()
        await say(b.session, 2000, 2500)
        assert third.audio == voice(1500, 2500)
        assert b.of(UserTurn)[-1].audio_ms == 1500


@virtually
async def test_a_connection_may_say_what_it_takes_only_when_it_is_ready() -> None:
    line = Line(format=ULAW)
    async with bench(line) as b:
        await say(b.session, 0, 1000)
        assert line.audio == as_ulaw(voice(0, 1000))
        assert b.of(SessionReady)[0].input_format == DOOR_FORMAT


@virtually
async def test_a_send_that_is_cancelled_is_not_heard_in_another_format_either() -> None:
    line = Line(format=ULAW)
    async with bench(line) as b:
        line.takes.clear()
        sent = 0
        for size in (4801, 4799) * 100:  # not even whole samples
            try:
                async with asyncio.timeout(1):
                    await b.session.send(SendAudio(pcm=STREAM[sent : sent + size]))
                    sent += size
            except TimeoutError:
                break
        line.takes.set()
        await settle(1)
        more = STREAM[sent : sent + DOOR_FORMAT.size(1000)]
        await b.session.send(SendAudio(pcm=more))
        await settle(1)
        assert line.audio == as_ulaw(STREAM[: sent + len(more)])
