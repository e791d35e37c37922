"""With the models that are installed: what one endpoint speaks, the other hears."""

from __future__ import annotations

import pytest

from voicebridge.registry.registry import registry

INSTALLED = {row.seat for row in registry().rows().stages if not row.about.missing()}


@pytest.mark.skipif(not {"stt", "tts"} <= INSTALLED, reason="the extra `local` brings the models")
async def test_what_is_spoken_is_heard(serve):
    async with serve(voice="installed", recogniser="installed") as api:
        api.http.timeout = 60
        spoken = await api.speech("What is the weather in London today?", response_format="wav")
        heard = await api.upload(spoken.content)
    assert "weather in london" in heard["text"].lower()
    # 7 words are no less than 1 s and no more than 6 s of speech.
    assert 10 <= heard["usage"]["input_tokens"] <= 60
