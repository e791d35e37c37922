"""What a model may read before it is asked."""

from __future__ import annotations

import asyncio

from voicebridge.contract.stages import LanguageModel, Prompt, ReadsAhead

__all__ = ["AheadReader"]


class AheadReader:
    """Lets a model that gains from it read a prompt while the user still speaks. The latest prompt is the one read."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self.task: asyncio.Task[None] | None = None
        """The latest reading, perhaps over. Await it at the close."""

    def read(self, prompt: Prompt) -> None:
        """Begin; what was being read is left."""
        self.stop()
        if isinstance(self._llm, ReadsAhead):
            self.task = asyncio.create_task(_quietly(self._llm, prompt), name="read ahead")

    def stop(self) -> None:
        """Leave it: the model is wanted for something else."""
        if self.task is not None:
            self.task.cancel()


async def _quietly(llm: ReadsAhead, prompt: Prompt) -> None:
    """A failure to read ahead shows when the model is asked, if it lasts."""
    try:
        await llm.read_ahead(prompt)
    except Exception:
        return
