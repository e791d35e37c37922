"""Both sides of a live conversation as two files of the same length, to be listened to side by side.

The microphone is the clock. The speaker's file holds what left it, when it did: what an interruption cut off is not in
it, and where the agent is silent, so is its file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

from voicebridge.audio.file import WavWriter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio
from voicebridge.session.agent import AudioSource
from voicebridge.session.player import HoldableSink

__all__ = ["Recorder"]


class Recorder:
    """Stands between the agent and its devices; is both of them. A context manager: at its end the files are whole.

    Args:
        folder: made if it is not there; `microphone.wav` and `speaker.wav` in it are replaced.

    Raises:
        BadAudio: the files can't be written.
    """

    def __init__(self, folder: Path, microphone: AudioSource, speaker: HoldableSink) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadAudio(f"{folder} can't be a folder for recordings: {error}. Name another one.") from error
        self.microphone = _HeardMicrophone(microphone, self)
        self.speaker = _HeardSpeaker(speaker, self)
        self._user = WavWriter(folder / "microphone.wav", microphone.format)
        try:
            self._agent = WavWriter(folder / "speaker.wav", speaker.format)
        except BaseException:
            self._user.close()
            raise

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.speaker.note()
            self._fill_up()
        finally:
            self._user.close()
            self._agent.close()

    @property
    def duration_s(self) -> float:
        """Seconds of the user's side."""
        return self._user.duration_s

    def user_said(self, pcm: bytes) -> None:
        """Keep a piece of the user's side."""
        self._user.write(pcm)
        self.speaker.note()
        self._fill_up(behind_s=0.2)

    def agent_was_heard(self, pcm: bytes) -> None:
        """Keep a piece of the agent's side, which was heard up to now."""
        self._fill_up(behind_s=self._agent.format.ms(len(pcm)) / 1000)
        self._agent.write(pcm)

    def _fill_up(self, behind_s: float = 0.0) -> None:
        """Silence in the agent's file, to `behind_s` seconds before the end of the user's."""
        missing_ms = (self._user.duration_s - behind_s - self._agent.duration_s) * 1000
        if missing_ms > 0:
            self._agent.write(bytes(self._agent.format.size(missing_ms)))


class _HeardMicrophone:
    """A microphone that is recorded."""

    def __init__(self, microphone: AudioSource, recorder: Recorder) -> None:
        self._microphone, self._recorder = microphone, recorder
        self.format: AudioFormat = microphone.format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for pcm in self._microphone:
            self._recorder.user_said(pcm)
            yield pcm


class _HeardSpeaker:
    """A speaker that is recorded: what it has played of each response."""

    def __init__(self, speaker: HoldableSink, recorder: Recorder) -> None:
        self._speaker, self._recorder = speaker, recorder
        self.format: AudioFormat = speaker.format
        self._given: deque[tuple[str, bytearray]] = deque()
        """What was given and not heard, by response, in order."""
        self._heard: dict[str, int] = {}
        """Bytes heard, by response."""

    def play(self, pcm: bytes, response_id: str = "") -> None:
        if not self._given or self._given[-1][0] != response_id:
            self._given.append((response_id, bytearray()))
        self._given[-1][1].extend(pcm)
        self._speaker.play(pcm, response_id)

    def end(self) -> None:
        self._speaker.end()

    def clear(self) -> object:
        self.note()
        self._given.clear()
        return self._speaker.clear()

    def drop(self, response_ids: Collection[str]) -> Mapping[str, float]:
        self.note()
        heard = self._speaker.drop(response_ids)
        for response_id, waiting in self._given:
            if response_id in heard:
                # What the device still holds will be heard, and is noted then.
                left = self.format.size(heard[response_id]) - self._heard.get(response_id, 0)
                del waiting[max(0, left) :]
        return heard

    def pause(self) -> None:
        self.note()
        self._speaker.pause()

    def resume(self) -> None:
        self._speaker.resume()

    def duck(self, on: bool) -> None:
        self._speaker.duck(on)

    def played_ms(self, response_id: str = "") -> float:
        return self._speaker.played_ms(response_id)

    def progress(self) -> Mapping[str, float]:
        return self._speaker.progress()

    def note(self) -> None:
        """Record what was heard since the last time."""
        while self._given:
            response_id, waiting = self._given[0]
            now = self.format.size(self._speaker.played_ms(response_id))
            new = bytes(waiting[: max(0, now - self._heard.get(response_id, 0))])
            if new:
                del waiting[: len(new)]
                self._heard[response_id] = self._heard.get(response_id, 0) + len(new)
                self._recorder.agent_was_heard(new)
            if waiting or len(self._given) == 1:
                return
            self._given.popleft()
