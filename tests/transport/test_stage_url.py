"""The address of a stage's websocket."""

from __future__ import annotations

import pytest

from voicebridge.contract.errors import ConfigError
from voicebridge.transport.stage_url import websocket_url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.example.com", "wss://api.example.com/v1/listen?model=one"),
        ("wss://api.example.com/", "wss://api.example.com/v1/listen?model=one"),
        ("http://127.0.0.1:8080/eu", "ws://127.0.0.1:8080/eu/v1/listen?model=one"),
        ("ws://[::1]:9/?region=eu", "ws://[::1]:9/v1/listen?region=eu&model=one"),
    ],
)
def test_an_address_of_any_scheme(base: str, url: str):
    assert websocket_url(base, "v1/listen", {"model": "one"}) == url


def test_several_values_none_and_what_needs_quoting():
    url = websocket_url("https://host", "/x", {"term": ("a b", "c&d"), "none": (), "empty": ""})
    assert url == "wss://host/x?term=a%20b&term=c%26d"


@pytest.mark.parametrize(
    "base", ["api.example.com", "ftp://host", "https://", "https://[::", "https://host:0", "https://a b", ""]
)
def test_what_is_no_address_is_refused(base: str):
    with pytest.raises(ConfigError, match="base_url"):
        websocket_url(base, "x", {})


def test_a_password_is_refused_and_not_quoted():
    with pytest.raises(ConfigError) as refused:
        websocket_url("https://me:hunter22@host", "x", {})
    assert "hunter22" not in str(refused.value)
