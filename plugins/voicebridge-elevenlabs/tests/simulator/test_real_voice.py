"""With the models that are installed: what it speaks, it understands."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.audio.converter import Converter
from voicebridge.contract.stages import PCM_16K, Mark, Speech, Transcript
from voicebridge.registry.registry import registry

INSTALLED = {row.seat for row in registry().rows().stages if not row.about.missing() and row.name.startswith("local/")}
TEXT = "What is the weather in London today?"


@pytest.mark.skipif(not {"stt", "tts"} <= INSTALLED, reason="the extra `local` brings the models")
@pytest.mark.parametrize("model", ["scribe_v2_realtime", "scribe_v2"])
async def test_a_real_voice_is_heard_by_a_real_recogniser(serve: Any, stream: Any, model: str) -> None:
    async with serve(voice="installed", recogniser="installed") as vendor:
        voice, recogniser = vendor.voice(), vendor.recogniser(model)
        speech = [one async for one in voice.speak(stream(TEXT)) if isinstance(one, Speech)]
        converter = Converter(voice.traits.format, PCM_16K)
        pcm = converter.convert(b"".join(one.pcm for one in speech)) + converter.flush()
        told = [one async for one in recogniser.listen(stream(pcm, Mark(1))) if isinstance(one, Transcript)]
        await voice.aclose()
        await recogniser.aclose()
    assert "".join(one.text for one in speech) == TEXT
    assert [word.text for one in speech for word in one.words] == TEXT.split()
    assert "weather in london" in told[-1].text.lower()
