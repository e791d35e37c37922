"""The voice stage: one connection for many answers, or a request for each clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Endpoint
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.core.json_event import read_event
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.api_key import api_key
from voicebridge.transport.body import SseBody
from voicebridge.transport.duplex import Duplex, in_time
from voicebridge.transport.http import HttpApi, HttpCall
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.sse import SseEvent
from voicebridge.transport.stage_socket import StageSocket
from voicebridge.transport.stage_url import websocket_url

from .faults import classify, explain
from .models import DEFAULT_VOICE, KEY_VARIABLE, LANGUAGES, URL
from .options import SonicOptions
from .sonic import SonicHalf, context_names
from .voice_names import is_voice_id, voice_id

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["SonicVoice", "voice"]

_IDLE_S = 240.0
"""Cartesia closes a connection after five minutes without a message."""
_HTTP_IDLE_S = 20.0
_SLOWEST, _FASTEST = 0.6, 1.5
"""Cartesia's range of `speed`, of Sonic-3 and newer."""


class SonicVoice:
    """A `TextToSpeech` stage, for one session. Made by `voice`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._request: dict[str, Any] = {}
        self._voice = DEFAULT_VOICE
        self._ids: dict[str, str] = {}
        """Of the voices that were asked for by name."""
        self._endpoint: Endpoint | None = None
        self._sockets: Shelf[StageSocket] | None = None
        self._api: HttpApi | None = None
        self._by_http = False
        self._names: Iterator[str] = context_names(uuid4().hex[:12])
        self._tasks: set[asyncio.Task[None]] = set()
        self.traits = TextToSpeechTraits(
            format=DOOR_FORMAT,
            takes="clauses",
            alignment="word",
            usage="estimated",
            heeds=frozenset({"base_url", "api_key"}),
        )

    def configure(self, config: SessionConfig) -> None:
        """Take key, address, voice, language, speed and options. They hold from the next answer on.

        Raises:
            ConfigError: there is no key, or no such language or speed.
            BadOption: an option does not fit.
        """
        options = read_stage_options(SonicOptions, config.options, f"cartesia/{self._model}")
        request = self._common(config, options)
        base_url = config.base_url or URL
        key = api_key(config, KEY_VARIABLE, vendor="Cartesia", base_url=base_url)
        headers = {"Authorization": f"Bearer {key}", "Cartesia-Version": options.cartesia_version}
        url = websocket_url(base_url, "tts/websocket", {"cartesia_version": options.cartesia_version})
        self._request, self._voice = request, config.voice or DEFAULT_VOICE
        self._by_http = options.transport == "http"
        endpoint = Endpoint(url=url, headers=headers)
        if endpoint == self._endpoint:
            return
        before = (self._sockets, self._api)
        self._endpoint, self._ids = endpoint, {}
        self._sockets = Shelf(self._open, idle_s=_IDLE_S)
        http_url = base_url.replace("ws", "http", 1) if base_url.startswith("ws") else base_url
        self._api = HttpApi(http_url, headers=headers, idle_s=_HTTP_IDLE_S, explain=explain)
        for old in before:
            if old is not None:
                self._keep(old.aclose())

    async def warm(self) -> None:
        """Open a connection, and find the voice, so that a wrong key or name shows now.

        Raises:
            ConfigError: there is no such voice.
            VoiceBridgeError: it was refused, or there was no way.
        """
        sockets, _ = self._ready()
        await self._find_voice()
        if self._by_http:
            await self.get_ready()
        else:
            sockets.put_back(await sockets.take())

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        if self._sockets is None or self._api is None:
            return
        await (self._api.get_ready() if self._by_http else self._sockets.get_ready())

    async def aclose(self) -> None:
        """Close what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sockets is not None:
            await self._sockets.aclose()
        if self._api is not None:
            await self._api.aclose()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """See `TextToSpeech.speak`.

        Raises:
            VoiceBridgeError: the connection could not be opened, was lost, or gave no speech.
        """
        sockets, api = self._ready()
        request = {**self._request, "voice": {"id": await self._find_voice()}}
        if self._by_http:
            async with aclosing(self._ask(api, request, text)) as asked:
                async for output in asked:
                    yield output
            return
        socket = await sockets.take()
        half, failed = SonicHalf(request, self._names), False
        try:
            async with aclosing(Duplex[str | Flush, Speech | Usage](socket, half).run(text)) as outputs:
                async for output in outputs:
                    yield output
        except VoiceBridgeError:
            failed = True
            raise
        finally:
            if failed or not socket.is_open:
                sockets.discard(socket)
            elif half.open_contexts:
                self._keep(_cancelled(sockets, socket, half.open_contexts))
            else:
                sockets.put_back(socket)

    def _ready(self) -> tuple[Shelf[StageSocket], HttpApi]:
        if self._sockets is None or self._api is None:
            raise ConfigError("This stage was not configured.")
        return self._sockets, self._api

    def _common(self, config: SessionConfig, options: SonicOptions) -> dict[str, Any]:
        """What all requests of an answer have in common, but for the voice."""
        request: dict[str, Any] = {
            "model_id": self._model,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": DOOR_FORMAT.rate},
            "language": _language(config.language),
            "add_timestamps": True,
        }
        if options.transport == "websocket":
            request["max_buffer_delay_ms"] = options.max_buffer_delay_ms
        if options.pronunciation_dict_id is not None:
            request["pronunciation_dict_id"] = options.pronunciation_dict_id
        manner = {"speed": _speed(config.speed), "volume": options.volume, "emotion": options.emotion}
        if given := {name: value for name, value in manner.items() if value is not None}:
            if not self._model.startswith(("sonic-3", "sonic-latest")):
                raise ConfigError(
                    f"{self._model} takes no {' and no '.join(given)}: choose cartesia/sonic-3.", code="not_of_model"
                )
            request["generation_config"] = given
        return request

    async def _find_voice(self) -> str:
        """The id of the voice that was asked for."""
        if is_voice_id(self._voice):
            return self._voice
        if self._voice not in self._ids:
            _, api = self._ready()
            self._ids[self._voice] = await voice_id(api, self._voice)
        return self._ids[self._voice]

    async def _open(self) -> StageSocket:
        assert self._endpoint is not None
        return await StageSocket.open(self._endpoint, classify=classify)

    async def _ask(
        self, api: HttpApi, request: dict[str, Any], text: AsyncIterable[str | Flush]
    ) -> AsyncGenerator[Speech | Usage]:
        """A request for each clause."""
        before = ""
        async for clause in text:
            if isinstance(clause, Flush) or not clause.strip():
                before += "" if isinstance(clause, Flush) else clause
                continue
            said = _OneClause(request, before + clause, self._names)
            before = ""
            yield Usage({"characters": len(clause)}, "estimated")
            call = HttpCall(path="/tts/sse", json=said.request, headers={"Accept": "text/event-stream"})
            async with aclosing(api.ask(call, SseBody(said.event))) as outputs:
                async for output in outputs:
                    yield output
            said.check()
        if before:
            yield Speech(b"", before)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="cartesia: voice")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _OneClause:
    """One clause by server-sent events, which are those of the websocket."""

    def __init__(self, request: dict[str, Any], clause: str, names: Iterator[str]) -> None:
        self._half = SonicHalf(request, names)
        (frame, *_), _ = self._half.take(clause, 0.0), self._half.end(0.0)
        self.request = {
            name: value
            for name, value in orjson.loads(str(frame)).items()
            if name not in ("continue", "max_buffer_delay_ms")
        }

    def event(self, event: SseEvent) -> Iterable[Speech]:
        """What an event means."""
        known = {"context_id": self.request["context_id"], "type": event.event, **read_event(event.data, "Cartesia")}
        outputs = self._half.receive(orjson.dumps(known).decode(), 0.0)
        return [output for output in outputs if isinstance(output, Speech)]

    def check(self) -> None:
        """The answer has ended.

        Raises:
            VoiceBridgeError: it was not whole.
        """
        if not self._half.over:
            raise VoiceBridgeError("Cartesia broke off in the middle of a clause.", code="cut_off")


