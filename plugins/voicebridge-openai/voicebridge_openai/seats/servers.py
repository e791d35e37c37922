"""Who speaks OpenAI's HTTP API, and how each differs: rows of data, never a class and never a branch by name.

Sources: the types of the `openai` SDK 3.54; each project's own documentation. Of the rows other than `openai`, only
`llama-cpp` was run against here (the server inside `xllamacpp`); what nobody has confirmed is said in `unverified`.
Idle limits: uvicorn (vLLM, speaches, kokoro-fastapi) and Node close a connection after 5 idle seconds, as does the HTTP
library of llama.cpp and whisper.cpp; Go (Ollama) keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["SERVERS", "HostedSeat", "Server"]

HostedSeat = Literal["stt", "llm", "tts"]
_LOCAL_FIRST_OUTPUT_S = 30.0
_SHORT_IDLE_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One speaker of the API."""

    name: str
    """Of the stages: `name/model`."""
    maker: str
    seats: frozenset[HostedSeat]
    url: str = ""
    """Its API; empty: `base_url` is required."""
    path: str = "/v1"
    """Completes a `base_url` that names only a host."""
    key_variable: str = ""
    """The environment variable of its key. Empty: none is needed, and one that is given is sent."""
    start: str = ""
    """How a person starts it, where it runs on the user's own machine: told when nothing answers."""
    get_model: str = ""
    """How a person brings a model to it; `{model}` stands for its name."""
    idle_s: float = 30.0
    """An unused connection older than that is not used."""
    first_output_s: float = 5.0
    """Seconds from a request to its first output. A server on a small machine takes longer than a vendor."""
    default_models: Mapping[HostedSeat, str] = field(default_factory=dict)
    """For servers with one model, whose name says nothing."""
    after_slash: Literal["model", "voice"] = "model"
    """What a voice's name holds after the slash."""
    max_tokens: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    """The field that limits an answer."""
    any_order: bool = False
    """Whether the conversation may hold notes in its middle, and two words of one side in a row."""
    warms_up: bool = False
    """Whether a first short request is worth its while: it costs nothing, loads the model, and leaves the instructions
    in its cache."""
    transcriptions: str = "/audio/transcriptions"
    sessions: bool = False
    """Whether it also transcribes in realtime sessions."""
    streams_transcripts: bool = False
    """Whether a transcript is asked for as events, where the model's row does not say."""
    default_voice: str = "alloy"
    any_voice: bool = True
    """Whether a voice's name may be anything."""
    tells_usage: bool = False
    """Whether it is known to tell what was used. Where a server does not, that is estimated."""
    clauses_at_once: int = 1
    """Requests for speech that may run at the same time: the next clause starts while the last one still comes."""
    source: str = ""
    unverified: str = ""


SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        row.name: row
        for row in (
            Server(
                name="openai",
                maker="OpenAI",
                seats=frozenset({"stt", "llm", "tts"}),
                url="https://api.openai.com/v1",
                key_variable="OPENAI_API_KEY",
                max_tokens="max_completion_tokens",
                sessions=True,
                streams_transcripts=True,
                any_order=True,
                any_voice=False,
                tells_usage=True,
                clauses_at_once=2,
                source="types of the openai SDK 3.54",
                unverified="how long it keeps an idle connection; nothing here was run against it",
            ),
            Server(
                name="openai-compatible",
                maker="any server",
                seats=frozenset({"stt", "llm", "tts"}),
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                unverified="everything",
            ),
            Server(
                name="ollama",
                maker="Ollama",
                seats=frozenset({"llm"}),
                url="http://127.0.0.1:11434/v1",
                start="ollama serve",
                get_model="ollama pull {model}",
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                warms_up=True,
                source="docs.ollama.com, OpenAI compatibility",
                unverified="not run against",
            ),
            Server(
                name="llama-cpp",
                maker="llama.cpp",
                seats=frozenset({"llm"}),
                url="http://127.0.0.1:8080/v1",
                start="llama-server -m model.gguf --jinja",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                default_models={"llm": "default"},
                warms_up=True,
                source="tools/server/README.md of llama.cpp",
                unverified="tools: they need `--jinja` and a model whose template has them",
            ),
            Server(
                name="vllm",
                maker="vLLM",
                seats=frozenset({"stt", "llm"}),
                url="http://127.0.0.1:8000/v1",
                start="vllm serve {model}",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                warms_up=True,
                source="docs.vllm.ai, OpenAI-compatible server",
                unverified="not run against; its websocket speaks a wire of its own, which is not used",
            ),
            Server(
                name="lm-studio",
                maker="LM Studio",
                seats=frozenset({"llm"}),
                url="http://127.0.0.1:1234/v1",
                start="lms server start",
                get_model="lms get {model}",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                warms_up=True,
                source="lmstudio.ai/docs, OpenAI compatibility",
                unverified="not run against",
            ),
            Server(
                name="speaches",
                maker="speaches",
                seats=frozenset({"stt", "tts"}),
                url="http://127.0.0.1:8000/v1",
                start="uvicorn --factory --host 127.0.0.1 speaches.main:create_app",
                get_model="speaches-cli model download {model}",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                default_voice="af_heart",
                source="speaches.ai",
                unverified="not run against; the sample rate of its voices other than Kokoro (24 kHz)",
            ),
            Server(
                name="whisper-cpp",
                maker="whisper.cpp",
                seats=frozenset({"stt"}),
                url="http://127.0.0.1:8080",
                path="",
                start="whisper-server -m ggml-base.en.bin",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                default_models={"stt": "default"},
                transcriptions="/inference",
                source="examples/server/README.md of whisper.cpp",
                unverified="not run against",
            ),
            Server(
                name="kokoro",
                maker="Kokoro-FastAPI",
                seats=frozenset({"tts"}),
                url="http://127.0.0.1:8880/v1",
                start="docker run -p 8880:8880 ghcr.io/remsky/kokoro-fastapi-cpu",
                idle_s=_SHORT_IDLE_S,
                first_output_s=_LOCAL_FIRST_OUTPUT_S,
                default_models={"tts": "kokoro"},
                after_slash="voice",
                default_voice="af_heart",
                source="README of Kokoro-FastAPI",
                unverified="not run against",
            ),
        )
    }
)
