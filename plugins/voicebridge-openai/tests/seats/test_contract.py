"""What every stage promises, each of ours against the simulator of its wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge.testing.contract.stages import LanguageModelContract, SpeechToTextContract, TextToSpeechContract


class Simulated:
    """A world in which the vendor is simulated."""

    wire: ClassVar[str] = "openai-http"
    options: ClassVar[Mapping[str, Any]] = {}
    fault: ClassVar[str] = "cut at byte 500"
    """Breaks an answer off in its middle, behind its head."""

    @asynccontextmanager
    async def world(self, *faults: str) -> AsyncIterator[Mapping[str, Any]]:
        """The simulator on a free port."""
        settings = SimulatorSettings(faults=faults, options=dict(self.options))
        async with simulator(self.wire, settings).serve() as url:
            yield {"base_url": url, "api_key": "sk-test"}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        """The same, with connections that break."""
        async with self.world(self.fault) as fields:
            yield fields


class TestUpload(Simulated, SpeechToTextContract):
    """A recogniser that streams its transcript."""

    name = "openai/gpt-4o-transcribe"
    options: ClassVar[Mapping[str, Any]] = {"transcripts": ("Hello there. " * 40,)}


class TestWhisper(TestUpload):
    """One that answers with one object."""

    name = "openai/whisper-1"


class TestSession(Simulated, SpeechToTextContract):
    """A recogniser by realtime session."""

    name = "openai/gpt-realtime-whisper"
    wire = "openai-realtime"
    fault = "close 1011 on input_audio_buffer.committed"


class TestAnyModelBySession(TestSession):
    """The same by name."""

    name = "openai/realtime/gpt-4o-transcribe"


class TestTurns(TestSession):
    """One whose vendor finds the turns."""

    name = "openai/turns/gpt-4o-transcribe"


class TestChat(Simulated, LanguageModelContract):
    """A model by chat completions."""

    name = "openai/gpt-4o"
    fault = "cut on chat.completion.chunk"


class TestResponses(Simulated, LanguageModelContract):
    """A model by responses."""

    name = "openai/responses/gpt-4o"
    fault = "cut on response.output_text.delta"


class TestSpeech(Simulated, TextToSpeechContract):
    """A voice that streams events."""

    name = "openai/gpt-4o-mini-tts"
    wrong_voice = "no such voice"
    fault = "cut on speech.audio.delta"


class TestPlainSpeech(Simulated, TextToSpeechContract):
    """A voice that streams samples."""

    name = "openai/tts-1"
    wrong_voice = "no such voice"


class TestOllama(Simulated, LanguageModelContract):
    """As Ollama answers."""

    name = "ollama/llama3.2"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "ollama"}
    fault = "cut on chat.completion.chunk"


class TestLlamaCpp(Simulated, LanguageModelContract):
    """As llama.cpp answers."""

    name = "llama-cpp"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "llama.cpp"}
    fault = "cut on chat.completion.chunk"


class TestPlainModel(Simulated, LanguageModelContract):
    """As a server answers that lacks all that one may lack."""

    name = "openai-compatible/any"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "plain"}
    fault = "cut on chat.completion.chunk"


class TestPlainRecogniser(Simulated, SpeechToTextContract):
    """The same."""

    name = "speaches/any"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "plain", "transcripts": ("Hello there. " * 40,)}


class TestVllmRecogniser(Simulated, SpeechToTextContract):
    """One that streams pieces as of a chat."""

    name = "vllm/any"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "vllm", "transcripts": ("Hello there. " * 40,)}
    config: ClassVar[Mapping[str, Any]] = {"options": {"stream": True}}
    fault = "cut on transcription.chunk"


class TestPlainVoice(Simulated, TextToSpeechContract):
    """One that sends WAV files at a rate of their own."""

    name = "kokoro/af_sky"
    options: ClassVar[Mapping[str, Any]] = {"dialect": "plain"}
