"""What was heard of each response: told once it is final, told again when it is corrected.

state      input                          becomes    told
running    audio, text                    running    nothing
running    ended                          playing    nothing
running    ended: interrupted             settled    what was heard until now
running    ended without audio            gone       0 ms, if it should have been spoken and did not complete
playing    the player is at the end       settled    all of it
playing    due: by the time in which it
           plays, nobody reports          settled    what a player in real time would have played
playing    due, the player reports but
           got no further for 2 s         settled    as far as it came
running,   cut, or corrected by the
playing    vendor                         settled    what was heard: 0 ms is no text
settled    report, it was not cut, the
           player is not at the end       playing    nothing yet: it plays more slowly than was assumed
settled    report, cut with `heard`,
           vendor's correction            settled    again, if it differs by a millisecond
settled    audio was never delivered      settled    again, if it was thought to be heard
settled    ended after a cut, text came
           behind its audio               settled    again, if it changes the words
settled    the words up to there are
           known below                    settled    again, if it changes the words

Running: more audio may come. Playing: all is there, and the player is not through. What was heard is what was played,
but never more than was received and delivered. A response without audio is heard whole when it completes, and nothing
is told. One that was lost or failed plays as far as it was delivered.

While nobody reports, a player is assumed that plays at once, in real time, one response after another: from when audio
comes, or, where it is known (`deferred`), from when it is taken. Once one reports on a response, its word counts for
that; between two reports it is assumed to go on, for no longer than from one report to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.events import Event, OutputAudio, OutputHeard, OutputText, ResponseEnded, ResponseStarted
from voicebridge.contract.stages import Word

from .playback import Player, ResponsePlayback

__all__ = ["PlaybackClock"]

_STALLED_S = 2.0
"""A player that reports, but no progress for this long after it should have come to the end, has stopped."""
_NEWS_MS = 1.0
"""A correction by less is none."""
_PLAYS_ON_MS = 500.0
"""Once it is so far beyond where it was to stand, a player in a pause has not obeyed."""
_EARLY_S = 0.001
"""A timer may fire by this much too early."""


class PlaybackClock:
    """Follows the playback of all responses of a session. Times are seconds of any one monotonic clock.

    Args:
        format: of `OutputAudio.pcm`. Of no account where only durations are given (`received`).
        deferred: audio plays from when `taken` says that somebody has it.
    """

    def __init__(self, format: AudioFormat = DOOR_FORMAT, *, deferred: bool = False) -> None:
        self._format, self._deferred = format, deferred
        self._player = Player()
        self._playing: dict[str, ResponsePlayback] = {}
        """Responses that are over, and the player is not through."""
        self._reports = False
        """Whether there is a player that reports."""
        self._now = 0.0
        self._paused_at: float | None = None
        self._behind = 0.0
        """Seconds that the player has spent in pauses: its own time stands still in them."""

    # What comes from below

    def happened(self, event: Event, now: float) -> list[OutputHeard]:
        """Something was told by the backend.

        Audio and text count for responses that were started. An `OutputHeard` counts if it is a vendor's correction.
        Of another one only the words do, as those of that much audio: how far the player is, is known here.
        """
        if isinstance(event, OutputAudio):
            if playback := self._player.response(event.response_id):
                if self._deferred:
                    self._player.waits(playback, self._format.ms(len(event.pcm)))
                else:
                    self._player.plays(playback, self._format.ms(len(event.pcm)), self._time(now))
        elif isinstance(event, OutputText):
            self._said(event)
        elif isinstance(event, ResponseStarted):
            self._player.start(event.response_id)
        elif isinstance(event, ResponseEnded):
            return self.ended(event.response_id, event.status, now)
        elif isinstance(event, OutputHeard):
            return self._correct(event, now) if event.basis == "provider" else self._words_known_below(event)
        return []

    def taken(self, event: OutputAudio, now: float) -> bool:
        """Somebody has a piece of audio that was waiting for that. True: no more will come, look at `due_at` again."""
        playback = self._player.response(event.response_id)
        if playback is None:
            return False
        self._player.taken(playback, self._format.ms(len(event.pcm)), self._time(now))
        return playback.over

    def received(
        self, response_id: str, duration_ms: float, now: float, text: str = "", words: Sequence[Word] = ()
    ) -> None:
        """Audio of a response came, together with the words in it: what a cascade knows. It need not be started."""
        self._player.received(response_id, duration_ms, self._time(now), text, words)

    def ended(
        self,
        response_id: str,
        status: Literal["completed", "interrupted", "incomplete", "failed", "lost"],
        now: float,
    ) -> list[OutputHeard]:
        """No more audio will come of a response."""
        playback, time = self._player.response(response_id), self._time(now)
        if playback is None or playback.over:
            return []
        playback.over, playback.complete = True, status in ("completed", "incomplete")
        if playback.settled:
            return self._words_corrected(response_id, playback)
        if not playback.received_ms:
            playback.settled = True
            return [] if playback.complete or playback.written else [self._told(response_id, playback)]
        if status == "interrupted":
            return self.cut((response_id,), {}, now)
        return self._play_out(response_id, playback, time)

    def _said(self, event: OutputText) -> None:
        playback = self._player.response(event.response_id)
        if playback is None:
            return
        if event.kind == "speech":
            playback.text.say(event.delta, event.start_ms, event.end_ms)
        elif event.kind == "text":
            playback.written = True

    def _correct(self, event: OutputHeard, now: float) -> list[OutputHeard]:
        playback = self._player.response(event.response_id)
        if playback is None or math.isnan(event.heard_ms):
            return []
        self._settle(event.response_id, playback, self._time(now))
        playback.cut, playback.basis = True, "provider"
        playback.heard_ms = min(max(0.0, event.heard_ms), playback.playable_ms)
        playback.told_text = event.text if playback.heard_ms else ""
        return [
            OutputHeard(
                response_id=event.response_id,
                heard_ms=playback.heard_ms,
                text=playback.told_text,
                basis="provider",
                text_basis=event.text_basis,
            )
        ]

    def _words_known_below(self, event: OutputHeard) -> list[OutputHeard]:
        """Who speaks knows better than proportion which words were in the first milliseconds of its audio."""
        playback = self._player.response(event.response_id)
        if playback is None or not 0 < event.heard_ms < math.inf:
            return []
        playback.text.place(event.text, event.heard_ms, timed=event.text_basis == "aligned")
        return self._words_corrected(event.response_id, playback) if playback.settled else []

    # What comes from the player and the application

    def report(self, response_id: str, ms: float, now: float) -> list[OutputHeard]:
        """The player says how far it is. Of unknown responses nothing follows.

        One that gets on in a pause plays on, whatever was asked of it: then there is no pause.
        """
        playback, time = self._player.response(response_id), self._time(now)
        if self._paused_at is not None and playback is not None and self._plays_on(playback, ms, time):
            self._paused_at = None
            time = self._time(now)
        if playback is None or not self._player.report(response_id, ms, time):
            return []
        self._reports = True
        if not playback.settled:
            return self._settle(response_id, playback, time) if playback.at_end else []
        if playback.cut or playback.at_end:
            return self._corrected(response_id, playback, time)
        if abs(playback.played_by(time) - playback.heard_ms) >= _NEWS_MS:
            playback.settled = False
            self._playing[response_id] = playback
        return []

    def cut(self, response_ids: Iterable[str] | None, heard: Mapping[str, float], now: float) -> list[OutputHeard]:
        """These play no more. What was heard is what `heard` says, or what is known of the playback now.

        Say first what was not delivered of them (`undelivered`). When nothing is left to play, a pause is over.

        Args:
            response_ids: None is all that run or play, and those that `heard` names.
            heard: milliseconds by response; of others than `response_ids` it is not looked at.
        """
        time, told = self._time(now), []
        for id in dict.fromkeys((*self._player.unsettled(), *heard) if response_ids is None else response_ids):
            playback = self._player.response(id)
            if playback is None:
                continue
            playback.cut = True
            said = id in heard and self._player.cut(id, heard[id])
            if not playback.settled:
                told += self._settle(id, playback, time)
            elif said:
                told += self._corrected(id, playback, time)
        if not self._player.unsettled():
            self.resume(now)
        return told

    def undelivered(self, response_id: str, ms: float) -> list[OutputHeard]:
        """The last `ms` of a response's audio were dropped before the application took them: nobody heard them.

        Audio that comes after a cut counts as not delivered by itself.
        """
        playback, time = self._player.response(response_id), self._time(self._now)
        if playback is None:
            return []
        self._player.undelivered(response_id, ms, time)
        if not playback.settled:
            return self._play_out(response_id, playback, time) if playback.over else []
        if playback.heard_ms <= playback.playable_ms:
            return []
        playback.heard_ms = playback.playable_ms
        return [self._told(response_id, playback)]

    def expected(self, response_id: str) -> OutputHeard | None:
        """What will have been heard of a response, if all that was delivered of it is played."""
        playback = self._player.response(response_id)
        if playback is None or playback.settled or not playback.received_ms:
            return None
        ms = playback.playable_ms
        text, found = playback.text.until(ms, playback.received_ms)
        return OutputHeard(response_id=response_id, heard_ms=ms, text=text, basis="estimated", text_basis=found)

    def pause(self, now: float) -> None:
        """The player holds what it has."""
        self._time(now)
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """The player goes on where it stood."""
        self._time(now)
        if self._paused_at is not None:
            self._behind += now - self._paused_at
            self._paused_at = None

    # What is asked

    def audible(self, now: float) -> tuple[str, ...]:
        """Responses with audio that is not played to its end, oldest first. One that runs has not come to its end."""
        time, audible = self._time(now), []
        for id in self._player.unsettled():
            playback = self._player.response(id)
            if playback and playback.playable_ms and not (playback.over and self._through(playback, time)):
                audible.append(id)
        return tuple(audible)

    def left_ms(self, now: float) -> float | None:
        """Milliseconds of audio that are still to be played; None while more of it is being made."""
        time, left = self._time(now), 0.0
        for id in self._player.unsettled():
            playback = self._player.response(id)
            if playback is None or not playback.playable_ms:
                continue
            if not playback.over:
                return None
            left += playback.playable_ms - playback.played_by(time)
        return left

    def knows(self, response_id: str) -> bool:
        """Whether a response has been started, or had audio, and is not forgotten."""
        return self._player.response(response_id) is not None

    def unsettled(self) -> tuple[str, ...]:
        """Responses that run or may still be playing, oldest first."""
        return self._player.unsettled()

    def due_at(self) -> float | None:
        """When to call `due` next; None: not before something else happens."""
        if not self._playing or self._paused_at is not None:
            return None
        due_at = min(map(self._due_at, self._playing.values())) + self._behind
        return due_at if due_at < math.inf else None

    def due(self, now: float) -> list[OutputHeard]:
        """Time has passed: what should have been played by now is settled. One that gets on is waited for."""
        time, told = self._time(now) + _EARLY_S, []
        for id, playback in [*self._playing.items()]:
            if self._due_at(playback) <= time:
                self._reports = self._reports and playback.played_ms is not None
                told += self._settle(id, playback, time)
        return told

    # What follows

    def _time(self, now: float) -> float:
        """The time of the player, which stands still in a pause."""
        self._now = now
        return (now if self._paused_at is None else self._paused_at) - self._behind

    def _plays_on(self, playback: ResponsePlayback, ms: float, time: float) -> bool:
        stands_ms = playback.received_ms - max(0.0, playback.ends_at - time) * 1000
        return not playback.settled and stands_ms + _PLAYS_ON_MS < ms < math.inf

    def _through(self, playback: ResponsePlayback, time: float) -> bool:
        waits = playback.waiting_ms > 0
        return playback.at_end or (playback.played_ms is None and playback.ends_at <= time and not waits)

    def _play_out(self, response_id: str, playback: ResponsePlayback, time: float) -> list[OutputHeard]:
        if playback.at_end or not playback.playable_ms:
            return self._settle(response_id, playback, time)
        self._playing[response_id] = playback
        return []

    def _due_at(self, playback: ResponsePlayback) -> float:
        """When a player should be through, in its own time. One that reports may be late, while it gets on."""
        if playback.waiting_ms:
            return math.inf
        reported = self._reports or playback.played_ms is not None
        return playback.ends_at + (_STALLED_S if reported else 0.0)

    def _settle(self, response_id: str, playback: ResponsePlayback, time: float) -> list[OutputHeard]:
        self._playing.pop(response_id, None)
        self._player.settle(response_id, time)
        if not playback.received_ms:
            playback.heard_ms, playback.basis = 0.0, "measured"
            if playback.written:
                return []
        return [self._told(response_id, playback)]

    def _corrected(self, response_id: str, playback: ResponsePlayback, time: float) -> list[OutputHeard]:
        if abs(playback.played_by(time) - playback.heard_ms) < _NEWS_MS:
            return []
        playback.hear(time)
        return [self._told(response_id, playback)]

    def _words_corrected(self, response_id: str, playback: ResponsePlayback) -> list[OutputHeard]:
        if playback.basis == "provider" or not playback.received_ms:
            return []  # nothing is better known than by the vendor, and nothing is clearer than silence
        before = playback.told_text
        heard = self._told(response_id, playback)
        return [heard] if heard.text != before else []

    def _told(self, response_id: str, playback: ResponsePlayback) -> OutputHeard:
        if not playback.received_ms:
            playback.heard_ms, playback.basis = 0.0, "measured"
        found: Literal["whole", "aligned", "proportion"] = "whole"
        if playback.whole and playback.received_ms:
            text = playback.text.whole
        else:
            text, found = playback.text.until(playback.heard_ms, playback.received_ms)
        playback.told_text = text
        return OutputHeard(
            response_id=response_id, heard_ms=playback.heard_ms, text=text, basis=playback.basis, text_basis=found
        )
