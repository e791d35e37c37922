"""Both sides of a conversation in two files that fit together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicebridge import AudioFormat, BadAudio
from voicebridge.cli.recorder import Recorder

FORMAT = AudioFormat(rate=16_000)
FRAME = FORMAT.size(20)


class Microphone:
    format = FORMAT

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"\x01\x00" * (FRAME // 2)


class Speaker:
    """Plays what it is given, as far as the test lets it."""

    format = FORMAT

    def __init__(self) -> None:
        self.played: dict[str, float] = {}
        self.cleared = 0
        self.ended = 0
        self.held: list[str] = []

    def play(self, pcm: bytes, response_id: str = "") -> None: ...

    def end(self) -> None:
        self.ended += 1

    def clear(self) -> float:
        self.cleared += 1
        return 0.0

    def drop(self, response_ids: Collection[str]) -> dict[str, float]:
        return {one: self.played.get(one, 0.0) + 20 for one in response_ids}  # the device still holds 20 ms

    def pause(self) -> None:
        self.held.append("pause")

    def resume(self) -> None:
        self.held.append("resume")

    def duck(self, on: bool) -> None:
        self.held.append(f"duck {on}")

    def played_ms(self, response_id: str = "") -> float:
        return self.played.get(response_id, 0.0)

    def progress(self) -> dict[str, float]:
        return self.played


def sound(value: int, ms: float) -> bytes:
    return value.to_bytes(2, "little") * (FORMAT.size(ms) // 2)


def test_the_agents_side_holds_what_was_heard_when_it_was_heard(tmp_path: Path) -> None:
    speaker = Speaker()
    with Recorder(tmp_path / "new" / "folder", Microphone(), speaker) as recorder:

        async def main() -> None:
            frames = aiter(recorder.microphone)
            for frame in range(100):  # two seconds
                await anext(frames)
                if frame == 24:
                    recorder.speaker.play(sound(7, 1000), "r1")
                    recorder.speaker.play(sound(8, 600), "r2")
                now_ms = (frame + 1) * 20
                if 500 < now_ms <= 1500:
                    speaker.played["r1"] = now_ms - 500
                if 1500 < now_ms <= 1800:
                    speaker.played["r2"] = now_ms - 1500
                if now_ms == 1800:
                    recorder.speaker.clear()

        asyncio.run(main())
        assert recorder.speaker.progress() is speaker.played
        recorder.speaker.end()
    assert (speaker.cleared, speaker.ended) == (1, 1)
    user, rate = soundfile.read(tmp_path / "new" / "folder" / "microphone.wav", dtype="int16")
    agent, _ = soundfile.read(tmp_path / "new" / "folder" / "speaker.wav", dtype="int16")
    assert rate == 16_000
    assert len(user) == len(agent) == 2 * rate
    assert (user == 1).all()
    starts = {value: np.flatnonzero(agent == value)[0] * 1000 / rate for value in (7, 8)}
    assert starts == {7: pytest.approx(500, abs=20), 8: pytest.approx(1500, abs=20)}
    assert [(agent == value).sum() * 1000 / rate for value in (7, 8)] == [1000, 300]


def test_of_a_response_that_is_dropped_only_what_the_device_holds_follows(tmp_path: Path) -> None:
    speaker = Speaker()
    with Recorder(tmp_path, Microphone(), speaker) as recorder:

        async def main() -> None:
            frames = aiter(recorder.microphone)
            recorder.speaker.play(sound(7, 1000), "r1")
            recorder.speaker.play(sound(8, 100), "r2")
            for frame in range(20):
                await anext(frames)
                if frame < 5:
                    speaker.played["r1"] = frame * 20
                elif frame == 5:
                    assert recorder.speaker.drop(["r1"]) == {"r1": 100}
                    speaker.played["r1"] = 100
                elif frame < 11:
                    speaker.played["r2"] = (frame - 5) * 20

        asyncio.run(main())
        recorder.speaker.pause()
        recorder.speaker.duck(True)
        recorder.speaker.resume()
    agent, rate = soundfile.read(tmp_path / "speaker.wav", dtype="int16")
    assert [(agent == value).sum() * 1000 / rate for value in (7, 8)] == [100, 100]
    assert speaker.held == ["pause", "duck True", "resume"]


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadAudio, match="can't be a folder"):
        Recorder(tmp_path / "file" / "below", Microphone(), Speaker())


def test_one_file_that_can_not_be_made_leaves_none_open(tmp_path: Path) -> None:
    (tmp_path / "speaker.wav").mkdir()
    with pytest.raises(BadAudio, match=r"speaker\.wav"):
        Recorder(tmp_path, Microphone(), Speaker())
