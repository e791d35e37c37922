"""Whom the server answers like: rows of data, never a branch by name.

A row holds what is documented or was seen of a server. Where nobody knows, the simulator does what OpenAI does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["DIALECTS", "Endpoint", "HttpDialect"]

Endpoint = Literal["chat", "responses", "transcriptions", "speech", "models"]
_ALL: frozenset[Endpoint] = frozenset({"chat", "responses", "transcriptions", "speech", "models"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDialect:
    """One speaker of the HTTP API."""

    name: str
    source: str
    """Where the row is from, and what of it nobody has seen."""
    prefix: str = "/v1"
    """Before every path."""
    endpoints: frozenset[Endpoint] = _ALL
    transcriptions: str = "/audio/transcriptions"
    """Where uploads go."""
    owned_by: str = "system"
    asks_key: bool = False
    checks_models: bool = False
    """Only models that exist are taken, each at its own endpoints; its rules (formats, reasoning) are kept."""
    needs_model: bool = True
    alternates: bool = False
    """A chat must alternate between user and assistant, with one system message at most, at the beginning: what the
    templates of many open models want. Told by a 500."""
    strict: bool = False
    """A field that nobody knows is refused. Else it is ignored."""
    error: Literal["openai", "typed", "numbered", "flat", "detail", "text"] = "openai"
    """The body of a refusal: `openai` {"error": {message, type, param, code}}; `typed` the same, the type told by the
    status, param and code always null; `numbered` {"error": {code: status, message, type}}; `flat` {"object": "error",
    message, type, param, code: status}; `detail` {"detail": message}; `text` {"error": message}."""
    refuses_with_200: bool = False
    """A refusal's status is 200: only the body tells."""
    stream_error: Literal["event", "bare"] = "event"
    """How a stream tells that it failed: an event, or a bare line of JSON that is no event."""
    usage: Literal["asked", "last", "never"] = "asked"
    """Of a streamed chat: in a chunk of its own when asked for; in the last chunk, asked or not; never."""
    counts: bool = True
    """What is not streamed has usage."""
    done: bool = True
    """A stream of chat or transcription ends with [DONE]."""
    role_first: bool = True
    """A streamed chat begins with a chunk that only tells the role."""
    whole_calls: bool = False
    """A streamed tool call comes in one piece."""
    obfuscates: bool = False
    """Deltas are padded, unless the client does not want it."""
    raw_text: bool = False
    """A transcript has the space before it and the line's end behind it."""
    transcription_stream: Literal["events", "chunks", "none"] = "events"
    """`events` transcript.text.*; `chunks` as of a chat; `none`: `stream` is ignored."""
    wav_always: bool = False
    """Speech has a WAV header, also where raw PCM was asked for."""
    speech_events: bool = True
    """`stream_format: sse` is known. Else it is ignored."""
    speech_rate: int = 24_000
    """Hertz of the speech."""
    own_voices: bool = False
    """Its voices have names of its own: any is taken."""


DIALECTS: Mapping[str, HttpDialect] = MappingProxyType(
    {
        row.name: row
        for row in (
            HttpDialect(
                name="openai",
                source="types of the openai SDK 3.54; error bodies from public reports",
                asks_key=True,
                checks_models=True,
                strict=True,
                obfuscates=True,
            ),
            HttpDialect(
                name="ollama",
                source="openai/openai.go and middleware/openai.go of ollama (errors have three types, no param and "
                "no code; a stream that fails writes bare JSON); its audio endpoints are documented since 0.40.8, "
                "their answers are as OpenAI's here. That a tool call comes whole was not seen by us",
                owned_by="library",
                error="typed",
                stream_error="bare",
                whole_calls=True,
                transcription_stream="none",
                speech_events=False,
                own_voices=True,
            ),
            HttpDialect(
                name="llama.cpp",
                source="tools/server of llama.cpp (errors with a number as code); issue 12137, build 4764: usage "
                "stands in the chunk that finishes, asked or not, and the model's name is not looked at; issue 19851: "
                "templates that want roles to alternate, as those of Gemma and Mistral do",
                endpoints=frozenset({"chat", "responses", "models"}),
                owned_by="llamacpp",
                needs_model=False,
                alternates=True,
                error="numbered",
                usage="last",
            ),
            HttpDialect(
                name="vllm",
                source="issues 3485 and 3486 of vllm (flat errors); its documentation of transcriptions, which stream "
                "chunks as a chat does; newer releases nest the error",
                owned_by="vllm",
                error="flat",
                transcription_stream="chunks",
                speech_events=False,
                own_voices=True,
            ),
            HttpDialect(
                name="whisper.cpp",
                source="examples/server/server.cpp of whisper.cpp: uploads go to /inference, a refusal is a text under "
                "a status of 200 (newer releases send 400), and the text is as the model wrote it",
                prefix="",
                endpoints=frozenset({"transcriptions"}),
                transcriptions="/inference",
                needs_model=False,
                error="text",
                refuses_with_200=True,
                counts=False,
                raw_text=True,
                transcription_stream="none",
            ),
            HttpDialect(
                name="plain",
                source="nobody's: what compatible servers were reported to lack, all at once. A WAV header on `pcm`, "
                "22.05 kHz as of voices of Piper, no usage, no [DONE], errors as FastAPI writes them",
                endpoints=frozenset({"chat", "transcriptions", "speech"}),
                owned_by="owner",
                error="detail",
                usage="never",
                counts=False,
                done=False,
                role_first=False,
                whole_calls=True,
                transcription_stream="none",
                wav_always=True,
                speech_events=False,
                speech_rate=22_050,
                own_voices=True,
            ),
        )
    }
)
