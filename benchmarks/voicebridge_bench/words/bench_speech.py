"""The whole of `voicebridge bench wer --backend`: the four numbers of speech-to-speech backends."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.ears import installed_stage
from voicebridge_bench.bar import bar
from voicebridge_bench.environment import describe
from voicebridge_bench.intervals import Rate
from voicebridge_bench.results import ResultsFolder, new_folder

from .bench_wer import FAILED, INTERRUPTED, MEASURED, NO_CONNECTION, open_set
from .four_numbers import LABELS, NUMBERS, Four, Number, SpeechRow, four
from .recogniser import Recogniser, chosen_stage
from .rows import SCHEMA_VERSION
from .show import show
from .speech_run import Arm, Judge, run_speech, seconds
from .utterances import Utterance
from .voices import Reader

__all__ = ["SpeechRequest", "bench_speech", "mode_of"]

_HERE = ("127.0.0.1", "localhost", "::1")
_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "openai-realtime": {"backend": "openai/gpt-realtime", "silence_ms": 800, "pace": 0},
}
"""The backend whose vendor a simulator stands in for, and what the simulator is told beside its models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """What was asked for on the command line."""

    backends: tuple[str, ...] = ()
    simulate: str | None = None
    """A simulator by its name, with installed models in it."""
    judge: str = "installed"
    """The recogniser that writes down what backends say."""
    set: str = "default"
    utterances: int = 10
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 7
    out: Path | None = None
    json: bool = False
    markdown: bool = False
    command: str = "voicebridge bench wer --backend local"


def mode_of(backend: str, options: Mapping[str, Any]) -> str:
    """`local`: real models on this machine. `own server`: one at an address of this machine. `live`: its vendor.

    Raises:
        VoiceBridgeError: there is no such backend.
    """
    if urlsplit(str(options.get("base_url", ""))).hostname in _HERE:
        return "own server"
    if "+" in backend:
        seats = zip(("stt", "llm", "tts"), backend.split("+"), strict=False)
        return "local" if all(installed_and_alone(seat, name) for seat, name in seats) else "live"
    return "local" if registry().backend_row(backend).about.alone else "live"


def installed_and_alone(seat: str, name: str) -> bool:
    """Whether a stage asks no server."""
    return any(row.seat == seat and row.name == name and row.about.alone for row in registry().rows().stages)


def bench_speech(request: SpeechRequest) -> int:
    """Measure, report, and give the exit status. Ctrl-C keeps and reports what was measured.

    Raises:
        VoiceBridgeError: the set, the judge, a backend or the simulator can't be had.
    """
    judge = chosen_stage(request.judge)
    spoken = list(open_set(request.set, request.seed).utterances)
    random.Random(request.seed).shuffle(spoken)
    spoken = spoken[: request.utterances]
    environment, interrupted = describe(), False
    named = request.backends or (_stand_in(request.simulate)[0],)
    with ResultsFolder[SpeechRow](request.out or new_folder((f"speech-{named[0]}",))) as results:
        try:
            with bar(len(named) * seconds(spoken)) as tell:
                asyncio.run(_measured(request, named, judge, spoken, results, tell))
        except KeyboardInterrupt:
            interrupted = True
        found = four(results.rows, request.seed)
        summary = {
            "schema_version": SCHEMA_VERSION,
            "kind": "speech-to-speech words",
            "command": request.command,
            "interrupted": interrupted,
            "seed": request.seed,
            "environment": environment,
            "modes": {row.backend: row.mode for row in results.rows},
            "numbers": [asdict(one) for one in found],
        }
        results.write_summary(summary)
    _show(request, found, results.rows, judge, summary)
    what = "Interrupted. What was measured until then is" if interrupted else "Results are"
    print(f"{what} in {results.path}", file=sys.stderr)
    return INTERRUPTED if interrupted else _status(results.rows)


def _status(rows: Sequence[SpeechRow]) -> int:
    if rows and all(row.model is None for row in rows):
        return NO_CONNECTION
    return FAILED if any(row.fault for row in rows) else MEASURED


def _stand_in(simulator: str | None) -> tuple[str, dict[str, Any]]:
    if simulator is None or simulator not in _STAND_INS:
        raise ConfigError(f"--simulate takes {', '.join(_STAND_INS)}, not {simulator!r}.")
    told = dict(_STAND_INS[simulator])
    return told.pop("backend"), told


