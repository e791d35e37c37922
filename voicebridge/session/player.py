"""What a speaker does about a session's events: it plays, holds and drops, and says how far it has come.

event                                  the speaker                          told
OutputAudio                            queues it
ResponseEnded                          plays on to its end
ResponseEnded: interrupted             drops that response                  what will have been heard of it
OutputHeard: the vendor says that it
was cut before the end of what is here drops that response                  likewise
Interruption: pause, duck              is silent, is softer                 how far it is
Interruption: resume                   goes on from there, at full loudness
Interruption: interrupt                drops those responses; a hold of     what will have been heard of them
                                       nothing else is over
Interruption: ignore                   plays on
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import ReportPlayed
from voicebridge.contract.events import Event, Interruption, OutputAudio, OutputHeard, ResponseEnded

__all__ = ["AudioSink", "HoldableSink", "Player", "can_pause"]

_TOLERANCE_MS = 20.0
"""Audio that was converted on its way may be this much longer or shorter than its sender thinks."""


class AudioSink(Protocol):
    """What `VoiceAgent.run` needs of a speaker. `HoldableSink` says what it uses where it is there."""

    @property
    def format(self) -> AudioFormat: ...

    def play(self, pcm: bytes, response_id: str = "") -> None:
        """Queue audio of a response, and return at once."""

    def end(self) -> None:
        """The response that was played last has all its audio."""

    def clear(self) -> object:
        """Fall silent at once; forget what is queued."""

    def played_ms(self, response_id: str = "") -> float:
        """Milliseconds of that response, from its first sample, that were heard."""

    def progress(self) -> Mapping[str, float]:
        """`played_ms` of each response that was heard further since the last call."""


class HoldableSink(AudioSink, Protocol):
    """A speaker that can do all that an `InterruptionPolicy` asks for.

    One that lacks `pause` and `resume` is interrupted at once, unless the agent is given another policy; then it is
    ducked, or speaks on, where it should be silent for a moment. One that lacks `duck` speaks on at full loudness. One
    that lacks `drop` is cleared: what waits behind the interrupted answer is lost as well.
    """

    def pause(self) -> None:
        """Be silent at once; what is queued stays."""

    def resume(self) -> None:
        """Go on where `pause` stopped."""

    def duck(self, on: bool) -> None:
        """Be softer, or as loud as before."""

    def drop(self, response_ids: Collection[str]) -> Mapping[str, float]:
        """Fall silent on these responses at once; forget what is queued of them, and of nothing else. Gives what each
        will have been heard of, in milliseconds, once the device has played what it holds."""


def can_pause(sink: AudioSink) -> bool:
    """Whether a speaker can be held without losing anything."""
    return hasattr(sink, "pause") and hasattr(sink, "resume")


class Player:
    """Keeps a speaker to what a session decides. Each method gives what the session is to be told."""

    def __init__(self, sink: AudioSink) -> None:
        self._sink = sink
        self._given: dict[str, float] = {}
        """Milliseconds given to the speaker, by response, of those that may still sound."""
        self._latest: str | None = None
        self._held: frozenset[str] = frozenset()
        """The responses because of which the speaker is paused or ducked."""

    def happened(self, event: Event) -> Sequence[ReportPlayed]:
        """Obey an event."""
        if isinstance(event, OutputAudio):
            self._play(event)
        elif isinstance(event, Interruption):
            return self._obey(event)
        elif isinstance(event, ResponseEnded):
            if event.status == "interrupted":
                return self._drop((event.response_id,))
            if event.response_id == self._latest:
                self._sink.end()
        elif isinstance(event, OutputHeard) and self._was_cut(event):
            return self._drop((event.response_id,))
        return ()

    def progress(self) -> list[ReportPlayed]:
        """How far the speaker has come since the last time."""
        # What was dropped is passed over: what will have been heard of it was told.
        heard = {one: ms for one, ms in self._sink.progress().items() if one in self._given}
        if begun := [one for one in self._given if heard.get(one)]:
            for one in [*self._given]:
                if one == begun[-1]:
                    break
                del self._given[one]  # it was queued before, so it is through
        return [ReportPlayed(response_id=one, ms=ms) for one, ms in heard.items()]

    def close(self) -> None:
        """Fall silent. The speaker may be used again."""
        self._sink.clear()
        self._hold(paused=False, ducked=False)

    def _play(self, audio: OutputAudio) -> None:
        self._latest = audio.response_id
        self._sink.play(audio.pcm, audio.response_id)
        self._given[audio.response_id] = audio.offset_ms + self._sink.format.ms(len(audio.pcm))

    def _was_cut(self, heard: OutputHeard) -> bool:
        """Somebody below knows that less will be heard than is here."""
        given_ms = self._given.get(heard.response_id, 0.0)
        return heard.basis == "provider" and heard.heard_ms + _TOLERANCE_MS < given_ms

    def _obey(self, decision: Interruption) -> Sequence[ReportPlayed]:
        if decision.action == "ignore":
            return ()
        if decision.action == "interrupt":
            told = self._drop(decision.response_ids)
            # What the user's voice decides ends every hold; what was stopped otherwise may not have been held.
            self._held = frozenset() if decision.turn_id is not None else self._held.difference(decision.response_ids)
            if not self._held:
                self._hold(paused=False, ducked=False)
            return told
        self._held = frozenset(() if decision.action == "resume" else decision.response_ids)
        self._hold(paused=decision.action == "pause", ducked=decision.action == "duck")
        return () if decision.action == "resume" else self.progress()

    def _hold(self, *, paused: bool, ducked: bool) -> None:
        sink = self._sink
        if hasattr(sink, "duck"):
            sink.duck(ducked or (paused and not can_pause(sink)))
        if hasattr(sink, "pause") and hasattr(sink, "resume"):
            (sink.pause if paused else sink.resume)()

    def _drop(self, response_ids: Iterable[str]) -> list[ReportPlayed]:
        sounding = [one for one in response_ids if one in self._given]
        if not sounding:
            return []
        if hasattr(self._sink, "drop"):
            heard = self._sink.drop(sounding)
            for one in sounding:
                del self._given[one]
        else:
            self._sink.clear()
            sounding = [*self._given]
            heard = {one: self._sink.played_ms(one) for one in sounding}
            self._given.clear()
        return [ReportPlayed(response_id=one, ms=heard.get(one, 0.0)) for one in sounding]
