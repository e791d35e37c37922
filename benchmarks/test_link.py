"""One frame of 20 ms on its way between a session and a realtime wire: the codec, beside plain `json` and `base64`."""

import base64
import json

import pytest

from voicebridge.contract.commands import SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import OutputAudio
from voicebridge_bench.realtime.frames import FrameReader, frame_head
from voicebridge_bench.realtime.stamp import FRAME_BYTES
from voicebridge_bench.realtime.wire import Conversation
from voicebridge_openai.codec import RealtimeCodec
from voicebridge_openai.dialects import DIALECTS

PCM = bytes(range(240)) * 4


def _texts(messages: bytes) -> list[str]:
    """The texts of a server's websocket messages."""
    found = []
    while messages:
        size = messages[1] if messages[1] < 126 else int.from_bytes(messages[2:4], "big")
        start = len(frame_head(1, size))
        found.append(messages[start : start + size].decode())
        messages = messages[start + size :]
    return found


@pytest.fixture
def spoken() -> tuple[RealtimeCodec, str]:
    """A codec in the middle of a response, and the text of a piece of its audio."""
    codec = RealtimeCodec(DIALECTS["openai"], "gpt-realtime-2", SessionConfig())
    codec.open(SessionConfig(), (), None)
    talk = Conversation()
    answer = talk.answer({})
    for text in _texts(talk.created() + talk.updated({}) + talk.user_turn() + answer.opening()):
        list(codec.decode(text))
    [delta] = _texts(answer.audio(0))
    return codec, delta


def test_encode_by_the_codec(benchmark, spoken) -> None:
    """A command becomes the text of a websocket message."""
    codec, command = spoken[0], SendAudio(pcm=PCM)
    [frame] = codec.encode(command)
    assert json.loads(frame) == {"type": "input_audio_buffer.append", "audio": base64.b64encode(PCM).decode()}
    benchmark(codec.encode, command)


def test_encode_by_json(benchmark) -> None:
    """The same by hand."""

    def encode() -> str:
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(PCM).decode("ascii")})

    assert json.loads(encode())["type"] == "input_audio_buffer.append"
    benchmark(encode)


def test_decode_by_the_codec(benchmark, spoken) -> None:
    """The text of a websocket message becomes an event."""
    codec, delta = spoken
    [event] = codec.decode(delta)
    assert isinstance(event, OutputAudio)
    assert len(event.pcm) == FRAME_BYTES
    benchmark(codec.decode, delta)


def test_decode_by_json(benchmark, spoken) -> None:
    """The same by hand."""
    delta = spoken[1]

    def decode() -> bytes:
        return base64.b64decode(json.loads(delta)["delta"])

    assert len(decode()) == FRAME_BYTES
    benchmark(decode)


def test_the_benchmark_s_server_reads_a_frame(benchmark) -> None:
    """What the server of `voicebridge bench realtime` pays for a frame that comes in."""
    payload = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(PCM).decode()}).encode()
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    message = bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + mask + masked
    assert FrameReader().feed(message) == [(1, payload)]
    benchmark(lambda: FrameReader().feed(message))
