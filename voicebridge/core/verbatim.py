"""How a backend is made to say given words."""

from __future__ import annotations

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Respond

__all__ = ["verbatim"]


def verbatim(text: str, capabilities: Capabilities) -> Respond | None:
    """The request for a response that says exactly this; None: the backend can't be asked for one."""
    if "say" in capabilities.respond:
        return Respond(say=text)
    if "instructions" in capabilities.respond:
        return Respond(instructions=f"Say exactly the following, word for word, and nothing else: {text}")
    return None
