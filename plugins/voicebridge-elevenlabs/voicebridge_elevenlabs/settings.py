"""The settings of a seat, checked: what is portable, and the options that only this vendor knows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.core.stage_options import StageOptions, read_stage_options

from .models import VOICES, VoiceModel

__all__ = ["LiveOptions", "UploadOptions", "VoiceOptions", "VoiceSettings", "language_code"]

_SLOWEST, _FASTEST = 0.7, 1.2


class VoiceOptions(StageOptions):
    """Of a voice."""

    transport: Literal["websocket", "http"] = "websocket"
    """`http`: a request for each clause."""
    timestamps: bool = True
    """Ask for the times of characters, from which it is known which words were heard."""
    output_format: Literal["pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000"] = "pcm_24000"
    stability: float | None = Field(default=None, ge=0, le=1)
    """None, here and below: as the voice is set up."""
    similarity_boost: float | None = Field(default=None, ge=0, le=1)
    style: float | None = Field(default=None, ge=0, le=1)
    """Of models from v2 on."""
    use_speaker_boost: bool | None = None
    """Of models from v2 on."""
    apply_text_normalization: Literal["auto", "on", "off"] | None = None
    """Whether numbers and dates are spelled out before they are spoken."""
    enable_logging: bool | None = None
    """False: the vendor keeps nothing, which only some accounts may ask for."""
    seed: int | None = Field(default=None, ge=0, le=4_294_967_295)

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.output_format.removeprefix("pcm_"))


class LiveOptions(StageOptions):
    """Of a recogniser over the websocket."""

    no_verbatim: bool | None = None
    """Leave out filler words and false starts."""
    filter_background_audio: bool | None = None
    """Hear less of conversations nearby."""
    enable_logging: bool | None = None


class UploadOptions(StageOptions):
    """Of a recogniser that is sent whole utterances."""

    tag_audio_events: bool = False
    """Write down what is no speech, as in (laughter)."""
    no_verbatim: bool | None = None
    """Leave out filler words and false starts."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    enable_logging: bool | None = None


class VoiceSettings(StageOptions):
    """What is asked of a voice, whatever it says."""

    model: str
    voice: str | None
    """Its name or its id. None: the default."""
    speed: float | None
    language: str | None
    """In ISO 639-1, where the model can be told."""
    options: VoiceOptions

    @classmethod
    def of(cls, model: str, config: SessionConfig) -> VoiceSettings:
        """Those that the config holds.

        Raises:
            ConfigError: something in it does not fit this model.
        """
        options = read_stage_options(VoiceOptions, config.options, f"elevenlabs/{model}")
        known = next((row for row in VOICES if row.name == model), None)
        if known and not known.websocket and options.transport == "websocket":
            raise ConfigError(f"{model} is not served over the websocket: pass transport='http'.", code="no_websocket")
        if config.speed is not None and not _SLOWEST <= config.speed <= _FASTEST:
            raise ConfigError(
                f"ElevenLabs speaks at speeds from {_SLOWEST} to {_FASTEST}, not {config.speed:g}.", code="bad_speed"
            )
        voice = (config.voice or "").strip() or None
        language = _spoken_language(known, config.language) if known else None
        return cls(model=model, voice=voice, speed=config.speed, language=language, options=options)

    def of_the_voice(self) -> dict[str, float | bool]:
        """The `voice_settings` of a request."""
        options = self.options
        settings = {
            "stability": options.stability,
            "similarity_boost": options.similarity_boost,
            "style": options.style,
            "use_speaker_boost": options.use_speaker_boost,
            "speed": self.speed,
        }
        return {name: value for name, value in settings.items() if value is not None}


def language_code(language: str | None) -> str | None:
    """The language of a BCP 47 tag, as in `pt` of `pt-BR`."""
    return language.replace("_", "-").partition("-")[0].lower() if language else None


def _spoken_language(model: VoiceModel, language: str | None) -> str | None:
    code = language_code(language)
    if code is None or model.languages is None:
        return None
    if not model.languages:
        if code != "en":
            raise ConfigError(
                f"{model.name} speaks English only. For {language!r}: eleven_flash_v2_5 or eleven_multilingual_v2.",
                code="bad_language",
            )
        return None
    if code not in model.languages:
        raise ConfigError(
            f"{model.name} does not speak {language!r}. It speaks {', '.join(sorted(model.languages))}.",
            code="bad_language",
        )
    return code
