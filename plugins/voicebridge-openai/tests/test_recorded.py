"""A check by hand: recorded conversations with the vendor, replayed through the codec.

The recordings belong to others and are not part of the project, so that no automatic run includes this. With a folder
of them (YAML, each with a list `interactions` of `direction`, `kind` and `data`), and PyYAML installed:

    VOICEBRIDGE_RECORDED_FRAMES=FOLDER python -m pytest -s plugins/voicebridge-openai/tests/test_recorded.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from voicebridge.contract.commands import Command, SendAudio, SendText, SendToolResult
from voicebridge.contract.config import SessionConfig, Tool
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    UsageReported,
    UserTurn,
)
from voicebridge_openai.codec import RealtimeCodec
from voicebridge_openai.dialects import DIALECTS

FOLDER = os.environ.get("VOICEBRIDGE_RECORDED_FRAMES", "")
FILES = sorted(Path(FOLDER).glob("*.yaml")) if FOLDER else []


def commands(frame: dict[str, Any], following: list[dict[str, Any]]) -> list[Command]:
    """What an application would have sent to have this frame sent."""
    kind = frame.get("type")
    if kind == "input_audio_buffer.append":
        return [SendAudio(pcm=bytes(48_000))]
    if kind == "conversation.item.create":
        item = frame["item"]
        if item["type"] == "function_call_output":
            return [SendToolResult(call_id=item["call_id"], output=item["output"])]
        asks = bool(following) and following[0].get("type") == "response.create"
        return [SendText(text=item["content"][0]["text"], role=item["role"], respond=asks)]
    return []


def replayed(interactions: list[dict[str, Any]]) -> tuple[list[Event], list[dict[str, Any]]]:
    """The events of a recording, and the frames that the codec sent in answer to it."""
    codec = RealtimeCodec(DIALECTS["openai"], "gpt-realtime", SessionConfig(tools=(Tool(name="get_weather"),)))
    codec.open(SessionConfig(), (), None)
    events: list[Event] = []
    frames: list[Any] = []
    sent_next: list[dict[str, Any]] = []
    for index, one in enumerate(interactions):
        frame = one.get("data")
        if one.get("kind") != "message" or not isinstance(frame, dict):
            continue
        if one["direction"] == "received":
            outcomes = list(codec.decode(json.dumps(frame)))
        else:
            sent_next = [i["data"] for i in interactions[index + 1 :] if i.get("direction") == "sent"]
            outcomes = [o for command in commands(frame, sent_next) for o in codec.encode(command)]
        events += [o for o in outcomes if isinstance(o, Event)]
        frames += [json.loads(o) for o in outcomes if not isinstance(o, Event)]
    return events, frames


@pytest.mark.skipif(not FILES, reason="by hand only: the recordings are not part of the project")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_conversation_is_understood(path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    interactions = yaml.safe_load(path.read_text()).get("interactions", [])
    received = [i["data"] for i in interactions if i.get("direction") == "received" and isinstance(i.get("data"), dict)]
    if not any(frame.get("type") == "session.updated" for frame in received):
        pytest.skip("a recording of another kind than a whole conversation over a websocket")
    events, frames = replayed(interactions)
    started = [e.response_id for e in events if isinstance(e, ResponseStarted)]
    ended = [e.response_id for e in events if isinstance(e, ResponseEnded)]
    assert started == ended == [f["response"]["id"] for f in received if f["type"] == "response.done"]
    assert not [e for e in events if isinstance(e, BackendError)]
    assert {e.kind for e in events if isinstance(e, ProviderEvent)} <= {"response.function_call_arguments.delta"}
    assert len([e for e in events if isinstance(e, SessionReady)]) == 1
    deltas = [f for f in received if f["type"] == "response.output_audio.delta"]
    assert len([e for e in events if isinstance(e, OutputAudio)]) == len(deltas)
    assert len([e for e in events if isinstance(e, UsageReported) and e.response_id]) == len(started)
    committed = [f for f in received if f["type"] == "input_audio_buffer.committed"]
    assert len([e for e in events if isinstance(e, UserTurn) and e.phase == "committed"]) == len(committed)
    commands_sent = {e.command_id for e in events if isinstance(e, CommandSettled)}
    asked = [f for f in frames if f["type"] in ("conversation.item.create", "response.create")]
    assert {f["event_id"].split(".")[0] for f in asked} == commands_sent
    print(path.stem, len(received), "frames", len(events), "events", len(started), "responses")  # noqa: T201  # for -s
