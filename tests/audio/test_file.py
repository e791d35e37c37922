from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicebridge.audio.file import Repairs, WavWriter, open_recording, read_recording
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio

RATE = 16_000
TONE = np.rint(np.sin(np.arange(RATE) * 0.1) * 12_000).astype(np.int16)


def problem(path: Path) -> str:
    """What `read_recording` says of a file it can't use. Both doors must say it, and name the file."""
    with pytest.raises(BadAudio) as streamed, open_recording(path) as reader:
        for _ in reader:
            pass
    with pytest.raises(BadAudio) as caught:
        read_recording(path)
    assert str(caught.value) == str(streamed.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 256),
        ("a.wav", "PCM_16", 0),
        ("a.wav", "PCM_24", 0),
        ("a.wav", "PCM_32", 0),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.wav", "ULAW", 700),
        ("a.wav", "ALAW", 700),
        ("a.flac", "PCM_16", 0),
        ("a.flac", "PCM_24", 0),
        ("a.ogg", "VORBIS", 2_000),
        ("a.aiff", "PCM_16", 0),
    ],
)
def test_every_kind_of_sample(tmp_path: Path, name: str, subtype: str, error: int) -> None:
    path = tmp_path / name
    soundfile.write(path, TONE / 32768, RATE, subtype=subtype)
    recording = read_recording(path)
    assert recording.format == AudioFormat(rate=RATE)
    assert recording.duration_s == 1.0
    assert recording.channels_in_file == 1
    assert recording.repaired == Repairs()
    assert recording.notes == ()
    assert np.abs(recording.samples.astype(int) - TONE).max() <= error


def test_stereo_48k_becomes_the_mean(tmp_path: Path) -> None:
    left, right = np.array([100, 32767, -32768, 3]), np.array([300, 32767, -32768, 4])
    soundfile.write(tmp_path / "s.wav", np.stack([left, right], axis=1).astype(np.int16), 48_000)
    recording = read_recording(tmp_path / "s.wav")
    assert (recording.rate, recording.channels_in_file) == (48_000, 2)
    assert recording.samples.tolist() == [200, 32767, -32768, 4]


def test_what_floats_can_hold_is_repaired_and_counted(tmp_path: Path) -> None:
    bad = np.array([0.5, np.nan, np.inf, -np.inf, 1.0, 1.5, -2e300, -1.0, 0.25])
    soundfile.write(tmp_path / "f.wav", np.stack([bad, bad], axis=1), RATE, subtype="DOUBLE")
    recording = read_recording(tmp_path / "f.wav")
    assert recording.samples.tolist() == [16384, 0, 0, 0, 32767, 32767, -32768, -32768, 8192]
    assert recording.repaired == Repairs(nan=2, infinite=4, clipped=4)
    assert len(recording.notes) == 2
    assert "6 samples" in recording.notes[0]
    assert "4 samples" in recording.notes[1]


@pytest.mark.parametrize("block_ms", [0.01, 7, 20, 100, 5_000])
def test_blocks_join_to_the_whole(tmp_path: Path, block_ms: float) -> None:
    soundfile.write(tmp_path / "a.wav", TONE[:4_321], RATE)
    with open_recording(tmp_path / "a.wav", block_ms=block_ms) as reader:
        blocks = list(reader)
        assert reader.duration_s == 4_321 / RATE
    assert b"".join(blocks) == TONE[:4_321].tobytes()
    assert {len(block) for block in blocks[:-1]} <= {2 * max(1, round(RATE * block_ms / 1000))}
    assert list(reader) == []


def test_a_block_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, TONE, RATE)
    with open_recording(path, block_ms=20) as reader:
        next(iter(reader))
        assert reader._frames_read == 320
    assert reader._file.closed


