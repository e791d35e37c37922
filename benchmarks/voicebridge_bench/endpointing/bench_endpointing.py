"""The whole of `voicebridge bench endpointing`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voicebridge.contract.stages import PCM_16K
from voicebridge.testing.simulator.ears import Recogniser
from voicebridge_bench.corpus.speech import Corpus, open_corpus
from voicebridge_bench.environment import describe
from voicebridge_bench.plot import Series, line_plot
from voicebridge_bench.text_file import write_text

from .curve import Point, point
from .trial import TEXT_AFTER_MS, Outcome, outcome
from .utterances import PAUSES_MS, Utterance, utterances
from .ways import Way, ready, ways

__all__ = ["Request", "bench_endpointing"]

SCHEMA_VERSION = 1
MEASURED, INTERRUPTED = 0, 130
_AT_ONCE = 4
"""Paced trials side by side: they mostly sleep."""
_NOTES = f"""\
ms: silence that ends a turn; with words the usual one (half after what sounds finished, three times after what does
not); of a semantic detector the longest. Pauses are put into the middle of recorded turns. Text is there
{TEXT_AFTER_MS:g} ms after a pause was noticed. Audio time: no stage's speed is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    corpus: str = "default"
    detector: str = "local/silero"
    recogniser: str = "installed"
    seed: int = 7
    json: bool = False
    markdown: bool = False
    plot: Path | None = None
    command: str = "voicebridge bench endpointing"


class _Texts:
    """What was said up to a place, by a real recogniser, each asked once."""

    def __init__(self, name: str) -> None:
        self._recogniser = Recogniser(name)
        self._known: dict[tuple[str, int, int], str] = {}

    async def __call__(self, utterance: Utterance, end_ms: float) -> str:
        key = (utterance.turn, utterance.pause_ms, round(end_ms / 10))
        if key not in self._known:
            pcm = utterance.pcm[: PCM_16K.size(end_ms + TEXT_AFTER_MS)]
            self._known[key] = await self._recogniser.transcribe(pcm, PCM_16K)
        return self._known[key]

    async def aclose(self) -> None:
        await self._recogniser.aclose()


def bench_endpointing(request: Request) -> int:
    """Measure, report, and give the exit status.

    Raises:
        VoiceBridgeError: the corpus or a stage can't be had.
    """
    corpus, environment = open_corpus(request.corpus), describe()
    chosen = list(ways(request.detector))
    points: list[Point] = []
    interrupted = False
    try:
        asyncio.run(_measured(corpus, chosen, request, points))
    except KeyboardInterrupt:
        interrupted = True
    if request.plot is not None and points:
        write_text(request.plot, _plot(points))
    _show(points, request, corpus, environment, interrupted)
    return INTERRUPTED if interrupted else MEASURED


async def _measured(corpus: Corpus, chosen: Sequence[Way], request: Request, points: list[Point]) -> None:
    from rich.console import Console
    from rich.progress import Progress

    spoken, texts = list(utterances(corpus, request.seed)), _Texts(request.recogniser)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("utterances", total=len(spoken) * len(chosen))
        try:
            for way in chosen:
                bar.update(task, description=f"{way.name}, {way.silence_ms} ms")
                found = await _heard(way, spoken, texts if way.reads else None, lambda: bar.advance(task))
                points.append(point(way, found, request.seed))
        finally:
            await texts.aclose()


async def _heard(
    way: Way, spoken: Sequence[Utterance], texts: _Texts | None, tell: Callable[[], None]
) -> list[Outcome]:
    room = asyncio.Semaphore(_AT_ONCE if way.paced else 1)

    async def one(utterance: Utterance) -> Outcome:
        async with room:
            detector = await ready(way)
            try:
                return await outcome(detector, utterance, texts, paced=way.paced)
            finally:
                await detector.aclose()
                tell()

    return list(await asyncio.gather(*map(one, spoken)))


def _show(
    points: Sequence[Point], request: Request, corpus: Corpus, environment: dict[str, Any], interrupted: bool
) -> None:
    if request.json:
        told = {"schema_version": SCHEMA_VERSION, "command": request.command, "interrupted": interrupted}
        told |= {
            "environment": environment,
            "corpus": asdict(corpus.facts()),
            "points": [asdict(one) for one in points],
        }
        json.dump(told, sys.stdout, indent=1)
        print()
        return
    rows = [_row(one) for one in points]
    head = (
        "end of turn by",
        "ms",
        "silence added: median",
        "p90",
        "cut in, as spoken",
        *map(_pause, PAUSES_MS[1:]),
        "all pauses",
    )
    if request.markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)))
    else:
        _table(head, rows)
    print(f"\n{_NOTES}\n{corpus.facts()}")
    print(f"{environment['cpu']}, {environment['python']}, revision {environment['revision']}. `{request.command}`")


def _row(one: Point) -> tuple[str, ...]:
    def of(counts: tuple[int, int]) -> str:
        return f"{counts[0]} of {counts[1]}"

    median, p90, cut = one.wait_median, one.wait_p90, one.cut_in
    return (
        one.way,
        str(one.silence_ms),
        f"{median.value:.0f} [{median.low:.0f}–{median.high:.0f}], n {median.n}" if median else "-",
        f"{p90.value:.0f} [{p90.low:.0f}–{p90.high:.0f}]" if p90 else "-",
        of(one.cut_in_as_spoken),
        *(of(one.by_pause[pause]) for pause in PAUSES_MS[1:]),
        f"{cut.value:.0%} [{cut.low:.0%}–{cut.high:.0%}]"
        if cut and cut.low is not None and cut.high is not None
        else "-",
    )


def _pause(ms: int) -> str:
    return f"{ms} ms pause"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a file has no width
        console = Console(width=200)
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _plot(points: Sequence[Point]) -> str:
    series = []
    for way in dict.fromkeys(one.way for one in points):
        mine = [(one.wait_median, one.cut_in, one.silence_ms) for one in points if one.way == way]
        known = [(wait.value, cut.value, str(ms)) for wait, cut, ms in mine if wait and cut]
        series.append(Series(way, [(x, y) for x, y, _ in known], [label for *_, label in known]))
    return line_plot(
        "Turns cut into against silence added",
        "silence added behind a turn, median, ms",
        "turns with a pause that were cut into",
        series,
        y_percent=True,
    )
