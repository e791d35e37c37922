"""A language model that answers with what was said to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from voicebridge import LanguageModelTraits, MessageItem, Prompt, SessionConfig, ToolRequest, ToolResultItem, Usage

__all__ = ["Repeat"]


class Repeat:
    """The stage `parrot/repeat`."""

    traits = LanguageModelTraits(speculative="safe")

    def configure(self, config: SessionConfig) -> None:
        """It has nothing to set."""

    async def warm(self) -> None:
        """It has nothing to load."""

    async def aclose(self) -> None:
        """It holds nothing."""

    async def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage]:
        """The last item, word by word."""
        last = prompt.items[-1] if prompt.items else None
        said = last.text if isinstance(last, MessageItem) else last.output if isinstance(last, ToolResultItem) else ""
        for number, word in enumerate(said.split()):
            yield word if number == 0 else f" {word}"
