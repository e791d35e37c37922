"""A run over recognisers: each hears every utterance, each row is kept as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge_bench.results import ResultsFolder

from .recogniser import Recogniser
from .rows import WordRow, scored
from .utterances import Utterance

__all__ = ["run"]

_GIVE_UP = 3
"""Utterances that fail one after the other, from the first: then the rest is counted as failed without being asked."""

Tell = Callable[[str, float], None]
"""Takes what goes on, and how many seconds of audio are done with."""


async def run(
    recognisers: Sequence[str],
    options: Mapping[str, Any],
    utterances: Sequence[Utterance],
    results: ResultsFolder[WordRow],
    tell: Tell,
) -> list[VoiceBridgeError]:
    """Ask all of them; what kept some from beginning, one error each. They are measured as failing everywhere."""
    refused = []
    for name in recognisers:
        tell(name, 0.0)
        try:
            async with Recogniser(name, options) as recogniser:
                await _hear(recogniser, utterances, results, tell)
        except VoiceBridgeError as error:
            refused.append(error)
            _fail(name, utterances, str(error), results, tell)
    return refused


async def _hear(
    recogniser: Recogniser, utterances: Sequence[Utterance], results: ResultsFolder[WordRow], tell: Tell
) -> None:
    failures = 0
    for place, utterance in enumerate(utterances):
        began, transcript, fault = time.perf_counter(), "", None
        try:
            transcript = await recogniser.transcribe(utterance.pcm)
        except TimeoutError:
            fault = "It gave no text in time."
        except VoiceBridgeError as error:
            fault = str(error)
        except Exception as error:  # a stage that breaks its promise is a finding, not the end of the benchmark
            fault = f"{type(error).__name__}: {error}"
        results.add(scored(recogniser.name, utterance, transcript, time.perf_counter() - began, fault))
        tell("", len(utterance.pcm) / 48_000)
        failures += fault is not None
        if fault is not None and failures == place + 1 == _GIVE_UP:
            return _fail(recogniser.name, utterances[place + 1 :], fault, results, tell)
    return None


def _fail(name: str, utterances: Sequence[Utterance], fault: str, results: ResultsFolder[WordRow], tell: Tell) -> None:
    """Without a transcript every word is an error: none of them is left out of the count."""
    for utterance in utterances:
        results.add(scored(name, utterance, "", 0.0, fault))
        tell("", len(utterance.pcm) / 48_000)
