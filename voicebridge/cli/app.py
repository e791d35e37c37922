"""The commands, their options and their help. What they do lives in the module of each name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from voicebridge.contract.errors import BadOption

from .plugin_commands import CommandGroup
from .settings import InterruptionChoice

__all__ = ["program"]

app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Backend = Annotated[
    str, typer.Option("--backend", "-b", metavar="SPEC", help="local, vendor/model, or a cascade stt+llm+tts.")
]
Instructions = Annotated[str | None, typer.Option(metavar="TEXT", help="How the agent should behave.")]
Voice = Annotated[str | None, typer.Option(metavar="NAME", help="A voice that the backend knows.")]
SilenceMs = Annotated[
    int | None, typer.Option(metavar="MS", min=0, max=10_000, help="Silence that ends a turn of the user.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", metavar="NAME=VALUE", help="Any other setting of the backend. May be repeated."),
]


Fallback = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPEC",
        help="A backend that takes over when the one before it fails, with what was said so far. May be repeated.",
    ),
]
History = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Keep what is said, and what was heard of it: sqlite:///calls.db is a file here. `history` reads it.",
    ),
]
Conversation = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Its name in --history. One that is there already goes on."),
]
Interruption = Annotated[
    InterruptionChoice | None,
    typer.Option(
        help="When you speak while the agent does. at-once: it stops at any sound. patient: it pauses, stops at words, "
        "and goes on after a cough or an 'mm-hmm'. never: it finishes first. Else talk is patient, and ask leaves it "
        "to the backend.",
    ),
]
Disclosure = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Said first, to its end, before anything else: that one talks to a machine, for example."
    ),
]


def _folder(name: str) -> Path:
    """A path that was named: of an empty name, `Path` makes the current folder."""
    if not name:
        raise BadOption("--record needs the name of a new folder, such as `--record calls/7`.", code="bad_option")
    return Path(name)


Record = Annotated[
    Path | None,
    typer.Option(
        parser=_folder,
        metavar="FOLDER",
        help="Record the session in a new folder: both voices, and all else for `replay`. Connections that take over "
        "have folders in it: FOLDER/2, ...",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; everything else goes to stderr.")]


def program() -> Any:
    """The whole program, as a click command."""
    return get_command(app)


def _version(asked: bool) -> None:
    if asked:
        import voicebridge

        print(f"voicebridge {voicebridge.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog="Begin with: voicebridge doctor")
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Talk with any voice backend, measure it, and see what is installed."""
    if context.invoked_subcommand is None and (text := context.get_help()):
        print(text)


@app.command(epilog="Example: voicebridge ask hello.wav -o reply.wav --instructions 'Answer in one sentence.'")
def ask(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording: WAV, FLAC, OGG or MP3.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="WAV", help="Write the reply here.")] = None,
    record: Record = None,
    backend: Backend = "local",
    fast: Annotated[bool, typer.Option("--fast", help="As fast as the backend takes it, not in real time.")] = False,
    instructions: Instructions = None,
    voice: Voice = None,
    silence_ms: SilenceMs = None,
    fallback: Fallback = None,
    history: History = None,
    conversation: Conversation = None,
    interruption: Interruption = None,
    disclosure: Disclosure = None,
    option: Settings = None,
    json: Json = False,
) -> int:
    """Play a recording to a backend as a user would speak it, and see what it heard, answered, and how fast."""
    from .ask import ask as run
    from .settings import Settings as Given

    settings = Given(
        backend=backend,
        instructions=instructions,
        voice=voice,
        silence_ms=silence_ms,
        more=option or [],
        fallback=fallback or [],
        history=history,
        conversation=conversation,
        interruption=interruption,
        disclosure=disclosure,
    )
    return run(file, settings, out=out, record=record, fast=fast, json=json)


@app.command(epilog="Example: voicebridge talk -b local --history sqlite:///calls.db --conversation monday")
def talk(
    backend: Backend = "local",
    record: Record = None,
    instructions: Instructions = None,
    voice: Voice = None,
    silence_ms: SilenceMs = None,
    fallback: Fallback = None,
    history: History = None,
    conversation: Conversation = None,
    interruption: Interruption = None,
    disclosure: Disclosure = None,
    option: Settings = None,
    json: Json = False,
) -> int:
    """Talk with a backend through microphone and speaker, until Ctrl-C. Use a headset: the agent hears itself."""
    from .settings import Settings as Given
    from .talk import talk as run

    settings = Given(
        backend=backend,
        instructions=instructions,
        voice=voice,
        silence_ms=silence_ms,
        more=option or [],
        fallback=fallback or [],
        history=history,
        conversation=conversation,
        interruption=interruption,
        disclosure=disclosure,
    )
    return run(settings, record=record, json=json)


