"""Whatever a server sends: nothing raises, and nothing false is told."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import SessionConfig, Tool
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge_openai.codec import RealtimeCodec
from voicebridge_openai.dialects import DIALECTS
from voicebridge_openai.vendor_errors import NoEvent

MUTANTS = int(os.environ.get("VOICEBRIDGE_FUZZ", "20000"))
SEED = int(os.environ.get("VOICEBRIDGE_FUZZ_SEED", "1"))
PCM = base64.b64encode(bytes(960)).decode()


class Judge:
    """Looks at every event, and fails at the first that can't be."""

    def __init__(self) -> None:
        self.running: dict[str, float] = {}
        self.ended: set[str] = set()
        self.turns: dict[str, str] = {}
        self.written: set[str] = set()
        self.settled: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self.unanswered: set[str] = set()

    def hears(self, codec: RealtimeCodec, frame: str | bytes) -> None:
        """What is no event of the wire raises that, and nothing else is raised."""
        with contextlib.suppress(NoEvent):
            self.look(codec.decode(frame))

    def look(self, outcomes: Iterable[Any]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Event):
                self._look_at(outcome)
            else:
                frame = json.loads(outcome)
                assert frame["type"]
                self.sent.append(frame)

    def _look_at(self, event: Event) -> None:
        if isinstance(event, ResponseStarted):
            assert event.response_id not in self.running
            assert event.response_id not in self.ended
            self.running[event.response_id] = 0.0
            self.unanswered -= set(event.answers)
        elif isinstance(event, ResponseEnded):
            del self.running[event.response_id]
            self.ended.add(event.response_id)
        elif isinstance(event, OutputAudio):
            assert event.offset_ms == pytest.approx(self.running[event.response_id])
            assert event.pcm
            assert len(event.pcm) % 2 == 0
            self.running[event.response_id] = event.offset_ms + len(event.pcm) / 48
        elif isinstance(event, OutputText):
            assert event.response_id in self.running
            assert event.delta
        elif isinstance(event, UserTurn):
            before = self.turns.get(event.turn_id, "")
            assert event.phase in {
                "": ("speech",),
                "speech": ("pause", "committed", "discarded"),
                "pause": ("speech", "committed", "discarded"),
            }.get(before, ())
            assert 0 <= event.audio_ms < float("inf")
            self.turns[event.turn_id] = event.phase
            if event.phase == "committed":
                self.unanswered.add(event.turn_id)
        elif isinstance(event, InputTranscript):
            assert event.turn_id not in self.written
            if event.final:
                self.written.add(event.turn_id)
        elif isinstance(event, CommandSettled):
            assert event.command_id not in self.settled
            self.settled.add(event.command_id)


def fair_answers(frame: dict[str, Any], number: int, *, echoes: bool) -> list[dict[str, Any]]:
    """What a vendor that does all it is asked says to a frame of ours."""
    kind = frame["type"]
    if kind == "response.create":
        response = {"id": f"fair{number}", "metadata": frame["response"]["metadata"] if echoes else None}
        return [
            {"type": "response.created", "response": response},
            {"type": "response.done", "response": response | {"status": "completed"}},
        ]
    if kind == "conversation.item.create":
        return [{"type": "conversation.item.added", "item": {"id": f"fair{number}"} | frame["item"]}]
    answers: dict[str, dict[str, Any]] = {
        "conversation.item.delete": {"type": "conversation.item.deleted", "item_id": frame.get("item_id")},
        "conversation.item.truncate": {"type": "conversation.item.truncated", "item_id": frame.get("item_id")},
        "input_audio_buffer.clear": {"type": "input_audio_buffer.cleared"},
        "input_audio_buffer.commit": {"type": "input_audio_buffer.committed", "item_id": f"fair{number}"},
        "response.cancel": {
            "type": "response.done",
            "response": {"id": frame.get("response_id"), "status": "cancelled"},
        },
        "session.update": {"type": "session.updated", "session": {}},
    }
    return [answers[kind]] if kind in answers else []


def continued_fairly(codec: RealtimeCodec, judge: Judge, *, echoes: bool) -> None:
    """From here on the vendor does all that it was asked, now or before; what runs, ends."""

    def says(frames: Iterable[dict[str, Any]]) -> None:
        for frame in frames:
            judge.hears(codec, json.dumps(frame))

    answered = 0
    while answered < len(judge.sent):
        says(fair_answers(judge.sent[answered], answered, echoes=echoes))
        answered += 1
        if answered < len(judge.sent):
            continue
        last = f"last{answered}"
        if any(phase in ("speech", "pause") for phase in judge.turns.values()):
            says({"type": f"input_audio_buffer.{kind}", "item_id": last} for kind in ("speech_stopped", "committed"))
        if judge.unanswered:
            judge.unanswered.clear()
            says([{"type": "response.created", "response": {"id": last}}])
        says({"type": "response.done", "response": {"id": one, "status": "completed"}} for one in list(judge.running))


