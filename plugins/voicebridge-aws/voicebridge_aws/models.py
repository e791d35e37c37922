"""What is known of the engines, voices and languages.

Sources: the service model of Polly in botocore 1.44.8 (engines, formats, codes of languages), and for languages of
Transcribe the developer guide as pipecat-ai 1.14 has it. Which voice has which engine is known to the vendor alone
(`DescribeVoices`); the defaults below are our choice, and nobody has tried them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from voicebridge.contract.errors import ConfigError

__all__ = [
    "DEFAULT_ENGINE",
    "DEFAULT_LANGUAGE",
    "ENGINES",
    "KEY_VARIABLE",
    "LANGUAGES",
    "RECOGNISER",
    "SPOKEN",
    "Engine",
    "engine_of",
    "transcribed_language",
]

KEY_VARIABLE = "AWS_ACCESS_KEY_ID"
"""One of several places where botocore looks for credentials."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What makes the sound, as the vendor calls it."""

    name: str
    voice: str
    """Used where none is named."""

    @property
    def model(self) -> str:
        """Its name in a spec, behind `aws/`."""
        return f"polly-{self.name}"


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("neural", "Joanna"),
        Engine("generative", "Ruth"),
        Engine("long-form", "Danielle"),
        Engine("standard", "Joanna"),
    )
}
DEFAULT_ENGINE = "neural"
RECOGNISER = "transcribe"
DEFAULT_LANGUAGE = "en-US"
_SPOKEN = (
    "ar-AE arb ca-ES cmn-CN cs-CZ cy-GB da-DK de-AT de-CH de-DE en-AU en-GB en-GB-WLS en-IE en-IN en-NZ en-SG en-US "
    "en-ZA es-ES es-MX es-US fi-FI fr-BE fr-CA fr-FR hi-IN is-IS it-IT ja-JP ko-KR nb-NO nl-BE nl-NL pl-PL pt-BR pt-PT "
    "ro-RO ru-RU sv-SE tr-TR yue-CN"
)
SPOKEN: frozenset[str] = frozenset(_SPOKEN.split())
"""`LanguageCode` of Polly. Only voices of two languages need one."""
LANGUAGES: Mapping[str, str] = {
    "ar": "ar-SA",
    "cs": "cs-CZ",
    "da": "da-DK",
    "de": "de-DE",
    "el": "el-GR",
    "en": "en-US",
    "es": "es-US",
    "fi": "fi-FI",
    "fr": "fr-FR",
    "he": "he-IL",
    "hi": "hi-IN",
    "hu": "hu-HU",
    "id": "id-ID",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nl": "nl-NL",
    "no": "no-NO",
    "pl": "pl-PL",
    "pt": "pt-BR",
    "ro": "ro-RO",
    "ru": "ru-RU",
    "sv": "sv-SE",
    "th": "th-TH",
    "tr": "tr-TR",
    "uk": "uk-UA",
    "vi": "vi-VN",
    "zh": "zh-CN",
}
"""What Transcribe is told for a language without a country: it wants both."""


def engine_of(model: str | None) -> Engine:
    """The engine that a spec means: `polly`, `polly-neural`, ... None: the default.

    Raises:
        ConfigError: there is none.
    """
    name = (model or "polly").removeprefix("polly").removeprefix("-") or DEFAULT_ENGINE
    if not (model or "polly").startswith("polly") or name not in ENGINES:
        known = [engine.model for engine in ENGINES.values()]
        near = get_close_matches(model or "", known, 1)
        hint = f"Did you mean aws/{near[0]}?" if near else f"There are: {', '.join(f'aws/{one}' for one in known)}."
        raise ConfigError(f"Amazon has no voices by the name of {model!r}. {hint}", code="unknown_model")
    return ENGINES[name]


def transcribed_language(language: str) -> str:
    """The `language-code` of Transcribe for a BCP 47 tag, as in `de-DE` for `de`.

    Raises:
        ConfigError: a language without a country, and it is not known which one to name.
    """
    name, _, country = language.replace("_", "-").partition("-")
    if country:
        return f"{name.lower()}-{country.upper() if len(country) == 2 else country}"
    if name.lower() not in LANGUAGES:
        raise ConfigError(
            f"Amazon Transcribe wants a language with its country, as in 'de-DE', not {language!r}.",
            code="unknown_language",
        )
    return LANGUAGES[name.lower()]
