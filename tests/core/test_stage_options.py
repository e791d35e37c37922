"""The options of a stage."""

from __future__ import annotations

import pytest
from pydantic import Field

from voicebridge.contract.errors import BadOption
from voicebridge.core.stage_options import StageOptions, read_stage_options


class Options(StageOptions):
    keyterm: tuple[str, ...] = ()
    threshold: float = Field(default=0.5, ge=0, le=1)


def test_what_is_given_counts_and_the_rest_is_the_default():
    options = read_stage_options(Options, {"keyterm": ["Ann"]}, "vendor/model")
    assert (options.keyterm, options.threshold) == (("Ann",), 0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keyterms": ("Ann",)}, "Did you mean 'keyterm'?"),
        ({"zzz": 1}, "It knows keyterm, threshold."),
        ({"threshold": 7}, "'threshold' of vendor/model does not fit"),
        ({"threshold": "high"}, "'threshold' of vendor/model does not fit"),
    ],
)
def test_what_does_not_fit_is_said(given: dict[str, object], said: str):
    with pytest.raises(BadOption) as refused:
        read_stage_options(Options, given, "vendor/model")
    assert said in str(refused.value)


def test_a_value_is_not_quoted():
    with pytest.raises(BadOption) as refused:
        read_stage_options(Options, {"threshold": "sk-secret-key"}, "vendor/model")
    assert "secret" not in str(refused.value)
