"""The settings of one session, as `session.created` and `session.updated` tell them. Pure."""

from __future__ import annotations

import copy
from typing import Any

from voicebridge.contract.audio import AudioFormat

from .dialects import ServerDialect
from .protocol_error import ProtocolError, unknown_parameter, unsupported_value
from .session_rules import check_session, check_transcription_session

__all__ = ["SessionState", "wire_format"]

_FORMATS = {
    "audio/pcm": AudioFormat(rate=24_000),
    "audio/pcmu": AudioFormat(encoding="ulaw", rate=8_000),
    "audio/pcma": AudioFormat(encoding="alaw", rate=8_000),
}
_SEMANTIC_SILENCE_MS = {"low": 1500, "medium": 800, "auto": 800, "high": 400}
"""The vendor weighs what was said; a simulator only waits longer or shorter."""
_NO_ANSWERS = ("create_response", "interrupt_response", "idle_timeout_ms")
"""Of the turn detection: what a session that only transcribes has not."""
_NO_DETECTION = "gpt-realtime-whisper"
"""Its sessions take no turn detection (types of the openai SDK 3.54)."""
_SIDES = {"voice": "output", "turn_detection": "input"}
"""Of the `audio` object: where OpenAI has what other dialects keep at the top."""
_UNASKED = {"model": "whisper-1"}
"""Of a dialect that always writes down the user."""
_INSTRUCTIONS = "You are a simulated assistant: what you say is scripted, or an echo of what you understood."


def wire_format(described: dict[str, Any]) -> AudioFormat:
    """The audio format that a `format` object means."""
    return _FORMATS[described["type"]]


