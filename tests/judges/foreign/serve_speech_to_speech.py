"""Hugging Face speech-to-speech 1.1.0 as a server that others wrote, without a network: for test_foreign_server.py.

Run it in an environment of its own that holds that package (plugins/voicebridge-openai/README.md has the commands):

    python tests/judges/foreign/serve_speech_to_speech.py 8765

The server, its wire and its Silero speech detection are real. What it would fetch from a hub is taken from packages
instead, and the services behind it are those of services.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import nltk
import services
import torch

PIPELINES = "12"
"""One for each client; it takes a moment until that of one that left is free again."""


def _speech_detector(*_: object, **__: object) -> tuple[torch.jit.ScriptModule, tuple[()]]:
    """What `torch.hub.load` would fetch, out of the silero-vad wheel. Importing that package would need torchaudio."""
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None
    assert spec.submodule_search_locations
    torch.set_num_threads(1)
    return torch.jit.load(Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit", map_location="cpu"), ()


def _sentences(text: str, *_: object, **__: object) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence]


def main(port: str) -> None:
    torch.hub.load = _speech_detector
    nltk.data.find = lambda *_, **__: None  # the model that splits sentences is a download, too
    nltk.download = lambda *_, **__: True
    nltk.sent_tokenize = _sentences
    url = services.start()
    sys.argv = [
        "speech-to-speech",
        "serve",
        *("--host", "127.0.0.1", "--port", port, "--no_smart_turn"),
        *("--num_pipelines", PIPELINES),
        *("--stt", "openai", "--openai_stt_base_url", url, "--openai_stt_model", "stub"),
        *("--llm_backend", "chat-completions", "--model_name", "stub"),
        *("--responses_api_base_url", url, "--responses_api_api_key", "none"),
        *("--tts", "openai", "--openai_tts_base_url", url, "--openai_tts_model", "stub"),
    ]
    from speech_to_speech.cli import main as serve

    serve()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "8765")
