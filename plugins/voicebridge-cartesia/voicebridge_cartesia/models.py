"""What Cartesia has by name. From the lists of `cartesia` 4.2 (2026); other names are passed on as they are."""

from __future__ import annotations

from voicebridge.registry.rows import About, ModelAbout

__all__ = ["DEFAULT_VOICE", "INK", "KEY_VARIABLE", "LANGUAGES", "SONIC", "URL"]

KEY_VARIABLE = "CARTESIA_API_KEY"
URL = "wss://api.cartesia.ai"
DEFAULT_VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
"""The one that the vendor's SDK falls back to."""
_SPOKEN = (
    "en fr de es pt zh ja hi it ko nl pl ru sv tr tl bg ro ar cs el fi hr ms sk da ta uk hu no vi bn th he ka id te gu "
    "kn ml mr pa or ur"
)
LANGUAGES = frozenset(_SPOKEN.split())
"""Those of Sonic-3."""
_SDK = "cartesia 4.2"

INK = About(
    summary="Cartesia Ink, streaming speech to text",
    source="https://docs.cartesia.ai",
    requires=("orjson", "websockets"),
    key=KEY_VARIABLE,
    models=(
        ModelAbout(name="ink-whisper", note=_SDK),
        ModelAbout(name="ink-2", note=f"{_SDK}; English"),
        ModelAbout(name="ink-2-turns", note="ink-2 that ends turns by itself; a name of ours; English"),
    ),
)
SONIC = About(
    summary="Cartesia Sonic, streaming voices with the times of words",
    source="https://docs.cartesia.ai",
    requires=("orjson", "pybase64", "websockets"),
    key=KEY_VARIABLE,
    models=(
        ModelAbout(name="sonic-3", note=_SDK),
        ModelAbout(name="sonic-3.5", note=_SDK),
        ModelAbout(name="sonic-2", note="an older model"),
    ),
)
