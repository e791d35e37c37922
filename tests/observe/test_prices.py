"""Prices have sources and dates, and what has no price is told, never counted as zero."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from voicebridge import UsageReported
from voicebridge.contract.call_policy import Budget
from voicebridge.contract.errors import ConfigError
from voicebridge.observe.prices import MAX_AGE, UNITS, VARIABLE, Price, Prices, bill, cost_of, load, parse, spend

BUNDLED = load()
ROW = {
    "vendor": "acme", "model": "talker", "unit": "audio_s", "price": 3.6, "currency": "USD", "per": 3600,
    "source": "acme.example", "as_of": "2026-11-01", "confidence": "low",
}  # fmt: skip


def text_of(*rows: Mapping[str, Any]) -> str:
    return json.dumps({"version": 1, "rows": list(rows)})


@pytest.mark.parametrize("row", BUNDLED.rows, ids=lambda row: row.name)
def test_a_row_says_who_and_when(row: Price) -> None:
    assert len(row.source) > 10
    assert date(2026, 1, 1) < row.as_of <= date.today()  # noqa: DTZ011 - a day is enough
    assert row.currency == "USD"
    assert row.price > 0 or row.vendor == "local"
    assert row.each < 0.01, "dollars for one token, character or second"


def test_every_unit_of_the_list_can_be_reported_and_every_alias_leads_somewhere() -> None:
    assert {row.unit for row in BUNDLED.rows} <= {unit for unit in UNITS.values() if unit}
    for alias, model in BUNDLED.aliases.items():
        assert BUNDLED.of(alias) == BUNDLED.of(model) != {}


def test_old_rows_are_told() -> None:
    """A warning, so that an old release still passes its own tests."""
    for row in BUNDLED.older(date.today()):  # noqa: DTZ011 - a day is enough
        warnings.warn(f"{row.name}: its price is of {row.as_of}, look it up again ({row.source})", stacklevel=1)


@pytest.mark.parametrize("today", [date(2026, 11, 24)], ids=str)
def test_rows_are_old_after_180_days(today: date) -> None:
    fresh = Price.model_validate({**ROW, "as_of": today - MAX_AGE})
    old = Price.model_validate({**ROW, "model": "other", "as_of": today - MAX_AGE - timedelta(days=1)})
    assert Prices(rows=(fresh, old)).older(today) == (old,)
    last = max(row.as_of for row in BUNDLED.rows)
    assert len(BUNDLED.older(last + timedelta(days=181))) == len(BUNDLED.rows)


def test_a_minute_of_a_call_by_hand() -> None:
    cost = cost_of("openai/gpt-realtime-2", {"input_audio_tokens": 240, "output_audio_tokens": 480})
    assert cost is not None
    assert cost.by_unit == pytest.approx({"input_audio_tokens": 240 * 32e-6, "output_audio_tokens": 480 * 64e-6})
    assert (cost.total, cost.currency, cost.complete) == (pytest.approx(0.0384), "USD", True)


def test_what_has_no_price_is_named_and_not_zero() -> None:
    cost = cost_of(
        "openai/gpt-4o", {"input_text_tokens": 1000, "characters": 5, "other_in": 7, "wishes": 3, "audio_s": 0}
    )
    assert cost is not None
    assert set(cost.by_unit) == {"input_text_tokens"}
    assert set(cost.unpriced) == {"characters", "other_in", "wishes"}
    assert not cost.complete
    assert cost_of("nobody/model", {"audio_s": 1}) is None


def test_unsplit_tokens_are_text_only_where_there_is_nothing_else() -> None:
    text, speech = (cost_of(f"openai/{model}", {"input_tokens": 10}) for model in ("gpt-4o", "gpt-realtime-2"))
    assert text is not None
    assert speech is not None
    assert text.total == pytest.approx(25e-6)
    assert set(speech.unpriced) == {"input_tokens"}


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("openai/gpt-realtime-2.1", "openai/gpt-realtime-2"),
        ("openai/gpt-realtime-2025-08-28", "openai/gpt-realtime"),
        ("openai/responses/gpt-4o", "openai/gpt-4o"),
        ("openai/realtime/gpt-4o-mini-transcribe-2025-12-15", "openai/gpt-4o-mini-transcribe"),
        ("deepgram/aura-2-thalia-en", "deepgram/aura-2*"),
        ("local/gemma-3-270m", "local/*"),
    ],
    ids=str,
)
def test_names_that_mean_another(model: str, meant: str) -> None:
    assert BUNDLED.of(model) == BUNDLED.of(meant) != {}


def test_local_costs_nothing_and_that_is_known() -> None:
    cost = cost_of("local/piper-joe", {"characters": 100.0})
    assert cost is not None
    assert (cost.total, cost.complete) == (0.0, True)


def report(model: str, exact: bool = True, **units: float) -> UsageReported:
    return UsageReported(at=0.0, units=units, model=model, basis="exact" if exact else "estimated")


def test_the_bill_of_a_session() -> None:
    found = bill(
        [
            report("openai/gpt-4o", input_text_tokens=1000, output_text_tokens=100),
            report("openai/gpt-4o", input_text_tokens=1000),
            report("elevenlabs/eleven_flash_v2_5", exact=False, characters=1000),
            report("nobody/model", audio_s=3),
        ]
    )
    assert found.totals == pytest.approx({"USD": 2000 * 2.5e-6 + 100 * 10e-6 + 0.04})
    assert found.unknown == {"nobody/model": {"audio_s": 3}}
    assert (found.basis, found.complete) == ("estimated", False)
    assert bill([report("openai/gpt-4o", input_text_tokens=1)]).complete


def test_a_budget_of_money_refuses_what_it_cannot_count() -> None:
    assert Budget(spend, limit=1.0).spend(report("openai/whisper-1", audio_s=60)) == pytest.approx(0.006)
    with pytest.raises(ConfigError, match=VARIABLE):
        spend(report("openai/whisper-1", characters=60))
    with pytest.raises(ConfigError, match="nobody/model has no price"):
        spend(report("nobody/model", audio_s=60))


def test_a_file_of_ones_own_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.json"
    own.write_text(text_of(ROW, {**ROW, "vendor": "openai", "model": "whisper-1", "price": 0.0036, "per": 1}))
    monkeypatch.setenv(VARIABLE, str(own))
    ours, theirs = cost_of("acme/talker", {"audio_s": 60}), cost_of("openai/whisper-1", {"audio_s": 1})
    assert ours is not None
    assert theirs is not None
    assert (ours.total, theirs.total) == (pytest.approx(0.06), pytest.approx(0.0036))
    assert cost_of("openai/tts-1", {"characters": 1}) is not None
    assert load(own) == load()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "JSON"),
        ("[]", "own.json"),
        (text_of({**ROW, "price": -1}), "rows.0.price"),
        (text_of({**ROW, "price": "free"}), "rows.0.price"),
        (text_of({**ROW, "per": 0}), "rows.0.per"),
        (text_of({**ROW, "unit": "minutes"}), "'minutes' is not one of"),
        (text_of({**ROW, "as_of": "soon"}), "rows.0.as_of"),
        (text_of({**ROW, "source": ""}), "rows.0.source"),
        (text_of({k: v for k, v in ROW.items() if k != "source"}), "rows.0.source"),
        (text_of({**ROW, "currency": "dollars"}), "rows.0.currency"),
        (text_of({**ROW, "sauce": "x"}), "rows.0.sauce"),
        (text_of(ROW, ROW), "acme/talker audio_s is there twice"),
        (text_of(ROW, {**ROW, "unit": "characters", "currency": "EUR"}), "several currencies"),
        (text_of({**ROW, "vendor": "openai", "model": "tts-1", "currency": "EUR"}), "several currencies"),
    ],
    ids=[
        "empty",
        "list",
        "negative",
        "word",
        "per",
        "unit",
        "date",
        "no-source",
        "missing",
        "currency",
        "more",
        "twice",
        "mixed",
        "mixed-with-ours",
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, named: str, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(text)
    with pytest.raises(ConfigError, match="is no price list") as caught:
        load(own)
    assert named in str(caught.value)
    assert "own.json" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json can't be read"):
        load(tmp_path / "nothing.json")
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "latin.json")


def test_a_list_may_be_empty() -> None:
    assert parse('{"version": 1}', "x").rows == ()


FIELDS = {
    "input_text_tokens": "input_mtok", "cached_text_tokens": "cache_read_mtok", "output_text_tokens": "output_mtok",
    "input_audio_tokens": "input_audio_mtok", "cached_audio_tokens": "cache_audio_read_mtok",
    "output_audio_tokens": "output_audio_mtok", "input_image_tokens": "input_image_mtok",
    "cached_image_tokens": "cache_image_read_mtok", "characters": "input_mchars",
    "audio_s": "audio_hours", "session_s": "audio_hours",
}  # fmt: skip
VENDORS = {"xai": "x-ai"}


def test_genai_prices_says_the_same() -> None:
    """Of all rows that both have. A model whose voice is its only output has one output price there."""
    genai_prices = pytest.importorskip("genai_prices", reason="a cross-check; voicebridge does not need it")
    from genai_prices.data import providers

    table = {(one.id, model.id): model for one in providers for model in one.models}
    compared, differing = 0, []
    for row in BUNDLED.rows:
        model = table.get((VENDORS.get(row.vendor, row.vendor), row.model))
        if model is None:
            continue
        listed = model.get_prices(datetime.now(UTC))
        value = getattr(listed, FIELDS[row.unit], None)
        if value is None and row.unit == "output_audio_tokens":
            value = listed.output_mtok
        if value is None:
            continue
        compared += 1
        scale = 3600 if FIELDS[row.unit] == "audio_hours" else 1_000_000
        theirs = float(value) if isinstance(value, Decimal | int | float) else float(value.base)
        if abs(row.each * scale - theirs) > 0.01 * theirs:
            differing.append(f"{row.name}: {row.each * scale:g} here, {theirs:g} there")
    assert genai_prices.__name__
    assert compared > 50
    assert differing == []
