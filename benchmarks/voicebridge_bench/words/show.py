"""A table with a label in front of each row, for a terminal or as Markdown, and lines below it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["show"]

_FILE_WIDTH = 200


def show(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], lines: Sequence[str], markdown: bool
) -> None:
    """Print it. A file has no width, so there a row stays on one line."""
    if markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in (("", *heads), ("---",) * (len(heads) + 1))))
        print("\n".join(f"| {' | '.join((label, *cells))} |" for label, cells in rows))
        print("\n" + "\n\n".join(lines))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    grid = Table(title=title, title_justify="left")
    grid.add_column("")
    for head in heads:
        grid.add_column(head, overflow="fold")
    for label, cells in rows:
        grid.add_row(Text(label), *(Text(cell) for cell in cells))
    console.print(grid)
    for line in lines:
        console.print(Text(line))
