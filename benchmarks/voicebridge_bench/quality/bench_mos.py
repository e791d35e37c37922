"""The whole of `voicebridge bench mos`: voices read what a person read, and a network says how each sounds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.errors import ConfigError
from voicebridge.testing.simulator.ears import installed_stage
from voicebridge_bench.bar import Tell, bar
from voicebridge_bench.corpus.speech import open_corpus
from voicebridge_bench.environment import describe
from voicebridge_bench.intervals import Rate, rate
from voicebridge_bench.words.show import show
from voicebridge_bench.words.utterances import SpeechSet, of_corpus
from voicebridge_bench.words.voices import Reader

from .clips import in_noise, spoiled, white_noise
from .dnsmos import Dnsmos, Predicted

__all__ = ["Request", "Sounded", "bench_mos", "sounded"]

SCHEMA_VERSION = 1
MEASURED, INTERRUPTED = 0, 130
_SNR_DB = 10.0
_CEILING = "ceiling: a person's recording"
_NOISY = f"floor: the same, noise {_SNR_DB:g} dB below"
_SPOILED = "floor: the same, 8 bits and clipped"
_NOISE = "floor: white noise alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    voices: tuple[str, ...] = ("installed",)
    corpus: str = "default"
    clips: int = 6
    """Of the corpus, from its beginning."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For every voice: settings of a session and options of the stage."""
    seed: int = 7
    json: bool = False
    markdown: bool = False
    command: str = "voicebridge bench mos"


@dataclass(frozen=True, slots=True)
class Sounded:
    """Predicted opinions of one source, means over its clips. The interval draws clips."""

    source: str
    clips: int
    overall: Rate | None
    speech: Rate | None
    background: Rate | None


def sounded(source: str, found: Mapping[str, Predicted], seed: int) -> Sounded:
    """The means of a source's clips."""

    def mean(values: Mapping[str, float]) -> Rate | None:
        return rate({clip: (value, 1.0) for clip, value in values.items()}, seed)

    return Sounded(
        source,
        len(found),
        mean({clip: one.overall for clip, one in found.items()}),
        mean({clip: one.speech for clip, one in found.items()}),
        mean({clip: one.background for clip, one in found.items()}),
    )


def bench_mos(request: Request) -> int:
    """Measure, report, and give the exit status.

    Raises:
        VoiceBridgeError: the extra, the corpus or a voice is missing, or a voice fails.
    """
    network = Dnsmos()
    voices = tuple(dict.fromkeys(map(_chosen, request.voices)))
    speech = of_corpus(open_corpus(request.corpus))
    speech = replace(speech, utterances=speech.utterances[: request.clips])
    environment, interrupted = describe(), False
    found: dict[str, dict[str, Predicted]] = {}
    try:
        with bar((len(voices) + 4) * len(speech.utterances)) as tell:
            _scale(network, speech, request.seed, found, tell)
            asyncio.run(_heard(network, voices, speech, request.options, found, tell))
    except KeyboardInterrupt:
        interrupted = True
    columns = [sounded(source, clips, request.seed) for source, clips in found.items() if clips]
    _show(request, network, speech, environment, columns, interrupted)
    return INTERRUPTED if interrupted else MEASURED


def _chosen(name: str) -> str:
    chosen = installed_stage("tts", name)
    if chosen is None:
        raise ConfigError("No voice is installed. In a clone of voicebridge: pip install '.[local]'")
    return chosen


def _scale(network: Dnsmos, speech: SpeechSet, seed: int, found: dict[str, dict[str, Predicted]], tell: Tell) -> None:
    """What people and noise get: without them a figure of a voice says nothing."""
    for name in (_CEILING, _NOISY, _SPOILED, _NOISE):
        found[name] = {}
    for place, one in enumerate(speech.utterances):
        made = {
            _CEILING: one.pcm,
            _NOISY: in_noise(one.pcm, _SNR_DB, seed + place),
            _SPOILED: spoiled(one.pcm),
            _NOISE: white_noise(len(one.pcm) // 2, seed + place),
        }
        for name, pcm in made.items():
            found[name][one.id] = network.predict(pcm, DOOR_FORMAT)
            tell("the scale", 1.0)


async def _heard(
    network: Dnsmos,
    voices: Sequence[str],
    speech: SpeechSet,
    options: Mapping[str, Any],
    found: dict[str, dict[str, Predicted]],
    tell: Tell,
) -> None:
    for voice in voices:
        found[voice] = {}
        async with Reader(voice, options) as reader:
            for one in speech.utterances:
                found[voice][one.id] = network.predict(await reader.read(one.text), DOOR_FORMAT)
                tell(voice, 1.0)


def _show(
    request: Request,
    network: Dnsmos,
    speech: SpeechSet,
    environment: dict[str, Any],
    columns: Sequence[Sounded],
    interrupted: bool,
) -> None:
    lines = [
        f"Predicted by {network.name}, on 16 kHz: a network's guess on a scale from 1 to 5, no opinion of a person. "
        "It can't be set beside a mean opinion score that listeners gave.",
        "The scale shows what the network gives to a person who reads the same words, and to speech that is spoiled. "
        "It was made for noise and echo: it says little about how natural a clean voice is, and may "
        "put one above the person.",
        f"Words and recordings: {speech.name}, {len(speech.utterances)} clips; {speech.source} ({speech.licence}). In "
        "brackets: 95 %, drawn by clip.",
        *(["The run was interrupted: these are the clips measured until then."] if interrupted else []),
        f"{environment['cpu']}, {environment['cores']} cores. `{request.command}`",
    ]
    if request.json:
        told = {"schema_version": SCHEMA_VERSION, "kind": "predicted quality", "command": request.command}
        told |= {"interrupted": interrupted, "seed": request.seed, "predictor": network.name, "set": speech.identity}
        told |= {"environment": environment, "notes": lines, "sources": [asdict(one) for one in columns]}
        json.dump(told, sys.stdout, indent=1, ensure_ascii=False)
        print()
        return
    heads = ["OVRL (predicted)", "SIG (predicted)", "BAK (predicted)", "clips"]
    rows = [
        (one.source, [_mean(one.overall), _mean(one.speech), _mean(one.background), str(one.clips)]) for one in columns
    ]
    show("voicebridge bench mos: predicted, not heard", heads, rows, lines, request.markdown)


def _mean(found: Rate | None) -> str:
    if found is None:
        return "not measured"
    interval = "" if found.low is None or found.high is None else f" [{found.low:.2f}–{found.high:.2f}]"
    return f"{found.value:.2f}{interval}"