async def _measured(
    request: SpeechRequest,
    named: Sequence[str],
    judge: str,
    spoken: Sequence[Utterance],
    results: ResultsFolder[SpeechRow],
    tell: Any,
) -> None:
    voice = installed_stage("tts", "installed")
    async with AsyncExitStack() as stack:
        recogniser = await stack.enter_async_context(Recogniser(judge, {}))
        ear = Judge(recogniser, await stack.enter_async_context(Reader(voice)) if voice else None)
        for backend in named:
            async with _arm(request, backend) as arm:
                await run_speech(arm, spoken, ear, results, tell)


@asynccontextmanager
async def _arm(request: SpeechRequest, backend: str) -> AsyncIterator[Arm]:
    if request.simulate is None:
        yield Arm(backend=backend, mode=mode_of(backend, request.options), options=request.options)
        return
    voice, recogniser = installed_stage("tts", "installed"), installed_stage("stt", "installed")
    detector = installed_stage("detector", "installed")
    stages = {"voice": voice or "tone", "recogniser": recogniser, "detector": detector or "energy"}
    _, told = _stand_in(request.simulate)
    server = registry().simulator(request.simulate, SimulatorSettings(options=told | stages))
    async with server.serve() as url:
        options = {"base_url": url, "api_key": "any"} | dict(request.options)
        yield Arm(
            backend=backend, mode="simulated", options=options, hears=recogniser is not None,
            speaks=voice is not None, thinks=False,
        )  # fmt: skip


def _show(
    request: SpeechRequest, found: Sequence[Four], rows: Sequence[SpeechRow], judge: str, summary: dict[str, Any]
) -> None:
    if request.json:
        json.dump(summary, sys.stdout, indent=1, ensure_ascii=False)
        print()
        return
    backends = list(summary["modes"])
    by_place = {(one.backend, one.number): one for one in found}
    cells: list[tuple[str, list[str]]] = []
    for number in NUMBERS:
        cells.append((LABELS[number], [_cell(by_place.get((backend, number))) for backend in backends]))
        if number in ("W2", "W4"):
            cells.append(("   the judge's own floor", [_floor(by_place, backend, number) for backend in backends]))
    heads = [f"{backend} ({mode})" for backend, mode in summary["modes"].items()]
    show("voicebridge bench wer", heads, cells, _notes(request, rows, judge, summary), request.markdown)


def _floor(by_place: Mapping[tuple[str, Number], Four], backend: str, number: Number) -> str:
    one = by_place.get((backend, number))
    return _rate(one.floor.pooled) if one and one.floor else "not measured"


def _cell(one: Four | None) -> str:
    if one is None:
        return "not measured"
    if one.words is None:
        return f"not measured: {one.blank}"
    missing = f", {one.words.untranscribed} of {one.attempted} without words" if one.words.untranscribed else ""
    return f"{_rate(one.words.pooled)}, {one.words.turns} of {one.attempted} utterances{missing}"


def _rate(found: Rate) -> str:
    interval = "" if found.low is None or found.high is None else f" [{found.low:.1%}–{found.high:.1%}]"
    return f"{found.value:.1%}{interval}, {found.of:.0f} words"


def _notes(request: SpeechRequest, rows: Sequence[SpeechRow], judge: str, summary: Mapping[str, Any]) -> list[str]:
    lines = [
        "None of these is the error rate of the model: W1 is that of the transcriber beside it, and W2 and W4 hold the "
        f"errors of the judge, {judge}, as well. Its floor: the same words read out by the installed voice.",
        f"Set {request.set}, {len({row.utterance for row in rows})} utterances, each in a session of its own, once to "
        "be answered and once to be repeated. A model that does not do as it is told has its own words in W2 and W3: "
        "that is disobedience, not bad hearing.",
    ]
    if request.simulate:
        lines.append(
            "Simulated: installed models stand in for the vendor's. The words are theirs, so the figures tell what the "
            "way through the vendor's wire leaves of them, and nothing about the vendor's model."
        )
    if rows and rows[0].normaliser:
        lines.append(f"Words are compared by {rows[0].normaliser}. In brackets: 95 %, drawn by utterance.")
    models = dict.fromkeys(f"{row.backend}: {row.model}" for row in rows if row.model)
    lines += [f"Model of {one}" for one in models]
    lines += [f"Fault: {fault}" for fault in list(dict.fromkeys(row.fault for row in rows if row.fault))[:5]]
    environment = summary["environment"]
    return [*lines, f"{environment['cpu']}, {environment['cores']} cores. `{request.command}`"]
