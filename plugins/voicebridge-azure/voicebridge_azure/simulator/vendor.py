"""The server's side of the door: who is let in, which endpoint is meant, and what it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio
from voicebridge.testing.simulator.caller_hearing import CallerHearing, is_silent
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.http_vendor import HttpVendor, answer_json
from voicebridge.testing.simulator.pacing import in_pieces, paced_audio
from voicebridge.testing.simulator.upload import Upload, read_upload
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import HttpRequest, Reply

from .options import WireOptions
from .refusal import Refusal
from .spoken_text import VOICES, SpokenText, read_ssml

__all__ = ["AzureVendor"]

_HEAR = "/speech/recognition/conversation/cognitiveservices/v1"
_SPEAK, _LIST = "/cognitiveservices/v1", "/cognitiveservices/voices/list"
_PCM = AudioFormat(rate=24_000)
_FORMATS = {f"raw-{rate // 1000}khz-16bit-mono-pcm": AudioFormat(rate=rate) for rate in (8_000, 16_000, 24_000, 48_000)}
_LONGEST_MS = 60_000
_STEP_MS = 20
_TICKS_A_MS = 10_000


class AzureVendor(HttpVendor):
    """Is a `Vendor` that `Converses`."""

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers
        self._hearing = CallerHearing(options.transcripts, options.recogniser)
        self._busy: Counter[str] = Counter()

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await self._hearing.warm()
        if self._options.voice != "tone":
            async for _ in self._spoken(SpokenText("Ready.", VOICES[0], 1.0), _PCM):
                pass

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        try:
            key = self._let_in(request)
            with self._counted(key):
                await self._converse(request, reply, key)
        except Refusal as refusal:
            await reply.start(refusal.status, {**refusal.headers, "Content-Length": str(len(refusal.body))})
            await reply.send("body", refusal.body)
            await reply.end()

    def _let_in(self, request: HttpRequest) -> str:
        """The key or the token that was shown.

        Raises:
            Refusal: none, or one that is not let in.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = request.headers.get("ocp-apim-subscription-key") or (token.strip() if scheme == "Bearer" else "")
        if (not key and self._options.require_key) or (self._options.keys and key not in self._options.keys):
            raise Refusal(401, "Access denied: the subscription key is not valid for this endpoint.")
        if key in self._options.used_up:
            raise Refusal(403, "Out of call volume quota for this resource.")
        return key

    @contextmanager
    def _counted(self, key: str) -> Iterator[None]:
        if 0 < self._options.most_at_once <= self._busy[key]:
            raise Refusal(429, "The rate limit of this resource is exceeded.", headers={"Retry-After": "1"})
        self._busy[key] += 1
        try:
            yield
        finally:
            self._busy[key] -= 1

    async def _converse(self, request: HttpRequest, reply: Reply, key: str) -> None:
        method, path = request.method, request.path
        if method == "GET" and path == _LIST:
            await answer_json(reply, [{"ShortName": name, "Locale": name[:5]} for name in VOICES])
        elif method == "POST" and path == _SPEAK:
            await self._speak(request, reply, key)
        elif method == "POST" and path == _HEAR:
            await self._hear(request, reply, key)
        else:
            raise Refusal(404, f"{method} {path} is not simulated.")

    # Hearing

    async def _hear(self, request: HttpRequest, reply: Reply, key: str) -> None:
        upload = _upload_in(request)
        detailed = request.query.get("format") == "detailed"
        if is_silent(upload.pcm):  # how somebody finds out whether the key is taken: no turn of a conversation
            await answer_json(reply, _nothing(upload, "InitialSilenceTimeout"))
            return
        begin, end = self._phrase(upload)
        with self._callers.turn(key, cause="speech/recognition", connection=reply.number, at=request.at) as turn:
            text = await self._hearing.understand(key, upload.pcm[begin:end], upload.format)
            await turn.wait("transcription")
            turn.stamp("first_text")
            told = _success(text, upload.format.ms(begin), upload.format.ms(end), detailed=detailed)
            await answer_json(reply, told if text else _nothing(upload, "NoMatch"))

    def _phrase(self, upload: Upload) -> tuple[int, int]:
        """Where the speech that is heard begins and ends, in bytes."""
        step = upload.format.size(_STEP_MS)
        loud = [at for at in range(0, len(upload.pcm), step) if not is_silent(upload.pcm[at : at + step])]
        pause = self._options.phrase_pause_ms
        begin = end = loud[0] if loud else 0
        for at in loud:
            if pause is not None and upload.format.ms(at - end) >= pause:
                break
            end = min(at + step, len(upload.pcm))
        return begin, end

    # Speaking

    async def _speak(self, request: HttpRequest, reply: Reply, key: str) -> None:
        if request.headers.get("content-type", "").partition(";")[0] != "application/ssml+xml":
            raise Refusal(415, "The content type is application/ssml+xml.", plain=True)
        if not request.headers.get("user-agent"):
            raise Refusal(400, "User-Agent is missing.", plain=True)
        name = request.headers.get("x-microsoft-outputformat", "")
        if name not in _FORMATS:
            raise Refusal(400, f"The output format {name!r} is not simulated.", plain=True)
        asked, target = read_ssml(request.body), _FORMATS[name]
        size = target.size(self._options.piece_ms) + self._options.odd_pieces
        with self._callers.turn(key, cause="cognitiveservices/v1", connection=reply.number, at=request.at) as turn:
            audio = [pcm async for pcm in self._spoken(asked, target)]
            await turn.wait("speech")
            await reply.start(200, {"Content-Type": "audio/pcm"})
            async for piece in paced_audio(in_pieces(audio, size), target, self._options.pace):
                turn.stamp("first_audio")
                await reply.send("audio", piece)
            await reply.end()

    async def _spoken(self, asked: SpokenText, target: AudioFormat) -> AsyncIterator[bytes]:
        if not any(char.isalnum() for char in asked.text):
            return
        voice = voice_named(self._options.voice, ms_per_char=self._options.ms_per_char)
        try:
            async with aclosing(voice.speak(asked.text, target, asked.speed)) as pieces:
                async for pcm, _ in pieces:
                    yield pcm
        finally:
            await voice.aclose()


def _upload_in(request: HttpRequest) -> Upload:
    if not request.query.get("language"):
        raise Refusal(400, "The query names no language.", plain=True)
    kind = request.headers.get("content-type", "").replace(" ", "")
    if not kind.startswith("audio/wav;codecs=audio/pcm"):
        raise Refusal(415, "Send audio/wav; codecs=audio/pcm; samplerate=16000.", plain=True)
    try:
        upload = read_upload(request.body)
    except BadAudio as error:
        raise Refusal(400, str(error), plain=True) from None
    if upload.seconds * 1000 > _LONGEST_MS:
        raise Refusal(400, "The audio is longer than 60 seconds.", plain=True)
    return upload


def _nothing(upload: Upload, status: str) -> dict[str, Any]:
    return {"RecognitionStatus": status, "Offset": round(upload.seconds * 1000 * _TICKS_A_MS), "Duration": 0}


def _success(text: str, begin_ms: float, end_ms: float, *, detailed: bool) -> dict[str, Any]:
    place = {"Offset": round(begin_ms * _TICKS_A_MS), "Duration": round((end_ms - begin_ms) * _TICKS_A_MS)}
    if not detailed:
        return {"RecognitionStatus": "Success", "DisplayText": text, **place}
    plain = text.lower().rstrip(".!?")
    best = {"Confidence": 0.95, "Lexical": plain, "ITN": plain, "MaskedITN": plain, "Display": text}
    return {"RecognitionStatus": "Success", **place, "NBest": [best]}
