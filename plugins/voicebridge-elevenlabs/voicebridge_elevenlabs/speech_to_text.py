"""The recogniser's seat: over the websocket while the user speaks, or by upload of whole utterances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, Usage, Word
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.body import JsonBody
from voicebridge.transport.duplex import Duplex
from voicebridge.transport.http import HttpApi, HttpCall, HttpFile, HttpTimeouts
from voicebridge.transport.spare import Spare
from voicebridge.transport.stage_socket import StageSocket

from .address import Address
from .goodbyes import Goodbyes
from .lasting_socket import LastingSocket
from .models import DEFAULT_RECOGNISER, is_live
from .refusals import explain, fault_of_close
from .scribe_live import ScribeLive, query
from .settings import LiveOptions, UploadOptions, language_code

__all__ = ["LiveScribe", "UploadScribe", "make_recogniser"]

_IDLE_S = 8.0
"""The vendor ends connections that get no audio (`insufficient_audio_activity`), and does not say after how long;
pipecat-ai 1.14 keeps them alive from 10 s on. A new one opens while the user speaks, so nobody waits for it."""
_HTTP_IDLE_S = 30.0
"""The vendor does not say for how long it keeps a connection that nobody uses."""
_PATIENCE = HttpTimeouts(first_output_s=20.0)
"""An utterance comes back whole, and a long one takes its time."""
_SHORTEST_BYTES = PCM_16K.size(100)
_WORDS = frozenset({"word", None})


def make_recogniser(model: str | None) -> LiveScribe | UploadScribe:
    """The stage for a model. None: the default."""
    name = model or DEFAULT_RECOGNISER
    return LiveScribe(name) if is_live(name) else UploadScribe(name)


class LiveScribe:
    """Is a `SpeechToText`: it writes while the user speaks, and utterances end by marks.

    The vendor's own turn detection (`commit_strategy=vad`) is not offered: it tells neither where in the audio speech
    began nor where it ended.
    """

    traits = SpeechToTextTraits(
        format=PCM_16K, recheck="free", interim=True, usage="estimated", heeds=frozenset({"base_url", "api_key"})
    )

    def __init__(self, model: str) -> None:
        self._model = model
        self._endpoint: Endpoint | None = None
        self._spare: Spare[StageSocket] | None = None
        self._left: list[Spare[StageSocket]] = []
        self._lasting: LastingSocket | None = None
        self._goodbyes = Goodbyes()

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`. What changes holds from the next connection on, which is the next utterance's."""
        options = read_stage_options(LiveOptions, config.options, f"elevenlabs/{self._model}")
        endpoint = Address.of(config).endpoint("speech-to-text/realtime", query(self._model, config, options))
        if endpoint == self._endpoint:
            return
        if self._spare is not None:
            self._left.append(self._spare)
        self._endpoint, self._spare = endpoint, Spare(self._open, idle_s=_IDLE_S)
        if self._lasting is not None:
            self._lasting.renew(self._spare)

    async def warm(self) -> None:
        """Begin to open a connection. What goes wrong shows when it is needed."""
        await self._opener().get_ready()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._leave()
        if self._lasting is None or not self._lasting.lasts:
            await self._opener().get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Transcript | Usage]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: the vendor failed in the middle of an utterance.
        """
        half = ScribeLive()
        socket = LastingSocket(half, self._opener(), idle_s=_IDLE_S, let_go=self._goodbyes.say)
        self._lasting = socket
        try:
            async with aclosing(Duplex[bytes | Mark, Transcript | Usage](socket, half).run(audio)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            socket.close()

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        if self._spare is not None:
            self._left.append(self._spare)
        self._endpoint = self._spare = None
        await self._leave()
        await self._goodbyes.said()

    def _opener(self) -> Spare[StageSocket]:
        if self._spare is None:
            self.configure(SessionConfig())
            assert self._spare is not None
        return self._spare

    async def _open(self) -> StageSocket:
        assert self._endpoint is not None
        return await StageSocket.open(self._endpoint, classify=fault_of_close)

    async def _leave(self) -> None:
        left, self._left = self._left, []
        for spare in left:
            await spare.aclose()


class UploadScribe:
    """Is a `SpeechToText`: it is sent each utterance whole, at its mark, so that every mark costs money."""

    traits = SpeechToTextTraits(
        format=PCM_16K, recheck="paid", usage="estimated", heeds=frozenset({"base_url", "api_key"})
    )

    def __init__(self, model: str) -> None:
        self._model = model
        self._config, self._options = SessionConfig(), UploadOptions()
        self._api: HttpApi | None = None
        self._address: Address | None = None
        self._left: list[HttpApi] = []
        """Of earlier settings: an upload may still be running there."""

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`."""
        options, address = (
            read_stage_options(UploadOptions, config.options, f"elevenlabs/{self._model}"),
            Address.of(config),
        )
        self._config, self._options = config, options
        if address != self._address:
            if self._api is not None:
                self._left.append(self._api)
            self._address = address
            self._api = HttpApi(
                address.host, headers=address.headers, idle_s=_HTTP_IDLE_S, timeouts=_PATIENCE, explain=explain
            )

    async def warm(self) -> None:
        """See `Stage.warm`."""
        await self._http().get_ready()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._http().get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Transcript | Usage]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: the vendor failed.
        """
        utterance = bytearray()
        async for piece in audio:
            if isinstance(piece, bytes):
                utterance += piece
                continue
            if piece.wanted and len(utterance) < _SHORTEST_BYTES:
                yield Transcript("", final=True, mark=piece.n)
            elif piece.wanted:
                async with aclosing(self._upload(bytes(utterance), piece)) as outputs:
                    async for output in outputs:
                        yield output
            if piece.fresh:
                utterance.clear()

    async def _upload(self, pcm: bytes, mark: Mark) -> AsyncGenerator[Transcript | Usage]:
        call = HttpCall(
            path="v1/speech-to-text",
            query=_logging(self._options.enable_logging),
            form=_form(self._model, self._config, self._options),
            files=(HttpFile(field="file", filename="speech.pcm", content=pcm, mime="application/octet-stream"),),
        )
        body = JsonBody(lambda answer: _read(answer, pcm, mark))
        async with aclosing(self._http().ask(call, body)) as outputs:
            async for output in outputs:
                yield output

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        apis, self._left = [*self._left, *([self._api] if self._api else [])], []
        self._api = self._address = None
        await asyncio.gather(*(api.aclose() for api in apis))

    def _http(self) -> HttpApi:
        if self._api is None:
            self.configure(self._config)
            assert self._api is not None
        return self._api


def _logging(wanted: bool | None) -> dict[str, str]:
    return {} if wanted is None else {"enable_logging": str(wanted).lower()}


def _form(model: str, config: SessionConfig, options: UploadOptions) -> dict[str, str | list[str]]:
    keywords = list(config.transcription.keywords) if config.transcription else []
    asked: dict[str, object] = {
        "model_id": model,
        "file_format": "pcm_s16le_16",  # raw samples: sooner than any container, says the vendor
        "language_code": language_code(config.language),
        "tag_audio_events": options.tag_audio_events,
        "timestamps_granularity": "word",
        "no_verbatim": options.no_verbatim,
        "temperature": options.temperature,
        "keyterms": keywords or None,
    }
    return {
        name: [str(one) for one in value]
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for name, value in asked.items()
        if value is not None
    }


def _read(answer: Any, pcm: bytes, mark: Mark) -> Iterable[Transcript | Usage]:
    text = answer.get("text") if isinstance(answer, Mapping) else None
    if not isinstance(text, str):
        raise VoiceBridgeError("ElevenLabs answered without a text.", code="bad_answer")
    told = answer.get("audio_duration_secs")
    exact = isinstance(told, int | float) and not isinstance(told, bool)
    yield Usage(
        {"audio_s": float(told) if exact else PCM_16K.ms(len(pcm)) / 1000}, basis="exact" if exact else "estimated"
    )
    language = answer.get("language_code")
    yield Transcript(
        text.strip(),
        final=True,
        mark=mark.n,
        words=tuple(_words(answer.get("words"))),
        language=language if isinstance(language, str) else None,
    )


def _words(words: object) -> Iterable[Word]:
    for word in words if isinstance(words, list) else ():
        if isinstance(word, Mapping) and word.get("type") in _WORDS and isinstance(text := word.get("text"), str):
            start, end = word.get("start"), word.get("end")
            if isinstance(start, int | float) and isinstance(end, int | float):
                yield Word(text, start * 1000, end * 1000)
