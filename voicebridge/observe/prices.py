"""What vendors charge, as data with a source and a date, and what reported usage costs by it.

    for event in events:
        if isinstance(event, UsageReported) and (cost := cost_of(event.model, event.units)):
            print(cost.total, cost.currency, cost.unpriced)

Prices are list prices that others read from the vendors' pages, without discounts, taxes and free allowances: each row
of `prices.json` says who, when, and how far to trust it. The environment variable VOICEBRIDGE_PRICES names a file of
the same form whose rows go before these. What has no price is named in `Cost.unpriced` and never counts as zero.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import UsageReported

__all__ = [
    "MAX_AGE",
    "UNITS",
    "VARIABLE",
    "Bill",
    "Cost",
    "Price",
    "Prices",
    "bill",
    "cost_of",
    "load",
    "parse",
    "spend",
]

VARIABLE = "VOICEBRIDGE_PRICES"
MAX_AGE = timedelta(days=180)
"""After that a price should be looked up again."""
_DATED = re.compile(r"-20\d\d-\d\d-\d\d$")

UNITS: Mapping[str, str | None] = {
    "input_text_tokens": "input_text_tokens",
    "cached_text_tokens": "cached_text_tokens",
    "output_text_tokens": "output_text_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "cached_audio_tokens": "cached_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "cached_image_tokens": "cached_image_tokens",
    "characters": "characters",
    "audio_s": "audio_s",
    "session_s": "session_s",
    "input_tokens": "input_text_tokens",
    "output_tokens": "output_text_tokens",
    "audio_seconds": "audio_s",
    "output_image_tokens": None,
    "other_in": None,
    "other_out": None,
}
"""Units as `UsageReported.units` names them, and the unit of the price list that each is charged by. `audio_s`: seconds
of audio heard; `session_s`: seconds of an open connection, which no backend reports by itself. None has no price:
`other_in` and `other_out` are tokens of which the vendor does not say whether they are text or audio, and no model here
answers in images. `input_tokens` and `output_tokens` are text only where the model knows nothing else."""
_TEXT_IF_ALONE = {"input_tokens", "output_tokens"}

Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Part):
    """What one unit of one model costs."""

    vendor: Name
    model: Name
    """As in a spec, behind the vendor. With a `*` at its end: all models that begin like that."""
    unit: Name
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    per: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """For how many units that is: 1,000,000 tokens, 3,600 seconds."""
    source: Name
    as_of: date
    """The day on which the source said so."""
    confidence: Literal["high", "medium", "low"]
    """`high`: two independent tables agree. `medium`: one source. `low`: sources differ, or it is second hand."""
    note: str = ""

    @property
    def name(self) -> str:
        """Which row this is."""
        return f"{self.vendor}/{self.model} {self.unit}"

    @property
    def each(self) -> float:
        """The price of one unit."""
        return self.price / self.per

    @model_validator(mode="after")
    def _known_unit(self) -> Price:
        if self.unit not in UNITS.values():
            known = ", ".join(sorted({unit for unit in UNITS.values() if unit}))
            raise ValueError(f"unit {self.unit!r} is not one of {known}")
        return self


class Prices(_Part):
    """A price list."""

    version: Literal[1] = 1
    aliases: Mapping[str, str] = Field(default_factory=dict)
    """"vendor/model" of models that cost what another one does."""
    rows: tuple[Price, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Prices:
        seen: set[str] = set()
        currencies: dict[str, str] = {}
        for row in self.rows:
            if row.name in seen:
                raise ValueError(f"{row.name} is there twice")
            seen.add(row.name)
            model = f"{row.vendor}/{row.model}"
            if currencies.setdefault(model, row.currency) != row.currency:
                raise ValueError(f"{model} has prices in several currencies")
        return self

    def of(self, model: str) -> Mapping[str, Price]:
        """The prices of "vendor/model" by unit; empty where there are none.

        A date at the end (`-2026-02-23`) and what stands between vendor and model (`vendor/route/model`) are left out
        where the whole name has no prices.
        """
        for name in _spellings(model):
            if found := self._by_model.get(name) or self._by_model.get(self.aliases.get(name, "")):
                return found
        for prefix in self._prefixes:
            if model.startswith(prefix):
                return self._by_model[f"{prefix}*"]
        return {}

    def older(self, today: date, max_age: timedelta = MAX_AGE) -> tuple[Price, ...]:
        """Rows that should be looked up again."""
        return tuple(row for row in self.rows if today - row.as_of > max_age)

    def under(self, other: Prices) -> Prices:
        """With the rows of `other` in place of those of the same models and units.

        Raises:
            ValueError: a model has prices in several currencies then.
        """
        theirs = {row.name for row in other.rows}
        kept = (row for row in self.rows if row.name not in theirs)
        return Prices(aliases={**self.aliases, **other.aliases}, rows=(*kept, *other.rows))

    @cached_property
    def _by_model(self) -> Mapping[str, dict[str, Price]]:
        table: dict[str, dict[str, Price]] = {}
        for row in self.rows:
            table.setdefault(f"{row.vendor}/{row.model}", {})[row.unit] = row
        return table

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(sorted((name[:-1] for name in self._by_model if name.endswith("*")), key=len, reverse=True))


def _spellings(model: str) -> Iterable[str]:
    vendor, _, rest = model.partition("/")
    short = f"{vendor}/{rest.rpartition('/')[2]}"
    return dict.fromkeys((model, short, _DATED.sub("", model), _DATED.sub("", short)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was used costs this much, as far as there are prices."""

    currency: str
    by_unit: Mapping[str, float] = field(default_factory=dict)
    """Money by the unit of the report."""
    unpriced: Mapping[str, str] = field(default_factory=dict)
    """Units that were used and have no price, and why. They are in no sum."""
    rows: tuple[Price, ...] = ()
    """The prices it is made of."""

    @property
    def total(self) -> float:
        """The sum of what has a price."""
        return sum(self.by_unit.values())

    @property
    def complete(self) -> bool:
        """Whether all that was used has a price."""
        return not self.unpriced


