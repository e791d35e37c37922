"""Audio with times of characters becomes `Speech` that says exactly which words it speaks.

On the websocket the vendor times characters from the first sample of the message that the times come with (types of
the SDK 2.78, `Alignment`). Some messages time only their own audio; others, as users have measured, time a whole
segment whose audio fills the messages that follow, which come without times. Over HTTP times go on through an answer
(so pipecat-ai 1.14 reads them). All read the same here: a character is spoken by the piece of audio in which it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import Speech
from voicebridge.core.char_words import CharWords, Covered, TimedChar

__all__ = ["AlignedSpeech"]

_ROUNDING_MS = 10.0
"""Times are whole milliseconds and add up to a little more than the audio: a character that ends so shortly after a
piece of audio belongs to it."""


class AlignedSpeech:
    """Follows a voice through the text of one answer.

    Args:
        format: of the audio.
        going_on: times count from the first sample of the answer, unless they start again.
    """

    def __init__(self, format: AudioFormat, *, going_on: bool = False) -> None:
        self._format, self._going_on = format, going_on
        self._words = CharWords()
        self._odd = b""
        self._bytes = 0
        """Of the audio that was given out."""
        self._chars: deque[TimedChar] = deque()
        """Timed, but not spoken yet; milliseconds from the first sample of the answer."""
        self._last_ms = 0.0
        """Where the last timed character ends."""
        self._timed = False
        """The voice has told times. Until it does, what it was sent is covered by the next audio."""

    @property
    def waiting(self) -> bool:
        """Whether words were sent that no audio covers yet."""
        return any(char.isalnum() for char in self._words.waiting)

    def sent(self, text: str) -> None:
        """Text is on its way to the voice."""
        self._words.sent(text)

    def heard(self, data: bytes, chars: Sequence[TimedChar] | None = None) -> Speech | None:
        """Audio came, in bytes of any number, and perhaps times. None: there is nothing to tell yet."""
        start_ms = self._format.ms(self._bytes)
        if chars:
            self._time(chars, start_ms)
        pcm = self._whole(self._odd + data)
        if not pcm:
            return None
        self._bytes += len(pcm)
        covered = self._covered_until(self._format.ms(self._bytes)) if self._timed else self._words.rest()
        return _speech(pcm, covered, start_ms)

    def rest(self) -> Speech | None:
        """The voice has said all of it: the text that no audio has covered. None: there is none."""
        start_ms = self._format.ms(self._bytes)
        last = self._words.spoken(self._chars)
        self._chars.clear()
        rest = self._words.rest()
        text = last.text + rest.text
        return _speech(b"", Covered(text, last.words + rest.words), start_ms) if text else None

    def _whole(self, data: bytes) -> bytes:
        size = len(data) - len(data) % self._format.frame_bytes
        self._odd = data[size:]
        return data[:size]

    def _time(self, chars: Sequence[TimedChar], start_ms: float) -> None:
        go_on = self._going_on and chars[0].start_ms + _ROUNDING_MS >= self._last_ms
        later = 0.0 if go_on else start_ms
        self._chars.extend(TimedChar(char.text, later + char.start_ms, later + char.end_ms) for char in chars)
        self._timed, self._last_ms = True, self._chars[-1].end_ms

    def _covered_until(self, ms: float) -> Covered:
        spoken = []
        while self._chars and self._chars[0].end_ms <= ms + _ROUNDING_MS:
            spoken.append(self._chars.popleft())
        return self._words.spoken(spoken)


def _speech(pcm: bytes, covered: Covered, start_ms: float) -> Speech:
    return Speech(
        pcm,
        covered.text,
        tuple(
            replace(word, start_ms=word.start_ms - start_ms, end_ms=word.end_ms - start_ms) for word in covered.words
        ),
    )
