"""The whole of `voicebridge bench cost`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebridge.contract.errors import BadOption
from voicebridge.observe.prices import load as load_prices
from voicebridge_bench.claims import Claim, Verdict
from voicebridge_bench.claims import load as load_claims
from voicebridge_bench.plot import Series, line_plot
from voicebridge_bench.text_file import write_text

from .estimate import DEFAULT_SPECS, Estimate, audio_claims, estimate
from .talk_profile import TalkProfile, TalkProfiles, load, profile_named

__all__ = ["Request", "bench_cost", "lengths"]

SCHEMA_VERSION = 1
ESTIMATED = 0
_MOST_MINUTES = 24 * 60
_NOTES = """\
All figures are estimated: list prices times what the talk profile says is used; nothing was asked of a vendor. Not in
them: reasoning tokens, tool calls, transcripts beside a native model, telephony, taxes, discounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    minutes: tuple[float, ...] = (1.0, 5.0, 15.0)
    profile: str = "balanced"
    backends: tuple[str, ...] = DEFAULT_SPECS
    local_cpu_s: float | None = None
    """CPU-seconds that the local cascade took for a minute of conversation, where that was measured."""
    json: bool = False
    markdown: bool = False
    plot: Path | None = None
    command: str = "voicebridge bench cost"


def lengths(text: str) -> tuple[float, ...]:
    """The lengths of calls in "1,5,15", in minutes, the shortest first.

    Raises:
        BadOption: something in it is no such length.
    """
    found: set[float] = set()
    for word in text.split(","):
        try:
            minutes = float(word)
        except ValueError:
            minutes = math.nan
        if not 0 < minutes <= _MOST_MINUTES:
            raise BadOption(
                f"--minutes takes lengths of calls above 0 and up to {_MOST_MINUTES}, as in 1,5,15; not {word!r}."
            )
        found.add(minutes)
    return tuple(sorted(found))


def bench_cost(request: Request) -> int:
    """Estimate, report, and give the exit status.

    Raises:
        ConfigError: the price list can't be read, or there is no such profile.
    """
    profiles, prices, claims = load(), load_prices(), load_claims()
    profile = profile_named(request.profile, profiles)
    found: list[Estimate] = []
    for spec in request.backends:
        one = estimate(spec, request.minutes, profile, profiles, prices, claims)
        found.append(one)
        if any("cached_" in name for split in one.by_unit.values() for name in split) and profile.cached_share:
            plain = profile.model_copy(update={"cached_share": 0.0})
            found.append(estimate(spec, request.minutes, plain, profiles, prices, claims))
    audio = audio_claims(profiles, prices, claims)
    if request.plot is not None:
        write_text(request.plot, _plot(found, profile))
    if request.json:
        json.dump(_told(request, profile, found, audio), sys.stdout, indent=1)
        print()
    else:
        _show(request, profile, profiles, found, audio)
    return ESTIMATED


def _told(
    request: Request,
    profile: TalkProfile,
    found: Sequence[Estimate],
    audio: Sequence[tuple[Claim, float | None, Verdict]],
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": request.command,
        "basis": "estimated",
        "profile": profile.model_dump(),
        "local_cpu_s_per_min": request.local_cpu_s,
        "estimates": [
            {
                "backend": one.spec,
                "basis": "estimated",
                "cached_share": one.cached_share,
                "usd_per_min": _by_length(one.usd_per_min),
                "by_unit": {f"{length:g}": split for length, split in one.by_unit.items()},
                "unpriced": one.unpriced,
                "notes": one.notes,
                "prices": [row.model_dump(mode="json") for row in one.rows],
                "claims": [_claim(claim, verdict) for claim, verdict in one.claims],
                "published": [evidence.model_dump(exclude_none=True) for evidence in one.evidence],
            }
            for one in found
        ],
        "audio": [_claim(claim, verdict) | {"usd_per_min": price} for claim, price, verdict in audio],
    }


