"""A clause as the markup that the service speaks. Nothing of what a model says can become markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

__all__ = ["SpokenAs", "ssml"]

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 can't hold, not even escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenAs:
    """How a text is said."""

    voice: str
    language: str
    """With its country."""
    guided: bool = False
    """The voice speaks several languages, and is told that it is this one."""
    speed: float | None = None
    pitch: str | None = None
    style: str | None = None
    style_degree: float | None = None


def ssml(text: str, spoken: SpokenAs) -> str:
    """The document that says it."""
    inner = escape(_NO_XML.sub(" ", text))
    prosody = {
        "rate": None if spoken.speed is None else f"{(spoken.speed - 1) * 100:+.0f}%",
        "pitch": spoken.pitch,
    }
    if any(value is not None for value in prosody.values()):
        inner = _element("prosody", prosody, inner)
    if spoken.style is not None:
        degree = None if spoken.style_degree is None else f"{spoken.style_degree:g}"
        inner = _element("mstts:express-as", {"style": spoken.style, "styledegree": degree}, inner)
    if spoken.guided:
        inner = _element("lang", {"xml:lang": spoken.language}, inner)
    whole = {
        "version": "1.0",
        "xmlns": "http://www.w3.org/2001/10/synthesis",
        "xmlns:mstts": "https://www.w3.org/2001/mstts",
        "xml:lang": spoken.language,
    }
    return _element("speak", whole, _element("voice", {"name": spoken.voice}, inner))


def _element(name: str, attributes: Mapping[str, str | None], inner: str) -> str:
    written = "".join(
        f" {key}={quoteattr(_NO_XML.sub(' ', value))}" for key, value in attributes.items() if value is not None
    )
    return f"<{name}{written}>{inner}</{name}>"
