"""The recogniser's seat: `recognize` of Speech-to-Text v2, an upload for each utterance.

Facts: cloud.google.com/speech-to-text/v2/docs/reference/rest (`recognizers.recognize`, `RecognitionConfig`), and the
page of the model: less than a minute of audio, streaming over gRPC alone. Nobody has tried this on the live service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pybase64

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, SpeechToText, SpeechToTextTraits, Transcript, Usage, Word
from voicebridge.transport.body import Body, JsonBody
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts
from voicebridge.transport.upload_recogniser import UploadRecogniser

from .addresses import service_url
from .credentials import Credentials, GivenToken, credentials_for
from .models import DEFAULT_RECOGNISER, PROJECT_VARIABLE
from .refusals import explain
from .settings import HearingSettings

__all__ = ["RecogniseRequests", "make_recogniser", "recognition_config", "transcript_in"]

_TRAITS = SpeechToTextTraits(
    format=PCM_16K, recheck="paid", usage="estimated", heeds=frozenset({"base_url", "api_key"})
)
_LONGEST_MS = 58_000
"""The vendor takes less than a minute."""
_PATIENCE = HttpTimeouts(first_output_s=20.0)
_IDLE_S = 30.0
"""Nobody says how long the vendor keeps an idle connection."""
_PROBE = bytes(PCM_16K.size(200))


def make_recogniser(model: str | None) -> SpeechToText:
    """The stage for a model. None: the default."""
    name = model or DEFAULT_RECOGNISER
    return UploadRecogniser(lambda config: RecogniseRequests(name, config), _TRAITS, longest_ms=_LONGEST_MS)


class RecogniseRequests:
    """Are `Uploads`.

    Raises:
        ConfigError: a setting does not fit, or there is nobody to ask as.
    """

    def __init__(self, model: str, config: SessionConfig) -> None:
        self._settings = settings = HearingSettings.of(model, config)
        base_url = service_url("speech", settings.location, config.base_url)
        self._credentials: Credentials = credentials_for(config, base_url)
        if settings.project is None and isinstance(self._credentials, GivenToken):
            raise ConfigError(_NO_PROJECT, code="missing_project")
        self._asked = recognition_config(settings)
        self.api = HttpApi(base_url, headers={}, idle_s=_IDLE_S, timeouts=_PATIENCE, explain=explain)

    async def get_ready(self) -> None:
        """Have a token, and a connection."""
        await self._credentials.headers()
        await self.api.get_ready()

    async def check(self) -> None:
        """Send a moment of silence: project, location, model and key are all looked at, for a second's price."""
        async for _ in self.api.ask(await self.call(_PROBE), self.body(_PROBE, 0)):
            pass

    async def call(self, pcm: bytes) -> HttpCall:
        """See `Uploads.call`."""
        settings = self._settings
        project = settings.project or await self._credentials.project()
        if not project:
            raise ConfigError(_NO_PROJECT, code="missing_project")
        return HttpCall(
            path=f"v2/projects/{project}/locations/{settings.location}/recognizers/_:recognize",
            headers=await self._credentials.headers(),
            json={"config": self._asked, "content": pybase64.b64encode(pcm).decode()},
        )

    def body(self, pcm: bytes, mark: int) -> Body[Transcript | Usage]:
        """See `Uploads.body`."""
        return JsonBody(lambda answer: transcript_in(answer, PCM_16K.ms(len(pcm)) / 1000, mark))


_NO_PROJECT = f"Google Speech-to-Text needs a project: pass the option project, or set {PROJECT_VARIABLE}."


def recognition_config(settings: HearingSettings) -> dict[str, Any]:
    """The `RecognitionConfig` of every request."""
    options = settings.options
    asked: dict[str, Any] = {
        "model": settings.model,
        "languageCodes": [settings.language],
        "explicitDecodingConfig": {
            "encoding": "LINEAR16",
            "sampleRateHertz": PCM_16K.rate,
            "audioChannelCount": PCM_16K.channels,
        },
        "features": {
            "enableAutomaticPunctuation": options.punctuation,
            "profanityFilter": options.profanity_filter,
            "enableWordTimeOffsets": options.word_times,
        },
    }
    if settings.keywords:
        boost = {} if options.boost is None else {"boost": options.boost}
        phrases = [{"value": word, **boost} for word in settings.keywords]
        asked["adaptation"] = {"phraseSets": [{"inlinePhraseSet": {"phrases": phrases}}]}
    if options.denoise:
        asked["denoiserConfig"] = {"denoiseAudio": True}
    return asked


def transcript_in(answer: Any, sent_s: float, mark: int) -> Iterable[Transcript | Usage]:
    """What a `RecognizeResponse` says: results one after the other. None at all: nobody spoke.

    Args:
        sent_s: seconds of audio that were sent.

    Raises:
        VoiceBridgeError: it is no such response.
    """
    results = answer.get("results", []) if isinstance(answer, Mapping) else None
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        raise VoiceBridgeError("Google answered with no list of results.", code="bad_answer")
    best = [one for result in results if (one := _best(result)) is not None]
    metadata = answer.get("metadata")
    billed_s = _seconds(metadata.get("totalBilledDuration")) if isinstance(metadata, Mapping) else None
    exact = billed_s is not None
    yield Usage({"audio_s": sent_s if billed_s is None else billed_s}, basis="exact" if exact else "estimated")
    texts = [str(one.get("transcript") or "").strip() for one in best]
    languages = [code for result in results if isinstance(code := result.get("languageCode"), str)]
    yield Transcript(
        " ".join(text for text in texts if text),
        final=True,
        mark=mark,
        words=tuple(word for one in best for word in _words(one.get("words"))),
        language=languages[0] if languages else None,
    )


def _best(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    alternatives = result.get("alternatives")
    first = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    return first if isinstance(first, Mapping) else None


def _words(words: object) -> Iterable[Word]:
    for word in words if isinstance(words, list) else ():
        if isinstance(word, Mapping) and isinstance(text := word.get("word"), str):
            start, end = _seconds(word.get("startOffset", "0s")), _seconds(word.get("endOffset"))
            if start is not None and end is not None:
                yield Word(text, start * 1000, end * 1000)


def _seconds(duration: object) -> float | None:
    """Of a duration as protobuf writes it in JSON: `1.500s`."""
    if not isinstance(duration, str) or not duration.endswith("s"):
        return None
    try:
        seconds = float(duration[:-1])
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
