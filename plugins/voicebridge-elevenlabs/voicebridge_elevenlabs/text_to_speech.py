"""The voice's seat: over the websocket, or a request for each clause."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.transport.duplex import Duplex
from voicebridge.transport.http import HttpApi
from voicebridge.transport.spare import Spare
from voicebridge.transport.stage_socket import StageSocket

from .address import Address
from .goodbyes import Goodbyes
from .models import DEFAULT_VOICE
from .refusals import explain, fault_of_close
from .settings import VoiceOptions, VoiceSettings
from .speech_requests import call_for, speech_body
from .stream_input import INACTIVITY_S, StreamInput, opening, query
from .voices import Voices

__all__ = ["ElevenLabsVoice"]

_SPARE_IDLE_S = INACTIVITY_S - 20.0
_HTTP_IDLE_S = 30.0
"""The vendor does not say for how long it keeps a connection that nobody uses."""


class ElevenLabsVoice:
    """Is a `TextToSpeech`.

    Over the websocket each answer has a connection of its own: what was sent can't be taken back on this wire, so an
    interruption closes it. The next one is open before it is needed, and has been greeted already, which the vendor
    takes its time for.

    It takes clauses, because `auto_mode` speaks each message at once and wants whole phrases. The other way, tokens
    with a schedule of lengths, waits for 50 characters at least before anything is spoken.

    Args:
        model: None: the default.
    """

    def __init__(self, model: str | None) -> None:
        self._model = model or DEFAULT_VOICE
        self._seat: _Seat | None = None
        self._left: list[_Seat] = []
        """Those of earlier settings: what waits there is not wanted any more, what still speaks goes on."""
        self._apis: list[HttpApi] = []

    @property
    def traits(self) -> TextToSpeechTraits:
        """See `TextToSpeech.traits`."""
        options = self._seat.settings.options if self._seat else VoiceOptions()
        return TextToSpeechTraits(
            format=AudioFormat(rate=options.rate),
            takes="clauses",
            alignment="char" if options.timestamps else "none",
            usage="estimated",
            heeds=frozenset({"base_url", "api_key"}),
        )

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`."""
        settings, address = VoiceSettings.of(self._model, config), Address.of(config)
        if self._seat is not None and (self._seat.settings, self._seat.address) == (settings, address):
            return
        if self._seat is None or self._seat.address != address:
            self._apis.append(HttpApi(address.host, headers=address.headers, idle_s=_HTTP_IDLE_S, explain=explain))
        seat = _Seat(settings, address, self._apis[-1])
        if self._seat is not None:
            self._left.append(self._seat)
        self._seat = seat

    async def warm(self) -> None:
        """Find the voice by its name, and open what the first answer needs.

        Raises:
            ConfigError: there is no such voice.
            VoiceBridgeError: the list of voices can't be had.
        """
        await self._configured().warm()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._leave()
        await self._configured().get_ready()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """See `TextToSpeech.speak`.

        Raises:
            VoiceBridgeError: the vendor failed; what came before is what was spoken.
        """
        async with aclosing(self._configured().speak(text)) as outputs:
            async for output in outputs:
                yield output

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        if self._seat is not None:
            self._left.append(self._seat)
            self._seat = None
        await self._leave()
        apis, self._apis = self._apis, []
        for api in apis:
            await api.aclose()

    def _configured(self) -> _Seat:
        if self._seat is None:
            self.configure(SessionConfig())
            assert self._seat is not None
        return self._seat

    async def _leave(self) -> None:
        left, self._left = self._left, []
        for seat in left:
            await seat.aclose()


class _Seat:
    """The voice with one choice of settings."""

    def __init__(self, settings: VoiceSettings, address: Address, api: HttpApi) -> None:
        self.settings, self.address, self._api = settings, address, api
        self._format = AudioFormat(rate=settings.options.rate)
        self._voices = Voices(address, self._api)
        self._voices.check(settings.voice)
        self._spare = Spare(self._open, idle_s=_SPARE_IDLE_S)
        self._goodbyes = Goodbyes()

    async def warm(self) -> None:
        await self._voices.id_of(self.settings.voice)
        await self.get_ready()

    async def get_ready(self) -> None:
        if self.settings.options.transport == "websocket":
            await self._spare.get_ready()
        else:
            await self._api.get_ready()

    def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        return self._converse(text) if self.settings.options.transport == "websocket" else self._ask(text)

    async def _converse(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        socket = await self._spare.take()
        half = StreamInput(self._format)
        try:
            await self._spare.get_ready()  # for the answer after this one, which may come at any time
            async with aclosing(Duplex[str | Flush, Speech | Usage](socket, half).run(text)) as outputs:
                async for output in outputs:
                    yield output
        except VoiceBridgeError as error:
            if not half.ends_well(error.fault):
                raise
            for speech in half.finish():
                yield speech
        finally:
            self._goodbyes.say(socket)

    async def _ask(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        voice_id, before = await self._voices.id_of(self.settings.voice), ""
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            said = clause.strip()
            if not any(char.isalnum() for char in said):
                yield Speech(b"", clause)  # it can't be pronounced
                continue
            yield Usage({"characters": float(len(said))}, basis="estimated")
            call = call_for(said, before, voice_id, self.settings)
            body = speech_body(clause, self._format, timed=self.settings.options.timestamps)
            async with aclosing(self._api.ask(call, body)) as pieces:
                async for piece in pieces:
                    yield piece
            before += clause

    async def _open(self) -> StageSocket:
        voice_id = await self._voices.id_of(self.settings.voice)
        endpoint = self.address.endpoint(f"text-to-speech/{voice_id}/stream-input", query(self.settings))
        socket = await StageSocket.open(endpoint, classify=fault_of_close)
        try:
            await socket.send(opening(self.settings))
        except BaseException:
            self._goodbyes.say(socket)
            raise
        return socket

    async def aclose(self) -> None:
        await self._spare.aclose()
        await self._goodbyes.said()
