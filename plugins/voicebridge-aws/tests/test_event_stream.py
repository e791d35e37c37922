"""Event-stream encoding: both ways against botocore, and what is broken is told."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge_aws.event_stream import Message, decoded, encoded

HEADERS = {":content-type": "application/octet-stream", ":event-type": "AudioEvent", ":message-type": "event"}
names = st.text(min_size=1, max_size=40).filter(lambda name: len(name.encode()) < 256)


@given(headers=st.dictionaries(names, st.text(max_size=60), max_size=4), payload=st.binary(max_size=400))
def test_botocore_reads_what_is_written_here(headers: dict[str, str], payload: bytes) -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="botocore is in the extra `aws`")
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(encoded(headers, payload))
    (event,) = list(theirs)
    assert (event.headers, event.payload) == (headers, payload)
    assert decoded(encoded(headers, payload)) == Message(headers, payload)


def test_the_vendors_own_example_of_lengths() -> None:
    """The guide tells the bytes of each header: 13 + 24, 11 + 10 and 13 + 5, and 4 more for each."""
    message = encoded(HEADERS, b"pcm")
    assert struct.unpack_from(">II", message) == (16 + 76 + 12 + 3, 76 + 12)
    assert message[12:27] == b"\x0d:content-type\x07"


def _with_headers(head: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return body + struct.pack(">I", crc32(body))


def test_headers_of_all_other_kinds_are_passed_over_as_botocore_reads_them() -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="botocore is in the extra `aws`")
    values = {0: b"", 1: b"", 2: b"\x01", 3: b"\0\1", 4: bytes(4), 5: bytes(8), 6: b"\0\2ab", 8: bytes(8), 9: bytes(16)}
    head = b"".join(bytes((2,)) + b"h%d" % kind + bytes((kind,)) + value for kind, value in values.items())
    message = _with_headers(head + b"\x01n\x07\x00\x02ok", b"x")
    assert decoded(message) == Message({"n": "ok"}, b"x")
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(message)
    assert next(iter(theirs)).headers["n"] == "ok"


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "short": bytes(15),
    "zeros": bytes(16),
    "text": b'{"message": "hello there"}',
    "prelude": b"\xff" + encoded(HEADERS, b"pcm")[1:],
    "payload": encoded(HEADERS, b"pcm")[:-5] + b"!" + encoded(HEADERS, b"pcm")[-4:],
    "longer": encoded(HEADERS, b"pcm") + b"x",
    "cut": encoded(HEADERS, b"pcm")[:-1],
    "header without end": _with_headers(b"\x05ab"),
    "header without kind": _with_headers(b"\x02ab"),
    "header of no kind": _with_headers(b"\x02ab\x63"),
    "value without end": _with_headers(b"\x02ab\x07\x00\x09x"),
    "value that is no text": _with_headers(b"\x02ab\x07\x00\x01\xff"),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_what_is_no_event_is_told(what: str) -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        decoded(BROKEN[what])
    assert caught.value.fault.code == "bad_event"


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_wrong_bit_is_noticed(at: int, bit: int) -> None:
    message = bytearray(encoded(HEADERS, b"some audio"))
    message[at % len(message)] ^= 1 << bit
    with pytest.raises(VoiceBridgeError):
        decoded(bytes(message))


def test_headers_may_say_that_they_are_longer_than_all() -> None:
    prelude = struct.pack(">II", 16, 2**31)
    body: Any = prelude + struct.pack(">I", crc32(prelude))
    with pytest.raises(VoiceBridgeError):
        decoded(body + struct.pack(">I", crc32(body)))
