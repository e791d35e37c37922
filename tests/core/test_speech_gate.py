"""The gate: its table, and each promise of it for any frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebridge.contract.stages import TurnSignal
from voicebridge.core.speech_gate import GateSettings, SpeechGate

NAN = math.nan
FRAME = 10.0


def told(frames: Sequence[float], **settings: float) -> list[tuple[int, str, float]]:
    """What was told: after how many frames, the phase, and where in frames."""
    gate = SpeechGate(GateSettings(frame_ms=FRAME, **settings))
    signals = [(number, gate.push(frame)) for number, frame in enumerate(frames, 1)]
    return [(number, signal.phase, signal.audio_ms / FRAME) for number, signal in signals if signal]


def frames(drawn: str) -> list[float]:
    """Frames from a drawing: `#` speech, `.` silence, `~` between the two, `?` not a number."""
    return [{"#": 0.9, ".": 0.1, "~": 0.4, "?": NAN}[char] for char in drawn]


SLOW = {"min_speech_ms": 30, "eager_ms": 20, "silence_ms": 50}


@pytest.mark.parametrize(
    ("drawn", "settings", "signals"),
    [
        ("", SLOW, []),
        ("..........", SLOW, []),
        ("..##..##..", SLOW, []),
        ("..###", SLOW, [(5, "speech", 2)]),
        ("###..", SLOW, [(3, "speech", 0), (5, "eager_end", 3)]),
        ("###.....", SLOW, [(3, "speech", 0), (5, "eager_end", 3), (8, "end", 3)]),
        ("###..#", SLOW, [(3, "speech", 0), (5, "eager_end", 3), (6, "resumed", 5)]),
        ("###..#..", SLOW, [(3, "speech", 0), (5, "eager_end", 3), (6, "resumed", 5), (8, "eager_end", 6)]),
        ("###.#.#.#", SLOW, [(3, "speech", 0)]),
        ("###..........###", SLOW, [(3, "speech", 0), (5, "eager_end", 3), (8, "end", 3), (16, "speech", 13)]),
        # Between start and stop a frame is what the one before was.
        ("~~~~~", SLOW, []),
        ("#~~~~", SLOW, [(3, "speech", 0)]),
        ("###~~~..", SLOW, [(3, "speech", 0), (8, "eager_end", 6)]),
        ("###.~", SLOW, [(3, "speech", 0), (5, "eager_end", 3)]),
        ("###?~", SLOW, [(3, "speech", 0), (5, "eager_end", 3)]),
        ("##?###", SLOW, [(6, "speech", 3)]),
        # Shorter noises in a pause
        (
            "###..#..",
            SLOW | {"min_resume_ms": 20},
            [(3, "speech", 0), (5, "eager_end", 3), (8, "end", 3)],
        ),
        (
            "###..##.",
            SLOW | {"min_resume_ms": 20},
            [(3, "speech", 0), (5, "eager_end", 3), (7, "resumed", 5)],
        ),
        # Speech that was too short to resume opens the next turn, from its first frame on.
        (
            "###....##",
            SLOW | {"min_resume_ms": 20},
            [(3, "speech", 0), (5, "eager_end", 3), (8, "end", 3)],
        ),
        (
            "###....###",
            SLOW | {"min_resume_ms": 20},
            [(3, "speech", 0), (5, "eager_end", 3), (8, "end", 3), (10, "speech", 7)],
        ),
        # The edges of the settings
        ("###.", SLOW | {"silence_ms": 0}, [(3, "speech", 0), (4, "end", 3)]),
        ("###.", SLOW | {"silence_ms": 10, "eager_ms": 10}, [(3, "speech", 0), (4, "end", 3)]),
        ("###.....", SLOW | {"eager_ms": 60}, [(3, "speech", 0), (8, "end", 3)]),
        ("###.", SLOW | {"eager_ms": 0}, [(3, "speech", 0), (4, "eager_end", 3)]),
        ("#", SLOW | {"min_speech_ms": 0}, [(1, "speech", 0)]),
        ("....", SLOW | {"min_speech_ms": 0, "silence_ms": 0}, []),
        (
            "#.#.",
            SLOW | {"min_speech_ms": 0, "silence_ms": 0},
            [(1, "speech", 0), (2, "end", 1), (3, "speech", 2), (4, "end", 3)],
        ),
        ("##", SLOW | {"min_speech_ms": 11}, [(2, "speech", 0)]),
    ],
)
def test_drawings(drawn: str, settings: dict[str, float], signals: list[tuple[int, str, float]]) -> None:
    assert told(frames(drawn), **settings) == signals


def test_thresholds() -> None:
    gate = SpeechGate(GateSettings(frame_ms=FRAME, start=0.5, stop=0.35, min_speech_ms=10, eager_ms=10))
    assert gate.push(0.4999) is None
    assert gate.push(0.5) == TurnSignal("speech", 10.0, 0.5)
    assert gate.push(0.35) is None
    assert gate.push(0.3499) == TurnSignal("eager_end", 30.0, 1.0)


def test_infinities() -> None:
    assert told([math.inf, -math.inf], min_speech_ms=10, eager_ms=10) == [(1, "speech", 0), (2, "eager_end", 1)]


def test_speaking() -> None:
    gate = SpeechGate(GateSettings(frame_ms=FRAME, **SLOW))
    states = []
    for frame in frames("###.....###"):
        gate.push(frame)
        states.append(gate.speaking)
    assert states == [False, False, *[True] * 5, False, False, False, True]


def test_settings_may_change_on_the_way() -> None:
    gate = SpeechGate(GateSettings(frame_ms=FRAME, min_speech_ms=10, eager_ms=500, silence_ms=500))
    for frame in frames("#..."):
        gate.push(frame)
    gate.settings = GateSettings(frame_ms=FRAME, min_speech_ms=10, eager_ms=500, silence_ms=40)
    assert gate.push(0.0) == TurnSignal("end", 10.0)


def is_speech(frames: Sequence[float], start: float, stop: float) -> list[bool]:
    """The words of the module about one frame."""
    known: list[bool] = []
    for frame in frames:
        before = known[-1] if known else False
        known.append(frame >= start or (before and frame >= stop))
    return known


def run_at(speech: Sequence[bool], count: int, since: int) -> int:
    """How many of the first `count` frames are speech in a row at their end, not looking before frame `since`."""
    first = count
    while first > since and speech[first - 1]:
        first -= 1
    return count - first


MS = st.integers(0, 12).map(lambda tens: tens * 5.0)
PROBABILITY = st.sampled_from([0.0, 0.34, 0.35, 0.4, 0.5, 1.0, NAN])
LUMPS = st.lists(st.tuples(PROBABILITY, st.integers(1, 9)), max_size=20).map(
    lambda lumps: [frame for frame, times in lumps for _ in range(times)]
)


@example([0.9] * 3 + [0.0] * 4 + [0.9] * 5, 30.0, 20.0, 20.0, 50.0)
@given(LUMPS, MS, MS, MS, MS)
def test_promises(
    given: list[float], min_speech_ms: float, min_resume_ms: float, eager_ms: float, silence_ms: float
) -> None:
    settings = GateSettings(
        frame_ms=FRAME,
        min_speech_ms=min_speech_ms,
        min_resume_ms=min_resume_ms,
        eager_ms=eager_ms,
        silence_ms=silence_ms,
    )
    gate, speech = SpeechGate(settings), is_speech(given, settings.start, settings.stop)
    state, last, latest = "quiet", 0, 0.0
    for count, frame in enumerate(given, 1):
        signal = gate.push(frame)
        run = run_at(speech, count, last)
        silence = (count - last) * FRAME
        if state == "speaking" and run:
            last, silence = count, 0.0
        expected: tuple[str, str, int] | None = None
        if state == "quiet" and run and run * FRAME >= min_speech_ms:
            expected = ("speaking", "speech", count - run)
        elif state == "paused" and run and run * FRAME >= min_resume_ms:
            expected = ("speaking", "resumed", count - run)
        elif state != "quiet" and silence and silence >= silence_ms:
            expected = ("quiet", "end", last)
        elif state == "speaking" and silence and silence >= eager_ms:
            expected = ("paused", "eager_end", last)
        assert (signal and (signal.phase, signal.audio_ms)) == (expected and (expected[1], expected[2] * FRAME))
        if signal and expected:
            state = expected[0]
            assert signal.audio_ms >= latest, "time runs back"
            latest = signal.audio_ms
            assert gate.speaking == (state != "quiet")
            if state == "speaking":
                last = count


@given(LUMPS)
def test_not_a_number_is_silence(given: list[float]) -> None:
    assert told(given) == told([0.0 if math.isnan(frame) else frame for frame in given])


@given(LUMPS, st.sampled_from([5.0, 10.0, 32.0]))
def test_signals_alternate(given: list[float], frame_ms: float) -> None:
    gate = SpeechGate(GateSettings(frame_ms=frame_ms, min_speech_ms=20, eager_ms=20, silence_ms=60))
    allowed = {
        "end": {"speech"},
        "speech": {"eager_end", "end"},
        "eager_end": {"resumed", "end"},
        "resumed": {"eager_end", "end"},
    }
    before = "end"
    for frame in given:
        if signal := gate.push(frame):
            assert signal.phase in allowed[before]
            before = signal.phase
