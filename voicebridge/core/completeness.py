"""Whether what was said so far sounds finished, from its words alone; and how long silence must last then.

Recognisers put a full stop behind whatever they have heard, so marks say little. The last word says more: nobody ends
with "and", "the" or "um", and who has got to a digit may be dictating a number. It is a guess from word lists, in some
languages; text in others is neither complete nor open. What the guess is worth stands in the benchmarks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Completeness", "TurnPatience", "completeness"]

Completeness = Literal["complete", "open", "unknown"]

_OPEN_WORDS = {
    "en": """a an the this these my your his her its our their and or but because so if when while that which who whose
        where as than then with without of to for from in on at by about into over under between like is are was were am
        be been do does did have has had will would can could should may might must shall i we they he she i'm i'd i'll
        we're they're it's there's let's don't can't very really just also um uh er erm hmm uhm mm well okay actually
        maybe not""",
    "de": """der die das den dem des ein eine einen einem einer eines mein meine dein deine und oder aber weil dass wenn
        ob als wie mit ohne von zu zum zur für aus in im an am auf bei über unter zwischen nach vor ist sind war bin hat
        habe haben wird werde kann könnte soll muss ich wir sie er es äh ähm hm also ja sehr nicht noch""",
    "fr": """le la les un une des du de mon ma mes ton ta tes son sa ses notre votre et ou mais parce que qui dont si
        quand comme avec sans pour par dans sur sous entre chez à au aux est sont était suis ai a ont je tu il elle nous
        vous ils elles euh heu ben alors donc très pas""",
    "es": """el la los las un una unos unas mi tu su y o pero porque que si cuando como con sin de del a al para por en
        sobre entre es son era estoy está ha he han yo nosotros eh este pues bueno entonces muy no""",
    "it": """il lo la i gli le un uno una mio mia tuo tua suo sua e o ma perché che se quando come con senza di del
        della a al alla per in nel nella su sul tra fra è sono era ho ha hanno io noi ehm allora cioè molto non""",
    "pt": """o a os as um uma meu minha seu sua e ou mas porque que se quando como com sem de do da dos das para por em
        no na sobre entre é são era estou está tenho tem eu nós ah hum então muito não""",
    "nl": """de het een mijn jouw zijn haar en of maar omdat dat als wanneer met zonder van voor naar in op aan bij over
        tussen is ben was heeft heb ik wij we ze eh uh dus heel niet""",
}
"""Words with which hardly anything ends, by language."""
_OPEN = {language: frozenset(words.split()) for language, words in _OPEN_WORDS.items()}
_MORE_ENGLISH = "yes no please thanks thank you me him them now it what how hello ok right"
_ENGLISH = _OPEN["en"].union(_MORE_ENGLISH.split())
"""What tells that a text is English."""
_LAST_WORD = re.compile(r"([^\W_]+(?:['’][^\W_]+)*)[^\w]*\Z")
_TRAILING_OFF = re.compile(r"(?:[,;:–—-]|\.\.\.|…)\s*\Z")


def completeness(text: str, language: str | None = None) -> Completeness:
    """Whether a text sounds finished.

    Args:
        language: BCP 47. None: a last word that is open in any of the languages counts; complete is only what is
            English by its small words.
    """
    found = _LAST_WORD.search(text)
    if found is None:
        return "unknown"
    word = found[1].lower().replace("’", "'")
    if text.rstrip().endswith("?"):
        return "complete"  # a recogniser that writes one has heard the melody or the word order of a question
    if _TRAILING_OFF.search(text) or word[-1].isdigit():
        return "open"
    if language is None:
        return _in_any_language(word, text)
    words = _OPEN.get(language.partition("-")[0].lower())
    if words is None:
        return "unknown"
    return "open" if word in words else "complete"


def _in_any_language(word: str, text: str) -> Completeness:
    """Of a text whose language nobody told. Only what is English by its small words can be called complete."""
    english = _OPEN["en"]
    if not _ENGLISH.isdisjoint(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("’", "'"))):
        return "open" if word in english else "complete"
    return "open" if any(word in words for words in _OPEN.values()) else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPatience:
    """How long silence must last until a turn has ended, by what was said."""

    usual_ms: float = 500.0
    """Milliseconds where nothing is known."""
    complete: float = 0.5
    """Times the usual, after what sounds finished."""
    open: float = 3.0
    """Times the usual, after what does not."""
    longest_ms: float = 2_000.0
    """Milliseconds: more patience than that nobody has, unless the usual is more."""

    def wait_ms(self, text: str, language: str | None = None) -> float:
        """Milliseconds of silence that end the turn."""
        found = completeness(text, language)
        factor = {"complete": self.complete, "open": self.open, "unknown": 1.0}[found]
        return min(self.usual_ms * factor, max(self.longest_ms, self.usual_ms))

    @property
    def least_ms(self) -> float:
        """Milliseconds before which no turn ends."""
        return self.usual_ms * min(self.complete, 1.0)
