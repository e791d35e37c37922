"""Whether words sound finished, and how long silence must last."""

from __future__ import annotations

import pytest

from voicebridge.core.completeness import Completeness, TurnPatience, completeness


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("I would like a table for two.", None, "complete"),
        ("I would like to.", None, "open"),
        ("Um, and.", None, "open"),
        ("And then I", None, "open"),
        ("I’m", None, "open"),
        ("Well, it's", "en-GB", "open"),
        ("My number is 555", None, "open"),
        ("Is it open at 5?", None, "complete"),
        ("Is that what you were looking for?", None, "complete"),
        ("Hello...", None, "open"),
        ("Hello,", None, "open"),
        ("Hello -", None, "open"),
        ("Hello", None, "complete"),
        ("Paris", None, "unknown"),
        ("", None, "unknown"),
        ("...", None, "unknown"),
        ("Ich hätte gern eine", "de-DE", "open"),
        ("Ich hätte gern eine Karte.", "de", "complete"),
        ("je voudrais aller à", "fr", "open"),
        ("quiero un café con", "es", "open"),
        ("お願いします", "ja", "unknown"),
        ("お願い、", "ja", "unknown"),
        ("Ich möchte gern einen Termin und", None, "open"),
        ("Ich hätte gern eine Karte", None, "unknown"),
        ("я хочу и", None, "unknown"),
        ("我想要", None, "unknown"),
    ],
)
def test_completeness(text: str, language: str | None, found: Completeness) -> None:
    assert completeness(text, language) == found


@pytest.mark.parametrize(
    ("usual_ms", "text", "wait_ms"),
    [(400, "Yes please.", 200), (400, "Yes, and", 1200), (400, "", 400), (1000, "um", 2000), (3000, "um", 3000)],
)
def test_the_silence_that_is_waited_for(usual_ms: float, text: str, wait_ms: float) -> None:
    patience = TurnPatience(usual_ms=usual_ms)
    assert patience.wait_ms(text) == wait_ms
    assert patience.least_ms <= wait_ms
