"""Whom the simulator speaks like: rows of data beside those of the client, never a branch by name.

A row holds what is documented or was seen of a server. Where nobody knows, the simulator does what OpenAI does, and the
row says so in `unverified`. Sources: client code of `pydantic-ai` 2.68 (xAI, ElevenLabs), recorded frames of Azure
OpenAI, the source of `speech-to-speech` 1.1.0 and a conversation with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["DIALECTS", "ServerDialect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDialect:
    """One speaker of the wire."""

    name: str
    spec: str
    """Of a backend that talks to it."""
    base_path: str = "/v1"
    """Before `/realtime`."""
    key_headers: Mapping[str, str] = field(default_factory=lambda: {"authorization": "bearer"})
    """Where a key is looked for: by the header's name, the scheme before the key; empty: the key alone."""
    key_in_subprotocol: bool = False
    """Browsers can't set headers."""
    asks_key: bool = True
    model_in: Literal["query", "session", "nowhere"] = "query"
    """Where it is looked for. Only `query` must have it."""
    numbers_sessions: bool = True
    """False: the session has no id, and `conversation.created` tells one of the conversation."""
    top_level: frozenset[Literal["voice", "turn_detection"]] = frozenset()
    """Session settings that stand at the top, and are unknown under `audio`."""
    detections: tuple[str, ...] = ("server_vad", "semantic_vad")
    """Types of turn detection: the first is that of a new session, one that is missing is refused."""
    always_detects: bool = False
    """A null for turn detection changes nothing."""
    own_voices: bool = False
    """Its voices have names of its own: any is taken."""
    always_transcribes: bool = False
    cumulative_transcripts: bool = False
    """The transcript so far comes as `.updated`, and as `.completed` that says it is in progress."""
    usage: bool = True
    lacks: frozenset[str] = frozenset()
    """Client events that it answers with an error."""
    ignores: frozenset[str] = frozenset()
    """Client events that it takes without a word, and without effect."""
    ignored_settings: frozenset[str] = frozenset()
    renamed: Mapping[str, str | None] = field(default_factory=dict)
    """Server events by another name; None: never sent."""
    code_in_type: bool = False
    """An error's code stands in its type, and the code is null."""
    silent_cancel: bool = False
    """A cancel with nothing to stop is no error."""
    stops_first: bool = False
    """A response that is interrupted by voice ends before the speech is told."""
    audio_duration: bool = False
    """Audio tells how long it is."""
    ping_s: float | None = None
    """Seconds between `ping` events."""
    session_s: float | None = 3600.0
    """Seconds until a session ends. None: it does not."""
    idle_s: float | None = None
    """Seconds without an event of the client after which it is closed."""
    unverified: str = ""
    """What no source seen by us confirms."""


DIALECTS: Mapping[str, ServerDialect] = MappingProxyType(
    {
        row.name: row
        for row in (
            ServerDialect(
                name="openai",
                spec="openai/gpt-realtime-2",
                key_headers={"authorization": "bearer", "api-key": ""},  # whoever tests Azure's clients, too
                key_in_subprotocol=True,
            ),
            ServerDialect(
                name="azure",
                spec="azure/my-deployment",
                base_path="/openai/v1",
                key_headers={"api-key": "", "authorization": "bearer"},
                unverified="errors, and the close after 60 minutes. Transcription models are names of deployments "
                "there; here they are OpenAI's",
            ),
            ServerDialect(
                name="xai",
                spec="xai",
                numbers_sessions=False,
                top_level=frozenset({"voice", "turn_detection"}),
                detections=("server_vad",),
                own_voices=True,
                always_transcribes=True,
                cumulative_transcripts=True,
                audio_duration=True,
                ping_s=10.0,
                unverified="how often it pings, what it does with settings under `audio` that belong to the top, "
                "push-to-talk, usage, errors, and that truncation works: there it is unreliable",
            ),
            ServerDialect(
                name="elevenlabs",
                spec="elevenlabs/realtime",
                base_path="/v1/convai",
                key_headers={"xi-api-key": ""},
                model_in="session",
                detections=("semantic_vad",),
                own_voices=True,
                always_transcribes=True,
                usage=False,
                lacks=frozenset({"conversation.item.delete"}),
                session_s=600.0,
                idle_s=60.0,
                unverified="the words of its errors and of its close, push-to-talk, truncation, text output, the shape "
                "of transcripts while they grow, and of client secrets",
            ),
            ServerDialect(
                name="speech-to-speech",
                spec="speech-to-speech",
                asks_key=False,
                model_in="nowhere",
                detections=("server_vad",),
                always_detects=True,
                own_voices=True,
                always_transcribes=True,
                lacks=frozenset({"input_audio_buffer.clear", "conversation.item.retrieve"}),
                ignores=frozenset({"conversation.item.truncate"}),
                ignored_settings=frozenset({"output_modalities"}),
                renamed={
                    "conversation.item.added": "conversation.item.created",
                    "conversation.item.done": None,
                    "conversation.item.truncated": None,
                },
                code_in_type=True,
                silent_cancel=True,
                stops_first=True,
                session_s=None,
                unverified="usage and rate limits. Not done here: that it acknowledges an item only when the running "
                "response has ended, keeps nothing of an interrupted answer, sends transcripts in one piece, and drops "
                "the connection at what is no JSON",
            ),
        )
    }
)