def cost_of(model: str, units: Mapping[str, float], prices: Prices | None = None) -> Cost | None:
    """What usage of "vendor/model" costs. None: there is no price of that model at all.

    Args:
        units: amounts by unit, as in `UsageReported.units`.
        prices: a price list; without one `load()`.

    Raises:
        ConfigError: the file that VOICEBRIDGE_PRICES names can't be read. Not if `prices` are given.
    """
    rows = (prices or load()).of(model)
    if not rows:
        return None
    known: dict[str, float] = {}
    unpriced: dict[str, str] = {}
    used: dict[str, Price] = {}
    for unit, amount in units.items():
        row = _row(unit, rows)
        if isinstance(row, Price):
            known[unit] = amount * row.each
            used[row.unit] = row
        elif amount:
            unpriced[unit] = row
    currency = next(iter(rows.values())).currency
    return Cost(currency=currency, by_unit=known, unpriced=unpriced, rows=tuple(used.values()))


def _row(unit: str, rows: Mapping[str, Price]) -> Price | str:
    """The price of a unit, or why there is none."""
    if unit not in UNITS:
        return "a unit that the price list does not know"
    charged = UNITS[unit]
    if charged is None:
        return "the price depends on what these tokens are, which the report does not say"
    if unit in _TEXT_IF_ALONE and any("audio_tokens" in name for name in rows):
        return "the price depends on what these tokens are, which the report does not say"
    if charged not in rows:
        return f"the price list has only {', '.join(sorted(rows))} of this model"
    return rows[charged]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a conversation costs."""

    by_model: Mapping[str, Cost]
    unknown: Mapping[str, Mapping[str, float]]
    """What was used of models that have no price at all, by unit. It is in no sum."""
    basis: Literal["exact", "estimated"]
    """Of the amounts: `exact` where every report was."""

    @property
    def totals(self) -> Mapping[str, float]:
        """Money by currency."""
        sums: dict[str, float] = {}
        for cost in self.by_model.values():
            sums[cost.currency] = sums.get(cost.currency, 0.0) + cost.total
        return sums

    @property
    def complete(self) -> bool:
        """Whether all that was used has a price."""
        return not self.unknown and all(cost.complete for cost in self.by_model.values())


def bill(reports: Iterable[UsageReported], prices: Prices | None = None) -> Bill:
    """The cost of all reports of a session, or of several. Reports are increments, so they add up.

    Raises:
        ConfigError: as in `cost_of`.
    """
    used: dict[str, dict[str, float]] = {}
    exact = True
    for report in reports:
        amounts = used.setdefault(report.model, {})
        exact = exact and report.basis == "exact"
        for unit, amount in report.units.items():
            amounts[unit] = amounts.get(unit, 0.0) + amount
    costs = {model: cost_of(model, amounts, prices) for model, amounts in used.items()}
    return Bill(
        by_model={model: cost for model, cost in costs.items() if cost is not None},
        unknown={model: used[model] for model, cost in costs.items() if cost is None},
        basis="exact" if exact else "estimated",
    )


def spend(report: UsageReported) -> float:
    """What a report costs, for `Budget(spend, limit)` of a call's policy. The currency is that of the model's prices.

    Raises:
        ConfigError: something in it has no price. A limit of money can't be held then.
    """
    cost = cost_of(report.model, report.units)
    if cost is None or not cost.complete:
        what = (
            f"{report.model} has no price"
            if cost is None
            else f"{report.model} has no price of {', '.join(cost.unpriced)}"
        )
        raise ConfigError(f"{what}. Give one in a file that {VARIABLE} names.", code="no_price")
    return cost.total


def load(path: str | Path | None = None) -> Prices:
    """The bundled price list, under the rows of `path` or of the file that VOICEBRIDGE_PRICES names.

    Raises:
        ConfigError: the file can't be read, or is no price list.
    """
    return _load(str(path) if path is not None else os.environ.get(VARIABLE, ""))


@lru_cache(maxsize=4)
def _load(path: str) -> Prices:
    bundled = parse(resources.files(__package__).joinpath("prices.json").read_text(encoding="utf-8"), "prices.json")
    if not path:
        return bundled
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = (
            "it is no UTF-8 text"
            if isinstance(error, UnicodeDecodeError)
            else getattr(error, "strerror", None) or error
        )
        raise ConfigError(f"The price list {path} can't be read: {why}.", code="bad_prices") from error
    own = parse(text, path)
    try:
        return bundled.under(own)
    except ValidationError as error:
        raise _no_list(path, error) from None


def parse(text: str, name: str) -> Prices:
    """The price list in a JSON text.

    Args:
        name: what it is called in errors.

    Raises:
        ConfigError: it is none; the message names the first thing that is wrong.
    """
    try:
        return Prices.model_validate_json(text)
    except ValidationError as error:
        raise _no_list(name, error) from None


def _no_list(name: str, error: ValidationError) -> ConfigError:
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    problem = f"{place}: {fault['msg']}" if place else fault["msg"]
    return ConfigError(f"{name} is no price list: {problem}.", code="bad_prices")
