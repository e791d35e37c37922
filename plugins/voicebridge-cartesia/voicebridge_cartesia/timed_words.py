"""Times of words, as they stand in the events of both wires."""

from __future__ import annotations

from voicebridge.contract.stages import Word
from voicebridge.core.json_event import Event, number

__all__ = ["timed_words"]


def timed_words(event: Event) -> list[Word]:
    """`word_timestamps`, three lists of one length, as words with milliseconds."""
    stamps = event.get("word_timestamps")
    if not isinstance(stamps, dict):
        return []
    lists = [stamps.get(name) for name in ("words", "start", "end")]
    if not all(isinstance(one, list) for one in lists):
        return []
    words = []
    for text, start, end in zip(*lists, strict=False):
        begin, finish = number({"at": start}, "at"), number({"at": end}, "at")
        if isinstance(text, str) and begin is not None and finish is not None:
            words.append(Word(text, begin * 1000, max(begin, finish) * 1000))
    return words
