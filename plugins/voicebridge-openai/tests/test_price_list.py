"""The prices in the table of models are those of the price list."""

from __future__ import annotations

import pytest

from voicebridge.observe.prices import load
from voicebridge_openai.models import MODELS, Model


@pytest.mark.parametrize("model", [one for one in MODELS if one.prices], ids=lambda one: f"{one.vendor}/{one.name}")
def test_both_say_the_same(model: Model) -> None:
    listed = load().of(f"{model.vendor}/{model.name}")
    assert listed, "the price list lacks it"
    by_connection = "session_s" in listed
    for unit, price in model.prices.items():
        row = listed["session_s" if by_connection and unit == "audio_s" else unit]
        assert row.each == pytest.approx(price), row.name
