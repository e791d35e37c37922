"""Names that people look for and that nobody can serve: each answers with just that, and with what comes nearest.

Sources: Meta announced Voicebox on 2023-06-16 and has released neither an API nor weights. Of Llama 3.2 there are text
models (1B, 3B) and vision models (11B, 90B); none hears or speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from voicebridge.contract.errors import Unsupported
from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from voicebridge.registry.rows import About, RegisterBackend, RegisterStage

__all__ = ["register_backends", "register_stages"]

_VOICEBOX = (
    "Meta's Voicebox has no public API and no weights: it was announced on 2023-06-16 and never released. What comes "
    "nearest is a voice such as 'elevenlabs/eleven_multilingual_v2', or 'local/piper-joe' without a key."
)
_LLAMA = (
    "There is no 'Llama 3.2 Voice': Llama 3.2 reads text and pictures. Give it ears and a voice in a cascade: "
    "'local/moonshine-tiny-en+ollama/llama3.2+local/piper-joe'."
)


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """Names of models that are said to hear and speak."""
    register("meta/voicebox", _refusing(_VOICEBOX), _about(_VOICEBOX))
    register("meta/llama-3.2-voice", _refusing(_LLAMA), _about(_LLAMA))


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """The same in the seat where people would put them."""
    register("tts", "meta/voicebox", _refusing(_VOICEBOX), _about(_VOICEBOX))
    register("llm", "meta/llama-3.2-voice", _refusing(_LLAMA), _about(_LLAMA))


def _refusing(reason: str) -> Callable[[str | None], NoReturn]:
    def make(_: str | None) -> NoReturn:
        raise Unsupported(reason)

    return make


def _about(reason: str) -> About:
    from voicebridge.registry.rows import About

    return About(summary=reason, source="Meta", unavailable=reason)
