"""What one frame of 20 ms costs on its way, outside of models."""

import asyncio

import numpy as np
import pytest

from voicebridge.audio.converter import Converter
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.events import OutputAudio
from voicebridge.contract.lines import dump, load

FRAME = (np.sin(np.arange(480) / 5) * 8000).astype("<i2").tobytes()
FORMATS = {
    "16k": AudioFormat(rate=16_000),
    "22.05k": AudioFormat(rate=22_050),
    "48k": AudioFormat(rate=48_000),
    "ulaw": AudioFormat(encoding="ulaw", rate=8_000),
}


@pytest.mark.parametrize("target", FORMATS)
def test_resampler(benchmark, target: str) -> None:
    """From the door's format to another one."""
    whole = Converter(DOOR_FORMAT, FORMATS[target])
    out = b"".join([*(whole.convert(FRAME) for _ in range(50)), whole.flush()])
    assert abs(FORMATS[target].ms(len(out)) - 1000) < 0.2, "a second stays a second"
    benchmark(Converter(DOOR_FORMAT, FORMATS[target]).convert, FRAME)


def test_send_audio(benchmark) -> None:
    """A command is made."""
    assert SendAudio(pcm=FRAME).pcm is FRAME
    benchmark(SendAudio, pcm=FRAME)


def test_round_trip_of_an_event(benchmark) -> None:
    """To a line of JSON and back."""
    event = OutputAudio(response_id="r1", pcm=FRAME, offset_ms=20.0, at=1.5)
    assert load(dump(event)) == event
    benchmark(lambda: load(dump(event)))


def test_energy_detector(benchmark) -> None:
    """The detector that comes without a model."""
    detector = EnergyDetector()
    loop = asyncio.new_event_loop()
    frame = FRAME[:640]
    try:
        signals = loop.run_until_complete(detector.push(frame * 50))
        assert [signal.phase for signal in signals] == ["speech"]
        benchmark(lambda: loop.run_until_complete(detector.push(frame)))
    finally:
        loop.close()
