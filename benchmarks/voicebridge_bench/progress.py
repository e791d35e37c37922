"""The bar that tells how far a run is, and how long it will take."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from .corpus.speech import Corpus
from .job import Job
from .plan import Plan, jobs, seconds, turns_of
from .rows import SessionRow, TurnRow

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Progress"]


class Progress:
    """Counts turns, weighs jobs by the seconds that they take in real time. A context manager."""

    def __init__(self, plan: Plan, corpus: Corpus, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._corpus = corpus
        names = [conversation.name for conversation in corpus.conversations]
        planned = [job for setting in plan.settings() for job in jobs(plan, setting, names)]
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            transient=True,
        )
        self._console = console
        self._task = self._bar.add_task("starting", total=sum(seconds(job, corpus) for job in planned))
        self._each = 0.0

    def tell(self, job: Job, row: TurnRow | SessionRow | None) -> None:
        """A job begins (None), or a row of it came."""
        what = f"{job.backend}, {'cold start' if job.cold else 'conversations'}"
        if job.silence_ms is not None:
            what += f", {job.silence_ms} ms"
        if row is None:
            self._each = seconds(job, self._corpus) / len(turns_of(job, self._corpus))
            self._note(what)
        elif isinstance(row, TurnRow):
            v2v = row.measures.v2v_ms
            heard = row.measures.outcome if v2v is None else f"{v2v:.0f} ms"
            self._bar.advance(self._task, self._each)
            self._note(f"{what}: {row.turn} {heard}")

    def _note(self, text: str) -> None:
        self._bar.update(self._task, description=text)
        if not self._console.is_terminal:  # a log gets lines, no bar
            self._console.print(text, highlight=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
