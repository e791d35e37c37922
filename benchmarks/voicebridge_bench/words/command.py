"""What `voicebridge bench wer` was asked: recognisers, or whole speech-to-speech backends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebridge_bench.command_line import option_words
from voicebridge_bench.options import backend_options, names

from .bench_speech import SpeechRequest, bench_speech
from .bench_wer import Request, bench_wer

__all__ = ["Asked", "bench_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The words of the command line."""

    set: str
    stt: str
    backend: str | None
    simulate: str | None
    utterances: int
    options: Sequence[str]
    seed: int
    out: Path | None
    json: bool
    markdown: bool


def bench_words(asked: Asked) -> int:
    """Measure, report, and give the exit status.

    Raises:
        VoiceBridgeError: something that was named can't be had.
    """
    options = backend_options(asked.options)
    words = [
        "voicebridge",
        "bench",
        "wer",
        "--set",
        Path(asked.set).name,
        "--stt",
        asked.stt,
        "--seed",
        str(asked.seed),
    ]
    if asked.backend is not None or asked.simulate is not None:
        return _bench_backends(asked, options, words)
    request = Request(
        recognisers=names(asked.stt),
        set=asked.set,
        options=options,
        seed=asked.seed,
        out=asked.out,
        json=asked.json,
        markdown=asked.markdown,
        command=shlex.join([*words, *option_words(options)]),
    )
    return bench_wer(request)


def _bench_backends(asked: Asked, options: dict[str, Any], words: list[str]) -> int:
    words = [*words, *(["--backend", asked.backend] if asked.backend else [])]
    words += ["--simulate", asked.simulate] if asked.simulate else []
    words += ["--utterances", str(asked.utterances), *option_words(options)]
    request = SpeechRequest(
        backends=names(asked.backend) if asked.backend else (),
        simulate=asked.simulate,
        judge=names(asked.stt)[0],
        set=asked.set,
        utterances=asked.utterances,
        options=options,
        seed=asked.seed,
        out=asked.out,
        json=asked.json,
        markdown=asked.markdown,
        command=shlex.join(words),
    )
    return bench_speech(request)
