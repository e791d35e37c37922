"""One utterance spoken to a backend in a session of its own, and all the words that came back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.commands import Respond
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.session import VoiceSession
from voicebridge_bench.live.listener import Listener
from voicebridge_bench.live.microphone import Microphone
from voicebridge_bench.trace import Answer, Trace

__all__ = ["ASIDE", "Exchange", "Patience", "exchange"]

ASIDE = (
    "Write down word for word what the user said last, in the language in which it was said. Answer nothing, explain "
    "nothing, add nothing."
)
"""What is asked out of band for the third number."""
_SENT_S = 0.5

Connect = Callable[[], AbstractAsyncContextManager[VoiceSession]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds."""

    ready_s: float = 60.0
    reply_s: float = 30.0
    """From the end of the speech until the whole reply is there."""
    transcript_s: float = 3.0
    """From then until the transcript is final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What came back. A text is None where it can't be had from this backend, empty where it did not come."""

    transcript: str = ""
    """The user's words, by the transcriber beside the model."""
    reply: str = ""
    """The model's own words, of the responses that were completed."""
    reply_pcm: bytes = b""
    """Their audio, PCM16 mono."""
    format: AudioFormat = DOOR_FORMAT
    aside: str | None = None
    """What the model itself wrote down, asked out of band."""
    model: str | None = None
    """As the backend calls it."""
    fault: str | None = None


async def exchange(connect: Connect, pcm: bytes, patience: Patience, *, aside: bool = False) -> Exchange:
    """Speak PCM16 mono at 24 kHz in real time, and wait for the answer to end. No error of the backend comes out.

    Args:
        connect: opens the session.
        pcm: the user's speech.
        patience: how long to wait.
        aside: ask the model for a transcript of its own, where it answers out of band.
    """
    trace = Trace(yields=False)
    try:
        async with connect() as session:
            listener = Listener(session, trace)
            microphone = Microphone(session)
            tasks = listener.start()
            try:
                await _hold(listener, microphone, tasks, pcm, patience)
                wrote = await _ask_aside(session, listener, patience) if aside else None
                return _told(trace, wrote, listener.failure or microphone.failure)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    except VoiceBridgeError as error:
        return _told(trace, None, str(error))
    except Exception as error:  # a backend that breaks its promise is a finding, not the end of the benchmark
        return _told(trace, None, f"{type(error).__name__}: {error}")


async def _hold(
    listener: Listener, microphone: Microphone, tasks: list[asyncio.Task[None]], pcm: bytes, patience: Patience
) -> None:
    clock, trace = asyncio.get_running_loop().time, listener.trace
    if not await listener.until(lambda: trace.ready_at is not None, clock() + patience.ready_s):
        return
    tasks.append(microphone.start())
    zero = microphone.say(pcm) + DOOR_FORMAT.ms(len(pcm)) / 1000

    def answered() -> bool:
        done = [one for one in _completed(trace) if (one.ended_at or 0.0) >= zero]
        return bool(done) and not trace.open_answers() and clock() >= zero + _SENT_S

    await listener.until(answered, zero + patience.reply_s)
    await listener.until(lambda: _transcribed(trace), clock() + patience.transcript_s)


def _transcribed(trace: Trace) -> bool:
    turns = [commit.turn_id for commit in trace.commits]
    return bool(turns) and all(turn in trace.heard and trace.heard[turn].final_at is not None for turn in turns)


async def _ask_aside(session: VoiceSession, listener: Listener, patience: Patience) -> str | None:
    """The model's own transcript; None where it answers nothing out of band."""
    can = session.capabilities
    if not {"aside", "instructions"} <= can.respond or "text" not in can.outputs or listener.over:
        return None
    clock, trace = asyncio.get_running_loop().time, listener.trace
    known = set(trace.answers)
    await session.send(Respond(instructions=ASIDE, aside=True, modality="text"))

    def asides() -> list[Answer]:
        return [one for one in trace.answers.values() if one.id not in known and one.aside]

    await listener.until(lambda: any(one.ended_at is not None for one in asides()), clock() + patience.reply_s)
    return " ".join(one.text.strip() for one in asides() if one.status == "completed")


def _completed(trace: Trace) -> list[Answer]:
    return [one for one in trace.answers.values() if one.status == "completed" and not one.aside]


def _told(trace: Trace, aside: str | None, fault: str | None) -> Exchange:
    answers = _completed(trace)
    heard = [one.text.strip() for turn, one in trace.heard.items() if turn not in trace.discarded]
    failed = [one.fault for one in trace.answers.values() if one.status in ("failed", "lost") and one.fault]
    told = fault or (trace.faults[-1][1] if trace.faults else None) or (failed[-1] if failed and not answers else None)
    return Exchange(
        transcript=" ".join(text for text in heard if text),
        reply=" ".join(one.text.strip() for one in answers if one.text.strip()),
        reply_pcm=b"".join(bytes(one.pcm) for one in answers),
        format=trace.format,
        aside=aside,
        model=trace.ready.model if trace.ready else None,
        fault=told,
    )
