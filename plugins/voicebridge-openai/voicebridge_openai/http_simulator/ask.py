"""What a request asks of the model, whichever endpoint it came by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from voicebridge.testing.simulator.pacing import text_tokens

from ..simulator.conversation import Entry
from ..simulator.replies import Call, Failure, Part, Say, echo
from .tokens import prompt_tokens, stopped_at

__all__ = ["Ask", "Draft", "Text", "draft"]


@dataclass(slots=True, kw_only=True)
class Ask:
    """Read and checked."""

    model: str
    context: list[Entry] = field(default_factory=list)
    """The conversation, without what only instructs."""
    instructions: str = ""
    """What stands behind the conversation and instructs: for this answer alone."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions, each with `name` and `parameters` at the top."""
    choice: Any = "auto"
    """`auto`, `none`, `required`, or {"type": "function", "name": ...}."""
    most_tokens: int | None = None
    stops: tuple[str, ...] = ()
    stream: bool = False
    wants_usage: bool = False
    """In the stream of a chat."""
    pads: bool = True
    characters: int = 0
    """Of the whole prompt."""
    body: dict[str, Any] = field(default_factory=dict)
    """As it came."""

    @property
    def prompt_tokens(self) -> int:
        """About as many as the prompt has."""
        return prompt_tokens(self.characters)


@dataclass(frozen=True, slots=True)
class Text:
    """Words, token by token."""

    tokens: list[str]

    @property
    def whole(self) -> str:
        """All of them."""
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answer, before it becomes bytes."""

    parts: tuple[Text | Call | Failure, ...]
    finish: str
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    tokens: int
    """Written."""

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(part.whole for part in self.parts if isinstance(part, Text))

    @property
    def calls(self) -> list[Call]:
        """All functions that are called."""
        return [part for part in self.parts if isinstance(part, Call)]

    @property
    def failure(self) -> Failure | None:
        """The end of it, where it fails."""
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, Failure) else None


def draft(ask: Ask, scripted: tuple[Part, ...] | None) -> Draft:
    """The answer: what is scripted, or an echo; cut at words that end it, and where the tokens are used up."""
    parts = scripted if scripted is not None else echo(ask.context, ask.instructions, ask.tools, ask.choice)
    left = ask.most_tokens
    made: list[Text | Call | Failure] = []
    finish, written = "", 0
    for part in parts:
        if isinstance(part, Failure):
            made.append(part)
            finish = "stop"
            break
        tokens, stop = _tokens(part, ask.stops)
        if left is not None and len(tokens) > left:
            tokens, stop = tokens[:left], "length"
        left = None if left is None else left - len(tokens)
        written += len(tokens)
        made.append(Text(tokens) if isinstance(part, Say) else Call(part.name, "".join(tokens)))
        if stop:
            finish = stop
            break
    called = any(isinstance(part, Call) for part in made)
    return Draft(parts=tuple(made), finish=finish or ("tool_calls" if called else "stop"), tokens=written)


def _tokens(part: Say | Call, stops: tuple[str, ...]) -> tuple[list[str], str]:
    """What is written, and why nothing comes behind it."""
    if isinstance(part, Call):
        return text_tokens(part.arguments), ""
    text = stopped_at(part.text, stops)
    if len(text) < len(part.text):
        return text_tokens(text), "stop"
    return text_tokens(text), {"max_output_tokens": "length"}.get(part.end, part.end)
