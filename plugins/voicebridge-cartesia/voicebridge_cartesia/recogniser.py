"""The recogniser stages: one connection for as long as the cascade listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript, TurnSignal, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.api_key import api_key
from voicebridge.transport.duplex import Duplex
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.stage_socket import StageSocket
from voicebridge.transport.stage_url import websocket_url

from .faults import classify
from .ink import InkHalf
from .ink_turns import InkTurnsHalf
from .models import KEY_VARIABLE, URL
from .options import InkOptions

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["InkRecogniser", "recogniser"]

_TURNS = "-turns"
_IDLE_S = 60.0
_OF_TURNS = ("turn_start_threshold", "turn_eager_end_threshold", "turn_end_threshold", "turn_end_timeout_ms")
Told = Transcript | TurnSignal | Usage


class InkRecogniser:
    """A `SpeechToText` stage, for one session. Made by `recogniser`."""

    def __init__(self, model: str) -> None:
        self._name, self._model = model, model.removesuffix(_TURNS)
        self._own = model.endswith(_TURNS)
        self._endpoint: Endpoint | None = None
        self._half: Callable[[float], Any] = InkHalf
        self._sockets: Shelf[StageSocket] | None = None
        self.traits = SpeechToTextTraits(
            turns="own" if self._own else "none",
            recheck="free",
            interim=True,
            usage="estimated",
            heeds=frozenset({"base_url", "api_key"}),
        )

    def configure(self, config: SessionConfig) -> None:
        """Take key, address, language, keywords and options. What changes while it listens holds from the next
        connection on.

        Raises:
            ConfigError: there is no key, or the model has no such language.
            BadOption: an option does not fit.
        """
        options = read_stage_options(InkOptions, config.options, f"cartesia/{self._name}")
        query: dict[str, str | Sequence[str]] = {
            "model": self._model,
            "encoding": "pcm_s16le",
            "sample_rate": str(self.traits.format.rate),
            "cartesia_version": options.cartesia_version,
            "keyterm": self._keyterms(config, options),
        }
        query |= self._of_turns(options) if self._own else self._of_marks(options)
        language = self._language(config.language)
        if not self._own:
            query["language"] = language
        base_url = config.base_url or URL
        key = api_key(config, KEY_VARIABLE, vendor="Cartesia", base_url=base_url)
        url = websocket_url(base_url, "stt/turns/websocket" if self._own else "stt/websocket", query)
        headers = {"Authorization": f"Bearer {key}", "Cartesia-Version": options.cartesia_version}
        self._endpoint = Endpoint(url=url, headers=headers)
        manual = config.turns.mode == "manual"
        self._half = (lambda now: InkTurnsHalf(now, manual=manual)) if self._own else InkHalf

    async def warm(self) -> None:
        """Open a connection, so that a wrong key shows now.

        Raises:
            VoiceBridgeError: it was refused, or there was no way.
        """
        sockets = self._ready()
        sockets.put_back(await sockets.take())

    async def aclose(self) -> None:
        """Close what waits."""
        if self._sockets is not None:
            await self._sockets.aclose()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Told]:
        """See `SpeechToText.listen`. Each call has a connection of its own.

        Raises:
            VoiceBridgeError: the connection could not be opened, was lost, or what came over it was wrong.
        """
        sockets = self._ready()
        socket = await sockets.take()
        try:
            half = self._half(asyncio.get_running_loop().time())
            async with aclosing(Duplex[bytes | Mark, Told](socket, half).run(audio)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            sockets.discard(socket)

    def _ready(self) -> Shelf[StageSocket]:
        if self._endpoint is None:
            raise ConfigError("This stage was not configured.")
        if self._sockets is None:
            self._sockets = Shelf(self._open, idle_s=_IDLE_S)
        return self._sockets

    async def _open(self) -> StageSocket:
        assert self._endpoint is not None
        return await StageSocket.open(self._endpoint, classify=classify)

    def _keyterms(self, config: SessionConfig, options: InkOptions) -> tuple[str, ...]:
        terms = (*(config.transcription.keywords if config.transcription else ()), *options.keyterm)
        if terms and not self._model.startswith("ink-2"):
            raise ConfigError(f"{self._model} takes no keywords: choose cartesia/ink-2.", code="no_keywords")
        return terms

    def _language(self, asked: str | None) -> str:
        language = (asked or "en").partition("-")[0].lower()
        if self._model.startswith("ink-2") and language != "en":
            raise ConfigError(
                f"{self._model} hears English, not {asked!r}. Try cartesia/ink-whisper.", code="unknown_language"
            )
        return language

    def _of_marks(self, options: InkOptions) -> dict[str, str]:
        for name in _OF_TURNS:
            if getattr(options, name) is not None:
                raise BadOption(f"{name} is an option of a `-turns` model, such as cartesia/ink-2-turns.")
        return {"min_volume": "" if options.min_volume is None else f"{options.min_volume:g}"}

    def _of_turns(self, options: InkOptions) -> dict[str, str]:
        if options.min_volume is not None:
            raise BadOption(f"min_volume is no option of a `-turns` model such as {self._name}.")
        values = {name: getattr(options, name) for name in _OF_TURNS}
        return {name: "" if value is None else f"{value:g}" for name, value in values.items()}


def recogniser(model: str | None) -> InkRecogniser:
    """The stage, for one session.

    Raises:
        ConfigError: no model is named, or it is a voice.
    """
    if not model or model.startswith("sonic"):
        raise ConfigError("Say which model listens: such as 'cartesia/ink-whisper' or 'cartesia/ink-2'.")
    return InkRecogniser(model)
