"""One detector hears one utterance, in audio time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voicebridge.audio.converter import Converter
from voicebridge.contract.stages import PCM_16K, TurnDetector

from .utterances import Utterance

__all__ = ["TEXT_AFTER_MS", "Outcome", "outcome"]

TEXT_AFTER_MS = 100.0
"""Milliseconds after a pause was noticed at which the text of what was said is there: a fast recogniser's time."""
_PIECE_MS = 20
Texts = Callable[[Utterance, float], Awaitable[str]]
"""The text of an utterance up to a place in ms."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """When a detector took the turn for finished."""

    turn: str
    speaker: str
    pause_ms: int
    cut_in: bool
    """Once before the last sample of speech."""
    wait_ms: float | None
    """From the last sample of speech to the next end that it told. None: it told none."""


async def outcome(detector: TurnDetector, utterance: Utterance, texts: Texts | None, *, paced: bool) -> Outcome:
    """Let a detector that is ready hear an utterance.

    Args:
        texts: None: it gets no text.
        paced: pauses take their time, for a detector that judges them in a thread.
    """
    converter = Converter(PCM_16K, detector.traits.format)
    size, now_ms, pause_ms = PCM_16K.size(_PIECE_MS), 0.0, None
    text, text_at_ms = "", 0.0
    cut_in, wait_ms = False, None
    for start in range(0, len(utterance.pcm), size):
        piece = utterance.pcm[start : start + size]
        now_ms += PCM_16K.ms(len(piece))
        known = text if pause_ms is not None and now_ms >= text_at_ms else ""
        for signal in await detector.push(converter.convert(piece), known):
            pause_ms = signal.audio_ms if signal.phase == "eager_end" else None
            if pause_ms is not None and texts is not None:
                text, text_at_ms = await texts(utterance, pause_ms), now_ms + TEXT_AFTER_MS
            if signal.phase == "end":
                cut_in = cut_in or now_ms < utterance.speech_end_ms
                if now_ms >= utterance.speech_end_ms and wait_ms is None:
                    wait_ms = now_ms - utterance.speech_end_ms
        if wait_ms is not None:
            break
        if paced and pause_ms is not None:
            await asyncio.sleep(_PIECE_MS / 1000)
    return Outcome(utterance.turn, utterance.speaker, utterance.pause_ms, cut_in, wait_ms)
