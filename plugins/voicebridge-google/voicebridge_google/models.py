"""What is known of Google's models and voices by name. Light: it is read before anything of them is needed.

Sources: cloud.google.com/speech-to-text/docs/models/chirp-3 and /text-to-speech/docs/chirp3-hd, as stored in 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CHIRP_HD",
    "CREDENTIALS_VARIABLE",
    "DEFAULT_RECOGNISER",
    "DEFAULT_VOICE",
    "NAMES",
    "PROJECT_VARIABLE",
    "RECOGNISERS",
    "TOKEN_VARIABLE",
    "RecogniserModel",
    "full_language",
    "recogniser_model",
]

CREDENTIALS_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
"""The file that google-auth reads. It also finds credentials where this is not set."""
TOKEN_VARIABLE = "GOOGLE_OAUTH_ACCESS_TOKEN"
"""Holds an access token itself, which ends after an hour."""
PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"
DEFAULT_RECOGNISER = "chirp_3"
CHIRP_HD = "chirp-3-hd"
DEFAULT_VOICE = "Kore"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecogniserModel:
    """A model that hears."""

    name: str
    location: str
    """Where it is asked unless told otherwise."""
    detects: bool
    """Whether it finds out the language by itself."""
    note: str = ""


_REST = "over REST, one upload an utterance: streaming is gRPC only"
RECOGNISERS: tuple[RecogniserModel, ...] = (
    RecogniserModel(name="chirp_3", location="us", detects=True, note=_REST),
    RecogniserModel(name="chirp_2", location="us-central1", detects=True, note=_REST),
    RecogniserModel(name="latest_long", location="global", detects=False, note=f"{_REST}; not tried with v2"),
    RecogniserModel(name="latest_short", location="global", detects=False, note=f"{_REST}; not tried with v2"),
)
NAMES: tuple[str, ...] = (
    "Achernar",
    "Achird",
    "Algenib",
    "Algieba",
    "Alnilam",
    "Aoede",
    "Autonoe",
    "Callirrhoe",
    "Charon",
    "Despina",
    "Enceladus",
    "Erinome",
    "Fenrir",
    "Gacrux",
    "Iapetus",
    "Kore",
    "Laomedeia",
    "Leda",
    "Orus",
    "Pulcherrima",
    "Puck",
    "Rasalgethi",
    "Sadachbia",
    "Sadaltager",
    "Schedar",
    "Sulafat",
    "Umbriel",
    "Vindemiatrix",
    "Zephyr",
    "Zubenelgenubi",
)
"""Of the Chirp 3 HD voices, in every language."""
_REGIONS = {
    "ar": "ar-XA",
    "bn": "bn-IN",
    "cs": "cs-CZ",
    "da": "da-DK",
    "el": "el-GR",
    "en": "en-US",
    "et": "et-EE",
    "gu": "gu-IN",
    "he": "he-IL",
    "hi": "hi-IN",
    "ja": "ja-JP",
    "kn": "kn-IN",
    "ko": "ko-KR",
    "ml": "ml-IN",
    "mr": "mr-IN",
    "nb": "nb-NO",
    "no": "nb-NO",
    "pt": "pt-BR",
    "sl": "sl-SI",
    "sr": "sr-RS",
    "sv": "sv-SE",
    "sw": "sw-KE",
    "ta": "ta-IN",
    "te": "te-IN",
    "uk": "uk-UA",
    "ur": "ur-IN",
    "vi": "vi-VN",
}
"""Where a language alone is meant, if it is not the country of the same letters, as in `de-DE`."""


def recogniser_model(name: str) -> RecogniserModel:
    """What is known of it; of others that they are asked as Chirp 3 is."""
    known = {row.name: row for row in RECOGNISERS}
    return known.get(name) or RecogniserModel(name=name, location="us", detects=name.startswith("chirp"))


def full_language(language: str, chinese: str) -> str:
    """A language with its country, as both services want it: `en` becomes `en-US`.

    Args:
        chinese: what this service calls Chinese as it is spoken in China.
    """
    tag = language.replace("_", "-")
    code, _, rest = tag.partition("-")
    if code.lower() == "zh" and (not rest or rest.upper() == "CN"):
        return chinese
    if rest:
        return f"{code.lower()}-{rest.upper() if len(rest) == 2 else rest}"
    return _REGIONS.get(code.lower()) or f"{code.lower()}-{code.upper()}"
