"""How far a text has been spoken, when its voice breaks off: what another voice must speak, and what it must not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voicebridge.contract.stages import Flush, Word

from .clauses import is_unspaced

__all__ = ["SpeechCover", "from_letter", "letters", "uncovered"]

_CHARACTER_MS = 55.0
"""Audio of a character, as long as nothing better is known: rather too little, so that a word is left out sooner than
it is spoken twice. (Human and synthetic English speech takes 60 to 75 ms a character, pauses included.)"""
_CAUTION = 0.85
"""A voice that is known is taken to speak this much faster than it did on average, for the same reason."""


def letters(text: str) -> int:
    """Letters and digits in a text. What is counted by them does not depend on white space and marks."""
    return sum(char.isalnum() for char in text)


class SpeechCover:
    """Follows what a voice gives."""

    def __init__(self) -> None:
        self.covered = 0
        """Letters of the text that were given out with audio, in part or whole. Behind a break only what was spoken."""
        self._text = ""
        """Of the latest piece, whose audio may not be complete."""
        self._ms = 0.0
        self._words: list[Word] = []
        self._known_ms = self._known_characters = 0.0
        self.tells = self.sounds = False
        """The voice that speaks now tells what it speaks; it has given sound."""

    def add(self, text: str, ms: float, words: Sequence[Word]) -> None:
        """A piece of speech: its text, empty where it goes on with the one before, and the length of its audio."""
        self.tells, self.sounds = self.tells or bool(text), self.sounds or ms > 0
        if text:
            self._known_ms, self._known_characters = self._known_ms + self._ms, self._known_characters + len(self._text)
            self._text, self._ms, self._words = text, 0.0, []
            self.covered += letters(text)
        self._words += [Word(word.text, word.start_ms + self._ms, word.end_ms + self._ms) for word in words]
        self._ms += ms

    def broke_off(self, given: str = "") -> str:
        """The voice has broken off: the end of the latest piece that was not spoken, from the beginning of a word on.

        Words that are known by their times are taken to be spoken if they were heard whole. Without times, how many
        were is estimated from the length of the audio.

        Args:
            given: the text that the voice was given, which counts where it told none.
        """
        if self.sounds and not self.tells:
            self._text = given
            self.covered += letters(given)
        self.tells = self.sounds = False
        text, words, ms = self._text, self._words, self._ms
        self._text, self._ms, self._words = "", 0.0, []
        if words:
            spoken = sum(letters(word.text) for word in words if word.end_ms <= ms + 1.0)
        else:
            pace = self._known_ms / self._known_characters * _CAUTION if self._known_characters else _CHARACTER_MS
            spoken = letters(text[: round(ms / pace)])
        self._known_ms = self._known_characters = 0.0  # another voice has another pace
        rest = from_letter(text, spoken, whole_words=not words)
        self.covered -= letters(rest)
        return rest


def from_letter(text: str, count: int, *, whole_words: bool = False) -> str:
    """The text without its first `count` letters; if `whole_words`, also without the rest of the word they end in."""
    if count <= 0:
        return text
    end = _behind_letter(text, count)
    if whole_words:
        while (
            end < len(text) and not text[end].isspace() and not (is_unspaced(text[end]) and is_unspaced(text[end - 1]))
        ):
            end += 1
    while end < len(text) and not text[end].isspace() and not text[end].isalnum():
        end += 1  # a mark belongs to the word before it
    return text[end:] if letters(text[end:]) else ""


def _behind_letter(text: str, count: int) -> int:
    seen = 0
    for at, char in enumerate(text):
        seen += char.isalnum()
        if seen >= count:
            return at + 1
    return len(text)


def uncovered(pieces: Iterable[str | Flush], count: int) -> list[str | Flush]:
    """The pieces of a text without its first `count` letters."""
    left: list[str | Flush] = []
    for piece in pieces:
        if isinstance(piece, Flush):
            if left and not isinstance(left[-1], Flush):
                left.append(piece)
            continue
        has = letters(piece)
        if count <= 0:
            left.append(piece)
        elif has > count:
            left.append(from_letter(piece, count))
        count -= has
    return left
