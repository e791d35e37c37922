"""The article's claims: all rows are there, and a verdict says no more than the interval does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.claims import BUNDLED, Claim, Interval, Mode, Verdict, load, verdict

CLAIMS = load()
ROWS = {
    "pipelines": {
        "end-to-end latency, first response": 2, "latency, subsequent turns": 2, "audio quality (MOS)": 3,
        "misheard words": 2, "cost per minute of conversation": 2, "set-up time, experienced engineer": 2,
    },
    "frameworks": {
        "lines of code to start": 3, "voice models": 3, "multi-agent": 3, "interruption handling": 3, "open source": 3,
        "cost per minute (estimate)": 3, "latency p50": 3,
    },
}  # fmt: skip


def test_every_cell_of_both_tables_is_there() -> None:
    for table, rows in ROWS.items():
        mine = [claim for claim in CLAIMS.claims if claim.table == table]
        assert {metric: sum(one.metric == metric for one in mine) for metric in rows} == rows
        assert len(mine) == sum(rows.values())


def test_evidence_has_a_source_and_is_about_a_claim() -> None:
    assert all(len(one.source) > 5 for one in CLAIMS.evidence)
    assert len(CLAIMS.about(CLAIMS["first-response/realtime"])) >= 4
    assert CLAIMS.about(CLAIMS["lines/voiceflow"]) == []


def claim(**fields: object) -> Claim:
    return Claim.model_validate({"id": "a/b", "table": "text", "metric": "m", "column": "c", **fields})


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("0.018", 0.0175, 0.0185), ("320", 315, 325), ("600", 550, 650), ("5.2", 5.15, 5.25), ("0", -0.5, 0.5)],
    ids=str,
)  # fmt: skip
def test_a_figure_stands_for_what_rounds_to_it(value: str, low: float, high: float) -> None:
    assert claim(value=value, unit="ms").range == (low, high)


RANGE = claim(low=280, high=450, unit="ms")


@pytest.mark.parametrize(
    ("low", "high", "word", "said"),
    [
        (300, 400, "confirmed", "300 to 400 ms lies in it"),
        (280, 450, "confirmed", "280 to 450"),
        (451, 900, "contradicted", "just above it"),
        (900, 1000, "contradicted", "2.0 times the claim"),
        (100, 279, "contradicted", "below it"),
        (200, 300, "not testable here", "too wide"),
        (400, 500, "not testable here", "too wide"),
        (100, 900, "not testable here", "too wide"),
        (450, 450, "confirmed", "450 ms lies in it"),
    ],
    ids=str,
)
def test_only_an_interval_that_lies_outside_contradicts(low: float, high: float, word: str, said: str) -> None:
    found = verdict(RANGE, Interval(low, high), "live")
    assert found.word == word
    assert said in found.reason


@pytest.mark.parametrize(
    ("mode", "said"),
    [("simulated", "inputs"), ("local", "about others"), ("estimated", "only costs"), ("computed", "only their size")],
)
def test_what_is_no_measurement_of_a_vendor_tells_nothing_of_its_speed(mode: Mode, said: str) -> None:
    found = verdict(RANGE, Interval(300, 400), mode)
    assert found.word == "not testable here"
    assert said in found.reason


def test_costs_may_be_estimated_and_lines_counted() -> None:
    assert verdict(CLAIMS["cost/realtime"], Interval(0.051, 0.111), "estimated").word == "contradicted"
    assert verdict(CLAIMS["cost/realtime"], Interval(0.018, 0.018), "estimated").word == "confirmed"
    assert verdict(CLAIMS["cost/realtime"], Interval(0.018, 0.018), "simulated").word == "not testable here"
    assert verdict(claim(value="3", unit="lines"), Interval(3, 3), "computed").word == "confirmed"
    assert verdict(claim(value="3", unit="lines"), Interval(3, 3), "live").word == "not testable here"


@pytest.mark.parametrize("id", ["mos/realtime", "set-up/cascade", "lines/langchain", "p50/voiceflow", "open/none"])
def test_some_no_run_can_tell(id: str) -> None:
    one = claim(text="MIT") if id == "open/none" else CLAIMS[id]
    for mode in ("live", "local", "simulated", "estimated", "computed"):
        assert verdict(one, Interval(0, 1e6), mode).word == "not testable here"


def test_nothing_measured_is_no_verdict() -> None:
    assert verdict(RANGE, None, "live") == Verdict("not testable here", "nothing was measured")


HEAD = 'version = 1\nsource = "x"\n'
ONE = '[[claims]]\nid = "a/b"\ntable = "text"\nmetric = "m"\ncolumn = "c"\n'
PROOF = '[[evidence]]\nagainst = ["a/b"]\nfinding = "f"\nlow = 1\nhigh = 2\nunit = "ms"\nsource = "s"\n'
WRONG = {
    "no-toml": ("version = = 1", "no TOML"),
    "empty": ("", "version"),
    "no-claims": (HEAD, "claims: "),
    "version": (HEAD.replace("1", "2") + ONE + 'text = "t"\n', "version"),
    "no-figure": (HEAD + ONE, "a claim is a value"),
    "two-figures": (HEAD + ONE + 'value = "3"\ntext = "t"\n', "a claim is a value"),
    "half-a-range": (HEAD + ONE + 'low = 3\nunit = "ms"\n', "low and high come together"),
    "upside-down": (HEAD + ONE + 'low = 3\nhigh = 2\nunit = "ms"\n', "low first"),
    "no-unit": (HEAD + ONE + 'value = "3"\n', "has a unit"),
    "unit-of-text": (HEAD + ONE + 'text = "t"\nunit = "ms"\n', "has a unit"),
    "not-a-number": (HEAD + ONE + "low = nan\nhigh = 2\nunit = 'ms'\n", "claims.0.low"),
    "value": (HEAD + ONE + 'value = "about 3"\nunit = "ms"\n', "claims.0.value"),
    "table": (HEAD + ONE.replace("text", "other") + 'text = "t"\n', "claims.0.table"),
    "key": (HEAD + ONE + 'text = "t"\nlouder = 1\n', "claims.0.louder"),
    "twice": (HEAD + 2 * (ONE + 'text = "t"\n'), "claim a/b is there twice"),
    "nobodys": (HEAD + ONE.replace("a/b", "c/d") + 'text = "t"\n' + PROOF, "no claim 'a/b'"),
    "other-unit": (HEAD + ONE + 'value = "3"\nunit = "%"\n' + PROOF, "is in %"),
    "no-source": (HEAD + ONE + 'value = "3"\nunit = "ms"\n' + PROOF.replace('source = "s"\n', ""), "evidence.0.source"),
    "date": (HEAD + ONE + 'value = "3"\nunit = "ms"\n' + PROOF + 'date = "May"\n', "evidence.0.date"),
    "half-evidence": (HEAD + ONE + 'value = "3"\nunit = "ms"\n' + PROOF.replace("low = 1\n", ""), "come together"),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_a_wrong_file_says_what_is_wrong(kind: str, tmp_path: Path) -> None:
    text, named = WRONG[kind]
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(named)) as caught:
        load(path)
    assert "mine.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path / "no.toml")
    assert BUNDLED.suffix == ".toml"
