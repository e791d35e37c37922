"""The article's claims as data, what others published against them, and the verdict on each.

A claim is confirmed where the whole interval of a measurement lies in it, contradicted where the whole interval lies
outside, and not testable where the interval holds both, where nothing fitting was measured, or where measuring can't
tell. A single figure stands for what rounds to it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebridge.contract.errors import ConfigError

from .text_file import read_text

__all__ = ["BUNDLED", "Claim", "Claims", "Evidence", "Interval", "Mode", "Verdict", "load", "verdict"]

BUNDLED = Path(__file__).with_name("claims.toml")
Mode = Literal["live", "local", "simulated", "estimated", "computed"]
"""Where a figure is from: a vendor with a key, models on this machine, simulators, the price list and a talk profile,
or the text of programs."""
Word = Literal["confirmed", "contradicted", "not testable here"]
Name = Annotated[str, Field(min_length=1)]
_NUMBER = Annotated[float, Field(allow_inf_nan=False)]
_FITS: dict[str, frozenset[Mode]] = {
    "USD/min": frozenset({"live", "estimated"}),
    "lines": frozenset({"computed"}),
}
"""Units that say by themselves which modes can test a claim. All others: `live`."""
_WHY_NOT: dict[Mode, str] = {
    "live": "a run does not tell",
    "local": "it was measured with models on this machine, and the claim is about others",
    "simulated": "the vendors' times are inputs of a simulation, not results",
    "estimated": "an estimate from prices tells only costs",
    "computed": "the text of programs tells only their size",
}


class Interval(NamedTuple):
    """What was measured: where the true figure lies, in the claim's unit."""

    low: float
    high: float


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Claim(_Part):
    """One cell of a table."""

    id: Annotated[str, Field(pattern="^[a-z0-9-]+/[a-z0-9-]+$")]
    table: Literal["pipelines", "frameworks", "text"]
    metric: Name
    column: Name
    value: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")] | None = None
    """A single figure, with the digits it was given with."""
    low: _NUMBER | None = None
    high: _NUMBER | None = None
    text: Name | None = None
    unit: Name | None = None
    note: str = ""
    untestable: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Claim:
        kinds = [self.value is not None, self.low is not None or self.high is not None, self.text is not None]
        if sum(kinds) != 1:
            raise ValueError("a claim is a value, or low and high, or a text")
        if kinds[1] and (self.low is None or self.high is None or self.low > self.high):
            raise ValueError("low and high come together, low first")
        if (self.unit is None) != (self.text is not None):
            raise ValueError("a figure has a unit, a text has none")
        return self

    @property
    def range(self) -> Interval | None:
        """All figures for which the claim holds; None for a text."""
        if self.value is not None:
            half = _last_digit(self.value) / 2
            return Interval(float(Decimal(self.value) - half), float(Decimal(self.value) + half))
        if self.low is None or self.high is None:
            return None
        return Interval(self.low, self.high)

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        figure = self.value if self.value is not None else f"{self.low:g}–{self.high:g}"
        return f"${figure}/min" if self.unit == "USD/min" else f"{figure} {self.unit}"


class Evidence(_Part):
    """A figure that somebody else published."""

    against: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Ids of the claims that it is about. It may also agree with them."""
    finding: Name
    low: _NUMBER | None = None
    high: _NUMBER | None = None
    unit: Name | None = None
    """Of `low` and `high`; None where the claim is a text."""
    n: Annotated[int, Field(gt=0)] | None = None
    """How many measurements; None: not said."""
    source: Name
    date: Annotated[str, Field(pattern=r"^20\d\d(-[01]\d(-[0-3]\d)?)?$")] | None = None
    """None: not known."""

    @model_validator(mode="after")
    def _whole(self) -> Evidence:
        if len({self.low is None, self.high is None, self.unit is None}) > 1:
            raise ValueError("low, high and unit come together")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class Claims(_Part):
    """A list of claims."""

    version: Literal[1]
    source: Name
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    evidence: tuple[Evidence, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Claims:
        units: dict[str, str | None] = {}
        for claim in self.claims:
            if claim.id in units:
                raise ValueError(f"claim {claim.id} is there twice")
            units[claim.id] = claim.unit
        for one in self.evidence:
            for of in one.against:
                if of not in units:
                    raise ValueError(f"there is no claim {of!r}, which {one.finding!r:.60} is against")
                if units[of] != one.unit:
                    raise ValueError(f"claim {of} is in {units[of]}, {one.finding!r:.60} in {one.unit}")
        return self

    def __getitem__(self, id: str) -> Claim:
        return self._by_id[id]

    def about(self, claim: Claim) -> Sequence[Evidence]:
        """What others published on it."""
        return [one for one in self.evidence if claim.id in one.against]

    @cached_property
    def _by_id(self) -> dict[str, Claim]:
        return {claim.id: claim for claim in self.claims}


class Verdict(NamedTuple):
    """What became of a claim, and why."""

    word: Word
    reason: str

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


def verdict(claim: Claim, measured: Interval | None, mode: Mode) -> Verdict:
    """What a measurement says about a claim.

    Args:
        measured: of what the claim is about (the caller sees to that), in its unit; None: nothing.
        mode: where it is from.
    """
    held = claim.range
    if claim.untestable:
        return Verdict("not testable here", claim.untestable)
    if held is None:
        return Verdict("not testable here", "a statement about a product, not a figure")
    if mode not in _FITS.get(claim.unit or "", frozenset({"live"})):
        return Verdict("not testable here", _WHY_NOT[mode])
    if measured is None:
        return Verdict("not testable here", "nothing was measured")
    ends = (_shown(end) for end in dict.fromkeys(measured))
    found = f"{' to '.join(ends)} {claim.unit}"
    if measured.low > held.high:
        least = "" if measured.low == measured.high else "at least "
        return Verdict("contradicted", f"{found} is {least}{_beyond(measured.low / held.high)}")
    if measured.high < held.low:
        return Verdict("contradicted", f"{found} is below it")
    if held.low <= measured.low and measured.high <= held.high:
        return Verdict("confirmed", f"{found} lies in it")
    return Verdict("not testable here", f"{found} reaches beyond the claim and overlaps it: the interval is too wide")


def load(path: Path = BUNDLED) -> Claims:
    """The claims in a file.

    Raises:
        ConfigError: it can't be read or holds no claims; the message names the first thing that is wrong.
    """
    try:
        return Claims.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML file: {error}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ConfigError(f"{path} holds no claims: {place + ': ' if place else ''}{fault['msg']}.") from None


def _last_digit(value: str) -> Decimal:
    """What one step of the last digit that is not 0 is worth: of 320 it is 10, of 0.018 it is 0.001."""
    whole, _, fraction = value.partition(".")
    if fraction:
        return Decimal(1).scaleb(-len(fraction))
    zeros = re.search("0*$", whole)
    return Decimal(10) ** (len(zeros[0]) if zeros and int(whole) else 0)


def _beyond(ratio: float) -> str:
    if ratio >= 1.95:
        return f"{ratio:.1f} times the claim"
    return f"{ratio - 1:.0%} above it" if ratio >= 1.005 else "just above it"


def _shown(figure: float) -> str:
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
