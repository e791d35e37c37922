"""The names, and what is told where botocore is not installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from voicebridge.contract.errors import MissingExtra
from voicebridge.registry import rows
from voicebridge.registry.registry import registry

LOADED = """
import sys, voicebridge_aws
from voicebridge.registry.registry import registry
registry().rows()
print(sorted({"botocore", "numpy", "httpx", "websockets"} & set(sys.modules)))
"""


@pytest.mark.parametrize("seat", ["stt", "tts"])
def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, seat: Any) -> None:
    installed = rows._installed
    monkeypatch.setattr(rows, "_installed", lambda module: module != "botocore" and installed(module))
    with pytest.raises(MissingExtra, match=r"\[aws\]"):
        registry().stage(seat, {"stt": "aws/transcribe", "tts": "aws/polly"}[seat])


def test_registering_loads_nothing_heavy() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60)
    assert "botocore" not in told.stdout
    assert "numpy" not in told.stdout


@pytest.mark.parametrize(
    ("seat", "name"),
    [
        ("stt", "aws"),
        ("stt", "aws/transcribe"),
        ("tts", "aws"),
        ("tts", "aws/polly"),
        ("tts", "aws/polly-neural"),
        ("tts", "aws/polly-generative"),
        ("tts", "aws/polly-long-form"),
        ("tts", "aws/polly-standard"),
    ],
)
def test_stages_by_their_names(seat: Any, name: str) -> None:
    pytest.importorskip("botocore", reason="botocore is in the extra `aws`")
    assert registry().stage(seat, name).traits.heeds == {"base_url", "api_key"}
