"""How a backend is made to say given words."""

from __future__ import annotations

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Respond

__all__ = ["rest_of", "verbatim"]


def verbatim(text: str, capabilities: Capabilities) -> Respond | None:
    """The request for a response that says exactly this; None: the backend can't be asked for one."""
    if "say" in capabilities.respond:
        return Respond(say=text)
    if "instructions" in capabilities.respond:
        return Respond(instructions=f"Say exactly the following, word for word, and nothing else: {text}")
    return None


def rest_of(text: str, said: str) -> str | None:
    """What is still to be said of a text, word by word; None: something else was said."""
    words, before = text.split(), said.split()
    return " ".join(words[len(before) :]) if words[: len(before)] == before else None
