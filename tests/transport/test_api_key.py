"""Which key a stage sends, and to whom."""

from __future__ import annotations

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.transport.api_key import api_key

VENDOR = "https://api.example/v1"
LOCAL = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def _stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", "stored")


def key(base_url: str, given: str | None = None) -> str:
    return api_key(SessionConfig(api_key=given), "EXAMPLE_KEY", vendor="Example", base_url=base_url)


def test_the_one_that_was_given_comes_first() -> None:
    assert key(VENDOR) == "stored"
    assert key(VENDOR, "given") == "given"
    assert key(VENDOR, " given\n") == "given"
    assert key(VENDOR, "") == "stored"


@pytest.mark.parametrize(
    "url", [LOCAL, "ws://localhost:1/", "http://[::1]/", "http://me.localhost/", "https://127.0.0.2/"]
)
def test_what_is_stored_is_not_shown_to_this_machine_s_ports(url: str) -> None:
    assert key(url) == ""
    assert key(url, "given") == "given"


def test_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", " ")
    with pytest.raises(ConfigError, match=r"Example needs a key: pass api_key=\.\.\., or set EXAMPLE_KEY") as caught:
        key(VENDOR)
    assert caught.value.fault.code == "missing_key"


@pytest.mark.parametrize(
    "url", ["http://api.example/v1", "ws://192.0.2.1/", "HTTP://api.example", "http://127.0.0.1.example/"]
)
def test_another_machine_gets_it_encrypted_or_not_at_all(url: str) -> None:
    for given in ("given", None):
        with pytest.raises(ConfigError, match="encrypted"):
            key(url, given)
    assert key("wss://api.example", "given") == "given"


@pytest.mark.parametrize("bad", ["a\nb", "a\x00", "\u201cabc\u201d"])
def test_what_is_no_key(bad: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        key(VENDOR, bad)
    assert bad not in str(caught.value)
