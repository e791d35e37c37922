"""The markup that a client sends, read as a strict server would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from .refusal import Refusal

__all__ = ["VOICES", "SpokenText", "read_ssml"]

VOICES = (
    "en-US-AvaMultilingualNeural",
    "en-US-AndrewMultilingualNeural",
    "en-US-JennyNeural",
    "en-US-GuyNeural",
    "en-GB-SoniaNeural",
    "de-DE-KatjaNeural",
    "fr-FR-DeniseNeural",
    "es-ES-ElviraNeural",
)
"""Some of those of the live service."""
_SPACE = "{http://www.w3.org/2001/10/synthesis}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_RATE = re.compile(r"([+-]\d+)%")


@dataclass(frozen=True, slots=True)
class SpokenText:
    """What is to be said."""

    text: str
    voice: str
    speed: float


def read_ssml(body: bytes) -> SpokenText:
    """Read a document.

    Raises:
        Refusal: it does not fit.
    """
    if b"<!" in body:  # no entities of one's own: they can grow without end
        raise Refusal(400, "The SSML holds a declaration.", plain=True)
    try:
        root = ElementTree.fromstring(body)  # declarations, which are what is unsafe in XML, are refused above
    except ElementTree.ParseError as error:
        raise Refusal(400, f"The SSML can't be read: {error}", plain=True) from None
    voice = root.find(f"{_SPACE}voice")
    if root.tag != f"{_SPACE}speak" or not root.get("version") or not root.get(_LANG) or voice is None:
        raise Refusal(400, "SSML is a speak element with version and xml:lang, and a voice in it.", plain=True)
    if voice.get("name") not in VOICES:
        raise Refusal(400, f"Unsupported voice {voice.get('name')}.", plain=True)
    return SpokenText("".join(voice.itertext()), str(voice.get("name")), _speed(voice))


def _speed(voice: ElementTree.Element) -> float:
    prosody = voice.find(f".//{_SPACE}prosody")
    rate = prosody.get("rate") if prosody is not None else None
    if rate is None:
        return 1.0
    told = _RATE.fullmatch(rate)
    if told is None or not 0.5 <= 1 + int(told[1]) / 100 <= 2:
        raise Refusal(400, f"Invalid rate {rate}.", plain=True)
    return 1 + int(told[1]) / 100
