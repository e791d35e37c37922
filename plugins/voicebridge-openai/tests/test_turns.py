"""The user's turns: the vendor's times become ours, and each turn is told in order, whatever comes late."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from voicebridge.contract.codec import Tick
from voicebridge.contract.commands import Configure, DiscardTurn, EndTurn, ReportPlayed, SendAudio, SendText
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import InputTranscript, ResponseStarted, UsageReported, UserTurn

SPOKEN = "conversation.item.input_audio_transcription"
BUFFER = "input_audio_buffer"


def phases(wire: Any) -> list[tuple[str, str, float, str]]:
    return [(t.turn_id, t.phase, t.audio_ms, t.source) for t in wire.all(UserTurn)]


def spoken(wire: Any, item_id: str = "u1") -> Any:
    """A turn as server VAD tells it: speech from 1.3 s to 3 s, with padding before and silence after."""
    wire.hears(SendAudio(pcm=bytes(48 * 4000)))
    wire.says(f"{BUFFER}.speech_started", item_id=item_id, audio_start_ms=1000)
    wire.says(f"{BUFFER}.speech_stopped", item_id=item_id, audio_end_ms=3500)
    return wire.says(f"{BUFFER}.committed", item_id=item_id)


def test_the_vendors_padding_and_silence_are_taken_off(vendor: Any) -> None:
    assert phases(spoken(vendor())) == [
        ("t1", "speech", 1300, "server"),
        ("t1", "pause", 3000, "server"),
        ("t1", "committed", 3500, "server"),
    ]


def test_what_the_vendor_says_it_adds_counts(stranger: Any) -> None:
    detection = {"type": "server_vad", "prefix_padding_ms": 100, "silence_duration_ms": 200}
    wire = stranger().ready(audio={"input": {"turn_detection": detection}})
    assert [at for _, _, at, _ in phases(spoken(wire))] == [1100, 3300, 3500]
    assert [at for _, _, at, _ in phases(spoken(stranger("xai").ready(turn_detection=detection)))] == [1100, 3300, 3500]


def test_semantic_detection_does_not_say_what_it_adds(vendor: Any) -> None:
    wire = spoken(vendor(turns={"mode": "semantic"}))
    assert [at for _, _, at, _ in phases(wire)] == [1000, 3500, 3500]


def test_a_turn_at_the_very_beginning_and_one_beyond_what_was_sent(vendor: Any) -> None:
    wire = vendor().hears(SendAudio(pcm=bytes(48 * 100)))
    wire.says(f"{BUFFER}.speech_started", item_id="u1", audio_start_ms=0)
    wire.says(f"{BUFFER}.speech_stopped", item_id="u1", audio_end_ms=90_000)
    assert [at for _, _, at, _ in phases(wire)] == [0, 100]


def test_another_item_before_the_commit_goes_on_with_the_turn(vendor: Any) -> None:
    wire = vendor()
    wire.says(f"{BUFFER}.speech_started", item_id="u1").says(f"{BUFFER}.speech_stopped", item_id="u1")
    wire.says(f"{BUFFER}.speech_started", item_id="u2").says(f"{BUFFER}.speech_started", item_id="u2")
    wire.says(f"{BUFFER}.speech_stopped", item_id="u2").says(f"{BUFFER}.committed", item_id="u2")
    assert [(turn, phase) for turn, phase, _, _ in phases(wire)] == [
        ("t1", phase) for phase in ("speech", "pause", "speech", "pause", "committed")
    ]


def test_a_commit_out_of_nothing_has_an_inferred_beginning(vendor: Any) -> None:
    wire = vendor().says(f"{BUFFER}.committed", item_id="u1")
    assert [(phase, source) for _, phase, _, source in phases(wire)] == [
        ("speech", "inferred"),
        ("committed", "server"),
    ]
    wire.creates()
    assert wire.last(ResponseStarted).answers == ("t1",)


def test_a_server_that_never_tells_a_commit(vendor: Any) -> None:
    wire = vendor("speech-to-speech")
    wire.says(f"{BUFFER}.speech_started", item_id="u1").says(f"{BUFFER}.speech_stopped", item_id="u1")
    wire.says("response.created", response={"id": "r1"})
    assert phases(wire)[-1][1::2] == ("committed", "inferred")
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("user", ("t1",))


def test_transcripts_grow_and_may_come_in_the_middle_of_the_answer(vendor: Any) -> None:
    wire = spoken(vendor()).creates().speaks(100)
    wire.says(f"{SPOKEN}.delta", item_id="u1", delta="Hel").says(f"{SPOKEN}.delta", item_id="u1", delta="lo")
    usage = {"type": "duration", "seconds": 3}
    wire.says(f"{SPOKEN}.completed", item_id="u1", transcript="Hello.", usage=usage, languages=[{"code": "en"}])
    assert [(t.text, t.final) for t in wire.all(InputTranscript)] == [
        ("Hel", False),
        ("Hello", False),
        ("Hello.", True),
    ]
    assert wire.last(InputTranscript).language == "en"
    assert wire.kinds()[-2:] == ["UsageReported", "InputTranscript"]
    used = wire.last(UsageReported)
    assert (used.units, used.model, used.turn_id) == ({"audio_s": 3}, "openai/gpt-realtime-whisper", "t1")
    wire.says(f"{SPOKEN}.completed", item_id="u1", transcript="again")
    assert wire.last(InputTranscript).text == "Hello."


def test_a_transcript_that_failed_is_final_and_says_why(vendor: Any) -> None:
    wire = spoken(vendor()).says(f"{SPOKEN}.delta", item_id="u1", delta="Hel")
    wire.says(f"{SPOKEN}.failed", item_id="u1", error={"code": "DeploymentNotFound", "message": "no such deployment"})
    last = wire.last(InputTranscript)
    assert (last.text, last.final, last.fault.code) == ("Hel", True, "DeploymentNotFound")


def test_cumulative_transcripts_and_several_completed_ones(vendor: Any) -> None:
    wire = spoken(vendor("xai"))
    wire.says(f"{SPOKEN}.updated", item_id="u1", transcript="One")
    wire.says(f"{SPOKEN}.completed", item_id="u1", transcript="One two", status="in_progress")
    wire.says(f"{SPOKEN}.completed", item_id="u1", transcript="One two three", status="completed")
    assert [(t.text, t.final) for t in wire.all(InputTranscript)] == [
        ("One", False),
        ("One two", False),
        ("One two three", True),
    ]


def test_push_to_talk(vendor: Any) -> None:
    nothing, end, forget = EndTurn(), EndTurn(respond=False), DiscardTurn()
    wire = vendor(turns={"mode": "manual"}).hears(nothing)
    assert wire.fate(nothing) == "empty_turn"
    assert not wire.sent
    wire.hears(SendAudio(pcm=bytes(48 * 99))).hears(short := EndTurn())
    assert wire.fate(short) == "empty_turn"
    wire.hears(SendAudio(pcm=bytes(48 * 101))).hears(end).hears(SendAudio(pcm=bytes(480)))
    wire.says(f"{BUFFER}.committed", item_id="u1")
    assert wire.fate(end) is None
    wire.hears(SendAudio(pcm=bytes(480))).hears(forget).says(f"{BUFFER}.cleared")
    assert wire.fate(forget) is None
    assert phases(wire) == [
        ("t1", "speech", 0, "client"),
        ("t1", "committed", 200, "client"),
        ("t2", "speech", 200, "client"),
        ("t2", "discarded", 220, "client"),
    ]


def test_a_commit_that_the_vendor_refuses(vendor: Any) -> None:
    command = EndTurn()
    wire = vendor(turns={"mode": "manual"}).hears(SendAudio(pcm=bytes(48 * 200))).hears(command)
    commit = wire.frames(f"{BUFFER}.commit")[0]
    wire.refuses(commit, "input_audio_buffer_commit_empty")
    assert wire.fate(command) == "empty_turn"
    assert phases(wire)[-1][1] == "discarded"
    wire.creates(answers=wire.frames("response.create")[0])
    assert not wire.all(ResponseStarted)


def test_a_commit_by_hand_during_the_vendors_detection(vendor: Any) -> None:
    command = EndTurn()
    wire = vendor().hears(SendAudio(pcm=bytes(48 * 500)))
    wire.says(f"{BUFFER}.speech_started", item_id="u1", audio_start_ms=100).hears(command)
    wire.says(f"{BUFFER}.committed", item_id="u1")
    assert [(phase, source) for _, phase, _, source in phases(wire)] == [("speech", "server"), ("committed", "client")]
    assert wire.fate(command) is None
    wire.creates(answers=wire.frames("response.create")[0])
    assert wire.last(ResponseStarted).answers == (command.id, "t1")


def test_odd_bytes_are_carried_and_long_audio_is_cut_into_frames(vendor: Any) -> None:
    wire = vendor()
    pcm = bytes(range(256)) * 9
    for start in range(0, len(pcm), 333):
        wire.hears(SendAudio(pcm=pcm[start : start + 333]))
    sent = [base64.b64decode(frame["audio"]) for frame in wire.sent]
    assert b"".join(sent) == pcm
    assert not any(len(piece) % 2 for piece in sent)
    wire.sent.clear()
    wire.hears(SendAudio(pcm=bytes(20_000_000)))
    assert len(wire.sent) == 3
    wire.hears(ReportPlayed(response_id="r1", ms=3)).hears(SendAudio(pcm=b""))
    assert len(wire.sent) == 3


def test_g711_is_counted_in_its_own_bytes(vendor: Any) -> None:
    ulaw = {"encoding": "ulaw", "rate": 8000}
    from voicebridge.contract.audio import AudioFormat

    wire = vendor(input_format=AudioFormat(**ulaw), turns={"mode": "manual"})  # type: ignore[arg-type]  # literals
    wire.hears(SendAudio(pcm=bytes(801))).hears(EndTurn(respond=False)).says(f"{BUFFER}.committed", item_id="u1")
    assert phases(wire)[-1][2] == pytest.approx(100.125)
    assert str(wire.codec.capabilities.formats_in[0]) == "ulaw 8000 Hz mono"


def test_while_the_user_speaks_a_text_waits(vendor: Any) -> None:
    wire = vendor(turns={"auto_respond": False}).says(f"{BUFFER}.speech_started", item_id="u1")
    wire.hears(SendText(text="hi"))
    assert not wire.frames("response.create")
    wire.says(f"{BUFFER}.speech_stopped", item_id="u1").says(f"{BUFFER}.committed", item_id="u1")
    assert wire.frames("response.create")


def test_a_vendor_that_does_not_answer_after_all_lets_the_text_go_on(vendor: Any) -> None:
    wire = vendor().says(f"{BUFFER}.speech_started", item_id="u1").hears(SendText(text="hi"))
    wire.says(f"{BUFFER}.speech_stopped", item_id="u1").says(f"{BUFFER}.committed", item_id="u1")
    assert not wire.frames("response.create")
    wire.says(f"{SPOKEN}.completed", item_id="u1", transcript="Hello")
    assert wire.frames("response.create")


def test_a_dialect_without_push_to_talk(vendor: Any) -> None:
    wire = vendor("speech-to-speech")
    for command in (EndTurn(), DiscardTurn()):
        with pytest.raises(Unsupported, match="speech-to-speech"):
            wire.hears(command)
    with pytest.raises(Unsupported, match="manual"):
        wire.hears(Configure(patch={"turns": {"mode": "manual"}}))


def test_what_comes_twice_counts_once(vendor: Any) -> None:
    wire = vendor(turns={"mode": "manual"})
    for n in (1, 2):
        wire.hears(SendAudio(pcm=bytes(9600))).hears(EndTurn(respond=False))
        if n == 1:
            wire.says(f"{BUFFER}.committed", item_id="u1")
    wire.says(f"{BUFFER}.committed", item_id="u1").says(f"{BUFFER}.cleared")
    assert [(turn, phase) for turn, phase, _, _ in phases(wire)][-1] == ("t2", "speech")
    wire.says(f"{BUFFER}.committed", item_id="u2")
    assert [(turn, phase) for turn, phase, _, _ in phases(wire)][-1] == ("t2", "committed")
    wire.creates().creates().speaks(20).finishes().finishes()
    assert wire.kinds().count("ResponseStarted") == wire.kinds().count("ResponseEnded") == 1


def test_keep_alive(vendor: Any) -> None:
    wire = vendor("elevenlabs")
    assert wire.codec.ticks
    assert [len(list(wire.codec.decode(Tick(at=at)))) for at in (0, 29, 30, 31, 59, 60)] == [0, 0, 1, 0, 0, 1]
    wire.codec.encode(SendAudio(pcm=b"ab"))
    assert [len(list(wire.codec.decode(Tick(at=at)))) for at in (80, 100, 111)] == [0, 0, 1]
    assert not vendor().codec.ticks