def session() -> list[dict[str, Any]]:
    """A conversation as the vendor tells it: a spoken turn, a text turn with a call, an interruption, errors."""
    item = {"id": "u1", "type": "message", "role": "user", "status": "completed", "content": [{"type": "input_audio"}]}
    answer = {"id": "a1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    call = {
        "id": "f1",
        "type": "function_call",
        "call_id": "k1",
        "name": "look",
        "arguments": "{}",
        "status": "completed",
    }
    usage = {"input_tokens": 9, "output_tokens": 9, "input_token_details": {"text_tokens": 9, "cached_tokens": 3}}
    at = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    after = {"response_id": "r2", "item_id": "a2", "output_index": 0, "content_index": 0}
    detection = {"type": "server_vad", "prefix_padding_ms": 300, "silence_duration_ms": 200}
    audio = {"input": {"format": {"type": "audio/pcm", "rate": 24_000}, "turn_detection": detection}}
    return [
        {"type": "session.created", "session": {"id": "s1", "model": "m"}},
        {"type": "session.updated", "session": {"id": "s1", "model": "m", "audio": audio}},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 10, "item_id": "u1"},
        {"type": "conversation.item.input_audio_transcription.delta", "item_id": "u1", "delta": "He"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "u1"},
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "u1"},
        {"type": "conversation.item.added", "item": item},
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress", "metadata": None}},
        {"type": "response.output_item.added", "response_id": "r1", "item": answer},
        {"type": "response.output_audio_transcript.delta", "delta": "Hello", **at},
        {"type": "response.output_audio.delta", "delta": PCM, **at},
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "u1",
            "transcript": "Hello",
            "usage": {"type": "duration", "seconds": 1},
        },
        {"type": "response.output_audio.delta", "delta": PCM[:-4], **at},
        {"type": "response.output_audio.done", **at},
        {"type": "response.output_item.done", "response_id": "r1", "item": call},
        {"type": "response.done", "response": {"id": "r1", "status": "completed", "output": [call], "usage": usage}},
        {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 1, "remaining": 1}]},
        {"type": "conversation.item.created", "item": {"id": "o1", "type": "function_call_output", "call_id": "k1"}},
        {"type": "response.created", "response": {"id": "r2"}},
        {"type": "response.output_text.delta", "delta": "Well", **after},
        {"type": "response.output_audio.delta", "delta": PCM, **after},
        {"type": "conversation.item.truncated", "item_id": "a2", "content_index": 0, "audio_end_ms": 10},
        {"type": "conversation.item.deleted", "item_id": "a1"},
        {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "no", "event_id": None}},
        {
            "type": "response.done",
            "response": {"id": "r2", "status": "cancelled", "status_details": {"reason": "turn_detected"}},
        },
        {"type": "input_audio_buffer.cleared"},
        {"type": "conversation.item.input_audio_transcription.failed", "item_id": "u1", "error": {"code": "y"}},
    ]


def commands() -> list[Command]:
    """What an application does meanwhile."""
    return [
        SendAudio(pcm=bytes(961)),
        SendAudio(pcm=bytes(9601)),
        SendText(text="hi"),
        SendText(text="note", role="system", respond=False),
        SendToolResult(call_id="k1", output="x"),
        EndTurn(),
        DiscardTurn(),
        Respond(instructions="briefly"),
        Respond(aside=True),
        Interrupt(),
        Interrupt(heard={"r1": 0, "r2": 7}),
        Interrupt(response_id="r2", heard={"r2": 5}),
        Configure(patch={"instructions": "x"}),
        Configure(patch={"turns": {"mode": "manual"}}),
    ]


STRANGE = [
    None,
    True,
    -1,
    0,
    7,
    1e308,
    "",
    "r1",
    "\ud800",
    "u1",
    "=",
    PCM,
    [],
    [[]],
    {},
    {"id": "r1"},
    {"type": []},
    2**60,
]


def mutated(draw: random.Random, frame: Any) -> Any:
    """The frame with something wrong in it."""
    frame = json.loads(json.dumps(frame))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        place = frame
        while True:
            if not isinstance(place, dict | list) or not place:
                break
            key = draw.choice(list(place)) if isinstance(place, dict) else draw.randrange(len(place))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw.random() < 0.7:
                place = inner
                continue
            if draw.random() < 0.3 and isinstance(place, dict):
                del place[key]
            else:
                place[key] = copy.deepcopy(draw.choice(STRANGE))
            break
    return frame


def written(draw: random.Random, frame: Any) -> str | bytes:
    """The frame as text, sometimes broken."""
    text = json.dumps(frame)
    chance = draw.random()
    if chance < 0.02:
        return text[: draw.randrange(len(text) + 1)]
    if chance < 0.04:
        at = draw.randrange(len(text))
        return text[:at] + draw.choice('{}[]",:0x\x00') + text[at + 1 :]
    return text.encode() if chance < 0.5 else text


