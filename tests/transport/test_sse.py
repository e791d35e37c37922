"""Server-sent events, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.transport.sse import SseEvent, SseParser

SPOKEN = "Grüße 👩‍👩‍👧 und 漢字かな, \u2028 é"


def events(text: bytes, *cuts: int) -> list[SseEvent]:
    """What is in a stream that is cut at these places."""
    parser, places = SseParser(), [0, *sorted(cuts), len(text)]
    found = [one for start, end in pairwise(places) for one in parser.feed(text[start:end])]
    return found + parser.end()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("data: one\n\n", [("message", "one", "")]),
        ("data:one\n\n", [("message", "one", "")]),
        ("data:  one\n\n", [("message", " one", "")]),
        ("data\n\n", [("message", "", "")]),
        ("data: a\ndata: b\n\n", [("message", "a\nb", "")]),
        ("data\ndata\n\n", [("message", "\n", "")]),
        ("event: add\ndata: 7\n\n", [("add", "7", "")]),
        ("event: add\n\ndata: 7\n\n", [("message", "7", "")]),
        (
            "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")],
        ),
        ("id: a\0b\ndata: a\n\n", [("message", "a", "")]),
        (": keep-alive\n\n: more\n\n", []),
        ("data: a\n:x\ndata: b\n\n", [("message", "a\nb", "")]),
        ("retry: 10\nother: x\ndata: a\n\n", [("message", "a", "")]),
        (" data: a\n\n", []),
        ("data: a: b\n\n", [("message", "a: b", "")]),
        ("\n\n\ndata: a\n\n\n\n", [("message", "a", "")]),
        ("\ufeffdata: a\n\n", [("message", "a", "")]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("data: \ufeffa\n\n", [("message", "\ufeffa", "")]),
        ("data: no blank line\n", [("message", "no blank line", "")]),
        ("data: no end of the line", [("message", "no end of the line", "")]),
        ("", []),
        ("\ufeff", []),
        (f"data: {SPOKEN}\n\n", [("message", SPOKEN, "")]),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
def test_a_stream_cut_at_every_byte(stream: str, expected: list[tuple[str, str, str]], line_end: str) -> None:
    text = stream.replace("\n", line_end).encode()
    wanted = [SseEvent(*one) for one in expected]
    assert events(text) == wanted
    for cut in range(len(text) + 1):
        assert events(text, cut) == wanted, cut
    assert events(text, *range(len(text) + 1)) == wanted, "a byte at a time, with empty pieces between"


def test_line_ends_may_be_mixed() -> None:
    text = b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r"
    for cut in range(len(text) + 1):
        assert [one.data for one in events(text, cut)] == ["a\nb\nc", "d"]


def test_an_event_is_told_as_soon_as_it_is_whole() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\r\n") == []
    assert [one.data for one in parser.feed(b"\r")] == ["a"], "the LF that may follow is not waited for"
    assert [one.data for one in parser.feed(b"\ndata: b\n\n")] == ["b"]


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert [one.data for one in events(b"data: a\xffb\n\n")] == ["a\ufffdb"]


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=5),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_any_text_comes_back_for_any_cuts(lines: list[str], cuts: list[int]) -> None:
    text = "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
    found = events(text, *(min(cut, len(text)) for cut in cuts))
    assert [one.data for one in found] == (["\n".join(lines)] if lines else [])


@pytest.mark.parametrize(
    "piece", [b"x" * 100, b"data: " + b"x" * 90 + b"\n", b"data\n" * 20], ids=["line", "data", "lines"]
)
def test_an_event_that_never_ends_is_bounded(piece: bytes) -> None:
    parser = SseParser(max_event_bytes=1000)
    with pytest.raises(VoiceBridgeError) as caught:
        list(map(parser.feed, [piece] * 2000))
    assert (caught.value.fault.category, caught.value.fault.code) == ("protocol", "event_too_long")


def test_a_comment_that_never_ends_is_bounded_and_others_are_free() -> None:
    parser = SseParser(max_event_bytes=1000)
    for _ in range(100):
        assert parser.feed(b": keep-alive, and nothing is held of it\n" * 10) == []
    with pytest.raises(VoiceBridgeError):
        parser.feed(b": " + b"x" * 2000)
