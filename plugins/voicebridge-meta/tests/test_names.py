"""Names of what does not exist say so, wherever they are put."""

from __future__ import annotations

import pytest

import voicebridge
from voicebridge.registry.registry import registry


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("meta/voicebox", "no public API and no weights.*local/piper-joe"),
        ("meta/llama-3.2-voice", "no 'Llama 3.2 Voice'.*ollama/llama3.2"),
        ("local/moonshine-tiny-en+local/gemma-3-270m+meta/voicebox", "no public API and no weights"),
        ("local/moonshine-tiny-en+meta/llama-3.2-voice+local/piper-joe", "no 'Llama 3.2 Voice'"),
    ],
)
async def test_the_answer_says_what_is_and_what_comes_nearest(spec: str, words: str) -> None:
    with pytest.raises(voicebridge.Unsupported, match=words):
        async with voicebridge.connect(spec):
            pass


def test_the_list_says_so_too() -> None:
    rows = {row.name: row for row in registry().rows().backends}
    for name in ("meta/voicebox", "meta/llama-3.2-voice"):
        assert rows[name].about.unavailable
        assert not rows[name].about.alone