def test_missing_names_the_nearest(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hello.wav", TONE, RATE)
    assert f"Did you mean {tmp_path / 'hello.wav'}?" in problem(tmp_path / "helo.wav")
    assert "Check the name" in problem(tmp_path / "zzz")
    assert "Nor does the folder" in problem(tmp_path / "no" / "such.wav")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in problem(tmp_path)
    assert "can't be opened" in problem(tmp_path / "a\0b.wav")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        assert "is a pipe or a device" in problem(tmp_path / "pipe.wav")


def test_no_right_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.wav"
    soundfile.write(path, TONE, RATE)

    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # Tests may run as root, whom no mode bits stop.
    monkeypatch.setattr(Path, "open", refuse)
    assert "chmod u+r" in problem(path)


def test_what_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert "is empty (0 bytes)" in problem(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("This is a transcript, not a recording.\n" * 20)
    assert "is no audio that can be read (Format not recognised). Convert it: `ffmpeg" in problem(tmp_path / "text.wav")
    (tmp_path / "bare.raw").write_bytes(bytes(1_000))
    assert "is no audio that can be read" in problem(tmp_path / "bare.raw")
    (tmp_path / "stub.wav").write_bytes(b"RIFF\x10\0\0\0WAVEfmt ")
    assert "is no audio that can be read" in problem(tmp_path / "stub.wav")


def test_a_rate_beyond_use(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", TONE, 100)
    assert "rate must lie between" in problem(tmp_path / "slow.wav")


def wav_bytes(tmp_path: Path) -> bytes:
    soundfile.write(tmp_path / "full.wav", TONE, RATE)
    return (tmp_path / "full.wav").read_bytes()


def test_header_only(tmp_path: Path) -> None:
    full = wav_bytes(tmp_path)
    path = tmp_path / "header.wav"
    path.write_bytes(full[:40] + b"\0\0\0\0")
    assert "a header but no samples" in problem(path)
    path.write_bytes(full[:44])
    assert "a header but no samples" in problem(path)
    # Samples, but a header that was never completed: another program's crash.
    path.write_bytes(full[:4] + b"\0\0\0\0" + full[8:40] + b"\0\0\0\0" + full[44:])
    assert "never completed" in problem(path)


@pytest.mark.parametrize("cut", [20_001, 46])
def test_a_cut_wav_keeps_what_is_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(wav_bytes(tmp_path)[:cut])
    recording = read_recording(path)
    assert recording.samples.tolist() == TONE[: (cut - 44) // 2].tolist()
    assert recording.notes == (f"{path} ends early: {cut - 44} of the 32000 bytes that its header counts are there.",)


def test_a_wav_that_came_through_a_pipe_is_whole(tmp_path: Path) -> None:
    full = wav_bytes(tmp_path)
    path = tmp_path / "piped.wav"
    path.write_bytes(full[:4] + b"\xff" * 4 + full[8:40] + b"\xff" * 4 + full[44:])
    recording = read_recording(path)
    assert recording.pcm == TONE.tobytes()
    assert recording.notes == ()


def test_a_cut_flac_keeps_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 3 * RATE).astype(np.int16)
    soundfile.write(tmp_path / "full.flac", noise, RATE)
    full = (tmp_path / "full.flac").read_bytes()
    path = tmp_path / "cut.flac"
    path.write_bytes(full[: len(full) // 2])
    recording = read_recording(path)
    assert 1.0 < recording.duration_s < 1.6
    assert recording.pcm == noise.tobytes()[: len(recording.pcm)]
    assert "ends early" in recording.notes[0]
    path.write_bytes(full[:200])
    assert "damaged" in problem(path)


def test_too_long_is_refused_and_can_be_streamed(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(TONE, 3), RATE)
    with pytest.raises(BadAudio, match=r"longer than the 2 s.*ffmpeg"):
        read_recording(path, max_s=2)
    with open_recording(path) as reader:
        assert sum(len(block) for block in reader) == 6 * RATE


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    full = wav_bytes(tmp_path)
    size = 4_000_000_000
    with path.open("wb") as file:
        file.write(full[:4] + struct.pack("<I", size + 36) + full[8:40] + struct.pack("<I", size))
        file.truncate(size + 44)  # sparse: takes no room
    with pytest.raises(BadAudio, match="longer than"):
        read_recording(path)
    with open_recording(path) as reader:
        assert len(next(iter(reader))) == 3_200


@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw"])
@pytest.mark.parametrize("channels", [1, 2])
def test_written_and_read_back(tmp_path: Path, encoding: str, channels: int) -> None:
    format = AudioFormat(encoding=encoding, rate=8_000, channels=channels)
    path = tmp_path / "w.wav"
    data = bytes(range(251)) * 40
    with WavWriter(path, format) as writer:
        for start in range(0, len(data), 77):
            writer.write(data[start : start + 77])
    whole = len(data) - len(data) % format.frame_bytes
    assert writer.leftover_bytes == len(data) - whole
    assert writer.duration_s == format.ms(whole) / 1000
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.channels) == (8_000, channels)
        assert file.frames == whole // format.frame_bytes
        assert file.subtype == {"pcm16": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}[encoding]
    body = path.read_bytes()
    assert struct.unpack("<I", body[4:8])[0] == len(body) - 8
    if encoding == "pcm16":
        with wave.open(str(path)) as file:
            assert file.readframes(file.getnframes()) == data[:whole]


def test_it_can_be_played_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "grow.wav"
    format = AudioFormat(rate=RATE)
    with WavWriter(path, format, header_every_s=0.5) as writer:
        with pytest.raises(BadAudio, match="a header but no samples"):
            read_recording(path)
        for n in range(1, 101):
            writer.write(TONE[:320].tobytes())
            assert 0 <= n * 0.02 - read_recording(path).duration_s <= 0.5
        assert path.stat().st_size == 44 + 100 * 640
    assert read_recording(path).duration_s == 2.0
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"\0\0")


def test_a_killed_program_leaves_a_playable_file(tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    program = (
        "import os, signal, sys\n"
        "from voicebridge.audio.file import WavWriter\n"
        "from voicebridge.contract.audio import AudioFormat\n"
        "writer = WavWriter(sys.argv[1], AudioFormat(rate=16000))\n"
        "for n in range(60): writer.write(bytes(640))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert 0.7 <= read_recording(path).duration_s <= 1.2
    assert path.stat().st_size == 44 + 60 * 640


def test_an_exception_inside_completes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "stopped.wav"

    def interrupted() -> None:
        with WavWriter(path, AudioFormat(rate=RATE)) as writer:
            for _ in range(7):
                writer.write(bytes(640))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read_recording(path).duration_s == 0.14


def test_where_it_cannot_write(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "such.wav", tmp_path / "a\0.wav"):
        with pytest.raises(BadAudio, match="can't be written"):
            WavWriter(path, AudioFormat())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_no_room(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match=r"can't be written any further.*No space"):
        WavWriter("/dev/full", AudioFormat())


def test_no_room_later_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.wav"
    writer = WavWriter(path, AudioFormat(rate=RATE))
    for _ in range(10):
        writer.write(bytes(640))
    whole = writer._file

    class Full:
        closed = False
        seek = staticmethod(whole.seek)

        @staticmethod
        def write(data: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_file", Full)
    with pytest.raises(BadAudio, match=r"first 0\.2 s can be played"):
        writer.write(bytes(640))
    monkeypatch.setattr(writer, "_file", whole)
    writer.close()
    assert read_recording(path).duration_s == 0.2


def test_four_gigabytes_are_the_end(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "w.wav", AudioFormat(rate=RATE)) as writer:
        writer.write(bytes(640))
        writer._written = 0xFFFFFFFF - 100
        with pytest.raises(BadAudio, match="4 GB"):
            writer.write(bytes(640))
        writer._written = 640