@app.command(
    epilog="Example: voicebridge history sqlite:///calls.db; one of them: voicebridge history sqlite:///calls.db monday"
)
def history(
    url: Annotated[str, typer.Argument(metavar="URL", help="What --history of talk or ask was: sqlite:///calls.db.")],
    conversation: Annotated[
        str | None, typer.Argument(metavar="[CONVERSATION]", help="Its name. Without it: list what there is.")
    ] = None,
    delete: Annotated[
        str | None, typer.Option(metavar="NAME", help="Leave nothing of this conversation, its sound included.")
    ] = None,
    audio: Annotated[
        str | None, typer.Option(metavar="KEY", help="Write the sound of the entry of this key, as --json shows it.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="WAV", help="Write that sound here.")] = None,
    json: Json = False,
) -> int:
    """Read the conversations that were kept: who said what, and what was heard of it."""
    from .history import history as run

    return run(url, conversation, delete=delete, audio=audio, out=out, json=json)


@app.command(
    epilog="Example: voicebridge replay talk/ -o agent.wav; as a backend: voicebridge ask hi.wav -b replay/talk"
)
def replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What --record of ask or talk has made.")],
    pace: Annotated[
        str, typer.Option(metavar="PACE", help="instant, or recorded: with the time that passed then.")
    ] = "instant",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="WAV", help="Write the agent's voice here.")
    ] = None,
    json: Json = False,
) -> int:
    """Print a recorded conversation again, without the backend. With --json: each command and event, a line each."""
    from .replay import replay as run

    return run(folder, pace=pace, out=out, json=json)


@app.command(epilog="Example: voicebridge backends --licences")
def backends(
    licences: Annotated[bool, typer.Option("--licences", help="Show licence and source of each.")] = False,
    json: Json = False,
) -> int:
    """List the backends and stages that are installed, what they can do, and what is missing."""
    from .backends import backends as run

    return run(licences=licences, json=json)


@app.command(epilog="Example: voicebridge doctor --json")
def doctor(json: Json = False) -> int:
    """Check this installation: packages, plugins, models, sound devices. Exit status 1 when something is wrong."""
    from .doctor import doctor as run

    return run(json=json)


@app.command(epilog="Example: voicebridge contract local --wav hello.wav --only spoken_turn")
def contract(
    backend: Annotated[str, typer.Argument(metavar="SPEC", help="local, vendor/model, or a cascade stt+llm+tts.")],
    wav: Annotated[
        Path | None, typer.Option("--wav", metavar="FILE", help="What the user says. Without it, a loud sound.")
    ] = None,
    tool_prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A question that makes it call the tool look_up_weather.")
    ] = None,
    parallel_prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One that makes it call that tool twice in one answer.")
    ] = None,
    recall: Annotated[
        tuple[str, str, str] | None,
        typer.Option(
            metavar="FACT QUESTION WORD",
            help="Something said before, a question about it, and a word of the right answer.",
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="This check alone. May be repeated.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before using a key that costs money.")] = False,
    option: Settings = None,
    json: Json = False,
) -> int:
    """Check whether a backend keeps what every session promises. Exit status 1 when it does not."""
    from .contract import Questions
    from .contract import contract as run
    from .settings import Settings as Given

    settings = Given(backend=backend, instructions=None, voice=None, silence_ms=None, more=option or [])
    questions = Questions(tool_prompt=tool_prompt, parallel_prompt=parallel_prompt, recall=recall or None)
    return run(backend, settings, questions, wav=wav, only=only or [], yes=yes, json=json)


@app.command(
    epilog="Example: voicebridge simulate NAME --port 8800 --profile published --fault 'reset after 12 frames'"
)
def simulate(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Without it: list what there is.")] = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65_535, help="0 takes any free one.")] = 8800,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    profile: Annotated[str, typer.Option(metavar="NAME", help="Stage times to draw, such as published.")] = "instant",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed draws the same times.")] = 0,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="LINE", help="What goes wrong, such as 'reset after 12 frames'.")
    ] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a line of JSON for each turn.")] = None,
    keep_alive: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Close what is kept in HTTP and not used for so long."),
    ] = None,
    stale: Annotated[bool, typer.Option("--stale", help="Close it when its next request comes instead.")] = False,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", "-O", metavar="NAME=VALUE", help="An option of the wire.")
    ] = None,
    options: Annotated[bool, typer.Option("--options", help="List the options of NAME, and stop.")] = False,
) -> int:
    """Serve a vendor's wire on this machine, to develop, test and measure without the vendor.

    It detects speech, answers with real speech where a voice is installed, calls tools, and fails as it is told.
    --fault, --option may be repeated. A fault is ACTION [WHEN] [WHICH]: delay, drop, duplicate, reorder, garbage,
    stall, reset, cut, half-open, close or handshake; on EVENT, after N frames, after 2s or at byte N; occurrence N,
    every, chance 5%, connection N.
    """
    from .simulate import Simulation, list_options, list_simulators
    from .simulate import simulate as run

    if name is None:
        return list_simulators()
    if options:
        return list_options(name)
    return run(
        Simulation(
            name=name,
            host=host,
            port=port,
            profile=profile,
            seed=seed,
            faults=fault or [],
            log=log,
            keep_alive_s=keep_alive,
            stale=stale,
            options=option or [],
        )
    )
