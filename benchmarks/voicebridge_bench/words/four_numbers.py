"""The four word error rates of a speech-to-speech backend. None of them is "the" word error rate of a model. Pure.

| number | compares                                        | with                                                      |
|--------|-------------------------------------------------|-----------------------------------------------------------|
| W1     | what the user said                              | the transcript beside the model, of another recogniser    |
| W2     | what the user said, to be repeated word for word | the spoken answer, written down by the judge             |
| W3     | what the user said                              | what the model itself writes down, asked out of band      |
| W4     | the model's own words                           | their audio, written down by the judge                    |

W2 and W4 hold the judge's own errors as well: its floor is what it gets wrong of the same words read out by one voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from voicebridge_bench.word_errors import WordErrorRate, WordErrors, normaliser_name, pool, score

__all__ = ["LABELS", "NUMBERS", "Four", "Number", "SpeechRow", "four", "heard_row"]

Number = Literal["W1", "W2", "W3", "W4"]
NUMBERS: tuple[Number, ...] = get_args(Number)
LABELS: dict[Number, str] = {
    "W1": "W1, transcript beside the model",
    "W2": "W2, echo: spoken back, then written down by the judge",
    "W3": "W3, the model's own transcript, out of band",
    "W4": "W4, the model's words against its own audio",
}


class SpeechRow(BaseModel):
    """An utterance and one of the numbers: a line of `results.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str
    number: Number
    utterance: str
    speaker: str
    synthetic: str | None
    mode: str
    """`live`, `local`, `own server` or `simulated`."""
    model: str | None
    judge: str | None
    """The recogniser that wrote audio down; None where none did."""
    reference: str
    transcript: str
    floor: str | None
    """The same reference read out by one voice, as the judge wrote it down; None: there is no voice, or no judge."""
    errors: WordErrors | None
    """None: not measured, see `blank`. Silence has errors: all its words are deleted."""
    floor_errors: WordErrors | None
    blank: str | None
    """Why it is not measured."""
    fault: str | None
    normaliser: str


@dataclass(frozen=True, slots=True)
class Four:
    """One of the numbers for one backend."""

    backend: str
    number: Number
    words: WordErrorRate | None
    floor: WordErrorRate | None
    """Of the judge, over the same references."""
    attempted: int
    blank: str | None
    """Why it is not measured, where `words` is None."""


def heard_row(
    shared: dict[str, str | None], number: Number, reference: str, transcript: str | None, floor: str | None = None
) -> SpeechRow:
    """A row with its errors counted.

    Args:
        shared: the other fields of the row. `blank` says why it is not measured; else None.
        reference: what was said.
        transcript: None: not measured.
        floor: as in `SpeechRow`.
    """
    measured = transcript is not None and shared.get("blank") is None
    return SpeechRow(
        **shared,  # type: ignore[arg-type]  # checked by pydantic
        number=number,
        reference=reference,
        transcript=transcript or "",
        floor=floor,
        errors=score(reference, transcript or "") if measured else None,
        floor_errors=score(reference, floor) if measured and floor is not None else None,
        normaliser=normaliser_name(),
    )


def four(rows: Sequence[SpeechRow], seed: int) -> list[Four]:
    """The numbers of each backend, in order."""
    found = []
    for backend in dict.fromkeys(row.backend for row in rows):
        for number in NUMBERS:
            mine = [row for row in rows if row.backend == backend and row.number == number]
            if mine:
                found.append(_four(backend, number, mine, seed))
    return found


def _four(backend: str, number: Number, rows: Sequence[SpeechRow], seed: int) -> Four:
    words = pool([(row.utterance, row.transcript, row.errors) for row in rows if row.errors], seed)
    floors = [(row.utterance, row.floor or "", row.floor_errors) for row in rows if row.floor_errors]
    blank = None
    if words is None:
        blank = next((row.blank for row in rows if row.blank), None) or "no words to compare with came"
    return Four(backend, number, words, pool(floors, seed), len(rows), blank)
