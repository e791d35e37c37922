"""The endpointing benchmark: pauses lie where they should, and what a detector decides is counted for what it is."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cascade.patient_detector import PatientDetector
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.stages import PCM_16K
from voicebridge_bench.corpus.speech import open_corpus
from voicebridge_bench.endpointing.curve import point
from voicebridge_bench.endpointing.trial import Outcome, outcome
from voicebridge_bench.endpointing.utterances import PAUSES_MS, TAIL_MS, Utterance, utterances
from voicebridge_bench.endpointing.ways import Way, ways
from voicebridge_bench.plot import Series, line_plot

TONE = (8_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes()


def test_a_pause_makes_the_turn_longer_by_itself_and_is_quiet() -> None:
    corpus = open_corpus("default")
    found = list(utterances(corpus, seed=1))
    assert len(found) == 13 * len(PAUSES_MS)
    for as_spoken, *paused in zip(*[iter(found)] * len(PAUSES_MS), strict=True):
        for one in paused:
            assert one.turn == as_spoken.turn
            assert one.speech_end_ms - as_spoken.speech_end_ms == pytest.approx(one.pause_ms)
            assert len(one.pcm) == PCM_16K.size(one.speech_end_ms) + PCM_16K.size(TAIL_MS)
    assert [one.pcm for one in utterances(corpus, seed=1)] == [one.pcm for one in found]


def spoken(*lengths_ms: int) -> Utterance:
    """Sound and silence by turns."""
    parts = [
        TONE[: PCM_16K.size(ms)] if not index % 2 else bytes(PCM_16K.size(ms)) for index, ms in enumerate(lengths_ms)
    ]
    return Utterance("t", "s", lengths_ms[1], b"".join(parts) + bytes(PCM_16K.size(TAIL_MS)), float(sum(lengths_ms)))


@pytest.mark.parametrize(
    ("silence_ms", "cut_in", "wait_ms"), [(300, True, 300), (500, False, 500), (700, False, 700)], ids=str
)
async def test_an_end_in_a_pause_is_a_cut_in(silence_ms: int, cut_in: bool, wait_ms: float) -> None:
    detector = EnergyDetector()
    detector.configure(SessionConfig(turns=TurnPolicy(silence_ms=silence_ms)))
    found = await outcome(detector, spoken(800, 400, 800), None, paced=False)
    assert (found.cut_in, found.wait_ms) == (cut_in, pytest.approx(wait_ms, abs=20))


async def test_text_comes_after_its_time_and_goes_with_its_pause() -> None:
    detector = PatientDetector(EnergyDetector())
    detector.configure(SessionConfig(turns=TurnPolicy(mode="semantic", silence_ms=400)))

    async def texts(_: Utterance, end_ms: float) -> str:
        return "I want to" if end_ms < 1000 else "I want to go."

    found = await outcome(detector, spoken(800, 600, 800), texts, paced=False)
    assert (found.cut_in, found.wait_ms) == (False, pytest.approx(200, abs=20))


async def test_who_tells_no_end_is_not_counted_as_fast() -> None:
    detector = EnergyDetector()
    detector.configure(SessionConfig(turns=TurnPolicy(silence_ms=9_000)))
    found = await outcome(detector, spoken(800, 400, 800), None, paced=False)
    assert found.wait_ms is None
    assert point(Way("w", "energy", "server_vad", 9_000, reads=False), [found], 1).never_ended == 1


def test_the_figures_of_a_setting() -> None:
    way = Way("silence", "energy", "server_vad", 500, reads=False)
    turns = [Outcome(f"t{n}", "s", pause, pause > 500, 500.0 + n) for n in range(8) for pause in PAUSES_MS]
    found = point(way, turns, seed=1)
    assert found.wait_median is not None
    assert found.wait_median.value == pytest.approx(503.5)
    assert found.cut_in is not None
    assert found.cut_in.value == pytest.approx(0.75)
    assert found.cut_in_as_spoken == (0, 8)
    assert found.by_pause == {400: (0, 8), 800: (8, 8), 1200: (8, 8), 2000: (8, 8)}


def test_ways_go_from_impatient_to_patient() -> None:
    found = list(ways("local/silero"))
    for name in {way.name for way in found}:
        silences = [way.silence_ms for way in found if way.name == name]
        assert silences == sorted(set(silences))


def test_a_plot_is_an_svg_that_shows_each_point_and_escapes_names() -> None:
    series = [Series("a < b", [(0, 0), (1500, 0.5)], ["", "x"]), Series("c", [(700, 0.9)])]
    root = ElementTree.fromstring(line_plot("t & u", "x", "y", series, y_percent=True))
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "c", "t & u", "x", "1500", "100 %"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3  # two points and their legend
