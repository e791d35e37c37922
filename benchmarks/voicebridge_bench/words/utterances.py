"""What recognisers are asked to write down: recordings of a corpus, or speech made for the occasion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from voicebridge_bench.corpus.speech import Corpus

from .slots import Kind

__all__ = ["Slot", "SpeechSet", "Utterance", "of_corpus"]


class Slot(NamedTuple):
    """What an utterance is about."""

    kind: Kind
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One piece of speech, and what is said in it."""

    id: str
    speaker: str
    text: str
    """The words, exactly."""
    pcm: bytes
    """PCM16 little-endian, mono, 24 kHz."""
    accent: str | None = None
    slots: tuple[Slot, ...] = ()
    synthetic: str | None = None
    """The voice that made it; None: a person spoke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSet:
    """Utterances with what a reader must know of them."""

    name: str
    source: str
    licence: str
    identity: str
    """A hash: figures of sets with different ones can't be compared."""
    utterances: Sequence[Utterance]
    unscored: int = 0
    """Turns left out because their words are not known for certain."""
    notes: tuple[str, ...] = ()


def of_corpus(corpus: Corpus) -> SpeechSet:
    """The turns of a corpus whose words are known."""
    facts = corpus.facts()
    turns = [turn for talk in corpus.conversations for turn in talk.turns]
    spoken = [
        Utterance(
            id=turn.turn.id,
            speaker=turn.speaker,
            text=turn.turn.text,
            pcm=turn.pcm,
            accent=turn.turn.accent,
            slots=tuple(Slot(slot.kind, slot.value) for slot in turn.turn.slots),
        )
        for turn in turns
        if turn.turn.text is not None
    ]
    return SpeechSet(
        name=facts.name,
        source=facts.source,
        licence=facts.licence,
        identity=facts.clips_sha256,
        utterances=spoken,
        unscored=len(turns) - len(spoken),
    )
