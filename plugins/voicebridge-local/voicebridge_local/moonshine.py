"""Moonshine tiny-en: the weights of the `moonshine-voice` wheel, run by onnxruntime.

The wheel has a C library that does the same. It is not used, because it takes three to four times as long on short
utterances, can't be stopped, and keeps its result in memory that the next call overwrites, so that two sessions can't
share it.

What saves the time here: a draft. While the user speaks, the utterance is transcribed now and then. What was found is
given to the next run, which checks all of it in one step of the decoder and writes only what is new.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx import session, stoppable
from .recogniser import Decoded, Hints, Recogniser
from .utterance import RATE
from .vocabulary import END, START, Vocabulary, repeats_itself
from .weights import Weights, installed_folder
from .worker import Stop, Stopped, Worker

__all__ = ["Moonshine", "recogniser"]

_HEADS, _HEAD_SIZE = 8, 36
_TOKENS_PER_S = 6.5
"""Nobody speaks faster. A decoder that writes more repeats itself."""
_FEWEST_TOKENS = 8
_SILENCE_AFTER = RATE * 800 // 1000
"""Samples of silence put behind the audio. Without them it often mishears a last word that is followed by little: it
made 6.2 % errors instead of 2.2 on short utterances. It takes 5 ms."""


class Moonshine:
    """The model. Safe for several threads.

    Args:
        folder: holds `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.
    """

    def __init__(self, folder: Path) -> None:
        # The encoder gains from a second thread; the decoder's steps are too small for it.
        self._encoder = session(folder / "encoder_model.ort", threads=2)
        self._decoder = session(folder / "decoder_model_merged.ort", threads=1)
        self._past_names = [one.name for one in self._decoder.get_inputs() if one.name.startswith("past_key_values")]
        self._words = Vocabulary(folder / "tokenizer.bin")
        # All of the audio is real. One 1 stands for all of it; the decoder spreads it over the encoder's states.
        self._no_mask = np.ones((1, 1), np.int64)

    @classmethod
    def load(cls) -> Moonshine:
        """The installed model, after a first run, which is slower than the others.

        Raises:
            MissingExtra: `moonshine-voice` or onnxruntime is not installed.
        """
        model = cls(installed_folder("moonshine_voice") / "assets" / "tiny-en")
        for seconds in (1, 4):
            model.transcribe(np.zeros(RATE * seconds, np.float32), (), Stop(), Hints())
        return model

    def transcribe(self, samples: NDArray[np.float32], draft: tuple[int, ...], stop: Stop, hints: Hints) -> Decoded:
        """What is said in `samples`: -1 to 1, mono at 16 kHz, one utterance of at most 30 s.

        Args:
            draft: tokens that the transcript is thought to begin with. They save time, and now and then change a comma
                or a word (10 of 135 runs over 27 recorded turns came out otherwise): the quantised decoder may round
                otherwise when it takes several tokens at once.
            hints: of no use to it.

        Raises:
            Stopped: `stop` was set.
        """
        limit = max(_FEWEST_TOKENS, int(len(samples) / RATE * _TOKENS_PER_S) + 2)
        samples = np.concatenate([samples, np.zeros(_SILENCE_AFTER, np.float32)])
        with stoppable(stop) as options:
            states = self._encode(samples, options)
            tokens = self._decode(states, draft[: limit - 1], limit, options, stop)
        ended = tokens[-1] == END
        kept = tuple(tokens[:-1] if ended else tokens)
        text = self._words.text(kept)
        return Decoded(text, kept, complete=ended and not repeats_itself(text))

    def _encode(self, samples: NDArray[np.float32], options: Any) -> Any:
        feed = {"input_values": samples[None], "attention_mask": np.ones((1, len(samples)), np.int64)}
        return self._encoder.run(None, feed, options)[0]

    def _decode(self, states: Any, draft: tuple[int, ...], limit: int, options: Any, stop: Stop) -> list[int]:
        """Greedy tokens, `END` included where it came before the limit."""
        nothing = np.zeros((1, _HEADS, 0, _HEAD_SIZE), np.float32)
        past = dict.fromkeys(self._past_names, nothing)
        best, present = self._step(states, (START, *draft), past, options, first=True)
        agreed = 0
        while agreed < len(draft) and best[agreed] == draft[agreed]:
            agreed += 1
        tokens = [int(token) for token in best[: agreed + 1]]
        for name, value in zip(self._past_names, present, strict=True):
            # What was computed behind the first token that disagrees is of no use.
            past[name] = value[:, :, : agreed + 1] if ".decoder." in name else value
        while tokens[-1] != END and len(tokens) < limit:
            if not stop.wanted:
                raise Stopped
            best, present = self._step(states, tokens[-1:], past, options, first=False)
            tokens.append(int(best[0]))
            for name, value in zip(self._past_names, present, strict=True):
                if ".decoder." in name:  # those of the encoder stay as they are
                    past[name] = value
        return tokens

    def _step(self, states: Any, tokens: Any, past: dict[str, Any], options: Any, *, first: bool) -> tuple[Any, Any]:
        """The best next token at each place, and the new memory."""
        feed = {
            "encoder_attention_mask": self._no_mask,
            "input_ids": np.array([tokens], np.int64),
            "encoder_hidden_states": states,
            "use_cache_branch": np.array([not first]),
        }
        logits, *present = self._decoder.run(None, feed | past, options)
        return logits[0].argmax(-1), present


_weights = Weights("Moonshine tiny-en", Moonshine.load)
_worker = Worker("voicebridge.local moonshine")


def recogniser() -> Recogniser:
    """The stage, for one session."""
    return Recogniser(_weights, _worker, interim=True, languages=frozenset({"en"}))
