"""Words by which a listener says "go on": they take nobody's turn. Which of a user's words are others?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from voicebridge.contract.errors import BadOption

__all__ = ["ANY_LANGUAGE", "BACKCHANNELS", "Backchannels"]

ANY_LANGUAGE = ""
"""The key of what is said in every language."""


def _listed(phrases: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in phrases.split(","))


BACKCHANNELS: Mapping[str, tuple[str, ...]] = {
    ANY_LANGUAGE: _listed(
        "mm, mhm, mmhmm, hm, hmm, um, umm, uh, uhm, uhhuh, huh, ah, aha, oh, ooh, eh, er, erm, ok, okay"
    ),
    "en": _listed(
        "yeah, yea, yep, yup, ya, yes, right, sure, alright, gotcha, indeed, true, exactly, absolutely, definitely, "
        "totally, good, great, nice, cool, wow, really, fine, perfect, interesting, i see, got it, all right, "
        "of course, makes sense, fair enough, go on, that's right, that's true, i understand, sounds good, very good"
    ),
    "de": _listed(
        "ja, jo, jaja, jep, klar, genau, stimmt, richtig, gut, schön, super, toll, echt, ach, achso, mhmm, natürlich, "
        "ach so, alles klar, ja klar, sehr gut, in ordnung, ich verstehe, verstehe, na klar"
    ),
    "es": _listed(
        "sí, si, ya, claro, vale, bueno, bien, exacto, exactamente, perfecto, ajá, cierto, entiendo, correcto, "
        "de acuerdo, por supuesto, muy bien, está bien, ya veo"
    ),
    "fr": _listed(
        "oui, ouais, voilà, exactement, exact, bien, bon, super, parfait, vrai, entendu, hein, d'accord, bien sûr, "
        "je vois, très bien, ça marche, c'est vrai, je comprends, tout à fait"
    ),
    "it": _listed(
        "sì, si, già, certo, esatto, bene, giusto, perfetto, vero, capito, infatti, ecco, va bene, ho capito, "
        "molto bene, d'accordo"
    ),
    "pt": _listed(
        "sim, é, claro, certo, exato, isso, tá, bom, bem, pois, entendi, perfeito, beleza, verdade, tá bom, está bem, "
        "está bom, com certeza, pois é, muito bem"
    ),
    "nl": _listed(
        "ja, jawel, jep, klopt, precies, inderdaad, goed, oké, prima, mooi, leuk, natuurlijk, duidelijk, ja hoor, "
        "heel goed, ik snap het, ik begrijp het"
    ),
    "ru": _listed(
        "да, ага, угу, так, ясно, понятно, конечно, хорошо, верно, точно, правда, ладно, мм, хм, окей, я понимаю, "
        "всё понятно"
    ),
    "hi": _listed("हाँ, हां, जी, अच्छा, ठीक, हम्म, सही, बिल्कुल, ठीक है, हाँ जी, जी हाँ, समझ गया, समझ गई"),
    "ja": _listed(
        "はい, ええ, うん, うーん, ふーん, へえ, へー, そう, そうですね, そうですか, "
        "そうなんですね, なるほど, わかりました"
    ),
    "ko": _listed("네, 예, 응, 음, 어, 아, 그래요, 그렇군요, 맞아요, 알겠습니다, 그렇죠, 네네"),
    "zh": _listed("嗯, 哦, 噢, 啊, 对, 對, 是, 是的, 好, 好的, 行, 明白, 知道了, 没错, 沒錯, 原来如此"),
}
"""By language, as a BCP 47 tag's first part. Listener's words of common use; none of them asks or refuses anything."""

_ANNOTATION = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>|\*[^*]*\*|（[^）]*）|【[^】]*】")
"""What recognisers write of sounds that are no words: `[BLANK_AUDIO]`, `(coughs)`, `*sighs*`."""
_LONG = re.compile(r"(.)\1{2,}")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
"""Letters of scripts that put no spaces between words."""
_UNSPACED_WORD = 2
"""Letters that make up one word in them, roughly."""


class Backchannels:
    """Tells a listener's words from others.

    Args:
        words: words and phrases, either for all languages or by the first part of a language's tag, with those that
            are said in every language under `ANY_LANGUAGE`. Letter case, punctuation and hyphens make no difference;
            a drawn-out `mmmm` or `yeahhh` is known by its short form.

    Raises:
        BadOption: it is neither.
    """

    def __init__(self, words: Collection[str] | Mapping[str, Collection[str]] = BACKCHANNELS) -> None:
        by_language = words if isinstance(words, Mapping) else {ANY_LANGUAGE: words}
        self._phrases = {_base(tag): _phrases_of(tag, listed) for tag, listed in by_language.items()}
        self._common = self._phrases.get(ANY_LANGUAGE, frozenset())
        self._all = self._common.union(*self._phrases.values())

    def count(self, text: str, language: str | None = None) -> tuple[int, int]:
        """How many words of `text` are a listener's, and how many are others.

        Args:
            language: a BCP 47 tag. None: not known; then the words of all languages count as a listener's. One that
                has no list: those of `ANY_LANGUAGE` do.
        """
        words = _words(text)
        known = self._common | self._phrases.get(_base(language), frozenset()) if language else self._all
        listening = others = at = 0
        while at < len(words):
            length = _longest_phrase(words, at, known)
            if length:
                listening += length
            elif _UNSPACED.search(words[at]):
                inside, outside = _unspaced(words[at], known)
                listening, others = listening + inside, others + outside
            else:
                others += 1
            at += length or 1
        return listening, others


def _base(tag: str) -> str:
    return tag.replace("_", "-").split("-")[0].lower()


def _phrases_of(tag: str, listed: Collection[str]) -> frozenset[tuple[str, ...]]:
    if isinstance(listed, str) or not all(isinstance(phrase, str) for phrase in listed):
        where = f" for the language {tag!r}" if tag else ""
        raise BadOption(f"The backchannels{where} must be a collection of words, as in ('yeah', 'i see').")
    return frozenset(words for phrase in listed if (words := tuple(_words(phrase))))


def _words(text: str) -> list[str]:
    """Without case, punctuation and accents' different spellings: `Mm-hmm, that's…` is `mm hmm thats`."""
    bare = unicodedata.normalize("NFKC", _ANNOTATION.sub(" ", text)).casefold().replace("'", "").replace("’", "")
    return "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in bare).split()


def _spellings(word: str) -> Iterable[str]:
    yield word
    if _LONG.search(word):
        yield _LONG.sub(r"\1\1", word)
        yield _LONG.sub(r"\1", word)


def _longest_phrase(words: list[str], at: int, known: frozenset[tuple[str, ...]]) -> int:
    """The number of words, from `at`, of the longest phrase that is known. 0: none."""
    for length in (3, 2):
        if tuple(words[at : at + length]) in known and at + length <= len(words):
            return length
    return int(any((spelling,) in known for spelling in _spellings(words[at])))


def _unspaced(run: str, known: frozenset[tuple[str, ...]]) -> tuple[int, int]:
    """A run of letters without spaces: known words are taken off its start; what is left counts by its length."""
    taken = 0
    singles = sorted((phrase[0] for phrase in known if len(phrase) == 1 and _UNSPACED.search(phrase[0])), key=len)
    while run and (start := next((word for word in reversed(singles) if run.startswith(word)), None)):
        run, taken = run[len(start) :], taken + 1
    return taken, -(-len(run) // _UNSPACED_WORD)
