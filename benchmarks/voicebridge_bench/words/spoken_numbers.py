"""Numbers in English words, as digits.

What matters for a telephone number or a code is the digits in their order, not how they were grouped: `fifty five`,
`five five` and `55` all become `5 5`. Two numbers that stand side by side stay apart only as far as a listener can
tell: `twenty twenty six` is 20 and 26, so `2 0 2 6`.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["numbers_of_words"]

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {
    word: number
    for number, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
            "twentieth",
        ],
        1,
    )
} | {"thirtieth": 30}
_SMALL = {word: number for number, word in enumerate(_ONES + _TEENS)}
_LARGE_TENS = {word: 20 + 10 * number for number, word in enumerate(_TENS)}
_SCALES = {"thousand": 1_000, "million": 1_000_000}
_TIMES = {"double": 2, "triple": 3}
_ZEROS = ("oh", "o")


def numbers_of_words(words: Sequence[str]) -> list[str]:
    """The words, lower-case, with each number in it as one word of digits."""
    found: list[str] = []
    place = 0
    while place < len(words):
        number, place_after = _number(words, place, bool(found) and found[-1].isdigit())
        if number is None:
            found.append(words[place])
            place += 1
        else:
            found.append(number)
            place = place_after
    return found


def _number(words: Sequence[str], at: int, after_digit: bool) -> tuple[str | None, int]:
    """The digits of the number that begins at a word, and the word after it; (None, ...) where none does."""
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    if word in _TIMES and (digit := _digit(following)):
        return digit * _TIMES[word], at + 2
    if word in _ZEROS and (after_digit or _digit(following)):
        return "0", at + 1
    if word in _ORDINALS:
        return str(_ORDINALS[word]), at + 1
    if word.isdecimal() and following != "hundred" and following not in _SCALES:
        return word, at + 1
    return _cardinal(words, at)


def _digit(word: str) -> str:
    if len(word) == 1 and word.isdecimal():
        return word
    return str(_SMALL[word]) if _SMALL.get(word, 10) < 10 else "0" if word in _ZEROS else ""


def _cardinal(words: Sequence[str], at: int) -> tuple[str | None, int]:
    """One number as it is counted: up to hundreds, then scales that get smaller."""
    value, place = _below_hundred(words, at)
    if value is None:
        return None, at
    total, largest = 0, max(_SCALES.values()) + 1
    while place < len(words):
        if words[place] == "hundred" and value and value < 100:
            rest, after = _below_hundred(words, _past_and(words, place + 1))
            value, place = value * 100 + (rest or 0), after if rest else place + 1
            continue
        scale = _SCALES.get(words[place], largest)
        if scale >= largest:
            break
        total, largest, place = total + value * scale, scale, place + 1
        rest, after = _below_hundred(words, _past_and(words, place))
        value = rest or 0
        if rest is None:
            break
        place = after
    return str(total + value), place


def _past_and(words: Sequence[str], at: int) -> int:
    """Where a number goes on behind its `and`, as in `one hundred and five`."""
    return at + 1 if at < len(words) and words[at] == "and" and _below_hundred(words, at + 1)[0] else at


def _below_hundred(words: Sequence[str], at: int) -> tuple[int | None, int]:
    if at >= len(words):
        return None, at
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    if word in _LARGE_TENS:
        if 1 <= _SMALL.get(following, 0) <= 9:
            return _LARGE_TENS[word] + _SMALL[following], at + 2
        if 1 <= _ORDINALS.get(following, 0) <= 9:
            return _LARGE_TENS[word] + _ORDINALS[following], at + 2
        return _LARGE_TENS[word], at + 1
    if word in _SMALL:
        return _SMALL[word], at + 1
    return (int(word), at + 1) if word.isdecimal() else (None, at)
