"""A voice by requests before a web server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.transport.body import Body, PcmBody
from voicebridge.transport.clause_voice import ClauseVoice
from voicebridge.transport.http import HttpApi, HttpCall

from .web import Asked, Web, chunk, head, plain, web


class Said:
    """The simplest requests there can be: a text in, samples out."""

    def __init__(self, url: str, config: SessionConfig) -> None:
        self.voice = config.voice or "a"
        self.api = HttpApi(url, headers={}, idle_s=30)

    async def call(self, clause: str) -> HttpCall:
        return HttpCall(path=self.voice, content=clause.encode())

    def body(self) -> Body[bytes]:
        return PcmBody()

    def usage(self, clause: str) -> Usage:
        return Usage({"characters": len(clause)})


def voice(server: Web) -> ClauseVoice:
    return ClauseVoice(lambda config: Said(server.url, config), TextToSpeechTraits(takes="tokens", alignment="word"))


async def spoken(stage: ClauseVoice, *pieces: str | Flush) -> list[Speech | Usage]:
    async def text() -> AsyncIterator[str | Flush]:
        for piece in pieces:
            yield piece

    async with aclosing(stage.speak(text())) as outputs:
        return [output async for output in outputs]


async def a_byte_a_letter(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(asked.body * 2))


async def test_each_clause_is_a_request_and_covers_its_text() -> None:
    async with no_leaked_tasks(), web(a_byte_a_letter) as server:
        stage = voice(server)
        assert (stage.traits.takes, stage.traits.alignment) == ("clauses", "none")
        await stage.warm()
        outputs = await spoken(stage, "One two.", Flush(), " Three!", " … ", "4")
        await stage.aclose()
    assert [one.body for one in server.asked] == [b"One two.", b"Three!", b"4"]
    assert "".join(one.text for one in outputs if isinstance(one, Speech)) == "One two. Three! … 4"
    assert b"".join(one.pcm for one in outputs if isinstance(one, Speech)) == b"One two.One two.Three!Three!44"
    assert [one.units["characters"] for one in outputs if isinstance(one, Usage)] == [8, 6, 1]


async def test_pieces_are_whole_samples_and_the_text_comes_with_the_first() -> None:
    async def odd(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(Transfer_Encoding="chunked") + chunk(b"123"))
        await asyncio.sleep(0.02)
        writer.write(chunk(b"456") + chunk(b""))

    async with web(odd) as server:
        stage = voice(server)
        speech = [one for one in await spoken(stage, "Hello.") if isinstance(one, Speech)]
        await stage.aclose()
    assert [one.text for one in speech] == ["Hello.", *[""] * (len(speech) - 1)]
    assert b"".join(one.pcm for one in speech) == b"123456"
    assert all(len(one.pcm) % 2 == 0 for one in speech)


async def test_a_voice_that_makes_no_sound_of_words_says_so() -> None:
    async def nothing(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(b""))

    async with web(nothing) as server:
        stage = voice(server)
        with pytest.raises(VoiceBridgeError, match="Привет") as error:
            await spoken(stage, "Привет.")
        await stage.aclose()
    assert error.value.fault.code == "no_audio"


async def test_settings_change_from_the_next_clause_on_and_this_one_ends_in_peace() -> None:
    go_on = asyncio.Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.target == "/v1/a":
            await go_on.wait()
        writer.write(plain(b"12"))

    async with no_leaked_tasks(), no_leaked_sockets(), web(slow) as server:
        stage = voice(server)
        answer: asyncio.Future[Any] = asyncio.ensure_future(spoken(stage, "One.", "Two."))
        await server.came.wait()
        stage.configure(SessionConfig(voice="b"))
        await stage.get_ready()
        go_on.set()
        assert len(await answer) == 4
        await stage.aclose()
    assert [one.target for one in server.asked] == ["/v1/a", "/v1/b"]


async def test_who_stops_reading_closes_the_request() -> None:
    gone = asyncio.Event()

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(head(Transfer_Encoding="chunked"))
            while True:
                writer.write(chunk(b"12"))
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    async def text() -> AsyncIterator[str | Flush]:
        yield "Hello."

    async with no_leaked_tasks(), no_leaked_sockets(), web(endless) as server:
        stage = voice(server)
        async with aclosing(stage.speak(text())) as outputs:
            await anext(outputs)
        await asyncio.wait_for(gone.wait(), 2)
        await stage.aclose()
