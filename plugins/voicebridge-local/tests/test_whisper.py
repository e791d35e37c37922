"""Whisper on recordings of people, as a choice by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge.contract.config import SessionConfig, Transcription
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, Transcript
from voicebridge_local import whisper
from voicebridge_local.recogniser import Recogniser


def final(stage: Recogniser, samples: NDArray[np.int16]) -> str:
    async def audio() -> AsyncIterator[bytes | Mark]:
        yield samples.tobytes()
        yield Mark(1, fresh=True)

    async def main() -> str:
        await stage.warm()
        [text] = [one.text async for one in stage.listen(audio()) if isinstance(one, Transcript)]
        return text

    return asyncio.run(main())


@pytest.mark.parametrize("make", [whisper.tiny_en, whisper.base])
def test_a_sentence(make: Callable[[], Recogniser], best_of_times: NDArray[np.int16]) -> None:
    stage = make()
    stage.configure(SessionConfig(language="en", transcription=Transcription(keywords=("times",))))
    text = final(stage, best_of_times).lower()
    assert "best of times" in text
    assert "worst of times" in text


def test_more_than_thirty_seconds(two_cities: NDArray[np.int16]) -> None:
    text = final(whisper.tiny_en(), two_cities).lower()
    assert "best of times" in text
    assert "superlative degree" in text


def test_which_languages() -> None:
    whisper.base().configure(SessionConfig(language="de"))
    with pytest.raises(ConfigError, match=r"Whisper tiny\.en understands only en"):
        whisper.tiny_en().configure(SessionConfig(language="de"))
