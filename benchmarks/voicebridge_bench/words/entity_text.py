"""Text as an entity track compares it: however a number, code, address, amount or date is written, it becomes the same.

The headline's normaliser makes `5551234` of spoken digits and `555 1234` of written ones, and tears addresses apart
only where they are written with signs. Here both sides of a comparison are brought to what was said:

| written                      | becomes                                                       |
|------------------------------|---------------------------------------------------------------|
| (415) 555-0132, four one ... | `4 1 5 5 5 5 0 1 3 2`                                         |
| double five, oh one          | `5 5`, `0 1`                                                  |
| ABC123, A-B-C 1 2 3          | `a b c 1 2 3`                                                 |
| B as in Bravo                | `b`                                                           |
| jo.li@example.com            | `jo dot li at example dot com`                                |
| $12.50, 12.50 dollars        | `1 2 dollars 5 0 cents`                                       |
| 3/15/2026, March the 15th,   | `march 1 5 2 0 2 6`: figures with slashes are read month      |
| the fifteenth of March       | first, as in the United States                                |
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .spoken_numbers import numbers_of_words

__all__ = ["ENTITY_NORMALISER", "entity_words"]

ENTITY_NORMALISER = "voicebridge entity words 1"
"""Name and version: figures of another one can't be compared."""

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_SHORT_MONTHS = {month[:3]: month for month in _MONTHS} | {"sept": "september"}
_CURRENCIES = {"$": ("dollars", "cents"), "£": ("pounds", "pence"), "€": ("euros", "cents")}
_UNITS = {
    "dollar": "dollars",
    "buck": "dollars",
    "bucks": "dollars",
    "pound": "pounds",
    "euro": "euros",
    "cent": "cents",
    "penny": "pence",
    "pennies": "pence",
}
_SMALL_UNIT = {"dollars": "cents", "pounds": "pence", "euros": "cents"}
_SIGN_NAMES = {".": " dot ", "@": " at ", "-": " dash ", "_": " underscore ", "+": " plus ", "/": " slash "}
_SAME = {"ok": "okay", "hyphen": "dash", "minus": "dash", "period": "dot"}

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SITE = re.compile(
    r"(?:https?://)?((?:www\.|(?=[\w-]+\.(?:com|org|net|io|edu)\b))[\w-]+(?:\.[\w-]+)+(?:/[\w./-]*)?)", re.I
)
_MONEY = re.compile(r"([$£€])\s?(\d+(?:,\d{3})*)(?:\.(\d{1,2}))?")
_MONEY_AFTER = re.compile(r"\b(\d+(?:,\d{3})*)\.(\d{2}) (dollars|pounds|euros)\b", re.I)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_SLASH_DATE = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.I)
_SPELLED = re.compile(r"\b(\w) (?:as in|for|like) (\w+)\b")
_CAPITALS = re.compile(r"\b[A-Z]{2,8}\b")


def entity_words(text: str) -> str:
    """The words of a text, lower-case, with blanks between them. Letters of codes and digits are words."""
    for rewrite in _REWRITES:
        text = rewrite(text)
    words = [_SAME.get(word, word) for word in re.findall(r"[^\W_]+", text.lower().replace("’", "").replace("'", ""))]
    words = _letter_o([part for word in words for part in _split(word)])
    return " ".join(_dates(_money(numbers_of_words(words))))


def _split(word: str) -> list[str]:
    """A code is told sign by sign. A number stays whole: it may be followed by a thousand."""
    if word.isdecimal() or not any(sign.isdecimal() for sign in word):
        return [word]
    return list(word)


def _letter_o(words: list[str]) -> list[str]:
    """`oh` before a letter that is spelled is one as well. Before a digit it is a zero, and that comes later."""
    spelled = [len(word) == 1 and word.isalpha() and word not in ("a", "i") for word in words[1:]] + [False]
    return ["o" if word == "oh" and letter else word for word, letter in zip(words, spelled, strict=False)]


def _addresses(text: str) -> str:
    text = _ADDRESS.sub(lambda found: _named(found[0]), text)
    return _SITE.sub(lambda found: _named(found[1]), text)


