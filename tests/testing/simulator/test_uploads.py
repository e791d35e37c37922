"""What clients upload: forms, files of audio, bare samples; and what is sent back at a pace."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterable, AsyncIterator, Iterator

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadAudio
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.registry.rows import About, RegisterStage
from voicebridge.testing.simulator.bare_client import tone
from voicebridge.testing.simulator.ears import LiveRecogniser
from voicebridge.testing.simulator.multipart import Part, fields_of, file_of, read_multipart
from voicebridge.testing.simulator.upload import read_upload

PHONE = AudioFormat(encoding="ulaw", rate=8000)
names = st.text(st.characters(exclude_characters="\r\n\0\\", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=50), max_size=4),
    names,
    st.binary(max_size=300),
)
def test_a_form_comes_back_as_a_client_encodes_it(fields: dict[str, str], filename: str, content: bytes) -> None:
    files = {"file": (filename, content, "audio/wav")}
    request = httpx.Request("POST", "http://here/", data=fields, files=files)
    parts = read_multipart(request.headers["content-type"], request.read())
    found = file_of(parts, "file")
    assert found is not None
    assert (found.content, found.mime) == (content, "audio/wav")
    assert [part.text for part in parts if part.filename is None] == list(fields.values())


def test_the_fields_of_a_form() -> None:
    data = {"model": "a", "granularity[]": ["word", "segment"], "größe": "ü"}
    files = {"file": ('a "b" ü.wav', b"\r\n\r\n--\0\xff")}
    request = httpx.Request("POST", "http://here/", data=data, files=files)
    parts = read_multipart(request.headers["content-type"], request.read())
    assert fields_of(parts) == {"model": ["a"], "granularity": ["word", "segment"], "größe": ["ü"]}
    assert file_of(parts, "model") is None
    assert parts[-1].content == b"\r\n\r\n--\0\xff"


def test_a_form_written_by_hand() -> None:
    body = (
        b"a preamble\r\n--b \r\ncontent-disposition: FORM-DATA; name=plain\r\n\r\n\r\n--b\r\n"
        b"Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%c3%bc.wav\r\n\r\n\r\n--c\r\n--b--\r\n"
        b"an epilogue"
    )
    parts = read_multipart("multipart/form-data; charset=utf-8; boundary=b", body)
    assert parts == [Part(name="plain", content=b""), Part(name="f", content=b"\r\n--c", filename="ü.wav")]


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("", b"", "no multipart"),
        ("application/json", b"{}", "no multipart"),
        ("multipart/form-data", b"--x--", "no multipart"),
        ("multipart/form-data; boundary=x", b"", "breaks off"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb', "breaks off"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--", "no name"),
        ("multipart/form-data; boundary=x", b"--x\r\nno head\r\n--x--", "no end"),
        ("multipart/form-data; boundary=x", b"--xy\r\n\r\nb\r\n--x--", "alone on its line"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n" * 1001 + b"--x--", "more than 1000"),
    ],
)
def test_what_is_no_form(content_type: str, body: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_multipart(content_type, body)


def wav(pcm: bytes, rate: int = 16_000, channels: int = 1, size: int | None = None) -> bytes:
    """A WAV file whose header says `size`."""
    told = len(pcm) if size is None else size
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", min(told + 36, 2**32 - 1))
        + b"WAVE"
        + head
        + struct.pack("<4sI", b"data", told)
        + pcm
    )


def test_a_wav_comes_back_as_it_was() -> None:
    pcm = tone(200, rate=16_000)
    upload = read_upload(wav(pcm))
    assert (upload.pcm, upload.format, upload.channels) == (pcm, AudioFormat(rate=16_000), 1)
    assert upload.seconds == pytest.approx(0.2)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 1 << 30], ids=["a stream", "too much"])
def test_a_wav_whose_header_says_too_much(size: int) -> None:
    pcm = tone(200, rate=16_000)
    assert read_upload(wav(pcm, size=size)).pcm == pcm


def test_two_channels_become_one() -> None:
    pairs = np.array([[1000, 3000], [-2000, 0]], "<i2")
    upload = read_upload(wav(pairs.tobytes(), channels=2))
    assert np.frombuffer(upload.pcm, "<i2").tolist() == [2000, -1000]
    assert upload.channels == 2


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_other_files_are_read(kind: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(tone(500, rate=16_000), "<i2"), 16_000, format=kind)
    upload = read_upload(file.getvalue())
    assert upload.format.rate == 16_000
    assert upload.seconds == pytest.approx(0.5, abs=0.1)


def test_bare_samples() -> None:
    assert read_upload(b"\1\0\2\0\3", bare=AudioFormat(rate=8000)).pcm == b"\1\0\2\0"
    assert read_upload(bytes(80), bare=PHONE).seconds == pytest.approx(0.01)
    assert read_upload(wav(b"\1\0"), bare=PHONE).pcm == b"\1\0", "what has a header is what it says"


@pytest.mark.parametrize("bare", [None, PHONE], ids=["a file", "bare"])
@pytest.mark.parametrize("content", [b"", b"RIFF", wav(b""), b"RIFF\xff\xff\xff\xffWAVEfmt ", b"OggS" + bytes(50)])
def test_what_is_no_audio(content: bytes, bare: AudioFormat | None) -> None:
    with pytest.raises(BadAudio, match="upload"):
        read_upload(content, bare=bare)


class Counting:
    """A recogniser that hears how long it was spoken."""

    traits = SpeechToTextTraits(format=AudioFormat(rate=16_000))
    closed = 0

    def configure(self, config: SessionConfig) -> None: ...

    async def warm(self) -> None: ...

    async def aclose(self) -> None:
        Counting.closed += 1

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript]:
        heard = b""
        async for piece in audio:
            if isinstance(piece, bytes):
                heard += piece
            elif piece.wanted:
                ms = round(self.traits.format.ms(len(heard)), -1)
                yield Transcript(f"{ms:.0f} ms" if ms > 100 else "", final=True, mark=piece.n)


class Plugin:
    @hookimpl
    def register_stages(self, register: RegisterStage) -> None:
        register("stt", "counting", lambda model: Counting(), About(summary=""))


@pytest.fixture
def stages() -> Iterator[None]:
    """A recogniser of these tests is installed."""
    mine = Registry()
    mine.join(Plugin(), "counting")
    before = use_registry(mine)
    yield
    use_registry(before)


async def test_an_utterance_is_written_down_while_it_is_spoken(stages: None) -> None:
    source = AudioFormat(rate=8000)
    ears = LiveRecogniser("counting", source, every_ms=300)
    told = [await ears.push(bytes(source.size(100))) for _ in range(7)]
    assert told == [None, None, "300 ms", None, None, "600 ms", None]
    assert await ears.finish() == "700 ms"
    assert await ears.finish() == ""
    assert [await ears.push(bytes(source.size(150))) for _ in range(2)] == [None, "300 ms"], "a new utterance"
    await ears.aclose()
    assert Counting.closed == 1
