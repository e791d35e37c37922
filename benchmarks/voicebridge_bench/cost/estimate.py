"""From a spec to what a minute with it costs. Pure: price list and profiles are handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voicebridge.observe.prices import Price, Prices, cost_of
from voicebridge_bench.claims import Claim, Claims, Evidence, Interval, Verdict, verdict

from .call_usage import connection_usage, model_usage, native_usage, recogniser_usage, voice_usage
from .talk_profile import TalkProfile, TalkProfiles

__all__ = ["DEFAULT_SPECS", "Estimate", "audio_claims", "estimate"]

DEFAULT_SPECS = (
    "openai/gpt-realtime-2",
    "openai/gpt-realtime-1.5",
    "openai/gpt-realtime-mini",
    "google/gemini-3.1-flash-live-preview",
    "elevenlabs/agents",
    "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2",
    "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_flash_v2_5",
    "openai/gpt-4o-mini-transcribe+openai/gpt-4o-mini+aws/polly-neural",
    "local",
)
CLAIMED = {
    "openai/gpt-realtime-2": ("cost/realtime", "cost-estimate/realtime"),
    "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2": ("cost/cascade",),
}
"""Whose costs the article claims to know."""
_SIDES = ("in", "out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a minute costs with one backend, for each length of a call."""

    spec: str
    cached_share: float
    usd_per_min: Mapping[float, float] | None
    """By minutes of the call; None: nothing of it has a price."""
    by_unit: Mapping[float, Mapping[str, float]] = field(default_factory=dict)
    """The same, split by "model unit"."""
    unpriced: tuple[str, ...] = ()
    """What has no price and is in no sum: the figures are lower bounds then."""
    notes: tuple[str, ...] = ()
    rows: tuple[Price, ...] = ()
    claims: tuple[tuple[Claim, Verdict], ...] = ()
    evidence: tuple[Evidence, ...] = ()


def estimate(
    spec: str, minutes: Sequence[float], profile: TalkProfile, profiles: TalkProfiles, prices: Prices, claims: Claims
) -> Estimate:
    """The cost of calls of these lengths.

    A model whose price is by connected time is counted so; else one with a price for spoken tokens is a native model.
    `vendor/a+vendor/b+vendor/c` is a cascade of recogniser, language model and voice.
    """
    parts = spec.split("+")
    used: dict[float, list[tuple[str, Mapping[str, float]]]] = {}
    notes: dict[str, None] = {}
    for length in minutes:
        if len(parts) == 3:
            of = (recogniser_usage(profile, length), model_usage(profile, length), voice_usage(profile, length))
            used[length] = list(zip(parts, of, strict=True))
        else:
            used[length] = _single(spec, length, profile, profiles, prices, notes)
    return _priced(spec, used, profile, prices, claims, tuple(notes))


def _single(
    spec: str,
    length: float,
    profile: TalkProfile,
    profiles: TalkProfiles,
    prices: Prices,
    notes: dict[str, None],
) -> list[tuple[str, Mapping[str, float]]]:
    if spec == "local":
        parts = (recogniser_usage(profile, length), model_usage(profile, length), voice_usage(profile, length))
        plain = {unit: amount for part in parts for unit, amount in part.items() if not unit.startswith("cached")}
        return [("local/cascade", plain)]
    listed = prices.of(spec)
    if "session_s" in listed:
        notes["the language model, and tokens where there are any, are not in it: a lower bound"] = None
        return [(spec, connection_usage(length))]
    rate = profiles.rate(spec.partition("/")[0])
    if rate is None or "output_audio_tokens" not in listed:
        return []
    if not rate.history_billed:
        notes["earlier turns are counted once: a lower bound"] = None
    return [(spec, native_usage(profile, length, rate))]


def _priced(
    spec: str,
    used: Mapping[float, Sequence[tuple[str, Mapping[str, float]]]],
    profile: TalkProfile,
    prices: Prices,
    claims: Claims,
    notes: tuple[str, ...],
) -> Estimate:
    per_min: dict[float, float] = {}
    split: dict[float, dict[str, float]] = {}
    unpriced: dict[str, None] = {}
    rows: dict[str, Price] = {}
    for length, parts in used.items():
        split[length] = {}
        for model, units in parts:
            cost = cost_of(model, units, prices)
            if cost is None:
                unpriced[model] = None
                continue
            unpriced |= dict.fromkeys(f"{model} {unit}" for unit in cost.unpriced)
            rows |= {row.name: row for row in cost.rows}
            split[length] |= {f"{model} {unit}": money / length for unit, money in cost.by_unit.items()}
        per_min[length] = sum(split[length].values())
    known = all(split.values())
    told = [claims[id] for id in CLAIMED.get(spec, ())]
    # A sum that lacks a part is only a lower bound, and no interval.
    interval = Interval(min(per_min.values()), max(per_min.values())) if known and not unpriced and not notes else None
    return Estimate(
        spec=spec,
        cached_share=profile.cached_share,
        usd_per_min=per_min if known else None,
        by_unit=split,
        unpriced=tuple(unpriced) if known else (spec,),
        notes=notes,
        rows=tuple(rows.values()),
        claims=tuple((claim, verdict(claim, interval, "estimated")) for claim in told),
        evidence=tuple(dict.fromkeys(one for claim in told for one in claims.about(claim))),
    )


def audio_claims(profiles: TalkProfiles, prices: Prices, claims: Claims) -> list[tuple[Claim, float | None, Verdict]]:
    """The article's prices of a minute of audio, beside those of the price list: claim, USD a minute, verdict."""
    listed, rate = prices.of("openai/gpt-realtime-2"), profiles.rate("openai")
    found = []
    for side, unit in zip(_SIDES, ("input_audio_tokens", "output_audio_tokens"), strict=True):
        claim, price = claims[f"audio-{side}/realtime"], None
        if rate is not None and unit in listed:
            price = 60 * (rate.in_per_s if side == "in" else rate.out_per_s) * listed[unit].each
        interval = None if price is None else Interval(price, price)
        found.append((claim, price, verdict(claim, interval, "estimated")))
    return found