def _named(address: str) -> str:
    return "".join(_SIGN_NAMES.get(sign, sign) for sign in address.rstrip("."))


def _written_money(text: str) -> str:
    def of(symbol: str, whole: str, part: str | None) -> str:
        large, small = _CURRENCIES[symbol]
        cents = (part or "").ljust(2, "0") if part else "00"
        return f" {whole.replace(',', '')} {large}" + (f" {int(cents)} {small} " if int(cents) else " ")

    text = _MONEY.sub(lambda found: of(found[1], found[2], found[3]), text)
    symbols = {names[0]: symbol for symbol, names in _CURRENCIES.items()}
    return _MONEY_AFTER.sub(lambda found: of(symbols[found[3].lower()], found[1], found[2]), text)


def _written_dates(text: str) -> str:
    def of(whole: str, year: str, month: str, day: str) -> str:
        if not 1 <= int(month) <= 12:
            return whole
        return f" {_MONTHS[int(month) - 1]} {int(day)} {year} "

    text = _ISO_DATE.sub(lambda found: of(found[0], found[1], found[2], found[3]), text)
    text = _SLASH_DATE.sub(lambda found: of(found[0], found[3], found[1], found[2]), text)
    return _ORDINAL.sub(lambda found: found[1], text)


def _written_numbers(text: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    return re.sub(r"\b(an?) (?=hundred\b|thousand\b|million\b)", "one ", text, flags=re.I)


def _letters(text: str) -> str:
    """Capitals that are spelled, and letters with a word for each."""
    mixed = any(sign.islower() for sign in text)  # a text all in capitals spells nothing
    text = _CAPITALS.sub(lambda found: found[0] if found[0] == "OK" else " ".join(found[0]), text) if mixed else text

    def one(found: re.Match[str]) -> str:
        return found[1] if found[2].lower().startswith(found[1].lower()) else found[0]

    return _SPELLED.sub(one, re.sub(r"\b(\w)(?:,|-) ?(?=(?:as in|for|like) )", r"\1 ", text))


_REWRITES: tuple[Callable[[str], str], ...] = (
    _addresses,
    _written_money,
    _written_dates,
    _letters,
    _written_numbers,
)


def _money(words: list[str]) -> list[str]:
    """Units in their plural, no `and` before the small one, and none of it where it is zero."""
    words = [_UNITS.get(word, word) for word in words]
    found: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if (
            word == "and"
            and found
            and found[-1] in _SMALL_UNIT
            and _unit_after(words, place + 1)
            in (
                "cents",
                "pence",
            )
        ):
            place += 1
            continue
        found.append(word)
        place += 1
    return found


def _unit_after(words: list[str], at: int) -> str:
    """The word behind the digits that begin there."""
    while at < len(words) and words[at].isdecimal():
        at += 1
    return words[at] if at < len(words) else ""


def _dates(words: list[str]) -> list[str]:
    """The month before its day, and nothing between them. Digits stand alone from here on."""
    words = _day_first(words)
    found: list[str] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if word == "the" and found and found[-1] in _MONTHS and following.isdecimal():
            continue
        found += list(word) if word.isdecimal() else [word]
    return found


def _day_first(words: list[str]) -> list[str]:
    """`15 of march` and `15 march` as `march 15`."""
    found: list[str] = []
    place = 0
    while place < len(words):
        day, of = words[place], words[place + 1 : place + 2] == ["of"]
        month = words[place + 1 + of] if place + 1 + of < len(words) else ""
        month = _SHORT_MONTHS.get(month, month)
        if day.isdecimal() and len(day) <= 2 and 1 <= int(day) <= 31 and month in _MONTHS and not _digit_before(found):
            found += [month, day]
            found = found[:-3] + found[-2:] if len(found) > 2 and found[-3] == "the" else found
            place += 2 + of
        else:
            following = words[place + 1] if place + 1 < len(words) else ""
            found.append(_SHORT_MONTHS.get(day, day) if following.isdecimal() else day)
            place += 1
    return found


def _digit_before(found: list[str]) -> bool:
    return bool(found) and found[-1].isdecimal()
