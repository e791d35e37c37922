"""An utterance as the form that `audio/transcriptions` takes. Pure.

The fields are those of the `openai` SDK 3.54: `types/audio/transcription_create_params.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import Unsupported
from voicebridge.transport.http_call import HttpCall, HttpFile
from voicebridge_openai.models import Model

from .models import transcriber
from .options import TranscriptionOptions
from .servers import Server

__all__ = ["FORMAT", "LEAST_MS", "MOST_BYTES", "upload_call", "upload_form", "wav"]

FORMAT = AudioFormat(rate=16_000)
"""What the models hear; more would only be more to upload."""
LEAST_MS = 100
"""The vendor refuses less."""
MOST_BYTES = 25_000_000 - 44
"""Of samples in one upload: the vendor takes 25 MB, 13 minutes."""
_ONE_LANGUAGE_ONLY = "takes no list of languages: choose gpt-transcribe, or set `language`."


def upload_form(
    server: Server, model: str, config: SessionConfig, options: TranscriptionOptions
) -> Mapping[str, str | Sequence[str]]:
    """The fields beside the audio.

    Raises:
        Unsupported: the model takes no keywords, no prompt, or no list of languages.
    """
    row = transcriber(server.name, model)
    form: dict[str, str | Sequence[str]] = {"model": model, "response_format": "json"}
    if _streams(server, row, options):
        form["stream"] = "true"
    if options.languages:
        if row is not None and row.keywords != "keywords":
            raise Unsupported(f"{row.name} {_ONE_LANGUAGE_ONLY}")
        form["languages[]"] = options.languages
    elif config.language:
        form["language"] = config.language.partition("-")[0].lower()
    if options.temperature is not None:
        form["temperature"] = f"{options.temperature:g}"
    return form | _hints(row, config, options) | dict(options.extra_form)


def _streams(server: Server, row: Model | None, options: TranscriptionOptions) -> bool:
    if options.stream is not None:
        return options.stream
    return server.streams_transcripts and (row is None or row.name != "whisper-1")  # which passes over it


def _hints(row: Model | None, config: SessionConfig, options: TranscriptionOptions) -> dict[str, str | Sequence[str]]:
    """The words to expect, in the field that the model has for them, and the prompt."""
    keywords = config.transcription.keywords if config.transcription else ()
    how = "prompt" if row is None else row.keywords
    if keywords and how == "none":
        raise Unsupported(f"{row.name if row else ''} takes no keywords: choose gpt-transcribe or gpt-4o-transcribe.")
    if options.prompt is not None and how == "none":
        raise Unsupported(f"{row.name if row else ''} takes no prompt: choose gpt-transcribe or gpt-4o-transcribe.")
    hints: dict[str, str | Sequence[str]] = {}
    if how == "keywords" and keywords:
        hints["keywords[]"] = keywords
        keywords = ()
    if prompt := " ".join(filter(None, (options.prompt, ", ".join(keywords)))):
        hints["prompt"] = prompt
    return hints


def upload_call(path: str, form: Mapping[str, str | Sequence[str]], pcm: bytes) -> HttpCall:
    """The request of one utterance in `FORMAT`."""
    return HttpCall(
        path=path,
        form=form,
        files=(HttpFile(field="file", filename="utterance.wav", content=wav(pcm), mime="audio/wav"),),
    )


def wav(pcm: bytes) -> bytes:
    """The samples with a header before them."""
    rate, frame = FORMAT.rate, FORMAT.frame_bytes
    fmt = struct.pack("<HHIIHH", 1, FORMAT.channels, rate, rate * frame, frame, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVE"
    return head + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm
