import asyncio
import functools

import numpy as np
import pytest

from voicebridge.contract.commands import Interrupt, ReportPlayed
from voicebridge.session.door import connect_raw
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge_bench.corpus.manifest import Turn
from voicebridge_bench.corpus.speech import Conversation, SpokenTurn
from voicebridge_bench.live.microphone import FRAME_MS
from voicebridge_bench.live.talk import Pace, Talk

RATE = 24_000
TINY = 0.01
FRAME = FRAME_MS
"""The parrot hears whole frames, so a turn's end is known to a frame."""


def _said(name: str, *spans_ms: tuple[int, int]) -> SpokenTurn:
    """A turn of 2 s that is loud in these spans, in milliseconds."""
    samples = np.zeros(2 * RATE)
    for start, end in spans_ms:
        place = slice(start * RATE // 1000, end * RATE // 1000)
        samples[place] = np.sin(np.arange(RATE * 10)[place] / 5) * 0.3
    first, last = spans_ms[0][0] * RATE // 1000, spans_ms[-1][1] * RATE // 1000
    turn = Turn(
        id=name, conversation="c", clip="x", start=0, end=2 * RATE, speech_start=first, speech_end=last, text="a b"
    )
    return SpokenTurn(turn, "1", (samples * 32767).astype("<i2").tobytes(), first, last)


PLAIN = Conversation("c", (_said("one", (300, 1500)), _said("two", (300, 1400)), _said("three", (200, 1607))))


def _hold(backend, conversation=PLAIN, cold=False, pace=None, **options):
    outcomes = []
    opener = functools.partial(connect_raw, backend, turns={"silence_ms": 200}, **options)
    talk = Talk(opener, conversation, pace or Pace(), cold)

    async def run():
        facts = await talk.run(outcomes.append)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "every task has ended"
        return facts

    return run_in_virtual_time(run()), outcomes


def test_latency_is_what_the_backend_was_told_to_take(parrot):
    facts, outcomes = _hold(parrot.ParrotBackend())
    assert [outcome.measures.outcome for outcome in outcomes] == ["answered"] * 3
    for outcome in outcomes:
        assert 300 - TINY <= outcome.measures.v2v_ms <= 300 + FRAME + TINY
        assert 200 - TINY <= outcome.measures.eou_ms <= 200 + FRAME + TINY
        assert outcome.measures.commit_to_byte_ms == pytest.approx(100)
        assert outcome.measures.pad_ms == pytest.approx(0, abs=1)
        assert outcome.measures.reply == "Polly wants a cracker."
    assert facts.failure is None
    assert facts.model == "bench/parrot"
    assert facts.ready_ms == pytest.approx(0, abs=1)


def test_a_planted_delay_and_a_silent_pad_are_found_where_they_are(parrot):
    _, clean = _hold(parrot.ParrotBackend())
    _, late = _hold(parrot.ParrotBackend(), delay_ms=300)
    _, padded = _hold(parrot.ParrotBackend(), pad_ms=300)
    for before, slow, pad in zip(clean, late, padded, strict=True):
        assert slow.measures.v2v_ms - before.measures.v2v_ms == pytest.approx(200, abs=1)
        assert slow.measures.pad_ms == pytest.approx(0, abs=1)
        assert pad.measures.v2v_ms - before.measures.v2v_ms == pytest.approx(300, abs=11)
        assert pad.measures.first_byte_ms == pytest.approx(before.measures.first_byte_ms, abs=1)
        assert pad.measures.pad_ms == pytest.approx(300, abs=11)


def test_two_runs_in_virtual_time_are_equal(parrot):
    first = _hold(parrot.ParrotBackend())[1]
    again = _hold(parrot.ParrotBackend())[1]
    assert [(outcome.measures, outcome.times) for outcome in first] == [(one.measures, one.times) for one in again]


def test_a_pause_longer_than_the_silence_cuts_the_turn_off(parrot):
    broken = Conversation("c", (_said("one", (200, 700), (1200, 1700)),))
    _, (outcome,) = _hold(parrot.ParrotBackend(), broken)
    assert outcome.measures.cut_off
    assert outcome.measures.talked_over
    assert outcome.measures.outcome == "answered"
    assert 300 - TINY <= outcome.measures.v2v_ms <= 300 + FRAME + TINY
    _, (patient,) = _hold(parrot.ParrotBackend(), broken, delay_ms=400)
    assert patient.measures.cut_off
    assert not patient.measures.talked_over


@pytest.mark.parametrize(("fault", "outcome"), [("mute", "silent"), ("faint", "silent"), ("busy", "failed")])
def test_no_reply_is_a_failure_and_the_conversation_goes_on(parrot, fault, outcome):
    _, outcomes = _hold(parrot.ParrotBackend(fault))
    assert [one.measures.outcome for one in outcomes] == [outcome] * 3
    assert [one.measures.v2v_ms for one in outcomes] == [None] * 3
    if fault == "busy":
        assert outcomes[0].measures.fault == "The parrot is busy."


def test_a_session_that_dies_fails_its_turn_and_those_never_reached(parrot):
    facts, outcomes = _hold(parrot.ParrotBackend("mortal"))
    assert [one.measures.outcome for one in outcomes] == ["answered", "failed", "not_reached"]
    assert outcomes[1].measures.fault == "The parrot is busy."
    assert facts.failure == "The parrot is busy."


@pytest.mark.parametrize(
    ("fault", "reason"), [("shy", "does not talk to strangers"), ("sleepy", "not ready within 60 s")]
)
@pytest.mark.parametrize("cold", [False, True])
def test_a_backend_that_cannot_be_reached_is_reported_for_every_turn(parrot, fault, reason, cold):
    facts, outcomes = _hold(parrot.ParrotBackend(fault), cold=cold, pace=Pace(ready_s=60, reply_s=5))
    if cold and fault == "sleepy":
        assert [one.measures.outcome for one in outcomes] == ["answered"]  # it never said so, but it listens
        return
    assert [one.measures.outcome for one in outcomes] == ["not_reached"] * (1 if cold else 3)
    assert outcomes[0].measures.v2v_ms is None
    assert reason in facts.failure


def test_cold_connects_while_the_user_speaks(parrot):
    _, (quick,) = _hold(parrot.ParrotBackend(), cold=True, ready_ms=800)
    assert 300 - TINY <= quick.measures.v2v_ms <= 300 + FRAME + TINY
    facts, (slow,) = _hold(parrot.ParrotBackend(), cold=True, ready_ms=4000)
    assert facts.ready_ms == pytest.approx(4000, abs=1)
    assert (
        2600 - TINY <= slow.measures.v2v_ms <= 2600 + 2 * FRAME + TINY
    )  # 4.0 s - 1.5 s of speech, then 0.1 s; the audio waited


def test_long_replies_are_cut_and_what_was_heard_is_told(parrot):
    backend = parrot.ParrotBackend()
    _, outcomes = _hold(backend, pace=Pace(cut_s=2), reply_ms=30_000)
    commands = backend.sessions[0].commands
    interrupts = [command for command in commands if isinstance(command, Interrupt)]
    assert len(interrupts) == 3
    assert list(interrupts[0].heard) == ["r1"]
    assert 1900 <= interrupts[0].heard["r1"] <= 2100
    assert [one.measures.outcome for one in outcomes] == ["answered"] * 3


def test_the_player_reports_in_real_time_what_was_played(parrot):
    backend = parrot.ParrotBackend()
    _hold(backend)
    reports = [c for c in backend.sessions[0].commands if isinstance(c, ReportPlayed) and c.response_id == "r1"]
    assert [report.ms for report in reports] == sorted({report.ms for report in reports})
    assert reports[-1].ms == pytest.approx(600, abs=1)
    assert len(reports) >= 6


def test_the_speaker_falls_silent_when_the_user_goes_on_and_tells_how_much_was_heard(parrot):
    broken = Conversation("c", (_said("one", (200, 700), (1200, 1700)),))
    backend = parrot.ParrotBackend()
    _, (outcome,) = _hold(backend, broken, reply_ms=3000)
    (stop,) = [c for c in backend.sessions[0].commands if isinstance(c, Interrupt)]
    # Committed 200 ms after the first part and answered 100 ms later: 200 ms until the user goes on.
    assert stop.response_id == "r1"
    assert 200 - 2 * FRAME <= stop.heard["r1"] <= 200 + FRAME
    played = [c.ms for c in backend.sessions[0].commands if isinstance(c, ReportPlayed) and c.response_id == "r1"]
    assert max(played) <= stop.heard["r1"]
    # What was cut keeps no later reply waiting.
    assert 300 - TINY <= outcome.measures.v2v_ms <= 300 + FRAME + TINY


def test_a_reply_that_was_cut_is_silent_when_the_next_turn_begins(parrot):
    _, outcomes = _hold(parrot.ParrotBackend(), pace=Pace(cut_s=2), reply_ms=30_000)
    for outcome in outcomes:
        assert outcome.measures.v2v_ms <= 300 + FRAME + TINY


def test_frames_are_sent_on_time_and_every_time_stamp_is_kept(parrot):
    facts, outcomes = _hold(parrot.ParrotBackend())
    assert facts.lateness_ms.max == pytest.approx(0, abs=0.01)
    assert outcomes[0].lateness_ms.p99 == pytest.approx(0, abs=0.01)
    times = outcomes[0].times
    assert [commit["turn_id"] for commit in times["commits"]] == ["t1"]
    assert times["responses"][0]["sounded"] == pytest.approx(outcomes[0].measures.v2v_ms, abs=0.1)
    assert len(times["audio"]) == 3


def test_an_option_that_the_backend_does_not_know_is_told(parrot):
    facts, outcomes = _hold(parrot.ParrotBackend(), colour="green")
    assert "no option 'colour'" in facts.failure
    assert {one.measures.outcome for one in outcomes} == {"not_reached"}
