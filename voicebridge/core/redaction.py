"""Personal data out of texts, by its shape: e-mail addresses, and the numbers of phones, cards and bank accounts.

It finds what is written the usual way, also as speech recognition writes it ("jo at example dot com"). It does not
find names, addresses, numbers written as words, short ones such as a card's expiry and check code, or a number that is
spread over several texts. It takes other numbers of seven digits or more along, also those within names of things. Who
has to be sure keeps texts out of logs altogether, or gives `CallPolicy.redact` a hook that knows more.
"""

from __future__ import annotations

import re
import traceback

__all__ = ["named", "redact"]

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_SPOKEN_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+ at [\w-]+(?: dot [\w-]+)+", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_LISTED = re.compile(r"(?<!\d)(?:\d{4}(?:, ?\d{4,6}){2,4}|\d(?:, ?\d){6,})(?!\d)")
"""As speech recognition may write a card's number, or single digits. Other lists of numbers have commas, too."""
_NUMBER = re.compile(r"(?<![\d+])(?:\+ ?)?\(?\d(?:[ ().\-/\u2010-\u2013\u00a0]{0,2}\d){6,}(?!\d)")
_DATE = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2\d{4}")
_CARD_DIGITS = range(13, 20)
_LONGEST_PHONE = 15
"""Digits, by the international numbering plan."""
_SHORTEST_PHONE = 10
"""Digits of one that has no signs between them and does not begin with 0. A shorter one may be anything."""


def redact(text: str) -> str:
    """The text with `[email]`, `[iban]`, `[card]`, `[phone]`, `[number]` in the place of what looks like one.

    Example:
        >>> redact("I am jo@example.com, call +1 (555) 010-9999.")
        'I am [email], call [phone].'
    """
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    if " at " in text or " AT " in text or " At " in text:
        text = _SPOKEN_EMAIL.sub("[email]", text)
    text = _IBAN.sub(_iban, text)
    text = _LISTED.sub(_number, text)
    return _NUMBER.sub(_number, text)


def named(error: BaseException) -> str:
    """An error for a log: its kind and where it happened, without its message, which may hold what was said."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return type(error).__name__ + "".join(f" in {frame.name}, line {frame.lineno}" for frame in last)


def _iban(found: re.Match[str]) -> str:
    return "[iban]" if sum(one.isdigit() for one in found[0]) > 7 else found[0]


def _number(found: re.Match[str]) -> str:
    written = found[0]
    if _DATE.fullmatch(written):
        return written
    digits = [int(one) for one in written if one.isdigit()]
    if len(digits) in _CARD_DIGITS and _adds_up(digits):
        return "[card]"
    if len(digits) > _LONGEST_PHONE:
        return "[number]"
    plain = written.isdigit() and len(digits) < _SHORTEST_PHONE and not written.startswith("0")
    return "[number]" if plain else "[phone]"


def _adds_up(digits: list[int]) -> bool:
    """The check digit that every card number has (the algorithm of Luhn, ISO/IEC 7812)."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
