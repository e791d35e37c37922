"""The server's side of the door: which endpoint is meant, and what it answers over HTTP."""

from __future__ import annotations

from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio
from voicebridge.testing.simulator.caller_hearing import CallerHearing
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.http_vendor import answer_json
from voicebridge.testing.simulator.multipart import fields_of, file_of, read_multipart
from voicebridge.testing.simulator.named_stages import warm_voice
from voicebridge.testing.simulator.upload import read_upload
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Reply, Wire

from .account import VOICES, Account, Refusal, check_voice, shown_voice
from .options import WireOptions
from .profiles import speech_stage
from .rendering import encoded, in_seconds, paced_pieces, render
from .scribe_wire import ScribeWire, timed_words
from .speech_request import SpeechRequest
from .stream_input_wire import StreamInputWire

__all__ = ["ElevenLabsVendor"]

_LARGEST_FRAME = 16 * 1024 * 1024
_LINES = {"Content-Type": "application/json"}
_SPEECH, _SCRIBE = "/v1/text-to-speech/", "/v1/speech-to-text"


class ElevenLabsVendor:
    """Is a `Vendor` that `Converses`."""

    subprotocols: tuple[str, ...] = ()
    largest_frame: int = _LARGEST_FRAME

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers
        self._account = Account(options)
        self._hearing = CallerHearing(options.transcripts, options.recogniser)

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await self._hearing.warm()
        await warm_voice(self._options.voice)

    # Websockets

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """See `Vendor.refusal`."""
        voice = request.path.startswith(_SPEECH) and request.path.endswith("/stream-input")
        if not voice and request.path != f"{_SCRIBE}/realtime":
            return _answer(Refusal(404, "not_found", "There is no such websocket."))
        key = request.headers.get("xi-api-key", "")
        try:
            if key:  # without one, the first message may bring it
                self._account.check(key)
        except Refusal as refusal:
            return _answer(refusal)
        return None

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """See `Vendor.wire`."""
        if request.path.startswith(_SPEECH):
            return StreamInputWire(link, request, self._options, self._account, self._callers)
        return ScribeWire(link, request, self._options, self._account, self._callers, self._hearing)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Never asked: `converse` is."""
        return HttpAnswer(status=404, body=b"{}")

    # HTTP

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        key = request.headers.get("xi-api-key", "")
        try:
            self._account.check(key)
            with self._account.answer(key):
                await self._converse(request, reply, key)
        except Refusal as refusal:
            await answer_json(reply, refusal.detail, refusal.status)

    async def _converse(self, request: HttpRequest, reply: Reply, key: str) -> None:
        method, path = request.method, request.path
        if method == "GET" and path in ("/v1/voices", "/v2/voices"):
            await answer_json(reply, _voices(request))
        elif method == "POST" and path == _SCRIBE:
            await self._transcribe(request, reply, key)
        elif method == "POST" and path.startswith(_SPEECH):
            voice_id, _, what = path.removeprefix(_SPEECH).partition("/")
            if what not in ("stream", "stream/with-timestamps"):
                raise Refusal(404, "not_found", f"{path} is not simulated.")
            check_voice(voice_id)
            await self._speak(SpeechRequest.of(request), request, reply, key, timed=what != "stream")
        else:
            raise Refusal(404, "not_found", f"{method} {path} is not simulated.")

    async def _speak(self, asked: SpeechRequest, request: HttpRequest, reply: Reply, key: str, *, timed: bool) -> None:
        cause = f"text-to-speech/stream{'/with-timestamps' if timed else ''}"
        voice = voice_named(self._options.voice, ms_per_char=self._options.ms_per_char)
        try:
            with self._callers.turn(key, cause=cause, connection=reply.number, at=request.at) as turn:
                rendered = await render(voice, asked.text, asked.format, asked.speed)
                await turn.wait(speech_stage(asked.model, self._callers.profile))
                headers = {"character-cost": str(len(asked.text))}
                await reply.start(200, headers | (_LINES if timed else {"Content-Type": "audio/pcm"}))
                async for piece, _, chars in paced_pieces(rendered, asked.format, self._options):
                    told = in_seconds(chars) if chars else None
                    line = {"audio_base64": encoded(piece), "alignment": told, "normalized_alignment": told}
                    turn.stamp("first_audio")
                    await reply.send("audio", orjson.dumps(line) + b"\n" if timed else piece)
        finally:
            await voice.aclose()

    async def _transcribe(self, request: HttpRequest, reply: Reply, key: str) -> None:
        try:
            parts = read_multipart(request.headers.get("content-type", ""), request.body)
        except ValueError as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        fields, file = fields_of(parts), file_of(parts, "file")
        if file is None or not fields.get("model_id"):
            raise Refusal(400, "invalid_request", "An upload has a file and a model_id.")
        raw = fields.get("file_format", [""])[0] == "pcm_s16le_16"
        try:
            upload = read_upload(file.content, bare=AudioFormat(rate=16_000) if raw else None)
        except BadAudio as error:
            raise Refusal(400, "invalid_audio", str(error)) from None
        with self._callers.turn(key, cause="speech-to-text", connection=reply.number, at=request.at) as turn:
            text = await self._hearing.understand(key, upload.pcm, upload.format)
            await turn.wait("transcription")
            turn.stamp("first_text")
            await answer_json(reply, _transcript(text, upload.seconds))


def _transcript(text: str, seconds: float) -> dict[str, Any]:
    return {
        "language_code": "eng",
        "language_probability": 1.0,
        "text": text,
        "words": timed_words(text, seconds),
        "audio_duration_secs": seconds,
    }


def _voices(request: HttpRequest) -> dict[str, Any]:
    wanted = request.query.get("search", "").casefold()
    voices = [shown_voice(id) for id, name in VOICES.items() if wanted in name.casefold()]
    if request.path.startswith("/v1"):
        return {"voices": voices}
    return {"voices": voices, "has_more": False, "total_count": len(voices), "next_page_token": None}


def _answer(refusal: Refusal) -> HttpAnswer:
    return HttpAnswer(status=refusal.status, body=orjson.dumps(refusal.detail))
