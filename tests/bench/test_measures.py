import numpy as np
import pytest

from voicebridge.audio.level import first_audible
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge_bench.measures import Spoken, measure
from voicebridge_bench.trace import Answer, Trace

SPOKEN = Spoken(began=10.0, zero=12.0, until=20.0)
VOICE = (np.cos(np.arange(24_000) / 10) * 8000).astype("<i2").tobytes()
SILENCE = bytes(48_000)


def _ms(pcm: bytes, ms: int) -> bytes:
    return pcm[: ms * 48]


def _trace(*steps):
    trace = Trace()
    for now, event in steps:
        trace.apply(event, now)
    return trace


def _turn(turn_id, phase):
    return UserTurn(turn_id=turn_id, phase=phase, audio_ms=0)


def _audio(response_id, pcm):
    return OutputAudio(response_id=response_id, pcm=pcm, offset_ms=0)


def test_a_plain_turn_gives_every_figure():
    trace = _trace(
        (10.1, _turn("t1", "speech")),
        (12.2, _turn("t1", "committed")),
        (12.25, InputTranscript(turn_id="t1", text="Hello there.", final=True)),
        (12.26, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (12.3, OutputText(response_id="r1", delta="Good ")),
        (12.3, OutputText(response_id="r1", delta="day.")),
        (12.4, _audio("r1", _ms(SILENCE, 50) + _ms(VOICE, 450))),
        (12.6, ResponseEnded(response_id="r1", status="completed")),
    )
    found = measure(trace, SPOKEN)
    assert found.outcome == "answered"
    assert found.first_byte_ms == pytest.approx(400)
    assert found.v2v_ms == pytest.approx(450)
    assert found.pad_ms == pytest.approx(50)
    assert found.eou_ms == pytest.approx(200)
    assert found.commit_to_byte_ms == pytest.approx(200)
    assert found.transcript_ms == pytest.approx(250)
    assert found.response_ms == pytest.approx(260)
    assert found.text_ms == pytest.approx(300)
    assert (found.transcript, found.reply) == ("Hello there.", "Good day.")
    assert found.reply_audio_ms == pytest.approx(500)
    assert not found.cut_off
    assert not found.talked_over


def test_silence_is_a_failure_and_no_figure_is_zero():
    found = measure(_trace((12.2, _turn("t1", "committed"))), SPOKEN)
    assert found.outcome == "silent"
    assert found.v2v_ms is None
    assert found.first_byte_ms is None
    assert found.eou_ms == pytest.approx(200)


def test_a_reply_of_silent_audio_was_not_heard():
    found = measure(_trace((12.2, _turn("t1", "committed")), (12.4, _audio("r1", SILENCE))), SPOKEN)
    assert found.outcome == "silent"
    assert found.v2v_ms is None


def test_a_turn_cut_off_in_a_pause_is_timed_by_the_reply_to_its_end():
    trace = _trace(
        (10.8, _turn("t1", "committed")),
        (10.85, InputTranscript(turn_id="t1", text="It was the season of light", final=True)),
        (10.9, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (11.0, _audio("r1", VOICE)),
        (11.2, ResponseEnded(response_id="r1", status="interrupted")),
        (12.2, _turn("t2", "committed")),
        (12.25, InputTranscript(turn_id="t2", text="it was the season of darkness", final=True)),
        (12.25, ResponseStarted(response_id="r2", cause="user", answers=("t2",))),
        (12.5, _audio("r2", VOICE)),
    )
    found = measure(trace, SPOKEN)
    assert found.outcome == "answered"
    assert found.cut_off
    assert found.talked_over
    assert found.v2v_ms == pytest.approx(500)
    assert found.eou_ms == pytest.approx(200)
    assert found.transcript == "It was the season of light it was the season of darkness"


def test_an_answer_to_half_a_turn_that_goes_on_over_its_end_is_talk_over():
    trace = _trace(
        (11.5, _turn("t1", "committed")),
        (11.5, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (11.8, _audio("r1", VOICE)),
    )
    found = measure(trace, SPOKEN)
    assert found.outcome == "talked_over"
    assert found.v2v_ms == pytest.approx(-200)
    assert found.eou_ms == pytest.approx(-500)
    assert found.first_byte_ms is None


def test_a_dropped_answer_that_was_never_heard_is_no_talk_over():
    trace = _trace(
        (10.8, _turn("t1", "committed")),
        (10.9, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (11.0, ResponseEnded(response_id="r1", status="interrupted")),
        (12.2, _turn("t2", "committed")),
        (12.3, _audio("r2", VOICE)),
    )
    found = measure(trace, SPOKEN)
    assert found.cut_off
    assert not found.talked_over
    assert found.v2v_ms == pytest.approx(300)


def test_a_reply_waits_for_the_speaker_to_be_free():
    trace = _trace(
        (9.0, ResponseStarted(response_id="r0", cause="user")),
        (11.5, _audio("r0", VOICE)),
        (12.2, _turn("t1", "committed")),
        (12.2, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (12.3, _audio("r1", VOICE)),
    )
    found = measure(trace, SPOKEN)
    assert found.first_byte_ms == pytest.approx(300)
    assert found.v2v_ms == pytest.approx(500)
    assert found.pad_ms == pytest.approx(200)


def test_a_backend_without_speech_events_still_has_a_latency():
    trace = _trace((12.4, ResponseStarted(response_id="r1", cause="user")), (12.5, _audio("r1", VOICE)))
    found = measure(trace, SPOKEN)
    assert found.v2v_ms == pytest.approx(500)
    assert found.eou_ms is None
    assert found.commit_to_byte_ms is None


def test_failures_carry_their_reason():
    fault = Fault(category="busy", message="The model did not answer in time.")
    started = (12.3, ResponseStarted(response_id="r1", cause="user"))
    ended = (12.9, ResponseEnded(response_id="r1", status="failed", fault=fault))
    assert measure(_trace(started, ended), SPOKEN).fault == fault.message
    found = measure(_trace((13.0, BackendError(fault=fault, fatal=True))), SPOKEN)
    assert (found.outcome, found.fault) == ("failed", fault.message)


def test_turns_do_not_take_from_each_other():
    trace = _trace(
        (12.2, _turn("t1", "committed")),
        (12.3, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (12.4, _audio("r1", VOICE)),
        (22.2, _turn("t2", "committed")),
        (22.25, InputTranscript(turn_id="t1", text="late", final=True)),
        (22.26, InputTranscript(turn_id="t2", text="second", final=True)),
        (22.3, ResponseStarted(response_id="r2", cause="user", answers=("t2",))),
        (22.6, _audio("r2", VOICE)),
    )
    first = measure(trace, SPOKEN)
    second = measure(trace, Spoken(began=20.5, zero=22.0, until=30.0))
    assert (first.v2v_ms, second.v2v_ms) == (pytest.approx(400), pytest.approx(600))
    assert (first.transcript, second.transcript) == ("late", "second")


def test_asides_are_no_replies():
    trace = _trace(
        (12.1, ResponseStarted(response_id="x", cause="request", aside=True)),
        (12.2, _audio("x", VOICE)),
    )
    assert measure(trace, SPOKEN).outcome == "silent"


def test_the_delay_between_stamp_and_arrival_is_kept():
    trace = _trace((12.2, UserTurn(turn_id="t1", phase="committed", audio_ms=0, at=12.15)))
    assert trace.largest_delay_ms == pytest.approx(50)


def _heard(response_id, ms):
    return OutputHeard(response_id=response_id, heard_ms=ms, text="", basis="estimated")


def _long_reply(*steps, **fields):
    trace = Trace(**fields)
    for now, event in [
        (12.3, ResponseStarted(response_id="r1", cause="user")),
        (12.4, _audio("r1", VOICE * 4)),
        (12.5, ResponseEnded(response_id="r1", status="completed")),
        *steps,
    ]:
        trace.apply(event, now)
    return trace


def test_what_the_backend_knows_was_not_heard_is_not_played():
    trace = _long_reply((13.4, _heard("r1", 990)), (13.5, _audio("r1", VOICE)), (13.6, _audio("r2", VOICE)))
    assert trace.playout.played_ms("r1", 20.0) == pytest.approx(1000)
    assert trace.sounded_at("r2") == pytest.approx(13.6)


@pytest.mark.parametrize("heard_ms", [3985, 4000, 4010])
def test_a_reply_that_was_heard_to_its_end_plays_on(heard_ms):
    trace = _long_reply((13.4, _heard("r1", heard_ms)))
    assert trace.playout.played_ms("r1", 20.0) == pytest.approx(4000)


def test_the_speaker_falls_silent_when_the_user_speaks():
    trace = _long_reply((13.4, _turn("t2", "speech")), (13.5, _audio("r2", VOICE)))
    assert trace.silenced == {"r1": pytest.approx(1000)}
    assert trace.playout.played_ms("r1", 20.0) == pytest.approx(1000)
    assert trace.sounded_at("r2") == pytest.approx(13.5)
    assert _long_reply((16.5, _turn("t2", "speech"))).silenced == {}, "it was played to its end"
    patient = _long_reply((13.4, _turn("t2", "speech")), yields=False)
    assert patient.playout.played_ms("r1", 20.0) == pytest.approx(4000)


def test_audio_of_a_reply_that_ended_early_is_played_unless_it_was_interrupted():
    for status, played in (("incomplete", 1000), ("failed", 1000), ("interrupted", 100)):
        trace = _trace((12.4, _audio("r1", VOICE)), (12.5, ResponseEnded(response_id="r1", status=status)))
        assert trace.playout.played_ms("r1", 20.0) == pytest.approx(played)


def test_discarded_turns_were_not_said():
    trace = _trace(
        (10.5, InputTranscript(turn_id="t0", text="cough", final=False)),
        (10.6, _turn("t0", "discarded")),
        (12.2, _turn("t1", "committed")),
        (12.3, InputTranscript(turn_id="t1", text="hello", final=True)),
    )
    assert measure(trace, SPOKEN).transcript == "hello"


def test_a_turn_that_stays_open_is_counted_once():
    first, second = SPOKEN, Spoken(began=20.5, zero=22.0, until=30.0)
    trace = _trace((11.0, InputTranscript(turn_id="t1", text="one to", final=False)))
    trace.apply(InputTranscript(turn_id="t1", text="one two", final=False), 12.3)
    assert measure(trace, first).transcript == "one two"
    trace.apply(InputTranscript(turn_id="t1", text="One, two. Three", final=False), 21.5)
    trace.apply(_turn("t1", "committed"), 22.2)
    trace.apply(InputTranscript(turn_id="t1", text="One, two. Three four.", final=True), 22.3)
    assert measure(trace, second).transcript == "Three four."
    assert measure(trace, first).transcript == "one two"


def test_the_reply_is_that_to_the_final_commit():
    both_early = _trace(
        (10.8, _turn("t1", "committed")),
        (10.9, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (11.6, _turn("t2", "committed")),
        (12.1, _audio("r1", _ms(VOICE, 100))),
        (12.3, ResponseStarted(response_id="r2", cause="user", answers=("t2",))),
        (12.4, _audio("r2", VOICE)),
    )
    found = measure(both_early, SPOKEN)
    assert (found.v2v_ms, found.eou_ms) == (pytest.approx(400), pytest.approx(-400))
    half_decided_late = _trace(
        (12.01, _turn("t1", "committed")),
        (12.02, ResponseStarted(response_id="r1", cause="user", answers=("t1",))),
        (12.05, _turn("t2", "speech")),
        (12.06, ResponseEnded(response_id="r1", status="interrupted")),
        (12.3, _turn("t2", "committed")),
        (12.31, ResponseStarted(response_id="r2", cause="user", answers=("t2",))),
        (12.5, _audio("r2", VOICE)),
    )
    found = measure(half_decided_late, SPOKEN)
    assert (found.v2v_ms, found.eou_ms) == (pytest.approx(500), pytest.approx(300))
    assert found.commit_to_byte_ms == pytest.approx(200)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
@pytest.mark.parametrize("piece", [1, 7, 50, 400])
def test_however_a_reply_is_cut_its_first_audible_sample_is_that_of_the_whole(rate, piece):
    quiet = np.zeros(rate * 3137 // 10_000)
    click = np.full(rate * 12 // 1000, 0.3)
    sound = np.sin(np.arange(rate // 5) * 0.3) * 0.2
    pcm = (np.concatenate([quiet, click, quiet, sound]) * 32767).astype("<i2").tobytes()
    whole = first_audible(pcm, rate)
    answer = Answer("r", 0.0)
    size = rate * piece // 1000 * 2
    for start in range(0, len(pcm), size):
        answer.pcm += pcm[start : start + size]
        found = answer.find_audible(rate)
        assert found in (None, whole)
    assert found == whole
