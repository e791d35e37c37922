"""The `SpeechToText` stage that uploads each utterance when it is asked for its text."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript, TurnSignal, Usage
from voicebridge.core.stage_options import read_stage_options

from .connection import Connection
from .options import TranscriptionOptions
from .servers import Server
from .transcript import TranscriptBody
from .upload_request import FORMAT, LEAST_MS, MOST_BYTES, upload_call, upload_form

__all__ = ["UploadRecogniser"]

Output = Transcript | TurnSignal | Usage
_LEAST_BYTES = FORMAT.size(LEAST_MS)
_USUAL_S = 15.0
"""Seconds of an utterance for which the usual time-outs are meant."""
_LONGER = 0.2
"""Seconds to wait for each further one: it is uploaded first, and heard then."""


class UploadRecogniser:
    """A recogniser by `audio/transcriptions`, for one session. Each mark costs an upload of its utterance.

    Args:
        model: as the server names it.
    """

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._connection = Connection(server, model)
        self._form = upload_form(server, model, SessionConfig(), TranscriptionOptions())

    @property
    def traits(self) -> SpeechToTextTraits:
        """How it works."""
        return SpeechToTextTraits(
            format=FORMAT,
            heeds=frozenset({"base_url", "api_key"}),
            usage="exact" if self._server.tells_usage else "estimated",
            turns="none",
            recheck="paid",
            interim=False,  # what is streamed comes after the mark
        )

    def configure(self, config: SessionConfig) -> None:
        """Take the language, the words to expect, where to go, and the options.

        Raises:
            BadOption: an option that it does not know.
            Unsupported: this model takes no keywords, or no prompt.
            ConfigError: no server, or no key.
        """
        options = read_stage_options(TranscriptionOptions, config.options, f"{self._server.name}/{self._model}")
        form = upload_form(self._server, self._model, config, options)
        self._connection.configure(config, options)
        self._form = form

    async def warm(self) -> None:
        """Open a connection.

        Raises:
            VoiceBridgeError: the server is not there, or refuses the key.
        """
        await self._connection.warm()

    async def get_ready(self) -> None:
        """Open a connection, if none waits."""
        await self._connection.get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Output]:
        """See `SpeechToText.listen`. A transcript that grows is told where the model streams it.

        Raises:
            VoiceBridgeError: an upload was refused, or failed.
        """
        async with aclosing(_Uploads(self).run(audio)) as outputs:
            async for output in outputs:
                yield output

    async def transcribe(self, pcm: bytes) -> AsyncGenerator[Transcript | Usage]:
        """What is said in `pcm`: as it is written, then the whole, final."""
        if len(pcm) < _LEAST_BYTES:
            yield Transcript("", final=True)
            return
        done: list[str] = []
        language = None
        for start in range(0, len(pcm), MOST_BYTES):
            part = pcm[start : start + MOST_BYTES]
            if len(part) < _LEAST_BYTES:
                break
            call = upload_call(self._server.transcriptions, self._form, part)
            seconds = FORMAT.ms(len(part)) / 1000
            longer_s = max(0.0, seconds - _USUAL_S) * _LONGER
            body = TranscriptBody(seconds)
            async with aclosing(self._connection.ask(call, body, longer_s=longer_s)) as outputs:
                async for output in outputs:
                    if isinstance(output, Usage):
                        yield output
                    elif output.final:
                        done.append(output.text)
                        language = output.language or language
                    else:
                        yield replace(output, text=" ".join(filter(None, (*done, output.text))))
        yield Transcript(" ".join(filter(None, done)), final=True, language=language)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


class _Upload:
    """The answer to one mark, on its way."""

    def __init__(self, mark: Mark, utterance: int, seconds: float) -> None:
        self.mark, self.utterance = mark, utterance
        self.seconds = seconds
        self.counted = seconds < LEAST_MS / 1000
        """Whether it has been told what it costs, if anything."""
        self.outputs: deque[Output] = deque()
        self.task: asyncio.Task[None] | None = None


class _Uploads:
    """Those of one `listen`: they run at the same time, and are told in the order of their marks.

    A mark that comes while an earlier one of the same utterance is still being answered replaces it: its text would be
    out of date.
    """

    def __init__(self, stage: UploadRecogniser) -> None:
        self._stage = stage
        self._pcm = bytearray()
        self._utterance = 0
        self._open: deque[_Upload] = deque()
        self._news = asyncio.Event()

    async def run(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Output]:
        reader = asyncio.create_task(self._read(audio), name="recogniser: audio")
        reader.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                for output in self._told():
                    yield output
                if reader.done() and not self._open:
                    reader.result()
                    return
                await self._news.wait()
        finally:
            tasks = [reader, *(upload.task for upload in self._open if upload.task is not None)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _told(self) -> list[Output]:
        """What the oldest uploads have brought, and of those that are done, all."""
        told: list[Output] = []
        while self._open:
            upload = self._open[0]
            told += upload.outputs
            upload.outputs.clear()
            if upload.task is None or not upload.task.done():
                break
            if told and not upload.task.cancelled() and upload.task.exception() is not None:
                self._news.set()  # what came before it is told first, and at once after that this
                break
            self._open.popleft()
            if not upload.task.cancelled():
                upload.task.result()
        return told

    async def _read(self, audio: AsyncIterable[bytes | Mark]) -> None:
        async for piece in audio:
            if isinstance(piece, bytes):
                self._pcm += piece
                continue
            if piece.wanted:
                self._begin(piece)
            if piece.fresh:
                self._pcm.clear()
                self._utterance += 1

    def _begin(self, mark: Mark) -> None:
        for upload in self._open:
            if upload.utterance == self._utterance and upload.task is not None:
                upload.outputs = deque(one for one in upload.outputs if isinstance(one, Usage))
                if not (upload.counted or upload.task.done()):  # it was sent, and is billed for all we know
                    upload.outputs.append(Usage({"audio_s": upload.seconds}, basis="estimated"))
                    upload.counted = True
                upload.task.cancel()
        upload = _Upload(mark, self._utterance, FORMAT.ms(len(self._pcm)) / 1000)
        upload.task = asyncio.create_task(self._run(upload, bytes(self._pcm)), name="recogniser: upload")
        upload.task.add_done_callback(lambda _: self._news.set())
        self._open.append(upload)

    async def _run(self, upload: _Upload, pcm: bytes) -> None:
        async with aclosing(self._stage.transcribe(pcm)) as outputs:
            async for output in outputs:
                if isinstance(output, Transcript) and output.final:
                    output = replace(output, mark=upload.mark.n)
                upload.counted = upload.counted or isinstance(output, Usage)
                upload.outputs.append(output)
                self._news.set()
