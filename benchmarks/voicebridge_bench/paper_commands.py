"""Commands of `voicebridge bench` that measure nothing: they work on files, price lists and programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EXIT_USAGE", "cost", "manifest", "setup"]

EXIT_USAGE = 2

Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def manifest(
    folder: Annotated[Path, typer.Argument(help="Holds name.wav beside name.txt; sub-folders are conversations.")],
    name: Annotated[str | None, typer.Option(help="Of the corpus. Default: the folder's.")] = None,
    licence: Annotated[str, typer.Option(help="Of recordings and words.")] = "not stated",
    source: Annotated[str, typer.Option(help="Where the recordings come from.")] = "a folder of recordings",
    speaker: Annotated[str | None, typer.Option(help="Who speaks in all of them. Default: one a sub-folder.")] = None,
    accent: Annotated[str | None, typer.Option(help="The accent of all of them.")] = None,
    turns: Annotated[int, typer.Option(min=1, help="Turns in a conversation, without sub-folders.")] = 5,
    force: Annotated[bool, typer.Option(help="Replace a manifest that is there.")] = False,
) -> None:
    """Annotate a folder of recordings and their words, and write its manifest."""
    from .corpus.folder import FolderLabels, manifest_of_folder
    from .corpus.manifest import FILE_NAME, save
    from .corpus.speech import facts

    path = folder / FILE_NAME
    if os.path.exists(path) and not force:
        print(f"voicebridge bench: {path} is there already; --force replaces it.", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE)
    labels = FolderLabels(
        name=name or folder.resolve().name,
        licence=licence,
        source=source,
        speaker=speaker,
        accent=accent,
        turns_each=turns,
    )
    found = manifest_of_folder(folder, labels)
    save(found, path)
    for turn in found.turns:
        if turn.note:
            print(f"voicebridge bench: {turn.note}", file=sys.stderr)
    print(f"{path}: {facts(found)}")


def cost(
    minutes: Annotated[str, typer.Option(help="Lengths of calls in minutes, with commas.")] = "1,5,15",
    profile: Annotated[str, typer.Option(help="How people talk, by the name of the profile.")] = "balanced",
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="Specs with commas between them. Default: those of the article.")
    ] = "",
    local_cpu_s: Annotated[
        float | None, typer.Option(min=0, help="Measured CPU-seconds of the local cascade for a minute.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="A file for the curves, as SVG.")] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Estimate what a minute costs, over the length of a call, from list prices, beside the article's claims."""
    import shlex

    from .cost.bench_cost import Request, bench_cost, lengths
    from .cost.estimate import DEFAULT_SPECS
    from .options import names

    words = ["voicebridge", "bench", "cost", "--minutes", minutes, "--profile", profile]
    words += ["--backend", backend] if backend else []
    request = Request(
        minutes=lengths(minutes),
        profile=profile,
        backends=tuple(names(backend)) if backend else DEFAULT_SPECS,
        local_cpu_s=local_cpu_s,
        json=json,
        markdown=markdown,
        plot=plot,
        command=shlex.join(words),
    )
    raise typer.Exit(bench_cost(request))


def setup(
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Count what it takes to start, and to change the backend: lines, variables, changes, from runnable examples."""
    from .setup_effort import Request, show_setup

    raise typer.Exit(show_setup(Request(json=json, markdown=markdown)))
