"""The bar of a benchmark whose parts are known by the seconds that they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Tell", "bar"]

Tell = Callable[[str, float], None]
"""Takes what goes on now (empty: still the same), and how many of the seconds have passed with it."""


@contextmanager
def bar(seconds: float) -> Iterator[Tell]:
    """Show how far a run is, and how long it will take."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console, transient=True) as shown_bar:
        task = shown_bar.add_task("starting", total=seconds)
        shown = ""

        def tell(what: str, passed: float) -> None:
            nonlocal shown
            if what and what != shown:
                shown = what
                shown_bar.update(task, description=what)
                if not console.is_terminal:  # a log gets lines, no bar
                    console.print(what, highlight=False)
            shown_bar.advance(task, passed)

        yield tell
