"""Reads the form of POST /audio/transcriptions. Pure.

Fields are those of the openai SDK 3.54. Seen in public reports: the refusal of a format that a model has not, of a file
that is too short or called by another ending. Documented: whisper-1 ignores `stream`. Guesses: how `keywords`, `prompt`
and `timestamp_granularities` are refused where a model has them not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voicebridge.testing.simulator.multipart import fields_of, file_of, read_multipart
from voicebridge.testing.simulator.upload import Upload

from .api_error import ApiError, missing, out_of_range, unknown_value, unsupported, wrong_type
from .dialects import HttpDialect
from .known_models import Family
from .upload_rules import checked_upload

__all__ = ["Form", "Transcription", "read_form", "read_transcription"]

_KNOWN = (
    *("model", "language", "languages", "prompt", "keywords", "response_format", "stream", "temperature", "include"),
    *("timestamp_granularities", "chunking_strategy", "known_speaker_names", "known_speaker_references", "file"),
)
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_TRUE, _FALSE = ("true", "True", "1"), ("false", "False", "0", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What is asked."""

    model: str
    upload: Upload
    format: str = "json"
    stream: bool = False
    language: str | None = None
    words: bool = False
    """Tell each word's place."""
    segments: bool = True
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it came."""

    values: Mapping[str, list[str]]
    filename: str | None
    content: bytes

    @property
    def model(self) -> str | None:
        """As it was told."""
        return _one(self.values, "model")


def read_form(content_type: str, body: bytes) -> Form:
    """The fields and the file.

    Raises:
        ApiError: this is no form.
    """
    try:
        parts = read_multipart(content_type, body)
    except ValueError as error:
        raise ApiError(400, f"Could not parse multipart form: {error}") from None
    file = file_of(parts, "file")
    if file is None:
        return Form(fields_of(parts), None, b"")
    return Form(fields_of(parts), file.filename, file.content)


def read_transcription(form: Form, dialect: HttpDialect, family: Family | None) -> Transcription:
    """What is asked.

    Args:
        family: of the model, with its own rules; None: it has none.

    Raises:
        ApiError: something does not fit.
    """
    values = form.values
    for name in sorted(set(values) - set(_KNOWN)) if dialect.strict else ():
        raise ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    model = _one(values, "model")
    if not model and dialect.needs_model:
        raise ApiError(400, "you must provide a model parameter")
    if form.filename is None:
        raise missing("file")
    wanted = _one(values, "response_format") or "json"
    if wanted not in _FORMATS:
        raise unknown_value("response_format", wanted, _FORMATS)
    stream = _flag(values, "stream")
    granularities = values.get("timestamp_granularities", [])
    for one in granularities:
        if one not in ("word", "segment"):
            raise unknown_value("timestamp_granularities", one, ("word", "segment"))
    _check_temperature(_one(values, "temperature"))
    if family is not None:
        _check_family(values, family, model or "", wanted)
        stream = stream and family.streams
    return Transcription(
        model=model or "",
        upload=checked_upload(form.filename, form.content),
        format=wanted,
        stream=stream and dialect.transcription_stream != "none",
        language=_one(values, "language") or next(iter(values.get("languages", ())), None),
        words="word" in granularities,
        segments=not granularities or "segment" in granularities,
        logprobs="logprobs" in values.get("include", ()),
    )


def _check_family(values: Mapping[str, Sequence[str]], family: Family, model: str, wanted: str) -> None:
    if wanted not in family.formats:
        others = " or ".join(f"'{one}'" for one in family.formats)
        message = f"response_format '{wanted}' is not compatible with model '{model}'. Use {others} instead."
        raise ApiError(400, message, code="unsupported_value", param="response_format")
    if values.get("timestamp_granularities") and wanted != "verbose_json":
        message = "The timestamp_granularities are only supported with response_format 'verbose_json'."
        raise ApiError(400, message, code="unsupported_value", param="timestamp_granularities")
    if values.get("prompt") and not family.prompt:
        raise unsupported("prompt")
    for name in ("keywords", "languages"):
        if values.get(name) and not family.keywords:
            raise unsupported(name)


def _one(values: Mapping[str, Sequence[str]], name: str) -> str | None:
    found = values.get(name)
    return found[-1] if found else None


def _flag(values: Mapping[str, Sequence[str]], name: str) -> bool:
    told = _one(values, name)
    if told is None or told in _FALSE:
        return False
    if told not in _TRUE:
        raise wrong_type(name, "a boolean", told)
    return True


def _check_temperature(told: str | None) -> None:
    if told is None:
        return
    try:
        temperature = float(told)
    except ValueError:
        raise wrong_type("temperature", "a decimal", told) from None
    if not 0 <= temperature <= 1:
        raise out_of_range("temperature", temperature, 0, 1)
