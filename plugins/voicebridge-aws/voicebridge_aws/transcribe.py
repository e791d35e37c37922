"""Amazon Transcribe: a stream for each utterance, opened while the user begins to speak.

Facts: "Setting up a WebSocket stream" in the vendor's developer guide: the address with port 8443, its parameters, the
presigned query that holds for five minutes at most, one stream a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from voicebridge.contract.codec import Endpoint, Frame
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.duplex import Duplex
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.stage_socket import StageSocket
from voicebridge.transport.stage_url import websocket_url

from .account import Account
from .faults import classify
from .models import DEFAULT_LANGUAGE, RECOGNISER, transcribed_language
from .options import TranscribeOptions
from .transcript_stream import CLOSED, TranscriptStream, Utterance

__all__ = ["AmazonTranscribe", "Door", "transcribe"]

_PATH = "stream-transcription-websocket"
_IDLE_S = 10.0
"""The vendor gives up a stream without audio after 15 s."""
_LARGEST_FRAME = 1024 * 1024


def transcribe(model: str | None) -> AmazonTranscribe:
    """The stage, for one session.

    Raises:
        ConfigError: there is no such recogniser.
    """
    if model not in (None, RECOGNISER):
        raise ConfigError(f"Amazon has one recogniser here, aws/{RECOGNISER}, not {model!r}.", code="unknown_model")
    return AmazonTranscribe()


@dataclass(frozen=True, slots=True)
class Door:
    """Where streams begin: with one choice of settings."""

    account: Account
    url: str

    async def open(self) -> StageSocket:
        """Sign, and dial.

        Raises:
            VoiceBridgeError: there are no keys, they were refused, or there was no way.
        """
        keys = await self.account.keys()
        from .signing import presigned_query

        secret = presigned_query(keys, service="transcribe", region=self.account.region, url=self.url)
        endpoint = Endpoint(url=self.url, secret_query=secret, max_frame_bytes=_LARGEST_FRAME)
        return await StageSocket.open(endpoint, classify=classify)


class AmazonTranscribe:
    """Is a `SpeechToText`. Each mark ends a stream, and each stream costs 15 s at least: so a guess is no free one."""

    traits = SpeechToTextTraits(
        format=PCM_16K, recheck="paid", interim=True, usage="estimated", heeds=frozenset({"base_url", "api_key"})
    )

    def __init__(self) -> None:
        self.door: Door | None = None
        """Where the next stream begins. None: it was not configured."""
        self._chosen: object = None
        self._sockets: Shelf[StageSocket] | None = None
        self._left: list[Shelf[StageSocket]] = []

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`. What changes holds from the next utterance on; what does not, keeps what waits."""
        options = read_stage_options(TranscribeOptions, config.options, "aws/transcribe")
        query = _query(config, options)
        account = Account.of(config, options)
        base_url = config.base_url or f"wss://transcribestreaming.{account.region}.amazonaws.com:8443"
        door = Door(account, websocket_url(base_url, _PATH, query))
        chosen = (door.url, config.api_key, options.profile, account.region)
        if self._sockets is not None and chosen == self._chosen:
            return
        if self._sockets is not None:
            self._left.append(self._sockets)
        self._chosen = chosen
        self.door, self._sockets = door, Shelf(door.open, idle_s=_IDLE_S)

    async def warm(self) -> None:
        """Open a stream, so that keys which are refused show now.

        Raises:
            VoiceBridgeError: there are none, they were refused, or there was no way.
        """
        sockets = self._ready()
        sockets.put_back(await sockets.take())

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._leave()
        await self._ready().get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Transcript | Usage]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: the vendor failed in the middle of an utterance.
        """
        pieces, utterance = aiter(audio), Utterance()
        async for piece in pieces:
            mark = piece if isinstance(piece, Mark) else None
            if mark is not None and mark.wanted:
                yield utterance.answer(mark)  # nothing was said since the last one
            elif isinstance(piece, bytes) and piece:
                half = TranscriptStream(utterance, asyncio.get_running_loop().time())
                async with aclosing(self._stream(half, _until_mark(piece, pieces))) as outputs:
                    async for output in outputs:
                        yield output
                mark = half.mark
            if mark is not None and mark.fresh:
                utterance = Utterance()

    async def _stream(
        self, half: TranscriptStream, pieces: AsyncIterable[bytes | Mark]
    ) -> AsyncGenerator[Transcript | Usage]:
        socket = _LazySocket(self._ready())
        try:
            async with aclosing(Duplex[bytes | Mark, Transcript | Usage](socket, half).run(pieces)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            socket.discard()

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        if self._sockets is not None:
            self._left.append(self._sockets)
            self._sockets = None
        await self._leave()

    def _ready(self) -> Shelf[StageSocket]:
        if self._sockets is None:
            self.configure(SessionConfig())
            assert self._sockets is not None
        return self._sockets

    async def _leave(self) -> None:
        left, self._left = self._left, []
        await asyncio.gather(*(sockets.aclose() for sockets in left))


class _LazySocket:
    """Is a `Socket`: taken with the first frame, and its normal close is a frame, too.

    It is not asked whether it lives: nobody knows whether the vendor answers pings, and a dead one shows at the mark.
    """

    def __init__(self, sockets: Shelf[StageSocket]) -> None:
        self._sockets = sockets
        self._socket: StageSocket | None = None
        self._opened, self._never = asyncio.Event(), asyncio.Event()
        self._closed = False

    async def send(self, frame: Frame) -> None:
        """See `Socket.send`."""
        if self._socket is None:
            self._socket = await self._sockets.take()
            self._opened.set()
        await self._socket.send(frame)

    async def receive(self) -> Frame:
        """See `Socket.receive`."""
        await self._opened.wait()
        assert self._socket is not None
        if self._closed:
            await self._never.wait()
        try:
            return await self._socket.receive()
        except VoiceBridgeError as error:
            if error.fault.code != "close_1000":
                raise
        self._closed = True
        return CLOSED

    def discard(self) -> None:
        """Let go of it."""
        if self._socket is not None:
            self._sockets.discard(self._socket)


async def _until_mark(first: bytes, pieces: AsyncIterator[bytes | Mark]) -> AsyncIterator[bytes | Mark]:
    """The pieces up to the first mark that means anything, that included."""
    yield first
    async for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        elif piece.wanted or piece.fresh:
            yield piece
            return


def _query(config: SessionConfig, options: TranscribeOptions) -> dict[str, str]:
    if config.transcription is not None and config.transcription.keywords:
        raise BadOption(
            "Amazon Transcribe takes no single keywords: make a vocabulary in the account, and pass vocabulary_name.",
            code="bad_keywords",
        )
    if options.languages and (config.language or len(options.languages) < 2):
        raise BadOption("languages are two or more, and `language` is none then.", code="bad_option")
    query = {
        "media-encoding": "pcm",
        "sample-rate": str(PCM_16K.rate),
        "vocabulary-name": options.vocabulary_name or "",
    }
    if options.languages:
        query |= {
            "identify-language": "true",
            "language-options": ",".join(map(transcribed_language, options.languages)),
        }
    else:
        query["language-code"] = transcribed_language(config.language or DEFAULT_LANGUAGE)
    if options.partial_results_stability:
        query |= {
            "enable-partial-results-stabilization": "true",
            "partial-results-stability": options.partial_results_stability,
        }
    return query
