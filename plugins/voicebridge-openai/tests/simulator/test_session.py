"""`session.update`: what is taken, what is refused and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge_openai.simulator.dialects import DIALECTS
from voicebridge_openai.simulator.protocol_error import ProtocolError
from voicebridge_openai.simulator.session_state import SessionState


@pytest.fixture
def session() -> SessionState:
    return SessionState("sess_1", "gpt-realtime-2", 100, 200, DIALECTS["openai"])


def test_what_is_not_named_stays(session: SessionState) -> None:
    session.update({"type": "realtime", "instructions": "A", "audio": {"output": {"speed": 1.2}}})
    session.update({"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    assert session.data["instructions"] == "A"
    assert session.data["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": "alloy",
        "speed": 1.2,
    }


def test_turn_detection_merges_by_type(session: SessionState) -> None:
    def detect(**fields: Any) -> Any:
        detection = fields or None
        session.update({"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
        return session.turn_detection

    assert detect(type="server_vad", silence_duration_ms=700)["silence_duration_ms"] == 700
    assert detect(type="server_vad", create_response=False)["silence_duration_ms"] == 700
    assert detect(type="semantic_vad", eagerness="low")["eagerness"] == "low"
    assert session.silence_ms == 1500
    assert detect() is None
    assert detect(type="server_vad")["silence_duration_ms"] == 200


def test_the_model_stays_what_the_handshake_named(session: SessionState) -> None:
    session.update({"type": "realtime", "model": "gpt-realtime-2.1"})
    assert session.data["model"] == "gpt-realtime-2"


def test_the_voice_stays_once_it_was_heard(session: SessionState) -> None:
    def voice(name: str) -> None:
        session.update({"type": "realtime", "audio": {"output": {"voice": name}}})

    voice("marin")
    session.spoken = True
    voice("marin")
    with pytest.raises(ProtocolError) as refused:
        voice("cedar")
    assert refused.value.code == "cannot_update_voice"
    assert session.data["audio"]["output"]["voice"] == "marin"


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        ("x", "invalid_type", "session"),
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"instructions": None}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": ["video"]}, "invalid_value", "session.output_modalities[0]"),
        ({"voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"audio": {"output": {"voice": "bob"}}}, "invalid_value", "session.audio.output.voice"),
        ({"audio": {"output": {"speed": 3}}}, "decimal_above_max_value", "session.audio.output.speed"),
        ({"audio": {"input": {"format": "pcm16"}}}, "invalid_type", "session.audio.input.format"),
        (
            {"audio": {"input": {"format": {"type": "audio/opus"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": "high"}}}},
            "invalid_type",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"transcription": {"model": "parakeet"}}}},
            "invalid_value",
            "session.audio.input.transcription.model",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "session.reasoning.effort"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(
    session: SessionState, patch: Any, code: str, param: str
) -> None:
    before = repr(session.data)
    if isinstance(patch, dict) and patch and "type" not in patch:
        patch = {"type": "realtime", "instructions": "never taken", **patch}
    with pytest.raises(ProtocolError) as refused:
        session.update(patch)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert repr(session.data) == before


async def test_an_error_names_the_event_that_it_answers(simulate: Any) -> None:
    async with simulate() as (_, client):
        await client.send("session.update", session={"type": "realtime", "temperature": 1}, event_id="mine")
        error = (await client.until("error"))["error"]
        assert error["event_id"] == "mine"
        assert error["type"] == "invalid_request_error"
        await client.send("session.update")
        assert (await client.until("error"))["error"]["param"] == "session"
        # It goes on as if nothing had happened.
        await client.send("session.update", session={"type": "realtime", "instructions": "Go on."})
        assert (await client.until("session.updated"))["session"]["instructions"] == "Go on."
