"""What Deepgram has by name. From the lists of `deepgram-sdk` 7.17 (2026); other names are passed on as they are."""

from __future__ import annotations

from voicebridge.registry.rows import About, ModelAbout

__all__ = ["AURA", "AURA_VOICES", "KEY_VARIABLE", "LISTEN", "URL", "model_of_voice"]

KEY_VARIABLE = "DEEPGRAM_API_KEY"
URL = "wss://api.deepgram.com"
_SDK = "deepgram-sdk 7.17"

AURA_VOICES = {
    "en": "thalia amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco "
    "electra harmonia helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus ophelia "
    "orion orpheus pandora phoebe pluto saturn selene theia vesta zeus",
    "es": "celeste agustina alvaro antonia aquila carina diana estrella gloria javier luciano nestor olivia selena "
    "silvia sirio valerio",
    "de": "julius aurelia elara fabian kara lara viktoria",
    "nl": "rhea beatrix cornelia daphne hestia lars leda roman sander",
    "fr": "agathe hector",
    "it": "livia cesare cinzia demetra dionisio elio flavio maia melia",
    "ja": "izanami ama ebisu fujin uzume",
}
"""The voices of Aura-2 by language, the one to take unasked first."""

LISTEN = About(
    summary="Deepgram Nova and Flux, streaming speech to text",
    source="https://developers.deepgram.com",
    requires=("orjson", "websockets"),
    key=KEY_VARIABLE,
    models=(
        ModelAbout(name="nova-3", note=_SDK),
        ModelAbout(name="nova-3-medical", note=_SDK),
        ModelAbout(name="nova-2", note=_SDK),
        ModelAbout(name="nova-3-turns", note="nova-3 that ends turns by Deepgram's endpointing; a name of ours"),
        ModelAbout(name="flux-general-en", note=f"{_SDK}; ends turns by itself"),
        ModelAbout(name="flux-general-multi", note=f"{_SDK}; ends turns by itself"),
    ),
)
AURA = About(
    summary="Deepgram Aura, streaming voices",
    source="https://developers.deepgram.com",
    requires=("orjson", "websockets"),
    key=KEY_VARIABLE,
    models=(
        ModelAbout(name="aura-2", note="the voice by `voice`, the language by `language`"),
        ModelAbout(name="aura-2-thalia-en", note=_SDK),
        ModelAbout(name="aura-2-celeste-es", note=_SDK),
    ),
)


def model_of_voice(voice: str) -> str | None:
    """The Aura-2 model of a voice's short name. None: no voice here has it."""
    for language, voices in AURA_VOICES.items():
        if voice.lower() in voices.split():
            return f"aura-2-{voice.lower()}-{language}"
    return None
