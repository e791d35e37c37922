"""A session's settings as the body of `session.update`, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, Unsupported

from .dialects import PCM24K, Dialect
from .models import Model, model_of
from .options import RealtimeOptions
from .sent import as_json

__all__ = [
    "Settings",
    "changes",
    "format_from",
    "merged",
    "sensitivity_of",
    "turn_mode",
    "wire_format",
    "wire_tool_choice",
]

_WIRE_FORMATS = {"pcm16": "audio/pcm", "ulaw": "audio/pcmu", "alaw": "audio/pcma"}
_FORMATS = {wire: encoding for encoding, wire in _WIRE_FORMATS.items()}
_MAX_SPEED = 1.5
_CLEARED: dict[str, Any] = {"instructions": "", "tools": [], "tool_choice": "auto", "max_output_tokens": "inf"}
"""What puts a setting back that is not set any more."""
_CLEARED_AUDIO: dict[str, Any] = {"turn_detection": None, "noise_reduction": None, "transcription": None, "speed": 1.0}


def wire_format(dialect: Dialect, wanted: AudioFormat) -> AudioFormat:
    """The wanted format if the wire has it, else PCM16 of 24 kHz."""
    return wanted if wanted in dialect.formats else PCM24K


def format_from(body: object, otherwise: AudioFormat) -> AudioFormat:
    """The format that a server names."""
    if not isinstance(body, Mapping):
        return otherwise
    encoding = _FORMATS.get(str(body.get("type")))
    rate = body.get("rate", 24_000 if encoding == "pcm16" else 8_000)
    if encoding is None or not isinstance(rate, int):
        return otherwise
    try:
        return AudioFormat(encoding=encoding, rate=rate)  # type: ignore[arg-type]  # a key of the table above
    except ValueError:
        return otherwise


def turn_mode(config: SessionConfig, dialect: Dialect) -> str:
    """How turns end in this session."""
    return config.turns.mode or dialect.default_turns


def sensitivity_of(sensitivity: float) -> float:
    """The vendor's threshold: the louder speech has to be, the higher."""
    return round(1 - sensitivity, 3)


