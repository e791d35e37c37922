"""The lean server of the realtime benchmark speaks websocket and the wire as others understand them."""

import base64
import json
import random

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri

from voicebridge_bench.realtime import stamp
from voicebridge_bench.realtime.frames import CLOSE, PING, TEXT, FrameReader, accept, frame
from voicebridge_bench.realtime.wire import Conversation

OPENING = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def _client() -> tuple[ClientProtocol, bytes]:
    """The other side, by the `websockets` library, connected; and the answer to its handshake."""
    client = ClientProtocol(parse_uri("ws://127.0.0.1/v1/realtime"), subprotocols=["realtime", "other"], max_size=None)
    client.send_request(client.connect())
    answer = accept(b"".join(client.data_to_send()).removesuffix(b"\r\n\r\n"))
    client.receive_data(answer)
    client.events_received()
    return client, answer


def _read(messages: bytes) -> list[dict]:
    client, _ = _client()
    client.receive_data(messages)
    return [json.loads(event.data) for event in client.events_received()]


def test_the_handshake_satisfies_the_library():
    client, answer = _client()
    assert client.handshake_exc is None
    assert client.subprotocol == "realtime"
    assert b"Extensions" not in answer
    with pytest.raises(ValueError, match="Sec-WebSocket-Key"):
        accept(b"GET / HTTP/1.1\r\nHost: here")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1340, 65535, 65536, 200_000])
def test_messages_of_any_size_arrive_in_any_pieces(size):
    rng = random.Random(size)
    client, _ = _client()
    texts = [rng.randbytes(size // 2).hex().encode() for _ in range(3)]
    for text in texts:
        client.send_text(text)
    client.send_ping(b"alive")
    client.send_close(1000, "bye")
    data = b"".join(client.data_to_send())
    reader, found = FrameReader(), []
    while data:
        cut = rng.randint(1, max(1, len(data) // 3))
        found += reader.feed(data[:cut])
        data = data[cut:]
    assert found == [*((TEXT, text) for text in texts), (PING, b"alive"), (CLOSE, b"\x03\xe8bye")]


def test_parts_of_a_message_are_joined_and_a_ping_may_come_between():
    client, _ = _client()
    client.send_text(b"one", fin=False)
    client.send_ping(b"x")
    client.send_continuation(b" two", fin=False)
    client.send_continuation(b" three", fin=True)
    found = FrameReader().feed(b"".join(client.data_to_send()))
    assert found == [(PING, b"x"), (TEXT, b"one two three")]


def test_a_frame_without_a_mask_is_refused():
    with pytest.raises(ValueError, match="not masked"):
        FrameReader().feed(frame(TEXT, b"not by a client"))


@pytest.mark.parametrize("size", [0, 125, 126, 70_000])
def test_what_the_server_sends_is_one_message(size):
    client, _ = _client()
    client.receive_data(frame(TEXT, b"a" * size))
    [event] = client.events_received()
    assert (event.opcode, event.fin, event.data) == (Opcode.TEXT, True, b"a" * size)


def test_a_response_comes_in_the_recorded_order_and_holds_its_stamps():
    talk = Conversation()
    answer = talk.answer({"metadata": {"client_event_id": "e7"}})
    stamps = [(1, 5), (2, 2**62)]
    opening = _read(answer.opening())
    audio = _read(answer.audio(0) + b"".join(answer.audio(at) for _, at in stamps))
    closing = _read(answer.closing())
    assert [event["type"] for event in opening] == OPENING
    assert [event["type"] for event in closing] == CLOSING
    assert opening[0]["response"]["metadata"] == closing[-1]["response"]["metadata"] == {"client_event_id": "e7"}
    assert {event["response_id"] for event in audio} == {answer.id} == {closing[-1]["response"]["id"]}
    pieces = [base64.b64decode(event["delta"], validate=True) for event in audio]
    assert {len(pcm) for pcm in pieces} == {stamp.FRAME_BYTES}
    assert [stamp.read(pcm) for pcm in pieces] == [(0, 0), *stamps]
    ids = [event["event_id"] for event in opening + audio + closing]
    assert len(set(ids)) == len(ids)


def test_a_cancelled_response_says_so():
    done = _read(Conversation().answer({}).closing("cancelled"))[-1]["response"]
    assert (done["status"], done["status_details"]["type"]) == ("cancelled", "cancelled")


def test_an_update_is_echoed_with_the_rest_of_the_session():
    talk = Conversation()
    [created] = _read(talk.created())
    [updated] = _read(talk.updated({"type": "realtime", "audio": {"output": {"voice": "cedar"}}, "id": "mine"}))
    assert updated["session"]["audio"]["output"] == {**created["session"]["audio"]["output"], "voice": "cedar"}
    assert updated["session"]["audio"]["input"] == created["session"]["audio"]["input"]
    assert updated["session"]["id"] == created["session"]["id"]


def test_items_follow_one_another():
    talk = Conversation()
    added, done = _read(talk.item({"type": "message", "role": "user", "content": [], "id": "mine"}))
    turn = _read(talk.user_turn())
    assert (added["item"]["id"], done["item"]["id"], added["previous_item_id"]) == ("mine", "mine", None)
    assert [event["type"].rpartition(".")[2] for event in turn] == [
        "speech_started",
        "speech_stopped",
        "committed",
        "added",
        "done",
    ]
    assert turn[2]["previous_item_id"] == "mine"


@pytest.mark.parametrize("pcm", [b"", b"\0" * 960, stamp.stamped_head(1, 2)[:-3]])
def test_audio_without_a_stamp_has_none(pcm):
    assert stamp.read(pcm) is None
