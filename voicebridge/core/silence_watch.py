"""Answers that come as silence: a backend that sends audio, and no voice in it.

a response     input                                  becomes     told
unknown        audio                                  quiet       nothing
quiet          a stretch of 200 ms with sound         sounding    nothing (it is never measured again)
quiet          3 s of audio without sound             told        a fault, once
any            its end                                unknown     nothing

Sound is what is louder than -60 dB of full scale, which is below the noise of a recording and above that of rounding.
"""

from __future__ import annotations

import numpy as np

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.fault import Fault

__all__ = ["SilenceWatch"]

_LIMIT_MS = 3_000.0
_STRETCH_MS = 200.0
_FLOOR = 32768 * 10 ** (-60 / 20)
_FEW = 0.01
"""Of the samples of a stretch: so many louder ones are no voice."""
_QUIET_CODES = {
    "ulaw": bytes([*range(0x7B, 0x80), *range(0xFB, 0x100)]),
    "alaw": bytes([0x54, 0x55, 0xD4, 0xD5]),
}
"""The codes of G.711 for samples that are no louder than the floor."""
_FAULT = Fault(
    category="content",
    code="silent_audio",
    message="The backend answers with silence: three seconds of audio without a sound. Ask again, or give a fallback.",
    retryable=True,
)


class SilenceWatch:
    """Follows the audio of one session's responses.

    Args:
        format: of the agent's voice.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._stretch, self._limit = format.size(_STRETCH_MS), format.size(_LIMIT_MS)
        self._judged: set[str] = set()
        """Responses that run and are not measured any more."""
        self._quiet: dict[str, int] = {}
        """Bytes without sound, by response."""
        self._open: dict[str, bytearray] = {}
        """The stretch that is not full."""

    def heard(self, response_id: str, pcm: bytes) -> Fault | None:
        """A piece of the agent's voice. What is wrong, if it is known now."""
        if response_id in self._judged:
            return None
        stretch = self._open.setdefault(response_id, bytearray())
        stretch += pcm
        if len(stretch) < self._stretch:
            return None
        self._open[response_id] = bytearray()
        if self._sounds(stretch):
            self.ended(response_id)
            self._judged.add(response_id)
            return None
        quiet = self._quiet[response_id] = self._quiet.get(response_id, 0) + len(stretch)
        if quiet < self._limit:
            return None
        self.ended(response_id)
        self._judged.add(response_id)
        return _FAULT

    def ended(self, response_id: str) -> None:
        """No more audio comes of a response."""
        self._judged.discard(response_id)
        self._quiet.pop(response_id, None)
        self._open.pop(response_id, None)

    def _sounds(self, stretch: bytearray) -> bool:
        codes = _QUIET_CODES.get(self._format.encoding)
        if codes is not None:
            return len(stretch.translate(None, codes)) > _FEW * len(stretch)
        samples = np.frombuffer(stretch, "<i2", len(stretch) // 2).astype(np.float32)
        return bool(np.dot(samples, samples) > _FLOOR**2 * len(samples))
