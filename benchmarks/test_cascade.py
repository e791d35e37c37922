"""A cascade of scripted stages on the real clock, against the ideal critical path of each turn.

The stages only wait. Each writes down how long its waits really took, and the sender how late its frames were: the
ideal of a turn is computed from those, so what comes on top is the cascade and the event loop. `nominal` is above the
ideal of the waits that were asked for; the same chain of waits without a cascade (`floor`) shows how much of that is
the operating system's timers.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.events import OutputAudio, SessionReady
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.door import connect
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

FRAME_S = 0.02
SILENCE_S, EAGER_S = 0.2, 0.04
STT_S, LLM_S, TTS_S = 0.12, 0.08, 0.05
"""From a mark to its text, from the question to the first clause, from the clause to its audio."""
SPOKEN_FRAMES, QUIET_FRAMES = 20, 40
PERIOD = SPOKEN_FRAMES + QUIET_FRAMES
SILENCE_FRAMES, EAGER_FRAMES = round(SILENCE_S / FRAME_S), round(EAGER_S / FRAME_S)
LOUD, QUIET = (sample * (PCM_16K.size(20) // 2) for sample in (b"\x00\x20", b"\x00\x00"))

IDEAL_S: dict[str, Callable[[float, float, float, float, float], float]] = {
    "none": lambda silence, eager, stt, llm, tts: silence + stt + llm + tts,
    "transcript": lambda silence, eager, stt, llm, tts: max(silence, eager + stt) + llm + tts,
    "reply": lambda silence, eager, stt, llm, tts: max(silence, eager + stt + llm + tts),
}
"""Seconds from the last sample of speech to the first audio, by what is done during the silence."""
NOMINAL = (SILENCE_S, EAGER_S, STT_S, LLM_S, TTS_S)


@dataclass(slots=True)
class Overheads:
    """Seconds above the ideal, a turn each: of the waits as they were, and as they were asked for."""

    turns: list[float]
    nominal: list[float]


async def _converse(speculate: str, turns: int, offset_s: float = 0.0) -> Overheads:
    """A session in real time: each turn 0.4 s of speech and 0.8 s of silence, on absolute deadlines."""
    stt = ScriptedRecogniser(["hello"], final_s=STT_S)
    llm = ScriptedModel(["Hi."], first_s=LLM_S)
    tts = ScriptedVoice(first_s=TTS_S, character_ms=20)
    detector = EnergyDetector(frame_ms=20, eager_ms=40)
    backend = CascadeBackend(stt=stt, llm=llm, tts=tts, detector=detector)
    clock = time.monotonic
    async with connect(
        backend, input_format=PCM_16K, turns={"silence_ms": round(SILENCE_S * 1000)}, speculate=speculate
    ) as session:
        events = aiter(session)
        while not isinstance(await anext(events), SessionReady):
            pass
        heard: list[float] = []

        async def listen() -> None:
            async for event in events:
                if isinstance(event, OutputAudio):
                    heard.append(clock())

        listener = asyncio.create_task(listen())
        began = clock() + offset_s
        ends, late = [], []
        for number in range(turns * PERIOD):
            due = began + (number + 1) * FRAME_S
            await asyncio.sleep(due - clock())
            late.append(clock() - due)
            place = number % PERIOD
            if place == SPOKEN_FRAMES - 1:
                ends.append(due)
            await session.send(SendAudio(pcm=LOUD if place < SPOKEN_FRAMES else QUIET))
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
    assert len(heard) == turns, f"each turn is answered once: {len(heard)} of {turns}"
    took = [at - end for at, end in zip(heard, ends, strict=True)]
    waits = zip(stt.waited, llm.waited, tts.waited, strict=True)
    silences = (late[turn * PERIOD + SPOKEN_FRAMES - 1 :] for turn in range(turns))
    ideals = [
        IDEAL_S[speculate](SILENCE_S + frames[SILENCE_FRAMES], EAGER_S + frames[EAGER_FRAMES], *wait)
        for frames, wait in zip(silences, waits, strict=True)
    ]
    return Overheads(
        [total - ideal for total, ideal in zip(took, ideals, strict=True)],
        [total - IDEAL_S[speculate](*NOMINAL) for total in took],
    )


@pytest.mark.parametrize("speculate", IDEAL_S)
def test_overhead_above_the_ideal(record, speculate: str) -> None:
    """One session, 40 turns: recorded above the ideal of the waits as they were, `nominal` printed beside."""
    found = asyncio.run(_converse(speculate, 40))
    assert min(found.turns) > -0.001, "nothing is faster than the ideal"
    record(found.turns)
    print(f"nominal: p50 {statistics.median(found.nominal) * 1000:.2f} ms")


async def _waits(turns: int) -> list[float]:
    clock = time.monotonic
    found = []
    for _ in range(turns):
        began = clock()
        for wait in (SILENCE_S, STT_S, LLM_S, TTS_S):
            await asyncio.sleep(wait)
        found.append(clock() - began - IDEAL_S["none"](*NOMINAL))
    return found


def test_floor(record) -> None:
    """The waits alone, 40 times, above what was asked for: compare with `nominal`."""
    found = asyncio.run(_waits(40))
    assert min(found) > -0.001
    record(found)


def test_fifty_sessions_on_one_loop(record) -> None:
    """50 sessions of 10 turns, begun 24 ms apart: recorded as above."""

    async def crowd() -> list[Overheads]:
        return await asyncio.gather(*(_converse("none", 10, number * 1.2 / 50) for number in range(50)))

    began = time.process_time()
    found = asyncio.run(crowd())
    turns = [overhead for one in found for overhead in one.turns]
    assert len(turns) == 500
    print(f"\nCPU: {time.process_time() - began:.1f} s for 12 s of 50 sessions")
    record(turns)
