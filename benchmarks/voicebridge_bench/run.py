"""A run: its jobs one after the other, each row kept as it comes, what never came counted as not reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .corpus.speech import Corpus
from .job import Job
from .measures import TurnMeasures
from .plan import Plan, jobs, turns_of
from .results import ResultsFolder
from .rows import SessionRow, TurnRow
from .word_errors import score
from .worker_process import WorkerFailed, rows_of

__all__ = ["run"]

Tell = Callable[[Job, TurnRow | SessionRow | None], None]


def run(plan: Plan, corpus: Corpus, results: ResultsFolder[TurnRow | SessionRow], tell: Tell) -> None:
    """Do all of a plan. `tell` hears of each job when it begins (with None) and of each of its rows."""
    names = [conversation.name for conversation in corpus.conversations]
    for setting in plan.settings():
        unreachable: str | None = None
        for job in jobs(plan, setting, names):
            tell(job, None)
            done: set[tuple[str, str]] = set()
            if unreachable is None:
                done, unreachable = _hold(job, results, tell)
            for missing in _missing(job, corpus, done, unreachable or "The worker ended without this turn."):
                results.add(missing)
                tell(job, missing)


def _hold(
    job: Job, results: ResultsFolder[TurnRow | SessionRow], tell: Tell
) -> tuple[set[tuple[str, str]], str | None]:
    """The turns that a job reported as (session, turn); and if it could not even begin, why."""
    done: set[tuple[str, str]] = set()
    reached = False
    fault: str | None = None
    try:
        for row in rows_of(job, results.log):
            if isinstance(row, TurnRow):
                done.add((row.session, row.turn))
                reached = reached or row.measures.outcome != "not_reached"
                row = _scored(row)
            else:
                fault = row.failure
            results.add(row)
            tell(job, row)
    except WorkerFailed as error:
        fault = str(error)
    return done, None if reached else fault or "The backend could not be reached."


def _missing(job: Job, corpus: Corpus, done: set[tuple[str, str]], fault: str) -> Iterator[TurnRow]:
    for session, conversation, turn in turns_of(job, corpus):
        if (session, turn) not in done:
            yield _scored(_not_reached(job, corpus, session, conversation, turn, fault))


def _scored(row: TurnRow) -> TurnRow:
    if row.reference is None:
        return row
    return row.model_copy(update={"word_errors": score(row.reference, row.measures.transcript)})


def _not_reached(job: Job, corpus: Corpus, session: str, conversation: str, turn: str, fault: str) -> TurnRow:
    talk = next(talk for talk in corpus.conversations if talk.name == conversation)
    index, spoken = next((i, spoken) for i, spoken in enumerate(talk.turns) if spoken.turn.id == turn)
    return TurnRow(
        backend=job.backend,
        silence_ms=job.silence_ms,
        session=session,
        kind="cold" if job.cold else "later" if index else "first",
        conversation=conversation,
        turn=turn,
        index=index,
        longest_pause_ms=spoken.turn.longest_pause_ms,
        reference=spoken.turn.text,
        accent=spoken.turn.accent,
        speaker=spoken.speaker,
        measures=TurnMeasures(outcome="not_reached", fault=fault),
        word_errors=None,
        lateness_ms=None,
    )