class Settings:
    """Writes the settings of one session."""

    def __init__(self, config: SessionConfig, options: RealtimeOptions, dialect: Dialect, model: str) -> None:
        self._config, self._options, self._dialect, self._model = config, options, dialect, model
        self._row: Model | None = model_of(dialect.name, model)

    @property
    def transcription_model(self) -> str | None:
        """The model that writes down the user. None: none does, or the dialect does not say which."""
        named = self._config.transcription.model if self._config.transcription else None
        if self._dialect.transcribes != "asked" or not self._options.input_transcription:
            return None
        return named or self._dialect.default_transcription

    def body(self) -> dict[str, Any]:
        """The `session` object. What is not set is left out.

        Raises:
            ConfigError, Unsupported: a setting does not fit this dialect or model.
        """
        self._refuse_what_it_lacks()
        config, options = self._config, self._options
        session: dict[str, Any] = {"type": "realtime"}
        if self._dialect.model_in == "session":
            session["model"] = self._model
        if self._dialect.text_output:
            session["output_modalities"] = ["audio"] if "audio" in config.outputs else ["text"]
        if config.instructions is not None:
            session["instructions"] = config.instructions
        session["audio"] = {"input": self._input(), "output": self._output()}
        session |= self._tools()
        if config.max_output_tokens is not None:
            session["max_output_tokens"] = config.max_output_tokens
        if options.reasoning_effort is not None:
            session["reasoning"] = {"effort": options.reasoning_effort}
        for name in ("truncation", "parallel_tool_calls", "tracing", "prompt"):
            if (value := getattr(options, name)) is not None:
                session[name] = value
        if options.include:
            session["include"] = list(options.include)
        try:
            as_json(session)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"A setting or an option holds what JSON has not: {error}", code="bad_setting") from None
        return self._moved_to_top(session)

    def refuse_idle_options(self) -> None:
        """Options that a session would begin with, and that can't do anything in it.

        Raises:
            BadOption: there is one.
        """
        options, mode = self._options, turn_mode(self._config, self._dialect)
        transcription = self.transcription_model
        row = model_of(self._dialect.name, transcription or "")
        by_silence = mode == "server_vad"
        for name, works, needs in (
            ("eagerness", mode == "semantic", "turns of the mode 'semantic'"),
            ("idle_timeout_ms", by_silence, "turns of the mode 'server_vad'"),
            ("prefix_padding_ms", by_silence, "turns of the mode 'server_vad'"),
            ("noise_strength", self._config.noise_reduction is not None, "the setting noise_reduction"),
            (
                "transcription_delay",
                transcription and (row is None or row.delays),
                "a transcription model that takes it",
            ),
            ("transcription_prompt", transcription, "a transcription model"),
            ("transcription_languages", transcription, "a transcription model"),
        ):
            if getattr(options, name) not in (None, ()) and not works:
                raise BadOption(f"The option {name!r} does nothing without {needs}.", code="bad_option")

    def _input(self) -> dict[str, Any]:
        config = self._config
        body: dict[str, Any] = {
            "format": _wire_name(wire_format(self._dialect, config.input_format)),
            "turn_detection": self._turn_detection(),
        }
        if (model := self.transcription_model) is not None:
            body["transcription"] = self._transcription(model)
        if config.noise_reduction is not None:
            body["noise_reduction"] = {"type": config.noise_reduction}
            if self._options.noise_strength is not None:
                body["noise_reduction"]["strength"] = self._options.noise_strength
        return body

    def _output(self) -> dict[str, Any]:
        body: dict[str, Any] = {"format": _wire_name(wire_format(self._dialect, self._config.output_format))}
        if voice := self._config.voice or self._dialect.default_voice:
            # The vendor's ready-made voices are words; its custom ones are named by an object.
            body["voice"] = {"id": voice} if voice.startswith("voice_") else voice
        if self._config.speed is not None:
            body["speed"] = self._config.speed
        return body

    def _turn_detection(self) -> dict[str, Any] | None:
        policy, options = self._config.turns, self._options
        mode = turn_mode(self._config, self._dialect)
        if mode == "manual":
            return None
        body: dict[str, Any] = {"type": "semantic_vad" if mode == "semantic" else "server_vad"}
        if mode == "server_vad":
            if policy.sensitivity is not None:
                body["threshold"] = sensitivity_of(policy.sensitivity)
            if policy.silence_ms is not None:
                body["silence_duration_ms"] = policy.silence_ms
            if options.prefix_padding_ms is not None:
                body["prefix_padding_ms"] = options.prefix_padding_ms
            if options.idle_timeout_ms is not None:
                body["idle_timeout_ms"] = options.idle_timeout_ms
        elif options.eagerness is not None:
            body["eagerness"] = options.eagerness
        return body | {"create_response": policy.auto_respond, "interrupt_response": policy.auto_interrupt}

    def _transcription(self, model: str) -> dict[str, Any]:
        config, options = self._config, self._options
        row = model_of(self._dialect.name, model)
        body: dict[str, Any] = {"model": model}
        if options.transcription_languages:
            body["languages"] = list(options.transcription_languages)
        elif config.language:
            body["language"] = config.language.split("-")[0].lower()
        keywords = list(config.transcription.keywords) if config.transcription else []
        if keywords and row is not None and row.keywords == "none":
            raise Unsupported(
                f"The transcription model {model!r} takes no keywords: choose gpt-live-transcribe or gpt-transcribe."
            )
        if keywords and row is not None and row.keywords == "prompt":
            body["prompt"] = ", ".join(keywords)
        elif keywords:
            body["keywords"] = keywords
        if options.transcription_prompt is not None:
            body["prompt"] = options.transcription_prompt
        if options.transcription_delay is not None:
            body["delay"] = options.transcription_delay
        return body

    def _tools(self) -> dict[str, Any]:
        config = self._config
        tools: list[dict[str, Any]] = [
            {"type": "function", "name": t.name, "description": t.description, "parameters": dict(t.parameters)}
            for t in config.tools
        ]
        tools += [dict(tool) for tool in self._options.mcp_tools]
        body: dict[str, Any] = {"tools": tools} if tools else {}
        if config.tool_choice is not None:
            body["tool_choice"] = wire_tool_choice(config.tool_choice)
        return body

    def _moved_to_top(self, session: dict[str, Any]) -> dict[str, Any]:
        """The dialects that are older than the `audio` object keep some of it at the top."""
        audio = session["audio"]
        for name in self._dialect.top_level:
            part = audio["output" if name == "voice" else "input"]
            if name in part:
                session[name] = part.pop(name)
        return session

    def _refuse_what_it_lacks(self) -> None:
        config, dialect = self._config, self._dialect
        if not config.outputs:
            raise Unsupported(f"A session of {dialect.name} answers: `outputs` names audio, text or both.")
        if "audio" not in config.outputs and not dialect.text_output:
            raise Unsupported(f"{dialect.name} always speaks: `outputs` must hold audio.")
        mode = turn_mode(config, dialect)
        if mode not in dialect.turns:
            raise Unsupported(
                f"{dialect.name} can't find turns by {mode!r}: choose {' or '.join(map(repr, sorted(dialect.turns)))}."
            )
        if mode == "semantic" and (config.turns.silence_ms is not None or config.turns.sensitivity is not None):
            raise Unsupported("Semantic turn detection has no silence_ms and no sensitivity: use the option eagerness.")
        if config.noise_reduction is not None and not dialect.noise_reduction:
            raise Unsupported(f"{dialect.name} has no noise_reduction.")
        if config.speed is not None and config.speed > _MAX_SPEED:
            raise ConfigError(f"speed lies between 0.25 and {_MAX_SPEED} here, not {config.speed}.", code="bad_setting")
        transcription = config.transcription
        if transcription and transcription.model and dialect.transcribes != "asked":
            raise Unsupported(f"{dialect.name} writes down the user by itself: no transcription model can be chosen.")
        if transcription and transcription.keywords and self.transcription_model is None:
            raise Unsupported(f"{dialect.name} takes no keywords without a transcription model of its own.")


def wire_tool_choice(choice: str) -> str | dict[str, Any]:
    """A word of the wire, or the name of a tool."""
    return choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}


def merged(body: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a session that has taken a change."""
    audio: dict[str, Any] = {side: dict(part) for side, part in body["audio"].items()}
    changed = change.get("audio")
    for side, part in changed.items() if isinstance(changed, Mapping) else ():
        if isinstance(part, Mapping):
            audio[side] = {**audio.get(side, {}), **part}
    return {**body, **change, "audio": audio}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What to send so that a session with the settings `before` has those of `after`."""
    changed = _difference(before, after, _CLEARED | _CLEARED_AUDIO)
    audio = {
        side: part
        for side in ("input", "output")
        if (part := _difference(before["audio"][side], after["audio"][side], _CLEARED_AUDIO))
    }
    changed.pop("audio", None)
    return {"type": "realtime"} | changed | ({"audio": audio} if audio else {})


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], cleared: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    gone = {name: cleared[name] for name in before if name not in after and name in cleared}
    return changed | {name: value for name, value in gone.items() if before[name] != value}


def _wire_name(audio: AudioFormat) -> dict[str, Any]:
    body: dict[str, Any] = {"type": _WIRE_FORMATS[audio.encoding]}
    if audio.encoding == "pcm16":
        body["rate"] = audio.rate
    return body
