"""The `TextToSpeech` stage: `audio/speech`, a request a clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.clause_voice import no_sound
from voicebridge.transport.http_call import HttpCall

from .clause_line import ClauseLine
from .connection import Connection
from .options import SpeechOptions
from .servers import Server
from .speech import MOST_CHARACTERS, SpeechBody, speech_request

__all__ = ["Voice", "fitting"]


class Voice:
    """A voice by `audio/speech`, for one session.

    Args:
        model: as the server names it.
        voice: the one to speak with where the session names none. None: the server's usual one.
    """

    def __init__(self, server: Server, model: str, voice: str | None = None) -> None:
        self._server, self._model = server, model
        self._usual = voice or server.default_voice
        self._connection = Connection(server, model)
        self._format = AudioFormat()
        self._request = speech_request(server, model, self._usual, SessionConfig(), SpeechOptions())

    @property
    def traits(self) -> TextToSpeechTraits:
        """How it works; the format is that of the option `rate`."""
        exact = self._server.tells_usage and self._request.get("stream_format") == "sse"
        return TextToSpeechTraits(
            format=self._format,
            heeds=frozenset({"base_url", "api_key"}),
            usage="exact" if exact else "estimated",
            takes="clauses",
            alignment="none",
        )

    def configure(self, config: SessionConfig) -> None:
        """Take the voice, its speed, where to go, and the options.

        Raises:
            BadOption: an option that it does not know.
            ConfigError: no such voice, no server, or no key.
            Unsupported: the model takes no instructions, or streams no events.
        """
        options = read_stage_options(SpeechOptions, config.options, f"{self._server.name}/{self._model}")
        request = speech_request(self._server, self._model, config.voice or self._usual, config, options)
        self._connection.configure(config, options)
        self._request, self._format = request, AudioFormat(rate=options.rate)

    async def warm(self) -> None:
        """Open a connection.

        Raises:
            VoiceBridgeError: the server is not there, or refuses the key.
        """
        await self._connection.warm()

    async def get_ready(self) -> None:
        """Open a connection, if none waits."""
        await self._connection.get_ready()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:
        """See `TextToSpeech.speak`. The next clause is asked for while the last one still comes, where the server bears
        it.

        Raises:
            VoiceBridgeError: a request was refused, or failed.
        """
        opening = asyncio.create_task(self._connection.get_ready(), name="voice: connection")
        line = ClauseLine(self._clause, self._server.clauses_at_once)
        try:
            async with aclosing(line.run(_clauses(text))) as outputs:
                async for output in outputs:
                    yield output
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _clause(self, clause: str) -> AsyncGenerator[Speech | Usage]:
        if not any(character.isalnum() for character in clause):  # nothing to say, which servers refuse
            yield Speech(b"", clause)
            return
        call = HttpCall(path="/audio/speech", json={**self._request, "input": clause.strip()})
        text, sounded = clause, False
        async with aclosing(self._connection.ask(call, SpeechBody(self._format, len(clause)))) as outputs:
            async for output in outputs:
                if isinstance(output, Usage):
                    yield output
                    continue
                yield Speech(output, text)
                text, sounded = "", True
        if not sounded:
            raise VoiceBridgeError(no_sound(clause))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


async def _clauses(text: AsyncIterable[str | Flush]) -> AsyncGenerator[str]:
    """What is spoken in one request each. Blank text waits for the words that follow."""
    held = ""
    async for piece in text:
        if isinstance(piece, Flush):
            continue
        held += piece
        if held.strip():
            for part in fitting(held):
                yield part
            held = ""
    if held:
        yield held


def fitting(clause: str, most: int = MOST_CHARACTERS) -> list[str]:
    """A clause in parts of at most `most` characters, cut behind spaces where there are any; joined, they are it."""
    parts: list[str] = []
    while len(clause) > most:
        cut = max(clause.rfind(" ", 0, most), clause.rfind("\n", 0, most)) + 1 or most
        parts.append(clause[:cut])
        clause = clause[cut:]
    return [*parts, clause]
