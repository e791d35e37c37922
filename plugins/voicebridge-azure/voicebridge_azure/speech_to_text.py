"""The recogniser's seat: the REST API for short audio, an upload for each utterance.

Facts: learn.microsoft.com/azure/ai-services/speech-service/rest-speech-to-text-short: 60 seconds at most, final texts
alone. Streaming needs the vendor's SDK. Users report that an answer ends at the first longer pause
(Azure-Samples/cognitive-services-speech-sdk#1844, MicrosoftDocs/azure-docs#9670), so what lies behind the end that it
tells is sent again where somebody speaks in it. Nobody has tried this on the live service.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, Unsupported, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, SpeechToText, SpeechToTextTraits, Transcript, Usage
from voicebridge.core.stage_options import StageOptions, read_stage_options
from voicebridge.transport.body import Body, JsonBody
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts
from voicebridge.transport.upload_recogniser import HeardUpTo, UploadRecogniser

from .address import Address
from .models import DEFAULT_LANGUAGE, SPEECH, full_language
from .refusals import explain

__all__ = ["HearingOptions", "ShortAudioRequests", "make_recogniser", "transcript_in", "wav"]

_TRAITS = SpeechToTextTraits(
    format=PCM_16K, recheck="paid", usage="estimated", heeds=frozenset({"base_url", "api_key"})
)
_PATH = "speech/recognition/conversation/cognitiveservices/v1"
_LONGEST_MS = 58_000
_PATIENCE = HttpTimeouts(first_output_s=20.0)
_IDLE_S = 30.0
"""Nobody says how long the vendor keeps an idle connection."""
_PROBE = bytes(PCM_16K.size(200))
_NOTHING_SAID = ("NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation")
_TICKS_A_MS = 10_000
"""Places are told in units of 100 ns."""
_FAILED = Fault(
    category="network",
    code="recognition_error",
    message="The recognition failed at Azure Speech. Try again.",
    retryable=True,
)


class HearingOptions(StageOptions):
    """Of the recogniser."""

    region: str | None = None
    """None: AZURE_SPEECH_REGION."""
    profanity: Literal["masked", "removed", "raw"] | None = None
    """What becomes of it. None: masked, as the vendor has it."""
    endpoint_id: str | None = None
    """Of a custom model's deployment."""


def make_recogniser(model: str | None) -> SpeechToText:
    """The stage. There is one model: `speech`.

    Raises:
        ConfigError: another was asked for.
    """
    if model not in (None, SPEECH):
        raise ConfigError(
            f"Azure has no recogniser {model!r} by name: write azure/{SPEECH}; a custom model is the option "
            "endpoint_id.",
            code="unknown_model",
        )
    return UploadRecogniser(ShortAudioRequests, _TRAITS, longest_ms=_LONGEST_MS)


class ShortAudioRequests:
    """Are `Uploads`.

    Raises:
        ConfigError: a setting does not fit, or the region or the key is missing.
        Unsupported: keywords were given.
    """

    def __init__(self, config: SessionConfig) -> None:
        options = read_stage_options(HearingOptions, config.options, f"azure/{SPEECH}")
        if config.transcription and config.transcription.keywords:
            raise Unsupported("Azure Speech takes no keywords over REST. Leave them out, or choose another recogniser.")
        address = Address.of("stt", options.region, config)
        asked = {
            "language": full_language(config.language) if config.language else DEFAULT_LANGUAGE,
            "format": "detailed",
            "profanity": options.profanity,
            "cid": options.endpoint_id,
        }
        self._query = {name: value for name, value in asked.items() if value is not None}
        self.api = HttpApi(
            address.base_url, headers=address.headers, idle_s=_IDLE_S, timeouts=_PATIENCE, explain=explain
        )

    async def check(self) -> None:
        """Send a moment of silence: region, language and key are all looked at, for a second's price."""
        async for _ in self.api.ask(await self.call(_PROBE), self.body(_PROBE, 0)):
            pass

    async def call(self, pcm: bytes) -> HttpCall:
        """See `Uploads.call`."""
        headers = {
            "Content-Type": f"audio/wav; codecs=audio/pcm; samplerate={PCM_16K.rate}",
            "Accept": "application/json",
        }
        return HttpCall(path=_PATH, query=self._query, headers=headers, content=wav(pcm))

    def body(self, pcm: bytes, mark: int) -> Body[Transcript | Usage | HeardUpTo]:
        """See `Uploads.body`."""
        return JsonBody(lambda answer: transcript_in(answer, PCM_16K.ms(len(pcm)) / 1000, mark))


def transcript_in(answer: Any, sent_s: float, mark: int) -> Iterable[Transcript | Usage | HeardUpTo]:
    """What an answer says.

    Args:
        sent_s: seconds of audio that were sent, which is what is paid for.

    Raises:
        VoiceBridgeError: it says that the recognition failed, or it is no such answer.
    """
    status = answer.get("RecognitionStatus") if isinstance(answer, Mapping) else None
    if status == "Error":
        raise VoiceBridgeError(_FAILED)
    if status != "Success" and status not in _NOTHING_SAID:
        raise VoiceBridgeError(f"Azure Speech answered with the status {status!r:.40}.", code="bad_answer")
    yield Usage({"audio_s": sent_s}, basis="estimated")
    if status != "Success":
        yield Transcript("", final=True, mark=mark)
        return
    end_ms = _ms(answer.get("Offset")) + _ms(answer.get("Duration"))
    if 0 < end_ms < sent_s * 1000:
        yield HeardUpTo(end_ms)
    yield Transcript(_text(answer), final=True, mark=mark)


def _text(answer: Mapping[str, Any]) -> str:
    """Of the best of the detailed results; a simple answer has only one."""
    best = answer.get("NBest")
    first = best[0] if isinstance(best, list) and best else None
    text = first.get("Display") if isinstance(first, Mapping) else answer.get("DisplayText")
    if not isinstance(text, str):
        raise VoiceBridgeError("Azure Speech answered without a text.", code="bad_answer")
    return text.strip()


def _ms(ticks: object) -> float:
    """The documentation writes them as texts, and users see numbers."""
    try:
        return float(ticks) / _TICKS_A_MS if isinstance(ticks, int | float | str) else 0.0
    except ValueError:
        return 0.0


def wav(pcm: bytes) -> bytes:
    """PCM16 at 16 kHz as a file."""
    rate, frame = PCM_16K.rate, PCM_16K.frame_bytes
    fmt = struct.pack("<HHIIHH", 1, PCM_16K.channels, rate, rate * frame, frame, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
