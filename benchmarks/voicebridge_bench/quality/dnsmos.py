"""DNSMOS P.835: a network's guess of what listeners would say of the speech, the background and the whole, from 1 to 5.

It is no opinion of people, and on clean synthetic speech it easily says more than on a good old recording of a person.
Only the network of the package `speechmos` (Microsoft) is used; its own code would load much more than this needs.
How the network is asked (16 kHz, pieces of 9.01 s that begin a second apart, short clips repeated) and the polynomials
that bring its raw outputs to the scale are those of that package, release 0.0.1.1.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio, MissingExtra

__all__ = ["Dnsmos", "Predicted", "pieces"]

RATE = 16_000
_PIECE = int(9.01 * RATE)
_SCALES = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""Of speech, background and whole: a x² + b x + c."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predicted opinions, each from 1 (bad) to 5."""

    speech: float
    background: float
    overall: float


class Dnsmos:
    """The network in memory.

    Raises:
        MissingExtra: `speechmos` or `onnxruntime` is not installed.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec("speechmos")
        if found is None or not found.submodule_search_locations or importlib.util.find_spec("onnxruntime") is None:
            raise MissingExtra(
                "Predicted quality needs the extra `mos`. In a clone of voicebridge: pip install '.[mos]'"
            )
        import onnxruntime

        weights = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self._network: Any = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self.name = f"DNSMOS P.835 of speechmos {version('speechmos')}"

    def predict(self, pcm: bytes, source: AudioFormat) -> Predicted:
        """Of PCM16 mono speech.

        Raises:
            BadAudio: there is no sample.
        """
        converter = Converter(source, AudioFormat(rate=RATE))
        audio = np.frombuffer(converter.convert(pcm) + converter.flush(), dtype="<i2").astype(np.float32) / np.float32(
            32768
        )
        if not audio.size:
            raise BadAudio("Quality can't be predicted of a clip without a sample.")
        raw = np.array([self._network.run(None, {"input_1": piece[np.newaxis, :]})[0][0] for piece in pieces(audio)])
        speech, background, overall = (
            float(np.mean(np.polyval(scale, raw[:, place]))) for place, scale in enumerate(_SCALES)
        )
        return Predicted(speech, background, overall)


def pieces(audio: Floats) -> list[Floats]:
    """What the network hears of a clip at 16 kHz, shape (samples,): pieces of 9.01 s, one a second."""
    while len(audio) < _PIECE:
        audio = np.concatenate((audio, audio))
    count = int(np.floor(len(audio) / RATE) - 9.01) + 1
    cut = [audio[place * RATE : place * RATE + _PIECE] for place in range(max(count, 1))]
    return [piece for piece in cut if len(piece) == _PIECE]
