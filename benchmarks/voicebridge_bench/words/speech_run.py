"""A run over speech-to-speech backends: each hears every utterance twice, once to answer and once to repeat it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge_bench.results import ResultsFolder

from .exchange import Exchange, Patience, exchange
from .four_numbers import SpeechRow, heard_row
from .recogniser import Recogniser
from .utterances import Utterance
from .voices import Reader

__all__ = ["Arm", "Judge", "run_speech", "seconds"]

ANSWER = "You talk with a caller on the telephone. Answer in one short sentence."
ECHO = "Repeat word for word what the user says. Say nothing else: no greeting, no comment, no answer."
_NO_ECHO: dict[str, str | None] = {
    "model": None,
    "fault": None,
    "judge": None,
    "blank": "simulated: there is no model to repeat anything",
}
_SILENCE_MS = 800
"""Ends a turn. More than usual, so that no pause inside a sentence cuts an utterance in two."""
_REPLY_S = 6.0
"""What an answer takes, for the estimate of the time left."""

Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A backend, and how much of what it says is real."""

    backend: str
    """A spec, as for `voicebridge.connect`."""
    mode: str
    """`live`, `local`, `own server` or `simulated`."""
    options: Mapping[str, Any]
    hears: bool = True
    """A recogniser listens. False: the transcript is made up, and W1 to W3 stay blank."""
    speaks: bool = True
    """A voice speaks. False: it is a tone, and W2 and W4 stay blank."""
    thinks: bool = True
    """A model answers. False: W2 and W3 stay blank, since nothing could do what it is told."""


@dataclass(slots=True)
class Judge:
    """The recogniser that writes down what backends say, and the voice for its floor."""

    recogniser: Recogniser
    voice: Reader | None

    async def floor(self, reference: str) -> str | None:
        """A reference read out by the voice, as the recogniser writes it down."""
        if self.voice is None:
            return None
        return await self.recogniser.transcribe(await self.voice.read(reference))


def seconds(utterances: Sequence[Utterance]) -> float:
    """About how long one backend takes."""
    return 2 * sum(len(one.pcm) / 48_000 + _REPLY_S for one in utterances)


async def run_speech(
    arm: Arm, utterances: Sequence[Utterance], judge: Judge, results: ResultsFolder[SpeechRow], tell: Tell
) -> None:
    """Measure one backend."""
    import voicebridge

    for utterance in utterances:
        length = len(utterance.pcm) / 48_000 + _REPLY_S
        shared: dict[str, str | None] = {
            "backend": arm.backend,
            "utterance": utterance.id,
            "speaker": utterance.speaker,
            "synthetic": utterance.synthetic,
            "mode": arm.mode,
        }
        for echo in (False, True) if arm.thinks else (False,):
            options = {"turns": {"silence_ms": _SILENCE_MS}} | dict(arm.options)
            opener = partial(voicebridge.connect_raw, arm.backend, instructions=ECHO if echo else ANSWER, **options)
            found = await exchange(opener, utterance.pcm, Patience(), aside=not echo and arm.thinks)
            told = shared | {"model": found.model, "fault": found.fault}
            rows = _echo_rows(arm, utterance, found, judge, told) if echo else _rows(arm, utterance, found, judge, told)
            async for row in rows:
                results.add(row)
            tell(arm.backend, length)
        if not arm.thinks:
            results.add(heard_row(shared | _NO_ECHO, "W2", utterance.text, None))
            tell(arm.backend, length)


async def _rows(arm: Arm, utterance: Utterance, found: Exchange, judge: Judge, told: dict[str, str | None]) -> Any:
    unheard = None if arm.hears else "simulated: no recogniser listens"
    silent = None if arm.speaks else "simulated: a tone, no voice"
    yield heard_row(told | {"judge": None, "blank": unheard}, "W1", utterance.text, found.transcript)
    unasked = "the model answers nothing out of band" if arm.thinks else "simulated: there is no model to ask"
    blank = unheard or (unasked if found.aside is None else None)
    yield heard_row(told | {"judge": None, "blank": blank}, "W3", utterance.text, found.aside)
    if not found.reply:
        silent = silent or "no answer with words came"
    heard = await _judged(judge, found) if not silent else None
    floor = await judge.floor(found.reply) if not silent else None
    yield heard_row(told | {"judge": judge.recogniser.name, "blank": silent}, "W4", found.reply, heard, floor)


async def _echo_rows(arm: Arm, utterance: Utterance, found: Exchange, judge: Judge, told: dict[str, str | None]) -> Any:
    blank = None
    if not (arm.hears and arm.speaks):
        blank = "simulated: no recogniser listens, or no voice speaks"
    heard = await _judged(judge, found) if not blank else None
    floor = await judge.floor(utterance.text) if not blank else None
    yield heard_row(told | {"judge": judge.recogniser.name, "blank": blank}, "W2", utterance.text, heard, floor)


async def _judged(judge: Judge, found: Exchange) -> str:
    """What the judge hears in an answer's audio; nothing where none came."""
    if not found.reply_pcm:
        return ""
    edge = bytes(DOOR_FORMAT.size(200))
    try:
        return await judge.recogniser.transcribe(edge + found.reply_pcm + edge, found.format)
    except VoiceBridgeError:
        return ""
