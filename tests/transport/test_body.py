"""Bodies: bytes as the network cuts them, and values out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.transport.body import Body, JsonBody, JsonLinesBody, PcmBody, SseBody

VALUE = {"text": "Grüße 👋 漢字", "n": [1, 2.5, None]}
TEXT = json.dumps(VALUE, ensure_ascii=False).encode()


def read(body: Body[Any], *pieces: bytes) -> list[Any]:
    found = [output for piece in pieces for output in body.feed(piece)]
    return found + list(body.end())


def fault_code(body: Body[Any], *pieces: bytes) -> tuple[str, str, bool]:
    with pytest.raises(VoiceBridgeError) as caught:
        read(body, *pieces)
    fault = caught.value.fault
    return fault.category, fault.code, fault.retryable


BODIES: dict[str, tuple[Callable[[], Body[Any]], bytes, list[Any]]] = {
    "json": (lambda: JsonBody(lambda value: [value]), TEXT, [VALUE]),
    "lines": (lambda: JsonLinesBody(lambda value: [value]), TEXT + b"\n\r\n" + TEXT + b"\r\n" + TEXT, [VALUE] * 3),
    "events": (
        lambda: SseBody(lambda event: [event.data]),
        b"data: " + TEXT + b"\n\ndata: [DONE]",
        [TEXT.decode(), "[DONE]"],
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_cut_at_every_byte(name: str) -> None:
    make, text, expected = BODIES[name]
    assert read(make(), text) == expected
    for cut in range(len(text) + 1):
        assert read(make(), text[:cut], text[cut:]) == expected
    assert read(make(), *(bytes([byte]) for byte in text)) == expected


@pytest.mark.parametrize("frame_bytes", [1, 2, 3, 4])
def test_samples_come_in_whole_frames(frame_bytes: int) -> None:
    pcm = bytes(range(12 * frame_bytes))
    for size in range(1, 9):
        pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        found = read(PcmBody(frame_bytes), *pieces)
        assert b"".join(found) == pcm
        assert all(piece and len(piece) % frame_bytes == 0 for piece in found)


def test_an_odd_byte_waits_for_its_other_half_and_half_a_sample_at_the_end_is_no_sound() -> None:
    body = PcmBody(2)
    assert list(body.feed(b"\x01")) == []
    assert list(body.feed(b"\x02\x03")) == [b"\x01\x02"]
    assert list(body.end()) == []


@pytest.mark.parametrize("text", [b"", b"{", b"<html>", b'{"a": 1} {"b": 2}', b"\xff"])
def test_what_is_no_json(text: bytes) -> None:
    assert fault_code(JsonBody(lambda value: [value]), text) == ("protocol", "bad_json", False)


def test_a_line_that_is_no_json() -> None:
    body = JsonLinesBody(lambda value: [value])
    assert list(body.feed(b'{"a": 1}\n{"b')) == [{"a": 1}]
    assert fault_code(body) == ("protocol", "bad_json", False)


@pytest.mark.parametrize(
    "body",
    [JsonBody(lambda value: [value], max_bytes=1000), JsonLinesBody(lambda value: [value], max_bytes=1000)],
    ids=["json", "lines"],
)
def test_a_body_that_never_ends_is_bounded(body: Body[Any]) -> None:
    assert fault_code(body, *[b"[" * 100] * 11) == ("protocol", "answer_too_long", False)


def test_lines_are_not_bounded_together() -> None:
    body = JsonLinesBody(lambda value: [value], max_bytes=1000)
    assert len(read(body, *[b"[1]\n" * 200] * 10)) == 2000
