"""Who speaks this wire, and how each differs from the first: rows of data, never a class and never a branch by name.

A row says what was seen or documented; what nobody has verified is said in its `unverified`. Sources: the vendor's own
SDK types (`openai` 3.54), recorded frames of OpenAI, Azure OpenAI and xAI, client code of `pydantic-ai` 2.68 (xAI,
ElevenLabs), and the source of `speech-to-speech` 1.1.0, which this project has talked to as well. No other was tried
against a live vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.codec import Liveness

__all__ = ["BETA_NAMES", "DIALECTS", "PCM24K", "Dialect"]

PCM24K = AudioFormat()
_ALL_FORMATS = (PCM24K, AudioFormat(encoding="ulaw", rate=8_000), AudioFormat(encoding="alaw", rate=8_000))

BETA_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "response.audio.delta": "response.output_audio.delta",
        "response.audio.done": "response.output_audio.done",
        "response.audio_transcript.delta": "response.output_audio_transcript.delta",
        "response.audio_transcript.done": "response.output_audio_transcript.done",
        "response.text.delta": "response.output_text.delta",
        "response.text.done": "response.output_text.done",
    }
)
"""Event names of before the general availability, which older compatible servers still send."""

_LIVELINESS = Liveness()
"""As is usual. No vendor of this wire was seen to answer pings late."""
Turns = Literal["server_vad", "semantic", "manual"]
Noted = Literal["text", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One speaker of the wire."""

    name: str
    """Of the backend, and of the vendor in `UsageReported.model`."""
    maker: str
    url: str
    """Where to dial; empty: `base_url` is required."""
    path: str = "/v1/realtime"
    """Completes a `base_url` that names only a host."""
    base_url_variable: str = ""
    """An environment variable that stands in for `base_url`."""
    key_variable: str = ""
    key_required: bool = True
    """A server on this machine never needs one."""
    header: str = "Authorization"
    header_format: str = "Bearer {key}"
    client_secrets: bool = False
    """Whether `client_secrets` below the address gives ephemeral secrets over HTTP."""
    model_in: Literal["query", "session"] = "query"
    """Where the server looks for it. The query has it in any case: servers that don't look there pass over it."""
    default_model: str = ""
    turns: frozenset[Turns] = frozenset({"server_vad", "semantic", "manual"})
    default_turns: Turns = "server_vad"
    top_level: frozenset[Literal["voice", "turn_detection"]] = frozenset()
    """Session settings that stand at the top instead of under `audio`."""
    formats: tuple[AudioFormat, ...] = _ALL_FORMATS
    default_voice: str | None = None
    default_transcription: str | None = None
    """The model that writes down the user. None: only where one is named."""
    transcribes: Literal["asked", "always", "never"] = "asked"
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Event names of this dialect, and what they are called here."""
    text_output: bool = True
    images: bool = True
    asides: bool = True
    truncate: bool = True
    delete: bool = True
    clear: bool = True
    noise_reduction: bool = True
    usage: bool = True
    """Whether it tells what was used. Where it does not, numbers of another kind are not taken for that."""
    sends_metadata: bool = True
    """Whether `response.create` may carry metadata."""
    echoes_metadata: bool = False
    """Whether it is known that the response carries it, too. Else, until it was seen, first in is first out."""
    liveness: Liveness = _LIVELINESS
    """When a connection counts as dead. The options `ping_interval_s` and `dead_after_s` go before it."""
    keep_alive_s: float | None = None
    """Seconds without a frame from us after which an empty one is sent."""
    max_session_s: float | None = None
    options: frozenset[str] | None = None
    """Options that it takes beyond those of the connection. None: all."""
    prices: str = ""
    """Where its prices stand."""
    unverified: str = ""
    """What no source seen by us confirms."""


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        row.name: row
        for row in (
            Dialect(
                name="openai",
                maker="OpenAI",
                url="wss://api.openai.com/v1/realtime",
                key_variable="OPENAI_API_KEY",
                client_secrets=True,
                echoes_metadata=True,
                default_model="gpt-realtime-2",
                default_transcription="gpt-realtime-whisper",
                max_session_s=3600.0,
                prices="models.py",
                unverified="barge-in, truncation, errors and the close after 60 minutes are from documentation and "
                "reports, not from recorded frames; the header OpenAI-Safety-Identifier",
            ),
            Dialect(
                name="azure",
                maker="Microsoft",
                url="",
                path="/openai/v1/realtime",
                base_url_variable="AZURE_OPENAI_ENDPOINT",
                key_variable="AZURE_OPENAI_API_KEY",
                header="api-key",
                header_format="{key}",
                echoes_metadata=True,
                options=frozenset(
                    {
                        "eagerness",
                        "idle_timeout_ms",
                        "include",
                        "input_transcription",
                        "mcp_tools",
                        "noise_strength",
                        "parallel_tool_calls",
                        "prefix_padding_ms",
                        "reasoning_effort",
                        "transcription_delay",
                        "transcription_languages",
                        "transcription_prompt",
                        "truncation",
                    }
                ),
                max_session_s=3600.0,
                prices="azure.microsoft.com; not in models.py",
                unverified="the session limit, and whether every OpenAI option is taken. The transcription model must "
                "be the name of a deployment, so there is no default",
            ),
            Dialect(
                name="xai",
                maker="xAI",
                url="wss://api.x.ai/v1/realtime",
                key_variable="XAI_API_KEY",
                default_model="grok-voice-latest",
                turns=frozenset({"server_vad", "manual"}),
                top_level=frozenset({"voice", "turn_detection"}),
                formats=(PCM24K,),
                transcribes="always",
                text_output=False,
                images=False,
                asides=False,
                truncate=False,
                noise_reduction=False,
                options=frozenset({"prefix_padding_ms"}),
                prices="models.py",
                unverified="push-to-talk, G.711 (not offered here), whether metadata is echoed, the length of a "
                "session. Truncation is known to be unreliable, so it is not used",
            ),
            Dialect(
                name="elevenlabs",
                maker="ElevenLabs",
                url="wss://api.elevenlabs.io/v1/convai/realtime",
                path="/v1/convai/realtime",
                key_variable="ELEVENLABS_API_KEY",
                header="xi-api-key",
                header_format="{key}",
                client_secrets=True,
                model_in="session",
                default_model="eleven_realtime_v1_mini",
                turns=frozenset({"semantic"}),
                default_turns="semantic",
                formats=(PCM24K,),
                transcribes="always",
                images=False,
                asides=False,
                delete=False,
                noise_reduction=False,
                usage=False,
                keep_alive_s=30.0,
                max_session_s=600.0,
                options=frozenset({"eagerness"}),
                prices="models.py",
                unverified="push-to-talk, text output, truncation, whether metadata is echoed, and the shape of the "
                "client secrets",
            ),
            Dialect(
                name="openai-compatible",
                maker="any server",
                url="",
                key_required=False,
                aliases=BETA_NAMES,
                unverified="everything: it is asked for all that OpenAI has, and what the server lacks it answers with "
                "an error",
            ),
            Dialect(
                name="speech-to-speech",
                maker="Hugging Face",
                url="ws://127.0.0.1:8765/v1/realtime",
                key_required=False,
                default_model="speech-to-speech",
                turns=frozenset({"server_vad"}),
                formats=(PCM24K,),
                transcribes="always",
                text_output=False,
                images=False,
                truncate=False,  # taken and ignored: of an interrupted answer, it keeps nothing
                delete=False,
                clear=False,
                noise_reduction=False,
                options=frozenset({"prefix_padding_ms"}),
                prices="none: it runs on your own machine",
                unverified="its voices (it ignores the setting in some pipelines)",
            ),
        )
    }
)
