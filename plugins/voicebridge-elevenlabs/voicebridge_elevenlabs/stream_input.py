"""The websocket that takes text and gives speech, as frames: one connection speaks one answer.

Facts: types of the SDK elevenlabs 2.78 (`InitializeConnection`, `SendText`, `CloseConnection`, `AudioOutput`,
`FinalOutput`); the query is documented at elevenlabs.io/docs/api-reference/websocket.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Flush, Speech, Usage

from .aligned_speech import AlignedSpeech
from .refusals import fault_of_message
from .settings import VoiceSettings
from .wire_values import SOCKET_NAMES, audio_of, chars_of, message_of

__all__ = ["INACTIVITY_S", "StreamInput", "opening", "query"]

INACTIVITY_S = 180
"""The longest that the vendor waits for text. It is asked for this much; 20 s is what it waits otherwise."""
_SILENT_S = 5.0
"""Nothing came for so long, though something was asked: the vendor is gone, or as good as that."""
_SILENT = Fault(
    category="network",
    code="silent",
    message=f"ElevenLabs gave no audio for {_SILENT_S:g} s. Try again.",
    retryable=True,
)


def query(settings: VoiceSettings) -> dict[str, str | list[str]]:
    """Of the address of the websocket.

    `auto_mode`: no buffers, no schedule of lengths; what is sent is spoken at once. It wants whole phrases, which is
    why this stage takes clauses.
    """
    options = settings.options
    asked = {
        "model_id": settings.model,
        "output_format": options.output_format,
        "auto_mode": True,
        "sync_alignment": options.timestamps,
        "inactivity_timeout": INACTIVITY_S,
        "language_code": settings.language,
        "apply_text_normalization": options.apply_text_normalization,
        "enable_logging": options.enable_logging,
        "seed": options.seed,
    }
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in asked.items()
        if value is not None
    }


def opening(settings: VoiceSettings) -> str:
    """The first frame. It says nothing yet, so it may be sent before there is anything to say."""
    frame: dict[str, object] = {"text": " "}
    if voice := settings.of_the_voice():
        frame["voice_settings"] = voice
    return orjson.dumps(frame).decode()


class StreamInput:
    """Is a `Half`: clauses in, speech out.

    Args:
        format: of the audio.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._speech = AlignedSpeech(format)
        self._asked = self._ended = self._done = False
        self.due: float | None = None

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return self._done or not self._asked

    def take(self, piece: str | Flush, now: float) -> Iterable[Frame | Speech | Usage]:
        """See `Half.take`."""
        if isinstance(piece, Flush):
            return [_frame(text=" ", flush=True)] if self._asked else []
        self._speech.sent(piece)
        text = piece.strip()
        if not any(char.isalnum() for char in text):
            return []  # it can't be pronounced
        self._asked = True
        self.due = self.due or now + _SILENT_S
        return [_frame(text=f"{text} "), Usage({"characters": float(len(text))}, basis="estimated")]

    def end(self, now: float) -> Iterable[Frame | Speech | Usage]:
        """See `Half.end`."""
        self._ended = True
        if self._asked:
            self.due = now + _SILENT_S
            return [_frame(text="")]
        return self._rest()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Speech | Usage]:
        """See `Half.receive`."""
        message = message_of(frame)
        if fault := fault_of_message(message):
            raise VoiceBridgeError(fault)
        outputs: list[Frame | Speech | Usage] = []
        audio, chars = audio_of(message.get("audio")), chars_of(message, SOCKET_NAMES)
        if speech := self._speech.heard(audio, chars):
            outputs.append(speech)
        if audio:
            self.due = now + _SILENT_S if self._ended else None
        if message.get("isFinal") is True and self._ended:
            outputs += self.finish()
        return outputs

    def tick(self, now: float) -> Iterable[Frame | Speech | Usage]:
        """See `Half.tick`."""
        raise VoiceBridgeError(_SILENT)

    def finish(self) -> list[Speech]:
        """The vendor has said all of it."""
        self._done, self.due = True, None
        return self._rest()

    def ends_well(self, fault: Fault) -> bool:
        """Whether a connection that ends so has done its work: the last word is sometimes only the close (SDK 2.78)."""
        return self._ended and fault.code == "close_1000"

    def _rest(self) -> list[Speech]:
        rest = self._speech.rest()
        return [rest] if rest else []


def _frame(**fields: object) -> str:
    return orjson.dumps(fields).decode()
