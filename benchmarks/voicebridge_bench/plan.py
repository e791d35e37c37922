"""Which sessions a run holds, in which process and order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .corpus.speech import Corpus
from .job import Job

__all__ = ["Plan", "Setting", "jobs", "seconds"]

_REPLY_S = 3.0
"""What a reply takes, for the estimate of the time left."""
_START_S = 4.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A column of the report."""

    backend: str
    """A spec, as for `voicebridge.connect`."""
    silence_ms: int | None
    """Milliseconds of silence that end a turn; None: the backend's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    backends: tuple[str, ...] = ("local",)
    """Specs, as for `voicebridge.connect`."""
    silences_ms: tuple[int | None, ...] = (200,)
    """Milliseconds of silence that end a turn; None: the backend's own."""
    corpus: str = "default"
    """The name of a bundled corpus, or a folder."""
    rounds: int = 4
    """How often each conversation is held, on a ready session: 4 times the default corpus are 40 later turns, and a p90
    needs 36."""
    cold: int = 3
    """How many cold starts are measured, each in a process of its own."""
    seed: int = 7
    """Of the order of the conversations and of all resampling."""
    instructions: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """More options of `voicebridge.connect`."""
    ready_s: float = 60.0
    """This and the next two in seconds, as in `Job`."""
    reply_s: float = 10.0
    cut_s: float = 12.0

    def settings(self) -> list[Setting]:
        """The columns, in order."""
        return [Setting(backend, silence) for backend in self.backends for silence in self.silences_ms]


def jobs(plan: Plan, setting: Setting, conversations: Sequence[str]) -> list[Job]:
    """The processes of one setting: one for all warm sessions, one for each cold start."""
    order = random.Random(plan.seed)
    warm = []
    for number in range(plan.rounds):
        names = list(conversations)
        order.shuffle(names)
        warm += [(f"{number + 1}-{name}", name) for name in names]
    cold = [(f"cold-{n + 1}", conversations[n % len(conversations)]) for n in range(plan.cold)]
    groups = [(True, [session]) for session in cold] + ([(False, warm)] if warm else [])
    return [
        Job(
            backend=setting.backend,
            silence_ms=setting.silence_ms,
            corpus=plan.corpus,
            sessions=tuple(sessions),
            cold=is_cold,
            instructions=plan.instructions,
            options=plan.options,
            ready_s=plan.ready_s,
            reply_s=plan.reply_s,
            cut_s=plan.cut_s,
        )
        for is_cold, sessions in groups
    ]


def turns_of(job: Job, corpus: Corpus) -> list[tuple[str, str, str]]:
    """All turns of a job, as (session, conversation, turn)."""
    known = {talk.name: [turn.turn.id for turn in talk.turns] for talk in corpus.conversations}
    return [
        (session, conversation, turn)
        for session, conversation in job.sessions
        for turn in known[conversation][: 1 if job.cold else None]
    ]


def seconds(job: Job, corpus: Corpus) -> float:
    """About how long a job takes."""
    length = {turn.turn.id: len(turn.pcm) / 48_000 for talk in corpus.conversations for turn in talk.turns}
    return _START_S + sum(length[turn] + _REPLY_S for _, _, turn in turns_of(job, corpus))
