"""Word error rate: pooled over turns, on text as the Whisper English normaliser leaves it.

A turn without a transcript counts with all its words deleted. A reference that is empty once normalised has no rate:
what was heard there is counted as insertions apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from .intervals import Rate, rate

__all__ = ["WordErrorRate", "WordErrors", "align", "normaliser_name", "pool", "score"]


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What the alignment of one transcript with its reference counted, in words."""

    substituted: int
    deleted: int
    inserted: int
    words: int
    """In the normalised reference."""

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substituted + self.deleted + self.inserted


@dataclass(frozen=True, slots=True)
class WordErrorRate:
    """The errors of many turns."""

    pooled: Rate
    """All errors over all words; the interval draws clusters (utterances or speakers): repetitions count as one."""
    mean_of_turns: float
    perfect: float
    """The share of turns without an error."""
    substituted: int
    deleted: int
    inserted: int
    inserted_in_empty: int
    """Words heard where the reference is empty."""
    turns: int
    untranscribed: int
    """Turns that have no transcript at all; they are in `deleted`."""
    normaliser: str


@functools.cache
def _normaliser() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise: Callable[[str], str] = EnglishTextNormalizer()
    return normalise


def normaliser_name() -> str:
    """What prepares the texts, with its version: figures of another one can't be compared."""
    return f"whisper-normalizer {version('whisper-normalizer')} (English), jiwer {version('jiwer')}"


def score(reference: str, transcript: str) -> WordErrors:
    """Align a transcript with what was said."""
    return align(_words(reference), _words(transcript))


def align(said: str, heard: str) -> WordErrors:
    """Count the errors between texts that are normalised already: words with blanks between them."""
    import jiwer

    if not said or not heard:
        return WordErrors(0, len(said.split()), len(heard.split()), len(said.split()))
    aligned = jiwer.process_words(said, heard)
    words = aligned.hits + aligned.substitutions + aligned.deletions
    return WordErrors(aligned.substitutions, aligned.deletions, aligned.insertions, words)


def _words(text: str) -> str:
    normal = _normaliser()(text).strip()
    return normal if any(sign.isalnum() for sign in normal) else ""  # of "..." it leaves "."


def pool(
    scored: Sequence[tuple[str, str, WordErrors]], seed: int, normaliser: str | None = None
) -> WordErrorRate | None:
    """Sum up turns, each as (cluster, transcript, errors). None where no reference has a word.

    Args:
        scored: the cluster is what hangs together: the utterance, or its speaker.
        normaliser: what prepared the texts. None: that of `score`.
    """
    kept = [(cluster, heard, errors) for cluster, heard, errors in scored if errors.words]
    clusters: dict[str, tuple[float, float]] = {}
    for cluster, _, errors in kept:
        count, of = clusters.get(cluster, (0.0, 0.0))
        clusters[cluster] = (count + errors.errors, of + errors.words)
    pooled = rate(clusters, seed)
    if pooled is None:
        return None
    return WordErrorRate(
        pooled=pooled,
        mean_of_turns=sum(errors.errors / errors.words for _, _, errors in kept) / len(kept),
        perfect=sum(not errors.errors for _, _, errors in kept) / len(kept),
        substituted=sum(errors.substituted for _, _, errors in kept),
        deleted=sum(errors.deleted for _, _, errors in kept),
        inserted=sum(errors.inserted for _, _, errors in kept),
        inserted_in_empty=sum(errors.inserted for _, _, errors in scored if not errors.words),
        turns=len(kept),
        untranscribed=sum(not heard.strip() for _, heard, _ in kept),
        normaliser=normaliser or normaliser_name(),
    )
