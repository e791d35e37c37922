"""The cost of a minute: the formulas by hand, against a known table, and what the command says of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.observe.prices import VARIABLE, Prices
from voicebridge.observe.prices import load as load_prices
from voicebridge_bench.claims import load as load_claims
from voicebridge_bench.commands import app
from voicebridge_bench.cost.bench_cost import lengths
from voicebridge_bench.cost.call_usage import model_usage, native_usage, recogniser_usage, voice_usage
from voicebridge_bench.cost.estimate import CLAIMED, DEFAULT_SPECS, Estimate, audio_claims, estimate
from voicebridge_bench.cost.talk_profile import AudioRate, TalkProfile, load, profile_named

PROFILES = load()
BALANCED = profile_named("balanced", PROFILES)
UNCACHED = BALANCED.model_copy(update={"cached_share": 0.0})
CLAIMS = load_claims()
DAY = str(load_prices().of("openai/gpt-realtime-2")["input_audio_tokens"].as_of)
CASCADE = "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2"


def cost(spec: str, *minutes: float, profile: TalkProfile = BALANCED, prices: Prices | None = None) -> Estimate:
    return estimate(spec, minutes or (1.0,), profile, PROFILES, prices or load_prices(), CLAIMS)


@pytest.mark.parametrize(
    ("model", "cached", "plain"),
    [
        ("gpt-realtime-2", (0.051, 0.081, 0.159), (0.111, 0.391, 1.09)),
        ("gpt-realtime-mini", (0.015, 0.026, 0.054), (0.032, 0.119, 0.336)),
    ],
    ids=["flagship", "mini"],
)
def test_an_independent_calculation_says_the_same(
    model: str, cached: tuple[float, ...], plain: tuple[float, ...]
) -> None:
    """Made before with genai-prices' own `calc_price`: the same profile, 1, 5 and 15 minutes."""
    for profile, known in ((BALANCED, cached), (UNCACHED, plain)):
        found = cost(f"openai/{model}", 1, 5, 15, profile=profile).usd_per_min
        assert found is not None
        assert list(found.values()) == pytest.approx(list(known), rel=0.02)


def test_usage_of_three_turns_by_hand() -> None:
    """Half a minute: three turns of 4 s of the user (40 tokens) and 4 s of the agent (80 tokens, 15 of text)."""
    rate = PROFILES.rate("openai")
    assert rate is not None
    used = native_usage(UNCACHED, 0.5, rate)
    assert used == {
        "input_audio_tokens": pytest.approx(40 + (120 + 40) + (240 + 40)),
        "cached_audio_tokens": 0,
        "input_text_tokens": pytest.approx(500 + (500 + 15) + (500 + 30)),
        "cached_text_tokens": 0,
        "output_audio_tokens": pytest.approx(240),
        "output_text_tokens": pytest.approx(45),
    }
    cached = native_usage(BALANCED, 0.5, rate)
    assert cached["cached_audio_tokens"] == pytest.approx(0.9 * (120 + 240))
    assert cached["cached_text_tokens"] == pytest.approx(0.9 * (515 + 530))
    for kind in ("audio", "text"):
        both = cached[f"input_{kind}_tokens"] + cached[f"cached_{kind}_tokens"]
        assert both == pytest.approx(used[f"input_{kind}_tokens"]), "a cache changes the price, not the amount"


def test_usage_of_a_cascade_by_hand() -> None:
    assert recogniser_usage(BALANCED, 0.5) == {"audio_s": pytest.approx(12)}
    assert voice_usage(BALANCED, 0.5) == {"characters": pytest.approx(180)}
    used = model_usage(UNCACHED, 0.5)
    assert used["input_text_tokens"] == pytest.approx((500 + 15) + (500 + 30 + 15) + (500 + 60 + 15))
    assert used["output_text_tokens"] == pytest.approx(45)


def test_silence_that_is_billed_is_counted() -> None:
    rate = AudioRate(vendor="x", in_per_s=1, out_per_s=1, silence_billed=True, history_billed=False, source="test")
    assert native_usage(BALANCED, 1, rate)["input_audio_tokens"] == pytest.approx(36)
    quiet = rate.model_copy(update={"silence_billed": False})
    assert native_usage(BALANCED, 1, quiet)["input_audio_tokens"] == pytest.approx(24)


def test_the_cost_of_a_minute_grows_with_the_call_where_history_is_billed() -> None:
    found = cost("openai/gpt-realtime-2", 1, 5, 15, 30).usd_per_min
    assert found is not None
    assert list(found.values()) == sorted(found.values())
    assert found[30] > 3 * found[1]
    flat = cost("elevenlabs/agents", 1, 15)
    assert flat.usd_per_min == pytest.approx({1: 0.08, 15: 0.08})
    assert "lower bound" in flat.notes[0]


def test_the_split_adds_up() -> None:
    one = cost(CASCADE, 5)
    assert one.usd_per_min is not None
    assert sum(one.by_unit[5].values()) == pytest.approx(one.usd_per_min[5])
    assert one.by_unit[5]["openai/whisper-1 audio_s"] == pytest.approx(0.0024)
    assert one.by_unit[5]["elevenlabs/eleven_turbo_v2 characters"] == pytest.approx(0.0144)


