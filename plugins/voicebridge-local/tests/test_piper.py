"""Piper's voice: what it says can be understood, begins at once and goes on without a gap."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Flush, Speech, Usage
from voicebridge_local import piper
from voicebridge_local.dialogue import OPENERS
from voicebridge_local.moonshine import Moonshine
from voicebridge_local.piper import Piper, PiperVoice
from voicebridge_local.recogniser import Hints
from voicebridge_local.worker import Stop, Stopped

RATE = 22_050


def spoken(*clauses: str | Flush, stage: PiperVoice | None = None) -> list[Speech | Usage]:
    async def text() -> AsyncIterator[str | Flush]:
        for clause in clauses:
            yield clause

    async def main() -> list[Speech | Usage]:
        voice = stage or piper.voice()
        await voice.warm()
        outputs = [output async for output in voice.speak(text())]
        await voice.aclose()
        return outputs

    return asyncio.run(main())


def samples(outputs: list[Speech | Usage]) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(one.pcm for one in outputs if isinstance(one, Speech)), "<i2")


def silences(pcm: NDArray[np.int16]) -> tuple[float, float]:
    """Milliseconds of silence before and after the voice."""
    heard = np.flatnonzero(np.abs(pcm) > 330)
    return heard[0] * 1000 / RATE, (len(pcm) - heard[-1]) * 1000 / RATE


def test_a_recogniser_understands_it() -> None:
    pcm = samples(spoken("Well,", " the weather will be sunny tomorrow."))
    heard = soxr.resample(pcm.astype(np.float32) / 32768, RATE, 16_000)
    text = Moonshine.load().transcribe(heard, (), Stop(), Hints()).text.lower()
    assert "the weather will be sunny tomorrow" in text


def test_it_begins_at_once_and_keeps_a_pause_between_clauses() -> None:
    first, second = [one for one in spoken("Yes,", " I can hear you.") if isinstance(one, Speech)]
    lead, trail = silences(np.frombuffer(first.pcm, "<i2"))
    assert lead <= 10
    assert 20 <= trail <= 130
    lead, trail = silences(np.frombuffer(second.pcm, "<i2"))
    assert lead <= 45
    assert trail <= 250


def test_each_piece_tells_its_text_once() -> None:
    outputs = spoken("First one. Then another.", " Last", Flush(), " words.")
    texts = [one.text for one in outputs if isinstance(one, Speech)]
    assert texts == ["First one. Then another.", "", " Last", " words."]
    assert sum(one.units["characters"] for one in outputs if isinstance(one, Usage)) == len("".join(texts))


@pytest.mark.parametrize("nothing", ["", "   ", "...", "—", "😀", "*"])
def test_what_can_not_be_spoken_is_passed_over(nothing: str) -> None:
    outputs = spoken(nothing, "Yes.")
    speech = [one for one in outputs if isinstance(one, Speech)]
    assert "".join(one.text for one in speech) == f"{nothing}Yes."
    assert len(samples(outputs)) > 0


def test_no_text_no_sound() -> None:
    assert spoken() == []
    assert spoken(Flush()) == []


def test_speed() -> None:
    text = "The quick brown fox jumps over the lazy dog."
    lengths = []
    for speed in (0.7, None, 1.5):
        stage = piper.voice()
        stage.configure(SessionConfig(speed=speed, voice="joe", language="en-US"))
        lengths.append(len(samples(spoken(text, stage=stage))))
    assert lengths[0] > 1.2 * lengths[1]
    assert lengths[1] > 1.2 * lengths[2]


def test_a_voice_or_a_language_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"'joe'.*'amy'"):
        piper.voice().configure(SessionConfig(voice="amy"))
    with pytest.raises(ConfigError, match=r"English.*'de'"):
        piper.voice().configure(SessionConfig(language="de"))


def test_it_is_never_louder_than_full_scale_nor_silent() -> None:
    pcm = samples(spoken("No!", " That can't be true!", " What a surprise!"))
    assert 8_000 < np.abs(pcm.astype(int)).max() <= 32_767
    assert np.mean(np.abs(pcm.astype(int)) >= 32_766) < 0.001


def test_openers_are_remembered_and_others_forgotten() -> None:
    model = Piper.load()
    for opener in OPENERS:
        [sounds] = model.sentences(f"{opener},")
        assert model.remembered(sounds, 1.0) is not None, opener
    [sounds] = model.sentences("Yes,")
    kept = model.remembered(sounds, 1.0)
    assert kept is not None
    assert model.remembered(sounds, 1.5) is None
    [long] = model.sentences("This is quite a long sentence, and nobody will say it twice.")
    model.speak(long, 1.0, Stop())
    assert model.remembered(long, 1.0) is None
    for number in range(100):
        model._spoken[(number,), 1.0] = np.zeros(1, np.float32)
    model.speak(sounds, 1.0, Stop())
    assert len(model._spoken) <= 101  # those put there by hand, and no more
    assert model.remembered(sounds, 1.0) is not None


def test_told_to_stop_it_stops() -> None:
    model = Piper.load()
    stop = Stop()
    stop.set()
    [sounds] = model.sentences("This is quite a long sentence, and nobody will hear it.")
    with pytest.raises(Stopped):
        model.speak(sounds, 1.0, stop)


def test_cancelled_it_leaves_no_task() -> None:
    async def main() -> int:
        voice = piper.voice()
        await voice.warm()

        async def text() -> AsyncIterator[str | Flush]:
            while True:
                yield "It was the best of times, it was the worst of times, and so it went on for many years."

        async def speak() -> None:
            async for _ in voice.speak(text()):
                pass

        task = asyncio.create_task(speak())
        await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
