"""An end of the turn is held back until the silence is long enough for what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cascade.patient_detector import PatientDetector
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.stages import TurnSignal

PIECE_MS = 20
VOICE = (8_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes()


def signals(
    script: Sequence[tuple[int, bool, str]], *, mode: str = "semantic", silence_ms: int | None = 400
) -> list[tuple[str, int, int]]:
    """What is told (phase, place, when it was told) of stretches of audio: ms, whether it is loud, the text so far."""
    detector = PatientDetector(EnergyDetector())
    turns = TurnPolicy.model_validate({"mode": mode, "silence_ms": silence_ms})
    detector.configure(SessionConfig(turns=turns))
    told: list[tuple[str, int, int]] = []

    async def main() -> None:
        now_ms = 0
        for length_ms, loud, text in script:
            for _ in range(length_ms // PIECE_MS):
                size = detector.traits.format.size(PIECE_MS)
                now_ms += PIECE_MS
                found: Sequence[TurnSignal] = await detector.push(VOICE[:size] if loud else bytes(size), text)
                told.extend((signal.phase, round(signal.audio_ms), now_ms) for signal in found)

    asyncio.run(main())
    return told


@pytest.mark.parametrize(
    ("text", "ended_at"), [("A table for two.", 1200), ("A table and", 2200), ("", 1400)], ids=["whole", "open", "none"]
)
def test_the_wait_depends_on_what_was_said(text: str, ended_at: int) -> None:
    told = signals([(1000, True, ""), (2000, False, text)])
    assert [phase for phase, _, _ in told] == ["speech", "eager_end", "end"]
    assert told[-1] == ("end", 1000, ended_at)


def test_text_that_comes_late_shortens_the_wait() -> None:
    told = signals([(1000, True, ""), (300, False, ""), (700, False, "It is done.")])
    assert told[-1] == ("end", 1000, 1320)


def test_who_goes_on_after_a_held_end_has_resumed() -> None:
    told = signals([(1000, True, ""), (600, False, "I want to"), (500, True, "I want to"), (600, False, "I want it.")])
    assert [phase for phase, _, _ in told] == ["speech", "eager_end", "resumed", "eager_end", "end"]
    assert told[2][1] == 1600
    assert told[-1] == ("end", 2100, 2300)


def test_a_second_turn_begins_with_speech() -> None:
    told = signals([(1000, True, ""), (500, False, "Yes."), (500, True, ""), (500, False, "No.")])
    assert [phase for phase, _, _ in told] == ["speech", "eager_end", "end"] * 2


def test_any_other_mode_changes_nothing() -> None:
    told = signals([(1000, True, ""), (1000, False, "and")], mode="server_vad")
    assert told[-1] == ("end", 1000, 1400)


def test_a_silence_that_is_no_longer_asked_for_is_forgotten() -> None:
    async def ended_at(silence_ms: list[int | None]) -> int:
        detector = PatientDetector(EnergyDetector())
        for ms in silence_ms:
            detector.configure(SessionConfig(turns=TurnPolicy(mode="semantic", silence_ms=ms)))
        size = detector.traits.format.size(PIECE_MS)
        for _ in range(50):
            await detector.push(VOICE[:size], "")
        for count in range(1, 200):
            if any(one.phase == "end" for one in await detector.push(bytes(size), "")):
                return count * PIECE_MS
        raise AssertionError("no end")

    assert asyncio.run(ended_at([1500, None])) == asyncio.run(ended_at([None])) == 500


def test_another_mode_lets_go_of_what_is_held() -> None:
    async def main() -> None:
        detector = PatientDetector(EnergyDetector())
        detector.configure(SessionConfig(turns=TurnPolicy(mode="semantic", silence_ms=400)))
        size = detector.traits.format.size
        await detector.push(VOICE[: size(1000)], "")
        assert [one.phase for one in await detector.push(bytes(size(600)), "and")] == ["eager_end"]
        detector.configure(SessionConfig(turns=TurnPolicy(mode="server_vad", silence_ms=400)))
        assert [one.phase for one in await detector.push(bytes(size(20)), "and")] == ["end"]

    asyncio.run(main())
