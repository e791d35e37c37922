"""The voice stage: one connection for many answers, or a request for each clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import orjson

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Endpoint, Frame
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.api_key import api_key
from voicebridge.transport.body import PcmBody
from voicebridge.transport.duplex import Duplex, in_time
from voicebridge.transport.http import HttpApi, HttpCall
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.stage_socket import StageSocket
from voicebridge.transport.stage_url import websocket_url

from .aura import CLEAR, AuraHalf, FlushBudget, parts
from .faults import classify, explain
from .models import AURA_VOICES, KEY_VARIABLE, URL, model_of_voice
from .options import AuraOptions

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["AuraVoice", "voice"]

_IDLE_S = 240.0
"""What Deepgram closes a silent connection after is not published; a shorter life than that of common proxies."""
_HTTP_IDLE_S = 20.0
_CLEARED_S = 1.0
_SLOWEST, _FASTEST = 0.7, 1.5
"""Deepgram's range of `speed`."""


class _Line:
    """A connection and what was spent on it."""

    def __init__(self, socket: StageSocket) -> None:
        self.socket = socket
        self.budget = FlushBudget()

    @property
    def is_open(self) -> bool:
        """See `Connection`."""
        return self.socket.is_open

    async def send(self, frame: Frame) -> None:
        """See `Socket`."""
        await self.socket.send(frame)

    async def receive(self) -> Frame:
        """See `Socket`."""
        return await self.socket.receive()

    async def aclose(self) -> None:
        """See `Connection`."""
        await self.socket.aclose()


