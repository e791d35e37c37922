"""A cascade of scripted stages keeps every promise."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.items import MessageItem, ToolResultItem
from voicebridge.contract.stages import (
    Flush,
    LanguageModelTraits,
    Prompt,
    Speech,
    TextToSpeechTraits,
    ToolRequest,
    Usage,
)
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice


def answer(prompt: Prompt) -> list[str | ToolRequest]:
    last = prompt.items[-1] if prompt.items else None
    if isinstance(last, ToolResultItem):
        return ["The result is ", last.output, "."]
    if isinstance(last, MessageItem) and prompt.tools:
        count = {"call": 1, "call twice": 2}.get(last.text, 0)
        if count:
            return [ToolRequest(f"call-{len(prompt.items)}-{n}", prompt.tools[0].name, "{}") for n in range(count)]
    if isinstance(last, MessageItem) and last.text == "What is my name?":
        return [next(f"You told me: {item.text}" for item in prompt.items if isinstance(item, MessageItem))]
    if isinstance(last, MessageItem) and last.text == "flood":
        return ["This sentence takes five seconds in the end. " * 60]
    if isinstance(last, MessageItem) and "Count" in last.text:
        return [f"This is number {n}, and it goes on." for n in range(30)]
    return ["Hello there,", " nice to meet you."]


def counted(prompt: Prompt) -> list[str | ToolRequest | Usage]:
    """The answer, and what it took."""
    return [Usage({"text_in": float(len(prompt.items))}), *answer(prompt)]


class CountingVoice(ScriptedVoice):
    """Tells what it used."""

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:  # type: ignore[override]  # more
        async for speech in super().speak(text):
            yield Usage({"characters": float(len(speech.text))})
            yield speech


def scripted_subject() -> Subject:
    """A cascade of scripted stages, and what makes it do what the checks are about."""
    thinks = LanguageModelTraits(speculative="safe", tools=True, usage="exact")
    speaks = TextToSpeechTraits(usage="exact")
    backend = CascadeBackend(
        stt=lambda: ScriptedRecogniser(["hello there"], final_s=0.1),
        llm=lambda: ScriptedModel(counted, first_s=0.2, piece_s=0.3, warm_s=0.5, traits=thinks),
        tts=lambda: CountingVoice(first_s=0.1, traits=speaks),
        detector=lambda: EnergyDetector(frame_ms=20, eager_ms=40),
    )
    return Subject(
        backend=backend,
        config={"turns": {"silence_ms": 200}},
        virtual_time=True,
        tool_prompt="call",
        parallel_prompt="call twice",
        flood_prompt="flood",
        recall=("My name is Ada.", "What is my name?", "Ada"),
    )


class TestScriptedCascade(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        return scripted_subject()