class SessionState:
    """The whole session object. `data` has OpenAI's shape; `shown` is what the client of a dialect is told."""

    def __init__(
        self,
        session_id: str,
        model: str,
        expires_at: int | None,
        silence_ms: int,
        dialect: ServerDialect,
        *,
        only_transcribes: bool = False,
    ) -> None:
        self._silence_ms = silence_ms
        self._dialect = dialect
        self.only_transcribes = only_transcribes
        """It was opened with `intent=transcription`: nothing is answered."""
        self.spoken = False
        """Audio was produced: the voice can't change any more."""
        pcm = {"type": "audio/pcm", "rate": 24000}
        self.data: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": _INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": dict(pcm),
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": self._turn_detection({"type": dialect.detections[0]}, None),
                },
                "output": {"format": dict(pcm), "voice": "alloy", "speed": 1.0},
            },
            "include": None,
        }

    def update(self, patch: Any) -> None:
        """Take the fields of a `session.update`; all or none.

        Raises:
            ProtocolError: one of them does not fit.
        """
        patch = self._in_plain_shape(patch)
        if self.only_transcribes:
            check_transcription_session(patch)
        else:
            check_session(self._without_own_voice(patch))
        changed = copy.deepcopy(self.data)
        audio = patch.get("audio", {})
        # The model of a session stays what the handshake named: clients repeat it in each update.
        kept = {"type", "audio", "parallel_tool_calls", *self._dialect.ignored_settings}
        if self._dialect.model_in != "session":
            kept.add("model")
        changed |= {name: value for name, value in patch.items() if name not in kept}
        for tool in changed["tools"]:
            if tool["type"] == "function":
                tool.setdefault("parameters", {"type": "object", "properties": {}})
        self._update_input(changed["audio"]["input"], audio.get("input", {}))
        self._update_output(changed["audio"]["output"], audio.get("output", {}))
        self._check_detection(changed["audio"]["input"])
        self.data = changed

    def shown(self) -> dict[str, Any]:
        """The session as the client is told of it."""
        data = copy.deepcopy(self.data)
        if not self._dialect.numbers_sessions:
            del data["id"]
        for name in self._dialect.top_level:
            data[name] = data["audio"][_SIDES[name]].pop(name)
        return self._of_transcription(data) if self.only_transcribes else data

    def _of_transcription(self, data: dict[str, Any]) -> dict[str, Any]:
        """What such a session has of all that."""
        heard = data["audio"]["input"]
        detection = heard["turn_detection"]
        if detection is not None:
            heard["turn_detection"] = {name: detection[name] for name in detection if name not in _NO_ANSWERS}
        kept: dict[str, Any] = {name: data[name] for name in ("id", "expires_at", "include") if name in data}
        return {"type": "transcription", "object": "realtime.transcription_session", **kept, "audio": {"input": heard}}

    def _check_detection(self, heard: dict[str, Any]) -> None:
        """Raises `ProtocolError` where the transcription model finds no turns."""
        model = (heard["transcription"] or {}).get("model")
        if self.only_transcribes and model == _NO_DETECTION and heard["turn_detection"] is not None:
            param = "session.audio.input.turn_detection"
            raise ProtocolError("invalid_value", f"Turn detection must be null for {model}.", param)

    def _in_plain_shape(self, patch: Any) -> Any:
        """A patch of a dialect with each setting where OpenAI has it. What is no object is left to the check.

        Raises:
            ProtocolError: a setting that belongs to the top stands below.
        """
        if not isinstance(patch, dict) or not isinstance(patch.get("audio", {}), dict):
            return patch
        plain = copy.deepcopy(patch)
        for name in self._dialect.top_level:
            part = plain.setdefault("audio", {}).setdefault(_SIDES[name], {})
            if not isinstance(part, dict):
                continue
            if name in part:
                raise unknown_parameter(f"session.audio.{_SIDES[name]}.{name}")
            if name in plain:
                part[name] = plain.pop(name)
        return plain

    def _without_own_voice(self, patch: Any) -> Any:
        """The patch without the name of a voice that only its server knows."""
        audio = patch.get("audio") if isinstance(patch, dict) and self._dialect.own_voices else None
        output = audio.get("output") if isinstance(audio, dict) else None
        if not isinstance(output, dict) or not isinstance(output.get("voice"), str):
            return patch
        bare = {name: value for name, value in output.items() if name != "voice"}
        return patch | {"audio": patch["audio"] | {"output": bare}}

    def _update_input(self, before: dict[str, Any], patch: dict[str, Any]) -> None:
        if self._dialect.always_detects and patch.get("turn_detection", before) is None:
            patch = {name: value for name, value in patch.items() if name != "turn_detection"}
        if detection := patch.get("turn_detection"):
            if detection["type"] not in self._dialect.detections:
                param = "session.audio.input.turn_detection.type"
                raise unsupported_value(param, detection["type"], self._dialect.detections)
            patch = patch | {"turn_detection": self._turn_detection(detection, before["turn_detection"])}
        if transcription := patch.get("transcription"):
            known = before["transcription"] or {"model": "whisper-1", "language": None, "prompt": None}
            patch = patch | {"transcription": known | transcription}
        before |= patch

    def _update_output(self, before: dict[str, Any], patch: dict[str, Any]) -> None:
        if "voice" in patch and patch["voice"] != before["voice"] and self.spoken:
            raise ProtocolError(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        before |= patch
        before["speed"] = float(before["speed"])

    def _turn_detection(self, patch: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
        switches = dict.fromkeys(("create_response", "interrupt_response"), not self.only_transcribes)
        if patch["type"] == "semantic_vad":
            whole: dict[str, Any] = {"type": "semantic_vad", "eagerness": "auto", **switches}
        else:
            whole = {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": self._silence_ms,
                "idle_timeout_ms": None,
                **switches,
            }
        if before is not None and before["type"] == patch["type"]:
            whole = before
        return whole | patch

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """Null: push-to-talk."""
        found: dict[str, Any] | None = self.data["audio"]["input"]["turn_detection"]
        return found

    @property
    def silence_ms(self) -> int:
        """Of the turn detection."""
        detection = self.turn_detection or {}
        if detection.get("type") == "semantic_vad":
            return _SEMANTIC_SILENCE_MS[detection["eagerness"]]
        return int(detection.get("silence_duration_ms", self._silence_ms))

    @property
    def idle_timeout_ms(self) -> int | None:
        """Of silence after a response, before the model speaks again. None: it does not."""
        found: int | None = (self.turn_detection or {}).get("idle_timeout_ms")
        return found

    @property
    def padding_ms(self) -> int:
        """What comes before the speech that was found, and belongs to it."""
        return int((self.turn_detection or {}).get("prefix_padding_ms", 300))

    @property
    def sensitivity(self) -> float:
        """From 0 to 1: a high threshold hears only clear speech."""
        return 1.0 - float((self.turn_detection or {}).get("threshold", 0.5))

    @property
    def transcription(self) -> dict[str, Any] | None:
        """Null: what the user says is not written down."""
        found: dict[str, Any] | None = self.data["audio"]["input"]["transcription"]
        return found or (_UNASKED if self._dialect.always_transcribes else None)

    @property
    def input_format(self) -> AudioFormat:
        """Of the user's audio."""
        return wire_format(self.data["audio"]["input"]["format"])
