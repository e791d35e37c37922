"""`voicebridge bench`: the commands. Without one, `run` is meant."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from typer.core import TyperGroup

from voicebridge.contract.errors import VoiceBridgeError

from .paper_commands import EXIT_USAGE, cost, manifest, setup

__all__ = ["app"]

P = ParamSpec("P")


class RunIsMeant(TyperGroup):
    """Takes what names no command for the options of `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: typer brings its own click, or uses click's
        """Put `run` in front where it is meant."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=RunIsMeant,
    help="Measure a backend with recorded human speech, in real time. Without a command, `run` is meant.",
    epilog="Exit status: 0 measured, 1 some turns got no reply, 2 usage, 3 no connection, 5 everything was measured, "
    "but something disturbed the machine, 130 interrupted.",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _explained(command: Callable[P, None]) -> Callable[P, None]:
    """An error that voicebridge raises on purpose is one line, and exit status 2."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except VoiceBridgeError as error:
            print(f"voicebridge bench: {error}", file=sys.stderr)
            raise typer.Exit(EXIT_USAGE) from None

    return wrapped


Backends = Annotated[str, typer.Option("--backend", "-b", help="Spec of a backend; several with commas between them.")]
Corpus = Annotated[str, typer.Option(help="A bundled corpus, or a folder with a manifest.")]
Silence = Annotated[str, typer.Option("--silence-ms", help="Silence that ends a turn, or own; several with commas.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
WriteReadme = Annotated[bool, typer.Option("--write-readme", help="Write the table between the markers of the README.")]
Readme = Annotated[Path, typer.Option(help="The file for --write-readme.")]


@app.command()
@_explained
def run(
    backend: Backends = "local",
    corpus: Corpus = "default",
    silence_ms: Silence = "200",
    sessions: Annotated[int, typer.Option(min=0, help="How often each conversation is held on a ready session.")] = 4,
    cold: Annotated[int, typer.Option(min=0, help="How many cold starts are measured, in fresh processes.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the order of conversations and of resampling.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; a new one in bench-results.")] = None,
    instructions: Annotated[str | None, typer.Option(help="Instructions for the model.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="name=value, for the backend. May be repeated.")
    ] = None,
    reply_s: Annotated[float, typer.Option(min=0.1, help="Seconds after which a missing reply is a failure.")] = 10.0,
    json: Json = False,
    write_readme: WriteReadme = False,
    readme: Readme = Path("README.md"),
) -> None:
    """Hold conversations with a backend and print latency, error rate, and how far they can be trusted."""
    from .bench import Output, bench
    from .options import backend_options, names, silences
    from .plan import Plan

    plan = Plan(
        backends=names(backend),
        silences_ms=silences(silence_ms),
        corpus=corpus,
        rounds=sessions,
        cold=cold,
        seed=seed,
        instructions=instructions,
        options=backend_options(option or ()),
        reply_s=reply_s,
    )
    raise typer.Exit(bench(plan, Output(folder=out, json=json, readme=readme if write_readme else None)))


@app.command()
@_explained
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
    write_readme: WriteReadme = False,
    readme: Readme = Path("README.md"),
) -> None:
    """Print the report of an earlier run again, from its results.jsonl."""
    from .bench import Output, report_again

    report_again(folder, Output(folder=folder, json=json, markdown=markdown, readme=readme if write_readme else None))


@app.command()
@_explained
def corpora(json: Json = False) -> None:
    """List the bundled corpora, what is in them, and whether their recordings are here."""
    import json as json_module
    from dataclasses import asdict

    from .corpus.manifest import bundled, load
    from .corpus.speech import facts, open_corpus

    rows: list[dict[str, Any]] = []
    for name in bundled():
        found = facts(load(name)[0])
        try:
            open_corpus(name)
            problem = None
        except VoiceBridgeError as error:
            problem = str(error)
        rows.append(asdict(found) | {"problem": problem})
        if not json:
            print(f"{found}\n  {problem or 'ready'}")
    if json:
        print(json_module.dumps(rows, indent=1))


@app.command()
@_explained
def realtime(
    quick: Annotated[bool, typer.Option(help="Half a minute: 1 and 50 sessions, one round.")] = False,
    sessions: Annotated[str, typer.Option(help="Numbers of sessions, with commas. Default: 1,10,50,100,200.")] = "",
    peers: Annotated[bool, typer.Option(help="Measure other clients that are installed as well.")] = False,
    peers_python: Annotated[str | None, typer.Option(help="The interpreter that has them. Default: this one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of clients, and of when calls begin.")] = 7,
    pin: Annotated[bool, typer.Option(help="Keep the server on one core and the clients on another.")] = True,
    json: Annotated[Path | None, typer.Option(help="A file for the raw data and all figures.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Measure what a native realtime session costs beside a bare websocket client: delay, CPU time, memory."""
    import shlex

    from .options import counts
    from .realtime.bench_realtime import Request, bench_realtime

    words = ["voicebridge", "bench", "realtime", *(["--quick"] if quick else []), *(["--peers"] if peers else [])]
    words += ["--sessions", sessions] if sessions else []
    request = Request(
        quick=quick,
        sessions=counts(sessions) if sessions else None,
        peers=peers,
        peers_python=peers_python or sys.executable,
        seed=seed,
        pinned=pin,
        json=json,
        markdown=markdown,
        command=shlex.join(words),
    )
    raise typer.Exit(bench_realtime(request))


@app.command()
@_explained
def handover(
    quick: Annotated[bool, typer.Option(help="Under a minute: fewer calls and rounds.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=3, max=1000, help="Connections that are lost in an answer. Default: 50.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of calls, and of when things happen in them.")] = 7,
    pin: Annotated[bool, typer.Option(help="Keep the servers on one core and the calls on another.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print figures and raw data as JSON.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Measure what a managed session survives, how fast it moves between backends, and what it costs."""
    import shlex

    from .handover.bench_handover import Request, bench_handover

    words = ["voicebridge", "bench", "handover", *(["--quick"] if quick else [])]
    words += ["--seeds", str(seeds)] if seeds is not None else []
    request = Request(
        quick=quick,
        seeds=seeds,
        seed=seed,
        pinned=pin,
        json=json,
        markdown=markdown,
        command=shlex.join(words),
    )
    raise typer.Exit(bench_handover(request))


@app.command()
@_explained
def endpointing(
    corpus: Corpus = "default",
    detector: Annotated[str, typer.Option(help="What counts silence, by its name.")] = "local/silero",
    recogniser: Annotated[str, typer.Option(help="Writes down what was said before a pause.")] = "installed",
    seed: Annotated[int, typer.Option(help="Of the noise in pauses, and of resampling.")] = 7,
    plot: Annotated[Path | None, typer.Option(help="A file for the curve, as SVG.")] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Measure ways to find the end of a turn: how many turns are cut into, and how much silence is added."""
    from .endpointing.bench_endpointing import Request, bench_endpointing

    request = Request(
        corpus=corpus, detector=detector, recogniser=recogniser, seed=seed, json=json, markdown=markdown, plot=plot
    )
    raise typer.Exit(bench_endpointing(request))


@app.command()
@_explained
def cascade(
    quick: Annotated[bool, typer.Option(help="A few minutes: fewer turns and sessions.")] = False,
    peers: Annotated[bool, typer.Option(help="Measure other frameworks that are installed as well.")] = False,
    peers_python: Annotated[str | None, typer.Option(help="The interpreter that has them. Default: this one.")] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Only this: bounds, side by side, out of the box, many. May be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the vendors' times, and of the order of clients.")] = 7,
    pin: Annotated[bool, typer.Option(help="Keep the vendors on one core and the clients on another.")] = True,
    json: Annotated[Path | None, typer.Option(help="A file for the raw data and all figures.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the tables as Markdown.")] = False,
) -> None:
    """Measure what a cascade of hosted stages adds to its critical path, and others beside it."""
    import shlex

    from .cascade.bench_cascade import Request, bench_cascade
    from .cascade.plan import GROUPS

    words = ["voicebridge", "bench", "cascade", *(["--quick"] if quick else []), *(["--peers"] if peers else [])]
    for name in part or ():
        words += ["--part", name]
    request = Request(
        quick=quick,
        peers=peers,
        peers_python=peers_python or sys.executable,
        groups=tuple(part) if part else GROUPS,
        seed=seed,
        pinned=pin,
        json=json,
        markdown=markdown,
        command=shlex.join(words),
    )
    raise typer.Exit(bench_cascade(request))


@app.command()
@_explained
def wer(
    speech_set: Annotated[
        str, typer.Option("--set", help="A bundled corpus, a folder with a manifest, or entities.")
    ] = "default",
    stt: Annotated[
        str, typer.Option(help="Recognisers by name, with commas; installed: the first that is.")
    ] = "installed",
    backend: Annotated[
        str | None, typer.Option("--backend", "-b", help="Speech-to-speech backends; the recogniser is their judge.")
    ] = None,
    simulate: Annotated[
        str | None, typer.Option(help="A simulator to stand in for the backend's vendor, with installed models.")
    ] = None,
    utterances: Annotated[int, typer.Option(min=1, help="Of the set, spoken to each backend in real time.")] = 10,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="name=value, for recogniser or backend. May be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the set `entities`, and of resampling.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; a new one in bench-results.")] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Measure how many words recognisers, or speech-to-speech backends, get wrong."""
    from .words.command import Asked, bench_words

    asked = Asked(
        set=speech_set,
        stt=stt,
        backend=backend,
        simulate=simulate,
        utterances=utterances,
        options=option or (),
        seed=seed,
        out=out,
        json=json,
        markdown=markdown,
    )
    raise typer.Exit(bench_words(asked))


@app.command()
@_explained
def mos(
    tts: Annotated[str, typer.Option(help="Voices by name, with commas; installed: the first that is.")] = "installed",
    corpus: Corpus = "default",
    clips: Annotated[int, typer.Option(min=1, help="Of the corpus. The network takes about a second for each.")] = 6,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="name=value, for the voice. May be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise, and of resampling.")] = 7,
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """Predict how good voices sound, beside a person's recording and noise, by a network: no listener was asked."""
    import shlex

    from .command_line import option_words
    from .options import backend_options, names
    from .quality.bench_mos import Request, bench_mos

    options = backend_options(option or ())
    words = ["voicebridge", "bench", "mos", "--tts", tts, "--corpus", Path(corpus).name]
    words += ["--clips", str(clips), *option_words(options)]
    request = Request(
        voices=names(tts),
        corpus=corpus,
        clips=clips,
        options=options,
        seed=seed,
        json=json,
        markdown=markdown,
        command=shlex.join(words),
    )
    raise typer.Exit(bench_mos(request))


for command in (manifest, cost, setup):
    app.command()(_explained(command))
