"""`audio/speech`: a clause out, samples in. Pure.

The fields are those of the `openai` SDK 3.54 (`types/audio/speech_create_params.py`); the events of the stream format
`sse` are `speech.audio.delta` and `speech.audio.done`. Compatible servers pass over both formats,
so what comes is told by its first bytes: events, a WAV file, or samples.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, Unsupported, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Usage
from voicebridge.transport.body import Body, PcmBody
from voicebridge.transport.sse import SseEvent, SseParser

from .event_json import event_object
from .http_errors import cut_off, error_in, page_in, told
from .models import VOICES, voice_model
from .mpeg_frame import mpeg_frame_bytes
from .options import SpeechOptions
from .servers import Server
from .token_usage import speech_usage

__all__ = ["MOST_CHARACTERS", "SpeechBody", "speech_request"]

MOST_CHARACTERS = 4096
_ENOUGH = 16
"""Bytes that tell what comes."""
_OTHERS = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}
_MOST_HEADER_BYTES = 64 * 1024


def speech_request(
    server: Server, model: str, voice: str, config: SessionConfig, options: SpeechOptions
) -> dict[str, Any]:
    """The body, without `input`.

    Raises:
        ConfigError: OpenAI has no such voice.
        Unsupported: the model takes no instructions, or streams no events.
    """
    row = voice_model(server.name, model)
    if not server.any_voice and voice not in VOICES and not voice.startswith("voice_"):
        raise ConfigError(
            f"{server.maker} has no voice {voice!r}: choose one of {', '.join(VOICES)}, or the id of one of your own.",
            code="unknown_voice",
        )
    if row is not None and options.instructions is not None and not row.instructions:
        raise Unsupported(f"{model} takes no instructions: choose gpt-4o-mini-tts.")
    if row is not None and options.stream_format == "sse" and not row.events:
        raise Unsupported(f"{model} streams no events: leave stream_format out.")
    body: dict[str, Any] = {"model": model, "response_format": "pcm"}
    body["voice"] = {"id": voice} if not server.any_voice and voice not in VOICES else voice
    if config.speed is not None:
        body["speed"] = config.speed
    if options.instructions is not None:
        body["instructions"] = options.instructions
    stream_format = options.stream_format or ("sse" if row is not None and row.events else None)
    if stream_format is not None:
        body["stream_format"] = stream_format
    return body | dict(options.extra_body)


class SpeechBody(Body[bytes | Usage]):
    """The samples of one clause in `format`, and what was used.

    Args:
        characters: of the clause: what counts as used where the server tells nothing.
    """

    def __init__(self, format: AudioFormat, characters: int) -> None:
        self._format, self._characters = format, characters
        self._header = 0
        """Bytes before the first sample."""
        self._start: bytearray | None = bytearray()
        """What came, until it is clear what that is."""
        self._pcm = PcmBody(format.frame_bytes)
        self._parser: SseParser | None = None
        self._converter: Converter | None = None
        self._left: int | None = None
        """Bytes of samples that a WAV file still has. None: all that comes."""
        self._usage: Usage | None = None
        self._sound = self._done = False

    def feed(self, data: bytes) -> Iterable[bytes | Usage]:
        """See `Body.feed`."""
        if self._start is not None:
            self._start += data
            if not self._begun(bytes(self._start)):
                return
            data, self._start = bytes(self._start), None
            data = data[self._header :]
        yield from self._more(data)

    def end(self) -> Iterable[bytes | Usage]:
        """See `Body.end`."""
        if self._start:
            start, self._start = bytes(self._start), None
            if page := page_in(start):
                raise page
            if error := error_in(start.decode("utf-8", "replace")):
                raise VoiceBridgeError(told(error))
            if start.startswith((b"data:", b"event:")):
                self._parser = SseParser()
            yield from self._more(start)
        if self._parser is not None:
            for event in self._parser.end():
                yield from self._event(event)
            if not self._done:
                raise cut_off("speech")
        if self._converter is not None and (rest := self._converter.flush()):
            yield rest
        if self._sound:
            yield self._usage or Usage({"characters": float(self._characters)}, basis="estimated")

    def _begun(self, start: bytes) -> bool:
        """Whether it is clear what comes. Notes it."""
        if len(start) < _ENOUGH:
            return False
        if start.lstrip().startswith((b"data:", b"event:")):
            self._parser = SseParser()
        elif start.startswith(b"RIFF") and start[8:12] == b"WAVE":
            return self._wav_begun(start)
        elif start.startswith(b'{"') and start[:_ENOUGH].decode("latin-1").isprintable():
            return False  # an error, most probably: only its end tells
        if page := page_in(start):
            raise page
        for magic, name in _OTHERS.items():
            if start.startswith(magic):
                raise _not_pcm(name)
        frame = mpeg_frame_bytes(start)
        if frame and len(start) < frame + 2:
            return False  # a loud sample may look like this, but not two at just this distance
        if frame and start[frame : frame + 2] == start[:2]:
            raise _not_pcm("MP3")
        return True

    def _wav_begun(self, start: bytes) -> bool:
        """Read the header of a WAV file, if it is whole: the sizes in one that streams are not to be trusted."""
        place, source = 12, None
        while place + 8 <= len(start):
            name, size = struct.unpack_from("<4sI", start, place)
            place += 8
            if name == b"data":
                if source is None:
                    raise _not_pcm("a WAV file without a format")
                self._header = place
                self._left = size if 0 < size < 0x7FFF_0000 else None
                if source != self._format:
                    self._converter = Converter(source, self._format)
                    self._pcm = PcmBody(source.frame_bytes)
                return True
            if name == b"fmt " and place + 16 <= len(start):
                source = _wav_format(start, place)
            place += size + size % 2
        if len(start) > _MOST_HEADER_BYTES:
            raise _not_pcm("a WAV file without samples")
        return False

    def _more(self, data: bytes) -> Iterator[bytes | Usage]:
        if self._parser is not None:
            for event in self._parser.feed(data):
                yield from self._event(event)
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        yield from self._samples(data)

    def _samples(self, data: bytes) -> Iterator[bytes]:
        for pcm in self._pcm.feed(data):
            self._sound = True
            if made := self._converter.convert(pcm) if self._converter else pcm:
                yield made

    def _event(self, received: SseEvent) -> Iterator[bytes | Usage]:
        if received.data.strip() == "[DONE]":
            self._done = True
            return
        event = event_object(received.data)
        kind = event.get("type")
        if error := event.get("error"):
            raise VoiceBridgeError(told(error))
        if kind == "error":
            raise VoiceBridgeError(told({**event, "type": None}))
        audio = event.get("audio")
        if isinstance(audio, str) and audio:
            try:
                yield from self._samples(base64.b64decode(audio, validate=True))
            except binascii.Error:
                raise VoiceBridgeError("The server sent audio that is no base64.", code="bad_audio") from None
        if kind == "speech.audio.done":
            self._done, self._usage = True, speech_usage(event.get("usage"))


def _wav_format(start: bytes, place: int) -> AudioFormat:
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", start, place)
    if kind not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2) or not 4_000 <= rate <= 192_000:
        raise _not_pcm(f"a WAV file with {bits} bits, {channels} channels and {rate} Hz (kind {kind})")
    return AudioFormat(rate=rate, channels=channels)


def _not_pcm(what: str) -> VoiceBridgeError:
    message = f"The server sent {what} instead of PCM. Set it up to answer `response_format: pcm`, or use another one."
    return VoiceBridgeError(Fault(category="config", code="bad_audio", message=message))