def test_mutated_conversations() -> None:
    """Seeded; more of them by VOICEBRIDGE_FUZZ, others by VOICEBRIDGE_FUZZ_SEED."""
    draw, frames, names = random.Random(SEED), session(), list(DIALECTS)
    count = 0
    while count < MUTANTS:
        config, dialect = SessionConfig(tools=(Tool(name="look"),)), DIALECTS[draw.choice(names)]
        codec, judge = RealtimeCodec(dialect, "m", config), Judge()
        judge.look(codec.open(config, (), None))
        share, asked = draw.choice((0.1, 0.5, 1.0)), list[str]()
        for frame in frames:
            sent: Any = frame
            if draw.random() < share:
                sent = mutated(draw, draw.choice((frame, frame, frame, draw.choice(frames))))
                count += 1
            judge.hears(codec, written(draw, sent))
            if draw.random() < 0.4:
                command = draw.choice(commands())
                with contextlib.suppress(VoiceBridgeError):
                    judge.look(codec.encode(command))
                    asked += [] if isinstance(command, SendAudio) else [command.id]
        continued_fairly(codec, judge, echoes=dialect.echoes_metadata or draw.random() < 0.5)
        assert judge.settled.issuperset(asked)
        assert not judge.running
    assert count >= MUTANTS


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KNOWN = sorted({frame["type"] for frame in session()})
NAMES = ("audio_end_ms", "audio_start_ms", "call_id", "delta", "error", "item", "item_id", "name", "rate_limits")
FIELDS = (*NAMES, "arguments", "output", "response", "response_id", "session", "transcript", "usage", "status", "id")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(KNOWN), st.dictionaries(st.sampled_from(FIELDS), values, max_size=5)), max_size=8
    )
)
def test_fields_of_any_shape(frames: list[tuple[str, dict[str, Any]]]) -> None:
    codec, judge = RealtimeCodec(DIALECTS["openai"], "m", SessionConfig()), Judge()
    codec.open(SessionConfig(), (), None)
    for frame in session()[:10]:
        judge.hears(codec, json.dumps(frame))
    for kind, fields in frames:
        judge.hears(codec, json.dumps(fields | {"type": kind}))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary() | values.map(json.dumps))
def test_anything_at_all(frame: str | bytes) -> None:
    codec = RealtimeCodec(DIALECTS["openai-compatible"], "m", SessionConfig())
    Judge().hears(codec, frame)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1).filter(lambda kind: kind.isascii()), st.dictionaries(st.text(), values, max_size=3))
def test_unheard_of_events_are_passed_on(kind: str, fields: dict[str, Any]) -> None:
    codec = RealtimeCodec(DIALECTS["openai"], "m", SessionConfig())
    frame = fields | {"type": f"new.{kind}"}
    assert list(codec.decode(json.dumps(frame))) == [ProviderEvent(kind=f"new.{kind}", payload=frame)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=999), max_size=20))
def test_the_pieces_of_the_voice_are_the_whole(pieces: list[bytes]) -> None:
    """However the vendor cuts it, in the middle of samples too."""
    codec, judge = RealtimeCodec(DIALECTS["openai"], "m", SessionConfig()), Judge()
    told: list[Any] = list(codec.decode('{"type":"response.created","response":{"id":"r1"}}'))
    for piece in pieces:
        delta = base64.b64encode(piece).decode()
        frame = {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "a1", "delta": delta}
        told += codec.decode(json.dumps(frame))
    judge.look(told)
    whole = b"".join(pieces)
    assert b"".join(event.pcm for event in told if isinstance(event, OutputAudio)) == whole[: len(whole) // 2 * 2]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), min_size=1, max_size=6),
    st.floats(0, 3000),
    st.booleans(),
)
def test_a_cut_never_keeps_more_than_was_heard_or_received(
    items: list[tuple[str, int]], heard: float, ended: bool
) -> None:
    codec = RealtimeCodec(DIALECTS["openai"], "m", SessionConfig())
    list(codec.decode('{"type":"response.created","response":{"id":"r1"}}'))
    sizes: dict[str, float] = {}
    for item_id, ms in items:
        if sizes and item_id != list(sizes)[-1] and item_id in sizes:
            continue  # the items of a response don't come interleaved
        sizes[item_id] = sizes.get(item_id, 0) + ms
        delta = base64.b64encode(bytes(ms * 48)).decode()
        frame = {"type": "response.output_audio.delta", "response_id": "r1", "item_id": item_id, "delta": delta}
        list(codec.decode(json.dumps(frame)))
    if ended:
        list(codec.decode('{"type":"response.done","response":{"id":"r1","status":"completed"}}'))
    kept = dict(sizes)
    for outcome in codec.encode(Interrupt(heard={"r1": heard})):
        frame = {} if isinstance(outcome, Event) else json.loads(outcome)
        if frame.get("type") == "conversation.item.truncate":
            assert 0 < frame["audio_end_ms"] <= sizes[frame["item_id"]]
            kept[frame["item_id"]] = frame["audio_end_ms"]
        elif frame.get("type") == "conversation.item.delete":
            kept[frame["item_id"]] = 0
    assert sum(kept.values()) <= min(heard, sum(sizes.values())) + 1e-3
    assert sum(kept.values()) > min(heard, sum(sizes.values())) - 2