class AuraVoice:
    """A `TextToSpeech` stage, for one session. Made by `voice`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._endpoint: Endpoint | None = None
        self._lines: Shelf[_Line] | None = None
        self._api: HttpApi | None = None
        self._query: dict[str, str] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self.traits = TextToSpeechTraits(
            format=DOOR_FORMAT,
            takes="clauses",
            alignment="none",
            usage="estimated",
            heeds=frozenset({"base_url", "api_key"}),
        )

    def configure(self, config: SessionConfig) -> None:
        """Take key, address, voice, language, speed and options. They hold from the next answer on.

        Raises:
            ConfigError: there is no key, or no such voice or speed.
            BadOption: an option does not fit.
        """
        options = read_stage_options(AuraOptions, config.options, f"deepgram/{self._model}")
        base_url = config.base_url or URL
        key = api_key(config, KEY_VARIABLE, vendor="Deepgram", base_url=base_url)
        query: dict[str, Any] = {
            "model": _chosen(self._model, config.voice, config.language),
            "encoding": "linear16",
            "sample_rate": str(self.traits.format.rate),
            "speed": _speed(config.speed),
            "tag": options.tag,
            "mip_opt_out": "" if options.mip_opt_out is None else str(options.mip_opt_out).lower(),
        }
        headers = {"Authorization": f"Token {key}"}
        if options.transport == "http":
            url = base_url.replace("ws", "http", 1) if base_url.startswith("ws") else base_url
            self._api = HttpApi(url, headers=headers, idle_s=_HTTP_IDLE_S, explain=explain)
            self._query = {**{name: value for name, value in query.items() if value}, "container": "none"}
            return
        self._api = None
        endpoint = Endpoint(url=websocket_url(base_url, "v1/speak", query), headers=headers)
        if endpoint != self._endpoint:
            self._endpoint, lines = endpoint, self._lines
            self._lines = Shelf(self._open, idle_s=_IDLE_S)
            if lines is not None:
                self._keep(lines.aclose())

    async def warm(self) -> None:
        """Open a connection, so that a wrong key shows now.

        Raises:
            VoiceBridgeError: it was refused, or there was no way.
        """
        if self._lines is not None and self._api is None:
            self._lines.put_back(await self._lines.take())
        else:
            await self.get_ready()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        if self._api is not None:
            await self._api.get_ready()
        elif self._lines is not None:
            await self._lines.get_ready()

    async def aclose(self) -> None:
        """Close what is open."""
        for task in self._settling:
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)
        if self._lines is not None:
            await self._lines.aclose()
        if self._api is not None:
            await self._api.aclose()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """See `TextToSpeech.speak`.

        Raises:
            VoiceBridgeError: the connection could not be opened, was lost, or gave no speech.
        """
        if self._api is not None:
            async with aclosing(self._ask(self._api, text)) as asked:
                async for output in asked:
                    yield output
            return
        if self._lines is None:
            raise ConfigError("This stage was not configured.")
        lines, line = self._lines, await self._taken(self._lines)
        half, failed = AuraHalf(line.budget), False
        try:
            async with aclosing(Duplex[str | Flush, Speech | Usage](line, half).run(text)) as outputs:
                async for output in outputs:
                    yield output
        except VoiceBridgeError:
            failed = True
            raise
        finally:
            if failed or not line.is_open:
                lines.discard(line)
            elif half.clean:
                lines.put_back(line)
            else:  # it still speaks: nobody waits for it to fall silent
                self._keep(_silenced(lines, line))

    async def _taken(self, lines: Shelf[_Line]) -> _Line:
        line = await lines.take()
        while not line.budget.has_room(asyncio.get_running_loop().time()):
            lines.discard(line)
            line = await lines.take()
        return line

    async def _open(self) -> _Line:
        assert self._endpoint is not None
        return _Line(await StageSocket.open(self._endpoint, classify=classify))

    async def _ask(self, api: HttpApi, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """A request for each clause."""
        before = ""
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            untold, before = before + clause, ""
            if not clause.strip():
                before = untold
                continue
            yield Usage({"characters": len(clause)}, "estimated")
            for part in parts(clause):
                call = HttpCall(path="/v1/speak", query=self._query, json={"text": part})
                async with aclosing(api.ask(call, PcmBody(2))) as pieces:
                    async for pcm in pieces:
                        yield Speech(pcm, untold)
                        untold = ""
        if before:
            yield Speech(b"", before)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="deepgram: voice")
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


async def _silenced(lines: Shelf[_Line], line: _Line) -> None:
    """Stop what a connection still speaks; kept for the next answer if it says in time that it did."""
    try:
        with suppress(VoiceBridgeError, TimeoutError, orjson.JSONDecodeError):
            async with asyncio.timeout(_CLEARED_S):
                await in_time(line, CLEAR)
                while True:
                    frame = await line.receive()
                    if isinstance(frame, str) and orjson.loads(frame).get("type") == "Cleared":
                        lines.put_back(line)
                        return
    except AttributeError:  # JSON, but no object
        pass
    except asyncio.CancelledError:
        lines.discard(line)
        raise
    lines.discard(line)


def _chosen(model: str, voice: str | None, language: str | None) -> str:
    """The model that speaks: by its own name, or by a voice's and a language's."""
    wanted = (language or "en").partition("-")[0].lower()
    if voice is None and model != "aura-2":
        return model
    if voice is None:
        if wanted not in AURA_VOICES:
            known = ", ".join(AURA_VOICES)
            raise ConfigError(f"Aura-2 does not speak {language!r}: it speaks {known}.", code="unknown_language")
        return f"aura-2-{AURA_VOICES[wanted].split()[0]}-{wanted}"
    if voice.startswith("aura-"):
        return voice
    if found := model_of_voice(voice):
        return found
    every = [name for names in AURA_VOICES.values() for name in names.split()]
    near = get_close_matches(voice.lower(), every, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {AURA_VOICES['en'].replace(' ', ', ')}."
    raise ConfigError(
        f"Aura has no voice {voice!r}. {hint} A new one can be given by its model, such as 'aura-2-thalia-en'.",
        code="unknown_voice",
    )


def _speed(speed: float | None) -> str:
    if speed is None or speed == 1:
        return ""
    if not _SLOWEST <= speed <= _FASTEST:
        raise ConfigError(
            f"Aura speaks between {_SLOWEST} and {_FASTEST} times as fast, not {speed:g}.", code="bad_speed"
        )
    return f"{speed:g}"


def voice(model: str | None) -> AuraVoice:
    """The stage, for one session.

    Raises:
        ConfigError: it is a recogniser's model.
    """
    if model and not model.startswith("aura"):
        raise ConfigError(f"{model!r} does not speak: choose 'deepgram/aura-2', or a voice as 'aura-2-thalia-en'.")
    return AuraVoice(model or "aura-2")
