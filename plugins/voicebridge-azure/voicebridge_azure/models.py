"""What is known by name. Light: it is read before anything of it is needed."""

from __future__ import annotations

__all__ = ["DEFAULT_LANGUAGE", "DEFAULT_VOICE", "KEY_VARIABLE", "NEURAL", "REGION_VARIABLE", "SPEECH", "full_language"]

KEY_VARIABLE = "AZURE_SPEECH_KEY"
REGION_VARIABLE = "AZURE_SPEECH_REGION"
SPEECH = "speech"
"""The recogniser: the vendor names no models here."""
NEURAL = "neural"
"""All voices by their names."""
DEFAULT_LANGUAGE = "en-US"
DEFAULT_VOICE = "en-US-AvaMultilingualNeural"
_REGIONS = {
    "ar": "ar-EG",
    "bn": "bn-IN",
    "cs": "cs-CZ",
    "da": "da-DK",
    "el": "el-GR",
    "en": "en-US",
    "et": "et-EE",
    "he": "he-IL",
    "hi": "hi-IN",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nb": "nb-NO",
    "no": "nb-NO",
    "pt": "pt-BR",
    "sl": "sl-SI",
    "sv": "sv-SE",
    "ta": "ta-IN",
    "te": "te-IN",
    "uk": "uk-UA",
    "ur": "ur-IN",
    "vi": "vi-VN",
    "zh": "zh-CN",
}
"""Where a language alone is meant, if it is not the country of the same letters, as in `de-DE`."""


def full_language(language: str) -> str:
    """A language with its country, as the service wants it: `en` becomes `en-US`."""
    code, _, rest = language.replace("_", "-").partition("-")
    if rest:
        return f"{code.lower()}-{rest.upper() if len(rest) == 2 else rest}"
    return _REGIONS.get(code.lower()) or f"{code.lower()}-{code.upper()}"
