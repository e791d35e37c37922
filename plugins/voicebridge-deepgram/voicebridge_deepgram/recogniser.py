"""The recogniser stages: one connection for as long as the cascade listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript, TurnSignal, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.api_key import api_key
from voicebridge.transport.duplex import Duplex, Half
from voicebridge.transport.shelf import Shelf
from voicebridge.transport.stage_socket import StageSocket
from voicebridge.transport.stage_url import websocket_url

from .faults import classify
from .flux import FluxHalf
from .models import KEY_VARIABLE, URL
from .nova import NovaHalf
from .nova_turns import NovaTurnsHalf
from .options import FluxOptions, NovaOptions

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["DeepgramRecogniser", "recogniser"]

_TURNS = "-turns"
_IDLE_S = 5.0
"""A connection that nothing is sent over is closed by Deepgram after 10 s."""
_CHECKED_LANGUAGE = "flux-general-en"
Told = Transcript | TurnSignal | Usage
Query = dict[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a connection is made with."""

    endpoint: Endpoint
    half: Callable[[float], Half[bytes | Mark, Told]]


class DeepgramRecogniser:
    """A `SpeechToText` stage over `listen`, for one session. Made by `recogniser`."""

    def __init__(self, model: str) -> None:
        self._model = model.removesuffix(_TURNS)
        self._flux = model.startswith("flux")
        self._own = self._flux or model.endswith(_TURNS)
        self._settings: _Settings | None = None
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
        query, half = self._of_flux(config) if self._flux else self._of_nova(config)
        base_url = config.base_url or URL
        key = api_key(config, KEY_VARIABLE, vendor="Deepgram", base_url=base_url)
        query |= {"model": self._model, "encoding": "linear16", "sample_rate": str(self.traits.format.rate)}
        url = websocket_url(base_url, "v2/listen" if self._flux else "v1/listen", query)
        self._settings = _Settings(Endpoint(url=url, headers={"Authorization": f"Token {key}"}), half)

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
            assert self._settings is not None
            half = self._settings.half(asyncio.get_running_loop().time())
            async with aclosing(Duplex[bytes | Mark, Told](socket, half).run(audio)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            sockets.discard(socket)

    def _ready(self) -> Shelf[StageSocket]:
        if self._settings is None:
            raise ConfigError("This stage was not configured.")
        if self._sockets is None:
            self._sockets = Shelf(self._open, idle_s=_IDLE_S)
        return self._sockets

    async def _open(self) -> StageSocket:
        assert self._settings is not None
        return await StageSocket.open(self._settings.endpoint, classify=classify)

    def _of_nova(self, config: SessionConfig) -> tuple[Query, Callable[[float], Any]]:
        options = read_stage_options(NovaOptions, config.options, f"deepgram/{self._model}")
        terms = _keywords(config, options.keyterm)
        query: Query = {
            "interim_results": "true",
            "smart_format": _flag(options.smart_format),
            "language": config.language or "",
            "keyterm" if self._model.startswith("nova-3") else "keywords": terms,
            "profanity_filter": "true" if options.profanity_filter else "",
            "redact": options.redact,
            "endpointing": str(options.endpointing_ms) if self._own else "false",
        } | _labels(options)
        if not self._own:
            return query, lambda now: NovaHalf(now, language=config.language)
        query["vad_events"] = "true"
        if options.utterance_end_ms is not None:
            query["utterance_end_ms"] = str(options.utterance_end_ms)
        if config.turns.silence_ms is not None and "endpointing_ms" not in config.options:
            query["endpointing"] = str(max(10, config.turns.silence_ms))
        return query, lambda now: NovaTurnsHalf(now, manual=config.turns.mode == "manual")

    def _of_flux(self, config: SessionConfig) -> tuple[Query, Callable[[float], Any]]:
        options = read_stage_options(FluxOptions, config.options, f"deepgram/{self._model}")
        language, manual = config.language or "", config.turns.mode == "manual"
        english = self._model == _CHECKED_LANGUAGE
        if english and language and language.partition("-")[0].lower() != "en":
            raise ConfigError(
                f"{self._model} hears English, not {language!r}. Try deepgram/flux-general-multi or deepgram/nova-3.",
                code="unknown_language",
            )
        eot, eager, timeout = options.eot_threshold, options.eager_eot_threshold, options.eot_timeout_ms
        if timeout is None and config.turns.silence_ms is not None:
            timeout = max(500, config.turns.silence_ms)  # the shortest that it takes
        if manual:  # Deepgram's own recipe for turns that are ended by hand
            eot, eager, timeout = 1.0, None, 60_000
        query: Query = {
            "eot_threshold": _number(eot),
            "eager_eot_threshold": _number(eager),
            "eot_timeout_ms": _number(timeout),
            "keyterm": _keywords(config, options.keyterm),
            "language_hint": "" if english else language,
            "numerals": "" if options.numerals is None else _flag(options.numerals),
            "profanity_filter": "" if options.profanity_filter is None else _flag(options.profanity_filter),
        } | _labels(options)
        return query, lambda now: FluxHalf(now, manual=manual)


def recogniser(model: str | None) -> DeepgramRecogniser:
    """The stage, for one session.

    Raises:
        ConfigError: no model is named, or it is a voice.
    """
    if not model or model.startswith("aura"):
        raise ConfigError("Say which model listens: such as 'deepgram/nova-3' or 'deepgram/flux-general-en'.")
    return DeepgramRecogniser(model)


def _keywords(config: SessionConfig, more: Sequence[str]) -> tuple[str, ...]:
    return (*(config.transcription.keywords if config.transcription else ()), *more)


def _labels(options: NovaOptions | FluxOptions) -> Query:
    return {"tag": options.tag, "mip_opt_out": "" if options.mip_opt_out is None else _flag(options.mip_opt_out)}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