@pytest.mark.parametrize("spec", DEFAULT_SPECS)
def test_every_row_of_the_default_report_has_prices(spec: str) -> None:
    one = cost(spec)
    assert one.usd_per_min is not None
    assert one.unpriced == ()
    assert all(row.source for row in one.rows)


def test_both_claims_on_costs_are_contradicted_and_say_how_far() -> None:
    for spec, ids in CLAIMED.items():
        one = cost(spec, 1, 5, 15)
        assert [claim.id for claim, _ in one.claims] == list(ids)
        for _, verdict in one.claims:
            assert verdict.word == "contradicted"
            assert "at least" in verdict.reason
    assert [verdict.word for _, _, verdict in audio_claims(PROFILES, load_prices(), CLAIMS)] == ["contradicted"] * 2


def test_a_sum_that_lacks_a_part_says_so_and_gives_no_verdict() -> None:
    kept = tuple(row for row in load_prices().rows if row.vendor != "elevenlabs")
    one = cost(CASCADE, prices=Prices(rows=kept))
    assert one.unpriced == ("elevenlabs/eleven_turbo_v2",)
    assert [verdict.word for _, verdict in one.claims] == ["not testable here"]
    assert cost("nobody/model").usd_per_min is None
    assert cost("nobody/a+nobody/b+nobody/c").usd_per_min is None
    assert cost("openai/gpt-4o").usd_per_min is None, "it does not speak"


def test_lengths() -> None:
    assert lengths("15,1,5,1.0") == (1, 5, 15)
    for wrong in ("", "0", "-1", "x", "1,,5", "nan", "inf", "1441"):
        with pytest.raises(BadOption, match="--minutes"):
            lengths(wrong)


def test_profiles_that_cannot_be() -> None:
    for profile in PROFILES.profiles:
        assert profile_named(profile.name, PROFILES) is profile
        assert profile.name in str(profile)
    with pytest.raises(ConfigError, match="There are: balanced"):
        profile_named("loud", PROFILES)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("user_share = 0.40", "user_share = 0.90", "more than the whole call"),
        ("turns_per_minute = 6", "turns_per_minute = 0", "turns_per_minute"),
        ("cached_share = 0.9", "cached_share = 1.5", "cached_share"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = = 1", "no TOML"),
    ],
    ids=["shares", "turns", "cache", "version", "toml"],
)
def test_a_wrong_file_says_what_is_wrong(old: str, new: str, named: str, tmp_path: Path) -> None:
    import voicebridge_bench.cost.talk_profile as module

    text = Path(module.__file__).with_name("profiles.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=named) as caught:
        load(path)
    assert "mine.toml" in str(caught.value)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["cost", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_estimates_claims_and_sources() -> None:
    code, out, _ = run()
    assert code == 0
    for said in ("(estimated)", "$0.018/min", "$0.012/min", "contradicted", "not measured", "balanced", DAY):
        assert said in out
    code, out, _ = run("--markdown", "--minutes", "2", "--backend", "local", "--local-cpu-s", "12.5")
    assert out.startswith("| backend | cached | $/min, call of 2 min |")
    assert "12.5 s a minute" in out


def test_the_command_tells_json() -> None:
    code, out, _ = run("--json", "--minutes", "1,2.5", "--backend", f"openai/gpt-realtime-2,{CASCADE}")
    told = json.loads(out)
    assert (code, told["basis"], told["profile"]["name"]) == (0, "estimated", "balanced")
    assert [one["cached_share"] for one in told["estimates"]] == [0.9, 0.0, 0.9, 0.0]
    assert set(told["estimates"][0]["usd_per_min"]) == {"1", "2.5"}
    assert told["estimates"][0]["prices"][0]["as_of"] == DAY
    assert told["estimates"][0]["claims"][0]["verdict"] == "contradicted"


def test_the_command_draws(tmp_path: Path) -> None:
    path = tmp_path / "cost.svg"
    assert run("--plot", str(path))[0] == 0
    lines = ElementTree.parse(path).getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == len(DEFAULT_SPECS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--minutes", "soon"), "--minutes takes"),
        (("--profile", "loud"), "no talk profile 'loud'"),
        (("--plot", "/nowhere/x.svg"), "can't be written"),
    ],
    ids=["minutes", "profile", "plot"],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], said: str) -> None:
    code, _, errors = run(*words)
    assert code == 2
    assert said in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_price_list_of_ones_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"vendor": "acme", "model": "line", "unit": "session_s", "price": 6, "currency": "USD", "per": 60,
           "source": "acme.example", "as_of": "2026-11-01", "confidence": "low"}  # fmt: skip
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"rows": [row]}))
    monkeypatch.setenv(VARIABLE, str(own))
    code, out, _ = run("--markdown", "--backend", "acme/line,nobody/model")
    assert code == 0
    assert "6.0000" in out
    assert "no price" in out
    own.write_text("{")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.json"))
    assert run()[0] == 2
