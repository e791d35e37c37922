"""The server's side of the door: which service is meant, and what it answers over HTTP."""

from __future__ import annotations

from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.http_vendor import answer_json
from voicebridge.testing.simulator.pacing import in_pieces, paced_audio
from voicebridge.testing.simulator.voice import Voice, voice_named
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Reply, Wire

from .account import Account
from .hearing import Hearing
from .options import WireOptions
from .refusal import Refusal
from .speech_request import VOICES, SpeechRequest, shown_voice
from .transcribe_wire import TranscribeWire, check_stream

__all__ = ["AmazonVendor"]

_STREAM = "/stream-transcription-websocket"
_ENGINES = ("standard", "neural", "long-form", "generative")


class AmazonVendor:
    """Is a `Vendor` that `Converses`."""

    subprotocols: tuple[str, ...] = ()
    largest_frame: int = 256 * 1024

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers
        self._account = Account(options)
        self._hearing = Hearing(options)

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await self._hearing.warm()
        if self._options.voice != "tone":
            voice = self._voice()
            async with aclosing(voice.speak("Ready.", AudioFormat())) as pieces:
                async for _ in pieces:
                    pass
            await voice.aclose()

    # Websockets

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """See `Vendor.refusal`."""
        try:
            if request.path != _STREAM:
                raise Refusal(404, "UnknownOperationException", "There is no such websocket.")
            self._account.check(request, "transcribe")
            check_stream(request)
        except Refusal as refusal:
            return refusal.answer
        return None

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """See `Vendor.wire`."""
        key = self._account.check(request, "transcribe")
        return TranscribeWire(link, request, key, self._options, self._account, self._callers, self._hearing)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Never asked: `converse` is."""
        return HttpAnswer(status=404, body=b"{}")

    # HTTP

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        try:
            key = self._account.check(request, "polly")
            with self._account.work(key):
                await self._converse(request, reply, key)
        except Refusal as refusal:
            await answer_json(reply, {"message": refusal.message}, refusal.status, refusal.headers)

    async def _converse(self, request: HttpRequest, reply: Reply, key: str) -> None:
        if request.method == "POST" and request.path == "/v1/speech":
            await self._speak(SpeechRequest.of(request), request, reply, key)
        elif request.method == "GET" and request.path == "/v1/voices":
            if not self._options.may_list:
                message = "The user is not authorized to perform: polly:DescribeVoices"
                raise Refusal(403, "AccessDeniedException", message)
            engine = request.query.get("Engine")
            if engine is not None and engine not in _ENGINES:
                raise Refusal(400, "ValidationException", f"{engine} is no engine.")
            names = [name for name, (_, engines) in VOICES.items() if engine is None or engine in engines]
            await answer_json(reply, {"Voices": [shown_voice(name) for name in names]})
        else:
            raise Refusal(404, "UnknownOperationException", f"{request.method} {request.path} is not simulated.")

    async def _speak(self, asked: SpeechRequest, request: HttpRequest, reply: Reply, key: str) -> None:
        voice, target = self._voice(), asked.format
        try:
            with self._callers.turn(key, cause="polly", connection=reply.number, at=request.at) as turn:
                audio = bytearray()
                async with aclosing(voice.speak(asked.text, target)) as pieces:
                    async for piece, _ in pieces:
                        audio += piece
                await turn.wait("speech")
                headers = {"Content-Type": "audio/pcm", "x-amzn-RequestCharacters": str(asked.characters)}
                await reply.start(200, headers)
                size = target.size(self._options.piece_ms) + self._options.odd_pieces
                async for piece in paced_audio(in_pieces([bytes(audio)], size), target, self._options.pace):
                    turn.stamp("first_audio")
                    await reply.send("audio", piece)
        finally:
            await voice.aclose()

    def _voice(self) -> Voice:
        return voice_named(self._options.voice, ms_per_char=self._options.ms_per_char)
