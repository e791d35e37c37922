"""The `SpeechToText` stage over a realtime transcription session: it hears while the user speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript, TurnSignal, Usage
from voicebridge.core.own_turns import OwnTurns
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.duplex import Duplex
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.stage_socket import StageSocket
from voicebridge_openai.addresses import headers, key_for
from voicebridge_openai.options import RealtimeOptions
from voicebridge_openai.vendor_errors import meaning_of

from .detected_turns import DetectedTurns
from .options import TranscriptionSessionOptions
from .session_request import FORMAT, OPENAI, session_update, session_url, turn_detection
from .transcription_session import TranscriptionSession

__all__ = ["SessionRecogniser"]

Output = Transcript | TurnSignal | Usage
_Half = TranscriptionSession | DetectedTurns

_IDLE_S = 600.0
"""A connection that waited longer for its first utterance is not used."""
_LONGEST_S = 3_000.0
"""The vendor ends a session after an hour: ten minutes before, the next utterance gets a new one."""
_AHEAD = 256
"""Pieces of audio that may wait for the connection."""


class SessionRecogniser:
    """A recogniser by a realtime transcription session, for one session of ours.

    A mark commits what was said since the last one, so that a mark on a guess costs nothing extra; what comes after it
    is transcribed by itself.

    Args:
        model: such as `gpt-realtime-whisper`.
        name: of the stage, for errors.
        detects: whether the vendor finds the turns.
    """

    def __init__(self, model: str, *, name: str, detects: bool = False) -> None:
        self._model, self._name, self._detects = model, name, detects
        self._settings = session_update(model, SessionConfig(), TranscriptionSessionOptions(), detects=detects)
        self._wait_ms = 0.0
        self._manual = False
        """The application ends the turns."""
        self._endpoint: Endpoint | None = None
        self._connect_s = 3.0
        self._shelf = Shelf(self._open, idle_s=_IDLE_S)
        self._socket: StageSocket | None = None
        self._opened_at = 0.0

    @property
    def traits(self) -> SpeechToTextTraits:
        """How it works."""
        return SpeechToTextTraits(
            format=FORMAT,
            heeds=frozenset({"base_url", "api_key", "noise_reduction"}),
            usage="exact",
            turns="own" if self._detects else "none",
            recheck="free",
            interim=True,
        )

    def configure(self, config: SessionConfig) -> None:
        """Take the language, the words to expect, noise reduction, where to go, and the options. What changes on the
        way holds from the next connection on.

        Raises:
            BadOption: an option that it does not know.
            Unsupported: this model takes no keywords, no prompt, no list of languages, or no delay.
            ConfigError: no key, or one that can't be sent.
        """
        options = read_stage_options(TranscriptionSessionOptions, config.options, self._name)
        self._manual = config.turns.mode == "manual"
        detects = self._detects and not self._manual
        if self._manual:  # it finds no turns now, and may again later
            options = options.model_copy(update={"detection": None, "eagerness": None})
        settings = session_update(self._model, config, options, detects=detects)
        self._wait_ms = turn_detection(config, options).get("silence_duration_ms", 0.0) if detects else 0.0
        url = session_url(OPENAI, config.base_url)
        named = RealtimeOptions(organization=options.organization, project=options.project)
        key = key_for(OPENAI, url, config.api_key)
        self._endpoint = Endpoint(url=url, headers=headers(OPENAI, named, key))
        if settings != self._settings:
            self._opened_at = -_LONGEST_S  # the next utterance is heard by a new session
        self._settings, self._connect_s = settings, options.connect_timeout_s

    async def warm(self) -> None:
        """Open a connection.

        Raises:
            VoiceBridgeError: it was refused.
        """
        self._shelf.put_back(await self._shelf.take())

    async def get_ready(self) -> None:
        """Open a connection, unless one is open."""
        if self._socket is None or not self._usable(self._socket):
            await self._shelf.get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Output]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: no connection can be opened, one was lost in the middle of an utterance, or a
                transcription failed.
        """
        pieces, turns = _Pieces(), OwnTurns()
        reader = asyncio.create_task(pieces.read(audio), name="recogniser: audio")
        try:
            while (first := await pieces.next()) is not None:
                async with aclosing(self._heard(first, pieces, turns)) as outputs:
                    async for output in outputs:
                        yield output
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._shelf.aclose()

    async def _heard(self, first: bytes | Mark, pieces: _Pieces, turns: OwnTurns) -> AsyncGenerator[Output]:
        """What one connection hears: it ends where a new one is due."""
        half: _Half = TranscriptionSession([self._settings])
        if self._detects and not self._manual:
            from_ms = FORMAT.ms(pieces.given - (len(first) if isinstance(first, bytes) else 0))
            half = DetectedTurns([self._settings], turns, from_ms=from_ms, wait_ms=self._wait_ms)
        socket = self._socket = await self._shelf.take()
        self._opened_at = asyncio.get_running_loop().time()
        try:
            heard: AsyncGenerator[Output] = Duplex(socket, half).run(self._until_due(first, pieces, half, socket))
            async with aclosing(heard) as outputs:
                async for output in outputs:
                    yield output
        except VoiceBridgeError:
            if not (half.rests and not socket.is_open):  # between two utterances, nothing is lost
                raise
        finally:
            self._socket = None
            self._shelf.discard(socket)

    async def _until_due(
        self, piece: bytes | Mark | None, pieces: _Pieces, half: _Half, socket: StageSocket
    ) -> AsyncGenerator[bytes | Mark]:
        while piece is not None:
            yield piece
            piece = await pieces.next()
            if half.rests and not self._usable(socket):
                break
        pieces.give_back(piece)

    def _usable(self, socket: StageSocket) -> bool:
        return socket.is_open and asyncio.get_running_loop().time() - self._opened_at < _LONGEST_S

    async def _open(self) -> StageSocket:
        assert self._endpoint is not None, "configure comes first"
        return await StageSocket.open(self._endpoint, connect_s=self._connect_s, classify=meaning_of)


class _Pieces:
    """Audio and marks on their way to whichever connection is there."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | Mark | None] = asyncio.Queue(_AHEAD)
        self._given_back: list[bytes | Mark | None] = []
        self.given = 0
        """Bytes of audio that `next` gave."""

    async def read(self, audio: AsyncIterable[bytes | Mark]) -> None:
        """Take them as they come, whatever happens to the connection meanwhile."""
        try:
            async for piece in audio:
                await self._queue.put(piece)
        except Exception:
            await self._queue.put(None)
            raise
        await self._queue.put(None)

    async def next(self) -> bytes | Mark | None:
        """The next one; None at the end."""
        piece = self._given_back.pop() if self._given_back else await self._queue.get()
        self.given += len(piece) if isinstance(piece, bytes) else 0
        return piece

    def give_back(self, piece: bytes | Mark | None) -> None:
        """It is for the next connection."""
        self._given_back.append(piece)
        self.given -= len(piece) if isinstance(piece, bytes) else 0
