"""The server's side of the door: who is let in, which endpoint is meant, and what it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.caller_hearing import CallerHearing, is_silent
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.hearing import spread
from voicebridge.testing.simulator.http_vendor import HttpVendor, answer_json
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import HttpRequest, Reply

from .options import WireOptions
from .recognition import Recognition
from .refusal import Refusal
from .synthesis import Synthesis, listed_voices, wav

__all__ = ["GoogleVendor"]


class GoogleVendor(HttpVendor):
    """Is a `Vendor` that `Converses`."""

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers
        self._hearing = CallerHearing(options.transcripts, options.recogniser)
        self._busy: Counter[str] = Counter()

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await self._hearing.warm()
        if self._options.voice != "tone":
            await self._spoken("Ready.", AudioFormat())

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        try:
            token = self._let_in(request)
            with self._counted(token):
                await self._converse(request, reply, token)
        except Refusal as refusal:
            await answer_json(reply, refusal.body, refusal.status, refusal.headers)

    def _let_in(self, request: HttpRequest) -> str:
        """The token that was shown, or the API key.

        Raises:
            Refusal: none, or one that is not let in.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-goog-api-key", "")
        if (not token and self._options.require_token) or (self._options.tokens and token not in self._options.tokens):
            raise Refusal(401, "UNAUTHENTICATED", "The request shows no access token that is valid.")
        if token in self._options.denied:
            raise Refusal(403, "PERMISSION_DENIED", "The account may not use this API.")
        return token

    @contextmanager
    def _counted(self, token: str) -> Iterator[None]:
        if 0 < self._options.most_at_once <= self._busy[token]:
            raise Refusal(429, "RESOURCE_EXHAUSTED", "As many requests as the quota allows are running.")
        self._busy[token] += 1
        try:
            yield
        finally:
            self._busy[token] -= 1

    async def _converse(self, request: HttpRequest, reply: Reply, token: str) -> None:
        method, path = request.method, request.path
        if method == "GET" and path == "/v1/voices":
            await answer_json(reply, {"voices": listed_voices(request.query.get("languageCode", ""))})
        elif method == "POST" and path == "/v1/text:synthesize":
            await self._speak(Synthesis.of(request), request, reply, token)
        elif method == "POST" and path.startswith("/v2/") and path.endswith(":recognize"):
            await self._recognise(Recognition.of(request), request, reply, token)
        else:
            raise Refusal(404, "NOT_FOUND", f"{method} {path} is not simulated.")

    async def _recognise(self, asked: Recognition, request: HttpRequest, reply: Reply, token: str) -> None:
        billed = {"totalBilledDuration": f"{max(1, -(-len(asked.pcm) // asked.format.size(1000)))}s"}
        if is_silent(asked.pcm):  # how somebody finds out whether the key is taken: no turn of a conversation
            await answer_json(reply, {"metadata": billed})
            return
        with self._callers.turn(token, cause="recognize", connection=reply.number, at=request.at) as turn:
            text = await self._hearing.understand(token, asked.pcm, asked.format)
            await turn.wait("transcription")
            turn.stamp("first_text")
            seconds = asked.format.ms(len(asked.pcm)) / 1000
            found = [_result(text, seconds, asked)] if text else []
            await answer_json(reply, {"results": found, "metadata": billed})

    async def _speak(self, asked: Synthesis, request: HttpRequest, reply: Reply, token: str) -> None:
        with self._callers.turn(token, cause="text:synthesize", connection=reply.number, at=request.at) as turn:
            pcm = await self._spoken(asked.text, asked.format, asked.speed)
            await turn.wait("speech")
            turn.stamp("first_audio")
            audio = wav(pcm, asked.format) if asked.header else pcm
            await answer_json(reply, {"audioContent": pybase64.b64encode(audio).decode()})

    async def _spoken(self, text: str, target: AudioFormat, speed: float = 1.0) -> bytes:
        voice = voice_named(self._options.voice, ms_per_char=self._options.ms_per_char)
        try:
            async with aclosing(voice.speak(text, target, speed)) as pieces:
                return b"".join([pcm async for pcm, _ in pieces])
        finally:
            await voice.aclose()


def _result(text: str, seconds: float, asked: Recognition) -> dict[str, Any]:
    best: dict[str, Any] = {"transcript": text, "confidence": 0.95}
    if asked.word_times:
        best["words"] = [
            {"word": word, "startOffset": f"{start:.3f}s", "endOffset": f"{end:.3f}s"}
            for word, start, end in spread(text, 0, seconds)
        ]
    return {"alternatives": [best], "resultEndOffset": f"{seconds:.3f}s", "languageCode": asked.language}
