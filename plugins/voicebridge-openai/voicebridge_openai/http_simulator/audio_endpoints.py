"""POST /audio/transcriptions and POST /audio/speech: a simulated recogniser and a simulated voice."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers, CallerTurn
from voicebridge.testing.simulator.ears import Recogniser
from voicebridge.testing.simulator.pacing import in_pieces
from voicebridge.testing.simulator.upload import read_upload
from voicebridge.testing.simulator.voice import Voice, voice_named
from voicebridge.testing.simulator.wire import HttpRequest, Reply

from . import speech_output, transcription_output
from .admission import Admission
from .api_error import failure
from .body_fields import parsed
from .dialects import HttpDialect
from .identity import Identity
from .options import HttpOptions
from .piece import Piece
from .playing import play, play_as_made
from .response_head import SSE, head
from .speech_request import SpeechAsk, read_speech
from .transcription_request import Transcription, read_form, read_transcription

__all__ = ["AudioEndpoints"]


class AudioEndpoints:
    """Hears by script or by a recogniser; speaks by a tone or a voice."""

    def __init__(
        self, options: HttpOptions, dialect: HttpDialect, admission: Admission, callers: Callers, seed: int
    ) -> None:
        self._options = options
        self._dialect = dialect
        self._admission = admission
        self._callers = callers
        self._seed = seed

    async def warm(self) -> None:
        """Load weights and what reads files, which a process shares: the first request would wait for them."""
        asked = SpeechAsk(model="", text="Ready.", format="wav", events=False, speed=1.0)
        async with aclosing(self._voice_pieces(asked.text, asked.speed)) as pieces:
            spoken = b"".join([pcm async for pcm in pieces])
        upload = read_upload(speech_output.first_piece(asked, self._dialect.speech_rate) + spoken)
        if self._options.recogniser is not None:
            await self._recognised(upload.pcm, upload.format)

    async def transcriptions(self, key: str, request: HttpRequest, reply: Reply) -> None:
        """POST /audio/transcriptions."""
        form = read_form(request.headers.get("content-type", ""), request.body)
        family = self._admission.family(form.model, "transcriptions")
        asked = read_transcription(form, self._dialect, family)
        names = Identity(self._seed, reply.number)
        with self._callers.turn(key, cause="transcription", connection=reply.number, at=request.at) as turn:
            text = await self._heard(turn, asked)
            await turn.wait("transcription")
            if text is None:
                turn.record.status = "failed"
                raise failure("server_error", "The server had an error while processing your request.")
            text = f" {text}\n" if self._dialect.raw_text else text
            turn.stamp("first_text")
            if not asked.stream:
                whole = transcription_output.whole_transcription(asked, text, family, self._dialect)
                await reply.start(200, head(transcription_output.media_type(asked), names, len(whole)))
                await reply.send("body", whole)
                return
            await reply.start(200, head(SSE, names))
            pieces = transcription_output.transcription_pieces(asked, text, family, self._dialect, names)
            await play(reply, pieces)

    async def _heard(self, turn: CallerTurn, asked: Transcription) -> str | None:
        """The text; None: it fails."""
        if self._options.recogniser is not None:
            return await self._recognised(asked.upload.pcm, asked.upload.format)
        scripted = self._options.transcripts
        return scripted[min(turn.record.turn, len(scripted)) - 1] if scripted else "Hello there."

    async def _recognised(self, pcm: bytes, source: AudioFormat) -> str:
        assert self._options.recogniser is not None
        recogniser = Recogniser(self._options.recogniser)
        try:
            return await recogniser.transcribe(pcm, source)
        finally:
            await recogniser.aclose()

    async def speech(self, key: str, request: HttpRequest, reply: Reply) -> None:
        """POST /audio/speech."""
        body = parsed(request.body)
        family = self._admission.family(body.get("model"), "speech")
        asked = read_speech(body, self._dialect, family)
        names = Identity(self._seed, reply.number)
        unit_s = 1 / (1000 * self._options.audio_speed) if self._options.audio_speed else 0.0
        with self._callers.turn(key, cause="speech", connection=reply.number, at=request.at) as turn:
            since = turn.began + turn.ms("speech") / 1000
            async with aclosing(self._spoken(asked, turn)) as pieces:
                first = await anext(pieces)
                await turn.wait("speech")
                turn.stamp("first_audio")
                await reply.start(200, head(speech_output.media_type(asked), names))
                if header := speech_output.first_piece(asked, self._dialect.speech_rate):
                    await reply.send("audio.header", header)
                await reply.send(first.kind, first.data)
                await play_as_made(reply, pieces, since, unit_s)

    async def _spoken(self, asked: SpeechAsk, turn: CallerTurn) -> AsyncGenerator[Piece, None]:
        target = AudioFormat(rate=self._dialect.speech_rate)
        size, sent_ms = target.size(self._options.delta_ms), 0.0
        async with aclosing(self._voice_pieces(asked.text, asked.speed)) as audio:
            async for pcm in in_pieces(audio, size):
                yield speech_output.audio_piece(asked, pcm, sent_ms)
                sent_ms += target.ms(len(pcm))
        turn.record.audio_ms["spoken"] = round(sent_ms, 3)
        if last := speech_output.last_piece(asked, sent_ms):
            yield last

    async def _voice_pieces(self, text: str, speed: float) -> AsyncGenerator[bytes, None]:
        voice: Voice = voice_named(self._options.voice, ms_per_char=self._options.ms_per_char)
        try:
            async with aclosing(voice.speak(text, AudioFormat(rate=self._dialect.speech_rate), speed)) as pieces:
                async for pcm, _ in pieces:
                    yield pcm
        finally:
            await voice.aclose()
