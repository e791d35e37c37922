from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voicebridge.audio import device as device_module
from voicebridge.audio import portaudio
from voicebridge.audio.converter import Converter
from voicebridge.audio.device import Microphone, Speaker
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import NoSoundDevice

MS = 48  # bytes of a millisecond at the door


class FakeError(Exception):
    pass


class FakeStream:
    """Keeps the callback contract of a raw stream of sounddevice. A test turns the crank: `hear` and `fill`."""

    latency = 0.0

    def __init__(self, library: FakeLibrary, **wanted: Any) -> None:
        self.library, self.wanted = library, wanted
        self.state = "made"
        library.streams.append(self)

    def start(self) -> None:
        if self.library.start_fails:
            raise FakeError("Device unavailable [PaErrorCode -9985]")
        self.state = "running"

    def abort(self) -> None:
        if self.state == "running":
            self.wanted["finished_callback"]()
        self.state = "stopped"

    def close(self) -> None:
        self.state = "closed"

    def hear(self, pcm: bytes, *, overflow: bool = False) -> None:
        """From a thread of its own, as PortAudio does."""
        status = SimpleNamespace(input_overflow=overflow)
        self._in_thread(lambda: self.wanted["callback"](memoryview(pcm), len(pcm) // 2, self._times(0), status))

    def fill(self, ms: float, ahead_s: float = 0.0) -> bytes:
        out = bytearray(b"\xff" * (int(self.wanted["samplerate"] * ms / 1000) * 2 * self.wanted["channels"]))
        self._in_thread(lambda: self.wanted["callback"](out, len(out) // 2, self._times(ahead_s), SimpleNamespace()))
        return bytes(out)

    def _times(self, ahead_s: float) -> SimpleNamespace:
        return SimpleNamespace(currentTime=100.0, outputBufferDacTime=100.0 + ahead_s, inputBufferAdcTime=99.9)

    def _in_thread(self, job: Callable[[], None]) -> None:
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()


class FakeLibrary:
    PortAudioError = FakeError

    def __init__(
        self, *, rates: tuple[int, ...] = (24_000,), channels: tuple[int, ...] = (1, 2), start_fails: bool = False
    ) -> None:
        self.rates, self.channels, self.start_fails = rates, channels, start_fails
        self.streams: list[FakeStream] = []
        self.about: dict[str, Any] | None = {
            "default_samplerate": float(rates[0]),
            "max_input_channels": max(channels),
            "max_output_channels": max(channels),
        }
        self.may_open = threading.Event()
        self.may_open.set()

    def query_devices(self, device: int | str | None, kind: str) -> Any:
        assert self.may_open.wait(30)
        if self.about is None:
            raise FakeError("Error querying device -1")
        return self.about

    def RawInputStream(self, **wanted: Any) -> FakeStream:
        if wanted["samplerate"] not in self.rates:
            raise FakeError("Invalid sample rate [PaErrorCode -9997]")
        if wanted["channels"] not in self.channels:
            raise FakeError("Invalid number of channels [PaErrorCode -9998]")
        assert wanted["dtype"] == "int16"
        return FakeStream(self, **wanted)

    RawOutputStream = RawInputStream


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story to its end, and see that it leaves no thread and no task behind."""
    before = set(threading.enumerate())

    async def watched() -> None:
        await story()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(watched())
    assert set(threading.enumerate()) <= before


def test_microphone_yields_what_was_heard() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Microphone(library=library) as microphone:
            stream = library.streams[0]
            assert (stream.state, stream.wanted["blocksize"]) == ("running", 480)
            stream.hear(b"\1" * 20 * MS)
            stream.hear(b"\2" * 20 * MS)
            assert await anext(microphone) == b"\1" * 20 * MS
            assert await anext(microphone) == b"\2" * 20 * MS
            waiting = asyncio.ensure_future(anext(microphone))
            await asyncio.sleep(0)
            assert not waiting.done()
            stream.hear(b"\3" * 20 * MS, overflow=True)
            assert await waiting == b"\3" * 20 * MS
            assert (microphone.overflows, microphone.dropped_ms) == (1, 0)
        assert stream.state == "closed"
        assert [piece async for piece in microphone] == []

    run(story)


def test_a_wait_may_be_cancelled_without_loss() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Microphone(library=library) as microphone:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(microphone), 0)
            library.streams[0].hear(b"\1" * 20 * MS)
            assert await anext(microphone) == b"\1" * 20 * MS

    run(story)


def test_closing_ends_the_iteration() -> None:
    async def story() -> None:
        microphone = Microphone(library=FakeLibrary())
        async with microphone:
            waiting = asyncio.ensure_future(anext(microphone, b"ended"))
            await asyncio.sleep(0)
            microphone.close()
            assert await waiting == b"ended"
            microphone.close()

    run(story)


def test_what_nobody_reads_is_bounded_and_counted() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Microphone(limit_ms=100, library=library) as microphone:
            for n in range(8):
                library.streams[0].hear(bytes([n]) * 20 * MS)
            assert microphone.dropped_ms == 60
            assert [(await anext(microphone))[0] for _ in range(5)] == [3, 4, 5, 6, 7]

    run(story)


def test_a_device_that_goes_away() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Microphone(library=library) as microphone, Speaker(library=library) as speaker:
            library.streams[0].hear(b"\1" * 20 * MS)
            for stream in library.streams:
                stream.wanted["finished_callback"]()
            assert await anext(microphone) == b"\1" * 20 * MS
            with pytest.raises(NoSoundDevice, match="microphone went away"):
                await anext(microphone)
            with pytest.raises(NoSoundDevice, match="speaker went away"):
                speaker.play(b"\0\0")
            await speaker.drain()

    run(story)


def test_a_device_that_goes_away_and_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "LOST_AFTER_S", 0.01)

    async def story() -> None:
        library = FakeLibrary()
        async with Microphone(library=library) as microphone, Speaker(library=library) as speaker:
            with pytest.raises(NoSoundDevice, match="microphone went away"):
                await anext(microphone)
            speaker.play(b"\1" * 20 * MS)
            await speaker.drain()
            with pytest.raises(NoSoundDevice, match="speaker went away"):
                speaker.play(b"\1" * 20 * MS)

    run(story)


def test_a_device_that_does_not_stop_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portaudio, "_CLOSE_S", 0.01)
    server_answers = threading.Event()

    class Stuck(FakeStream):
        def abort(self) -> None:
            server_answers.wait(30)

    library = FakeLibrary()
    monkeypatch.setattr(library, "RawInputStream", lambda **wanted: Stuck(library, **wanted))

    async def story() -> None:
        async with Microphone(library=library):
            pass

    asyncio.run(story())
    assert "does not stop" in caplog.text
    server_answers.set()


@pytest.mark.parametrize(
    ("library", "rate", "channels"),
    [
        (FakeLibrary(rates=(48_000, 24_000)), 24_000, 1),
        (FakeLibrary(rates=(48_000,)), 48_000, 1),
        (FakeLibrary(rates=(44_100,), channels=(2,)), 44_100, 2),
    ],
)
def test_a_device_runs_at_its_own_rate_where_it_must(library: FakeLibrary, rate: int, channels: int) -> None:
    tone = np.rint(np.sin(np.arange(24_000) * 0.1) * 9_000).astype("<i2").tobytes()
    device = AudioFormat(rate=rate, channels=channels)

    async def story() -> None:
        async with Microphone(library=library) as microphone, Speaker(library=library) as speaker:
            ear, mouth = library.streams[-2:]
            assert microphone.device_format == speaker.device_format == device
            at_device = Converter(DOOR_FORMAT, device).convert(tone)
            heard = b""
            piece = device.size(20)
            for start in range(0, len(at_device), piece):
                ear.hear(at_device[start : start + piece])
            for _ in range(45):
                heard += await anext(microphone)
            assert len(heard) == 45 * 20 * MS
            error = np.frombuffer(heard, "<i2")[500:].astype(int) - np.frombuffer(tone, "<i2")[500 : len(heard) // 2]
            assert np.abs(error).max() < 8
            speaker.play(tone[:-1], "r")
            speaker.play(tone[-1:], "r")
            speaker.end()
            assert speaker.queued_ms == 1_000
            assert mouth.fill(1_000) == Converter(DOOR_FORMAT, device).convert(tone) + mouth_tail(tone, device)

    run(story)


def mouth_tail(tone: bytes, device: AudioFormat) -> bytes:
    converter = Converter(DOOR_FORMAT, device)
    converter.convert(tone)
    return converter.flush()


def test_speaker_counts_what_was_heard() -> None:
    now = [10.0]

    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: now[0]) as speaker:
            stream = library.streams[0]
            speaker.play(b"\1" * 100 * MS, "a")
            speaker.play(b"\2" * 100 * MS, "b")
            assert stream.fill(120, ahead_s=0.03) == b"\1" * 100 * MS + b"\2" * 20 * MS
            assert speaker.played_ms("a") == 0
            now[0] += 0.13
            assert speaker.played_ms("a") == pytest.approx(100)
            assert speaker.progress() == {"a": pytest.approx(100), "b": pytest.approx(0)}
            now[0] += 0.01
            assert speaker.progress() == {"b": pytest.approx(10)}
            assert speaker.progress() == {}
            assert speaker.clear() == pytest.approx(80)
            assert stream.fill(20) == bytes(20 * MS)
            now[0] += 1
            assert speaker.played_ms("b") == pytest.approx(20)
            assert speaker.underrun_ms == 0
            await speaker.drain()

    run(story)


def test_pause_and_underrun() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: 0.0) as speaker:
            stream = library.streams[0]
            speaker.play(b"\1" * 40 * MS, "a")
            speaker.pause()
            assert stream.fill(20) == bytes(20 * MS)
            speaker.resume()
            assert stream.fill(60) == b"\1" * 40 * MS + bytes(20 * MS)
            assert speaker.underrun_ms == 20
            speaker.end()
            stream.fill(60)
            assert speaker.underrun_ms == 20

    run(story)


def test_the_streams_latency_counts_where_its_times_are_nought() -> None:
    now = [0.0]

    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: now[0]) as speaker:
            library.streams[0].latency = 0.05
            speaker.play(b"\1" * 20 * MS, "a")
            library.streams[0].fill(20)
            now[0] = 0.05
            assert speaker.played_ms("a") == 0
            # Closed now, the rest that the device held is never heard.
            now[0] = 0.06
            speaker.close()
            now[0] = 9.0
            assert speaker.played_ms("a") == pytest.approx(10)

    run(story)


def test_drain_waits_for_the_device() -> None:
    now = [0.0]

    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: now[0]) as speaker:
            speaker.play(b"\1" * 20 * MS, "a")
            draining = asyncio.ensure_future(speaker.drain())
            await asyncio.sleep(0)
            assert not draining.done()
            library.streams[0].fill(20)
            now[0] = 1.0
            await draining

    run(story)


def test_a_queue_that_is_full_drops_and_counts() -> None:
    async def story() -> None:
        async with Speaker(limit_ms=100, library=FakeLibrary()) as speaker:
            speaker.play(b"\1" * 150 * MS)
            assert (speaker.queued_ms, speaker.dropped_ms) == (100, 50)

    run(story)


def test_before_and_after() -> None:
    async def story() -> None:
        speaker, microphone = Speaker(library=FakeLibrary()), Microphone(library=FakeLibrary())
        with pytest.raises(ValueError, match="not open"):
            speaker.play(b"\0\0")
        with pytest.raises(ValueError, match="not open"):
            await anext(microphone)
        speaker.close()
        speaker.play(b"\0\0")
        microphone.close()
        assert await anext(microphone, None) is None

    run(story)


@pytest.mark.parametrize("door", [Microphone, Speaker])
def test_no_device(door: Any) -> None:
    async def story() -> None:
        library = FakeLibrary()
        library.about = None
        with pytest.raises(NoSoundDevice, match=r"Error querying device -1.*voicebridge ask FILE\.wav"):
            await door(library=library).__aenter__()
        with pytest.raises(NoSoundDevice, match=r"can't be opened \(Device unavailable.*voicebridge ask FILE\.wav"):
            await door(library=(busy := FakeLibrary(start_fails=True))).__aenter__()
        assert {stream.state for stream in busy.streams} == {"closed"}

    run(story)


@pytest.mark.parametrize("door", [Microphone, Speaker])
def test_cancelled_while_it_opens(door: Any) -> None:
    async def story() -> None:
        library = FakeLibrary()
        library.may_open.clear()
        entering = asyncio.ensure_future(door(library=library).__aenter__())
        await asyncio.sleep(0.01)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        library.may_open.set()
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)
        assert [stream.state for stream in library.streams] == ["closed"]

    run(story)


def test_ctrl_c_closes_the_device() -> None:
    library = FakeLibrary()

    async def talk() -> None:
        async with Microphone(library=library) as microphone, Speaker(library=library) as speaker:
            library.streams[0].hear(b"\1" * 20 * MS)
            async for pcm in microphone:
                speaker.play(pcm)
                raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(talk())
    assert [stream.state for stream in library.streams] == ["closed", "closed"]
    assert set(threading.enumerate()) <= before


def test_a_callback_after_the_loop_has_gone_is_harmless() -> None:
    library = FakeLibrary()

    async def leave() -> Microphone:
        return await Microphone(library=library).__aenter__()

    microphone = asyncio.run(leave())
    library.streams[0].hear(b"\1" * 20 * MS)
    microphone.close()
    del microphone
    gc.collect()


@pytest.mark.parametrize("what", ["ImportError('no module')", "OSError('PortAudio library not found')"])
@pytest.mark.parametrize("door", ["Microphone", "Speaker"])
def test_without_the_library(door: str, what: str) -> None:
    # In a process of its own, where sounddevice can't be imported: however this machine is equipped.
    program = f"""
import asyncio, sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "sounddevice":
            raise {what}

sys.meta_path.insert(0, Broken())
import voicebridge.audio.device as device
from voicebridge.contract.errors import NoSoundDevice

async def main():
    try:
        async with device.{door}():
            print("opened")
    except NoSoundDevice as error:
        print(error)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "is not installed" in done.stdout
    assert "voicebridge ask FILE.wav" in done.stdout
    assert ("libportaudio2" if "OSError" in what else "pip install '.[mic]'") in done.stdout


def test_importing_it_loads_no_sound_library() -> None:
    program = "import sys, voicebridge.audio.device; print('sounddevice' in sys.modules, 'soxr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_one_response_is_dropped_and_the_next_one_is_heard() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: 0.0) as speaker:
            stream = library.streams[0]
            speaker.play(b"\1" * 40 * MS, "a")
            speaker.play(b"\2" * 20 * MS, "b")
            stream.fill(10)
            speaker.drop(["a"])
            assert stream.fill(30) == b"\2" * 20 * MS + bytes(10 * MS)

    run(story)


def test_what_the_conversion_holds_of_a_dropped_response_is_not_heard() -> None:
    async def story() -> None:
        library = FakeLibrary(rates=(48_000,))
        async with Speaker(library=library, clock=lambda: 0.0) as speaker:
            speaker.play(b"\0\x20" * 20 * MS, "a")
            speaker.drop(["a"])
            speaker.play(bytes(20 * MS), "b")
            speaker.end()
            assert not any(library.streams[0].fill(20))

    run(story)


def test_a_ducked_speaker_is_softer() -> None:
    async def story() -> None:
        library = FakeLibrary()
        async with Speaker(library=library, clock=lambda: 0.0) as speaker:
            stream = library.streams[0]
            speaker.play(b"\0\x20" * 60 * (MS // 2), "a")
            speaker.duck(True)
            stream.fill(20)
            assert stream.fill(10) == b"\0\x08" * 10 * (MS // 2)
            speaker.duck(False)
            stream.fill(20)
            assert stream.fill(10) == b"\0\x20" * 10 * (MS // 2)

    run(story)
