"""A conversation as text that a model without training in conversation goes on with. Pure.

Such a model writes more of what it reads. It reads a phone call with short answers that begin with a word and a comma:
that first clause is spoken while the rest is still being written.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.contract.items import Item, MessageItem

__all__ = ["GRAMMAR", "OPENERS", "STOPS", "begun", "head", "written"]

_INTRODUCTION = (
    "A friendly voice assistant talks with a person on the phone. It is helpful and polite. "
    "Every answer is one short spoken sentence."
)
_EXAMPLES = (
    ("Hello, can you hear me?", "Yes, I can hear you well."),
    ("What is the capital of Spain?", "Sure, the capital of Spain is Madrid."),
    ("Play some music, please.", "Sorry, I can't play music, but I can talk with you."),
    ("The train was late again this morning.", "Oh, that sounds annoying."),
    ("Why do birds sing?", "Well, birds sing to find each other."),
    ("The old man walked slowly to the river.", "Okay, and what did he do at the river?"),
)
_USER, _ASSISTANT, _NOTE = "Person", "Assistant", "Note"
_FEWEST_TURNS, _STEP = 4, 4
"""The last four to seven turns are kept: a small model that reads more of itself begins to repeat itself. The oldest go
four at a time, so that the text mostly begins like the one before, which the model remembers."""
_LONGEST_TURN = 600
_LONGEST_INSTRUCTIONS = 800

STOPS = ("\n", f"{_USER}:", f"{_ASSISTANT}:")
"""Where an answer is over at the latest: the model goes on with the other side of the call."""
OPENERS = ("Yes", "No", "Well", "Oh", "Okay", "Sure", "Sorry", "Right")
"""How every answer begins, with a comma after it: the voice has something to say after two tokens."""
GRAMMAR = rf"""root ::= " " ({" | ".join(f'"{word}"' for word in OPENERS)}) ", " clause (", " clause)? [.!?]
clause ::= [a-zA-Z0-9] [a-zA-Z0-9 ':-]+"""
"""One plain sentence: no markup, no lists, never empty, never "no, no, no" without an end. A limit like `{1,140}`
instead would cost 100 ms at every request."""


def head(instructions: str = "") -> str:
    """What every conversation under these instructions begins with."""
    asked = f" {_line(instructions, _LONGEST_INSTRUCTIONS)}" if instructions.strip() else ""
    examples = "".join(f"{_USER}: {question}\n{_ASSISTANT}: {answer}\n" for question, answer in _EXAMPLES)
    return f"{_INTRODUCTION}{asked}\n\n{examples}"


def written(items: Sequence[Item], instructions: str = "", room: int = 3_000) -> str:
    """The conversation, up to where the assistant is to go on.

    Args:
        room: characters that the turns before the last message may take.
    """
    return head(instructions) + "".join(_lines(items, room)) + f"{_ASSISTANT}:"


def begun(items: Sequence[Item], instructions: str = "", room: int = 3_000) -> str:
    """What the conversation will begin with, while the user still speaks.

    If the last item is the user's, it is what they said so far. Its last word may still change, so it is left out.
    """
    lines = _lines(items, room)
    if lines and lines[-1].startswith(f"{_USER}:"):
        lines[-1] = lines[-1].rstrip().rpartition(" ")[0]
    else:
        lines.append(f"{_USER}:")
    return head(instructions) + "".join(lines)


def _lines(items: Sequence[Item], room: int) -> list[str]:
    lines = [_spoken(item) for item in _recent(items)]
    while len(lines) > 1 and sum(map(len, lines[:-1])) > room:
        del lines[0]
    return lines


def _recent(items: Sequence[Item]) -> list[MessageItem]:
    """The messages of the last turns. Calls of tools are not for this model."""
    messages = [item for item in items if isinstance(item, MessageItem) and item.text.strip()]
    begins = [at for at, item in enumerate(messages) if item.role == "user"]
    dropped = max(0, len(begins) - _FEWEST_TURNS) // _STEP * _STEP
    first = begins[dropped] if dropped else max(0, len(messages) - 2 * (_FEWEST_TURNS + _STEP))
    return messages[first:]


def _spoken(item: MessageItem) -> str:
    who = {"user": _USER, "assistant": _ASSISTANT, "system": _NOTE}[item.role]
    return f"{who}: {_line(item.text, _LONGEST_TURN)}\n"


def _line(text: str, longest: int) -> str:
    """The end of a text, on one line. Of something too long, the end says more than the beginning."""
    words = " ".join(text.split())
    return words if len(words) <= longest else words[-longest:].partition(" ")[2] or words[-longest:]
