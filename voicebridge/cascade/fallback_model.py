"""The language model's seat: one model, or several of which each takes over from the one before it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import (
    LanguageModel,
    LanguageModelTraits,
    Progress,
    Prompt,
    ReadsAhead,
    ToolRequest,
    Usage,
)
from voicebridge.core.answer_failures import may_have_acted
from voicebridge.core.seam import Seam

from .lineup import Lineup, Watch, now
from .stage_fault import closing, own_cancellation

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["FallbackModel"]

_GO_ON = (
    "Your last answer broke off in the middle. The user has heard it as far as it is written. Go on from there: write "
    "only what comes after its last word, and repeat nothing of it."
)
_NOBODY = Fault(
    category="busy",
    code="no_guess",
    message="No model of this seat that is well may be asked on a guess.",
    retryable=True,
)


class FallbackModel:
    """The models of a seat as one `LanguageModel`. Its traits are those of the first.

    While nothing of an answer was passed on, the next model answers in its place. Once words were, they may have been
    spoken: the next one is shown them and asked to go on, and what it says again all the same is left out. An answer
    that has called a tool is not gone on with: it has failed. A model that remembers by itself goes on with nobody's
    words. One that acts or remembers by itself may have done so before it failed: nobody is asked in its place.
    """

    def __init__(self, lineup: Lineup[LanguageModel]) -> None:
        self._lineup = lineup

    @property
    def traits(self) -> LanguageModelTraits:
        """Those of the first model."""
        return self._lineup.first.traits

    def configure(self, config: SessionConfig) -> None:
        """Nothing: each model has settings of its own."""

    async def warm(self) -> None:
        """See `Lineup.warm`."""
        await self._lineup.warm()

    async def get_ready(self) -> None:
        """See `Lineup.get_ready`."""
        await self._lineup.get_ready()

    async def aclose(self) -> None:
        """Close all models."""
        await self._lineup.aclose()

    async def read_ahead(self, prompt: Prompt) -> None:
        """Let the one that will answer read, if it gains from that."""
        work = self._lineup.begin()
        if work and isinstance(model := self._lineup.stages[work.stage], ReadsAhead):
            await model.read_ahead(prompt)

    async def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage | Progress]:
        """Answer, with whom it takes.

        Raises:
            Exception: what the last of them raised.
        """
        lineup = self._lineup
        safe = [i for i, model in enumerate(lineup.stages) if model.traits.speculative == "safe"]
        work = lineup.begin(safe if prompt.speculative and lineup.several else None)
        if work is None:
            raise VoiceBridgeError(_NOBODY)
        said, called, acts = "", False, False
        while True:
            try:
                model = await lineup.at(work)
                acts = model.traits.speculative == "unsafe" or model.traits.memory == "own"
                seam, watch = Seam(said), Watch(math.inf) if acts else lineup.watch(work)
                watch.start()
                async with closing(model.respond(_prompt(prompt, model.traits, said))) as outputs:
                    async for output in watch.each(outputs):
                        useful = not isinstance(output, Usage)
                        if isinstance(output, str):
                            useful = bool(output.strip())
                            output = seam.feed(output)
                            said += output
                        called = called or isinstance(output, ToolRequest)
                        yield lineup.usage(work, output) if isinstance(output, Usage) else output
                        if useful:
                            watch.start()  # only now: if the voice was slow to take it, that is not the model's fault
                if rest := seam.flush():
                    yield rest
                work.done()
                return
            except (Exception, asyncio.CancelledError) as error:
                if own_cancellation(error):
                    raise
                if called or acts:
                    fault = lineup.failed(work, error)
                    raise VoiceBridgeError(fault if called else may_have_acted(fault)) from error
                if prompt.speculative and len(safe) < len(lineup.stages) and not work.another(now()):
                    lineup.failed(work, error)
                    raise VoiceBridgeError(_NOBODY) from error  # once it is no guess, others may be asked
                begun = bool(said.strip())
                if begun:
                    work.leave_out([i for i, model in enumerate(lineup.stages) if model.traits.memory == "own"])
                await lineup.after(work, error, begun=begun or prompt.speculative)  # a guess is not worth another try


def _prompt(prompt: Prompt, traits: LanguageModelTraits, said: str) -> Prompt:
    """What a model is asked that may have to go on with an answer."""
    if not traits.tools and prompt.tools:
        prompt = replace(prompt, tools=())
    if not said.strip():
        return prompt
    instructions = "\n".join(filter(None, (prompt.instructions, _GO_ON)))
    items = (*prompt.items, MessageItem(role="assistant", text=said))
    return replace(prompt, items=items, instructions=instructions)
