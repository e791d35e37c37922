"""The lines of a `results.jsonl` about words: one for each utterance and recogniser, written as they happen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from voicebridge_bench.word_errors import WordErrors, align, normaliser_name, score

from .entity_text import ENTITY_NORMALISER, entity_words
from .slots import Kind, holds
from .utterances import Utterance

__all__ = ["SCHEMA_VERSION", "SlotRow", "WordRow", "entity_normaliser", "scored"]

SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlotRow(_Part):
    """A slot of an utterance."""

    kind: Kind
    value: str
    right: bool
    """The transcript holds it exactly."""


class WordRow(_Part):
    """An utterance as a recogniser wrote it down."""

    recogniser: str
    utterance: str
    speaker: str
    accent: str | None
    synthetic: str | None
    """The voice that made the speech; None: a person spoke."""
    audio_s: float
    took_s: float
    """Seconds that the recogniser took, with all of the audio there at once."""
    reference: str
    transcript: str
    """Empty where there is none: then all words count as deleted."""
    fault: str | None
    """Why there is no transcript, where the recogniser told."""
    errors: WordErrors
    """As the headline's normaliser leaves the texts."""
    entity_errors: WordErrors
    """The same on the entity track."""
    slots: tuple[SlotRow, ...]
    normaliser: str
    entity_normaliser: str


def entity_normaliser() -> str:
    """What prepares the texts of the entity track, and what aligns them."""
    return f"{ENTITY_NORMALISER}, {normaliser_name().rpartition(', ')[2]}"


def scored(recogniser: str, utterance: Utterance, transcript: str, took_s: float, fault: str | None) -> WordRow:
    """The row of a transcript."""
    return WordRow(
        recogniser=recogniser,
        utterance=utterance.id,
        speaker=utterance.speaker,
        accent=utterance.accent,
        synthetic=utterance.synthetic,
        audio_s=round(len(utterance.pcm) / 48_000, 3),
        took_s=round(took_s, 4),
        reference=utterance.text,
        transcript=transcript,
        fault=fault,
        errors=score(utterance.text, transcript),
        entity_errors=align(entity_words(utterance.text), entity_words(transcript)),
        slots=tuple(
            SlotRow(kind=slot.kind, value=slot.value, right=holds(transcript, slot.kind, slot.value))
            for slot in utterance.slots
        ),
        normaliser=normaliser_name(),
        entity_normaliser=entity_normaliser(),
    )