async def _cancelled(sockets: Shelf[StageSocket], socket: StageSocket, contexts: Iterable[str]) -> None:
    """Stop what a connection still speaks. What it says of these contexts all the same, the next answer ignores."""
    try:
        with suppress(VoiceBridgeError):
            for context in contexts:
                await in_time(socket, orjson.dumps({"context_id": context, "cancel": True}).decode())
            sockets.put_back(socket)
            return
    except asyncio.CancelledError:
        sockets.discard(socket)
        raise
    sockets.discard(socket)


def _language(asked: str | None) -> str:
    language = (asked or "en").partition("-")[0].lower()
    if language not in LANGUAGES:
        raise ConfigError(f"Sonic does not speak {asked!r}: it speaks {', '.join(sorted(LANGUAGES))}.")
    return language


def _speed(speed: float | None) -> float | None:
    if speed is None or speed == 1:
        return None
    if not _SLOWEST <= speed <= _FASTEST:
        said = f"Sonic speaks between {_SLOWEST} and {_FASTEST} times as fast, not {speed:g}."
        raise ConfigError(said, code="bad_speed")
    return speed


def voice(model: str | None) -> SonicVoice:
    """The stage, for one session.

    Raises:
        ConfigError: it is a recogniser's model.
    """
    if model and model.startswith("ink"):
        raise ConfigError(f"{model!r} does not speak: choose 'cartesia/sonic-3'.")
    return SonicVoice(model or "sonic-3")