def _by_length(figures: Mapping[float, float] | None) -> dict[str, float] | None:
    return None if figures is None else {f"{length:g}": figure for length, figure in figures.items()}


def _claim(claim: Claim, verdict: Verdict) -> dict[str, Any]:
    return {"id": claim.id, "claim": str(claim), "verdict": verdict.word, "reason": verdict.reason}


def _show(
    request: Request,
    profile: TalkProfile,
    profiles: TalkProfiles,
    found: Sequence[Estimate],
    audio: Sequence[tuple[Claim, float | None, Verdict]],
) -> None:
    head = (
        "backend",
        "cached",
        *(f"$/min, call of {_length(one)}" for one in request.minutes),
        "the article",
        "verdict",
    )
    rows = [_row(one, request) for one in found]
    rows += [
        (
            f"{claim.metric}, openai/gpt-realtime-2",
            "",
            *([_money(price)] * len(request.minutes)),
            str(claim),
            str(verdict),
        )
        for claim, price, verdict in audio
    ]
    if request.markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)))
    else:
        _table(head, rows)
    print(f"\n{_NOTES}\nTalk profile {profile}.")
    for one in found:
        for published in one.evidence:
            when = f", {published.date}" if published.date else ""
            print(f"Published on {one.spec}: {published.finding} ({published.source}{when}).")
        if one.evidence:
            break  # the same for all rows with a claim
    sources = dict.fromkeys(f"{row.source}, {row.as_of}" for one in found for row in one.rows)
    print("Prices: " + "; ".join(sources) + ".")
    vendors = {one.spec.partition("/")[0] for one in found if "+" not in one.spec}
    for rate in profiles.rates:
        if rate.vendor in vendors:
            print(f"Audio in tokens, {rate.vendor}: {rate.source}.")
    print(f"`{request.command}`")


def _row(one: Estimate, request: Request) -> tuple[str, ...]:
    name = f"{one.spec} (estimated)"
    notes = list(one.notes)
    if one.spec == "local":
        cpu = "not measured" if request.local_cpu_s is None else f"{request.local_cpu_s:g} s a minute"
        notes.append(f"nothing is paid to an API; CPU time: {cpu}")
    if one.usd_per_min is None:
        figures = ("no price",) * len(request.minutes)
    else:
        figures = tuple(_money(one.usd_per_min[length]) for length in request.minutes)
        notes += [f"without {part}, which has no price" for part in one.unpriced]
    claims = dict.fromkeys(str(claim) for claim, _ in one.claims)
    verdicts = dict.fromkeys(str(verdict) for _, verdict in one.claims)
    caches = any("cached_" in part for split in one.by_unit.values() for part in split)
    return (
        name,
        f"{one.cached_share:.0%}" if caches else "-",
        *figures,
        ", ".join(claims) or "no claim",
        "; ".join([*verdicts, *notes]) or "-",
    )


def _money(price: float | None) -> str:
    return "-" if price is None else "0" if price == 0 else f"{price:.4f}"


def _length(minutes: float) -> str:
    return f"{minutes:g} min"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a file has no width
        console = Console(width=220)
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if 0 < number < len(head) - 2 else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _plot(found: Sequence[Estimate], profile: TalkProfile) -> str:
    """With the profile's cache alone: without it the costs of native models would hide all others."""
    lines = [one for one in found if one.usd_per_min is not None and one.cached_share == profile.cached_share]
    return line_plot(
        f"Cost of a minute, estimated; profile {profile.name}, {profile.cached_share:.0%} of the history cached",
        "length of the call, minutes",
        "USD a minute",
        [Series(_short(one.spec), list((one.usd_per_min or {}).items())) for one in lines],
    )


def _short(spec: str) -> str:
    """What fits in a legend: of a cascade the language model and the voice, and no vendor before a telling name."""
    parts = [part.rpartition("/")[2] for part in spec.split("+")]
    if len(parts) > 1:
        return "+".join(parts[-2:])
    return parts[0].replace("-preview", "") if "-" in parts[0] else spec
