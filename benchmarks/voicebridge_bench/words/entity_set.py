"""Sentences with telephone numbers, codes, addresses, amounts, dates and spelled names in them, drawn from a seed."""

from __future__ import annotations

import random
import tomllib
from calendar import month_name, monthrange
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .slots import Kind
from .utterances import Slot

__all__ = ["EntityData", "EntitySentence", "VoiceChoice", "entity_data", "entity_sentences"]

_FILE = Path(__file__).with_name("entities.toml")
_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = [
    "_",
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
]
_ORDINAL_TENS = {20: "twentieth", 30: "thirtieth"}

Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Sentence(_Part):
    kind: Kind
    texts: Texts

    @model_validator(mode="after")
    def _has_a_slot(self) -> _Sentence:
        if any(text.count("{slot}") != 1 for text in self.texts):
            raise ValueError(f"each text of {self.kind} needs {{slot}} once")
        return self


class _Words(_Part):
    first_names: Texts
    last_names: Texts
    domains: Texts
    code_letters: Annotated[str, Field(min_length=2)]
    area_codes: Texts


class VoiceChoice(_Part):
    """Who reads the sentences."""

    stage: str | None = None
    """A text-to-speech stage by its name, or `installed`."""
    espeak: str | None = None
    """A voice of `espeak-ng`."""
    accent: str


class EntityData(_Part):
    """What the data file holds."""

    version: int
    sentence: tuple[_Sentence, ...]
    words: _Words
    voice: tuple[VoiceChoice, ...]


@dataclass(frozen=True, slots=True)
class EntitySentence:
    """A sentence, as it is read out, and what it is about."""

    id: str
    text: str
    slot: Slot


def entity_data(path: Path = _FILE) -> EntityData:
    """The sentences, words and voices."""
    return EntityData.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def entity_sentences(data: EntityData, seed: int, of_each: int = 4) -> list[EntitySentence]:
    """`of_each` sentences of each kind; the same seed gives the same ones."""
    found = []
    for sentence in data.sentence:
        drawing = random.Random(f"{seed} {sentence.kind}")
        for number in range(of_each):
            value, spoken = _drawn(sentence.kind, data.words, drawing)
            text = sentence.texts[number % len(sentence.texts)].replace("{slot}", spoken)
            found.append(EntitySentence(f"{sentence.kind}-{number + 1}", text, Slot(sentence.kind, value)))
    return found


def _drawn(kind: Kind, words: _Words, drawing: random.Random) -> tuple[str, str]:
    """A value as it is written, and as it is said."""
    match kind:
        case "phone":
            return _phone(words, drawing)
        case "code":
            signs = [drawing.choice(words.code_letters if place % 2 == 0 else "23456789") for place in range(6)]
            return "".join(signs), ", ".join(_said_sign(sign) for sign in signs)
        case "email":
            first, last, domain = map(drawing.choice, (words.first_names, words.last_names, words.domains))
            return f"{first}.{last}@{domain}", f"{first} dot {last} at {domain.replace('.', ' dot ')}"
        case "amount":
            return _amount(drawing)
        case "date":
            return _date(drawing)
        case "spelling":
            name = drawing.choice(words.last_names).upper()
            return " ".join(name), ", ".join(name)


def _phone(words: _Words, drawing: random.Random) -> tuple[str, str]:
    area, line = drawing.choice(words.area_codes), f"01{drawing.randrange(100):02d}"
    groups = (area, "555", line)
    return "".join(groups), ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups)


def _amount(drawing: random.Random) -> tuple[str, str]:
    dollars, cents = drawing.randrange(2, 1000), drawing.choice((0, 0, *range(5, 100, 5)))
    said = f"{_counted(dollars)} dollars"
    if not cents:
        return f"${dollars}", said
    return f"${dollars}.{cents:02d}", f"{said} and {_counted(cents)} cents"


def _date(drawing: random.Random) -> tuple[str, str]:
    year, month = drawing.randrange(2021, 2031), drawing.randrange(1, 13)
    day = drawing.randrange(1, monthrange(year, month)[1] + 1)
    return f"{year}-{month:02d}-{day:02d}", f"{month_name[month]} {_ordinal(day)}, twenty {_counted(year - 2000)}"


def _said_sign(sign: str) -> str:
    return _DIGITS[int(sign)] if sign.isdecimal() else sign


def _counted(number: int) -> str:
    """A number from 0 to 999 in words."""
    if number >= 100:
        hundreds = f"{_DIGITS[number // 100]} hundred"
        return f"{hundreds} {_counted(number % 100)}" if number % 100 else hundreds
    if number >= 20:
        return _TENS[number // 10] + (f" {_DIGITS[number % 10]}" if number % 10 else "")
    return (_DIGITS + _TEENS)[number]


def _ordinal(day: int) -> str:
    if day in _ORDINAL_TENS:
        return _ORDINAL_TENS[day]
    return _ORDINALS[day] if day < 20 else f"{_TENS[day // 10]} {_ORDINALS[day % 10]}"
