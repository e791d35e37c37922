"""When the user's voice stops the agent: what is known of a sound, and what follows from it.

Any callable from `Signals` to `Verdict` is a policy; `InterruptionPolicy` is the one that comes along. Policies are
pure: they are asked anew whenever something is known better, and remember nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from voicebridge.contract.errors import BadOption

from .backchannels import BACKCHANNELS, Backchannels

__all__ = ["InterruptionPolicy", "Signals", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is known of a sound that the user makes while the agent is heard."""

    turn_id: str
    phase: Literal["speech", "pause", "committed", "discarded"]
    """Where the user's turn stands."""
    speech_ms: float
    """Milliseconds of voice in this sound, so far. While the user speaks, it is the time since that was noticed."""
    silent_ms: float = 0.0
    """Milliseconds since the user's silence was noticed. 0 while the user speaks."""
    text: str = ""
    """The turn's transcript so far."""
    final: bool = False
    """It will not change any more."""
    language: str | None = None
    """The transcript's, as a BCP 47 tag, where it is told."""
    agent_ms: float = 0.0
    """Milliseconds for which the agent had been heard when this sound began. Below 0: the user was there first."""
    left_ms: float | None = None
    """Milliseconds that the agent still has to say. None: not known, or it still thinks of more."""
    response_ids: tuple[str, ...] = ()
    """What is heard of the agent. Empty: nothing any more; the question is then only whether the turn is answered."""
    held: Literal["duck", "pause"] | None = None
    """What is done to the agent's voice at present."""
    transcripts: Literal["live", "late", "none"] = "none"
    """When the backend tells what the user says: meanwhile, after the turn, or never."""
    source: Literal["server", "local", "client", "inferred"] = "local"
    """Who noticed the turn. `client`: the application opened it (push-to-talk)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to happen to the agent's voice."""

    action: Literal["wait", "ignore", "duck", "pause", "resume", "interrupt"]
    """As in `Interruption`. `wait`: nothing changes, and nothing is told. `ignore` ends a hold as `resume` does."""
    reason: str = ""
    """Why, in a word."""
    again_in_ms: float | None = None
    """Ask again after so many milliseconds, if nothing happens before. None: ask when something happens."""
    answer: bool = False
    """What was ignored is to be answered all the same, after the agent has spoken. It says nothing for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionPolicy:
    """When the user's voice stops the agent.

    At the user's first sound the agent is paused. A word that is more than a listener's "mm-hmm" stops it, and so does
    a sound that lasts, where its words are not known in time. Anything else is a cough, noise or a sign of listening:
    the agent goes on from where it stood.

    Raises:
        BadOption: a setting that does not fit.
    """

    enabled: bool = True
    """False: the user never stops the agent. What was said is answered afterwards."""
    at_first: Literal["pause", "duck", "ignore", "interrupt"] = "pause"
    """What a sound does before it is known what it is. `ignore`: nothing."""
    min_words: int = 1
    """So many words that are no backchannels interrupt."""
    min_ms: float = 800.0
    """Milliseconds of voice that interrupt where no words are known by then. A server's detector notices a silence half
    a second late: a lower value takes coughs for speech with those."""
    longest_ms: float = 2000.0
    """Milliseconds of voice that interrupt whatever the words are: nobody says "mm-hmm" for so long."""
    resume_after_ms: float = 500.0
    """Milliseconds of silence, from when it is noticed, after which the agent goes on."""
    protect_ms: float = 500.0
    """A sound that begins within so many milliseconds of the agent's first is judged more strictly: it may be the
    agent's echo or the rest of the user's last turn. The agent speaks on meanwhile. 0: there is no such time."""
    protected_min_words: int = 2
    """In place of `min_words` then."""
    protected_min_ms: float = 1200.0
    """Milliseconds, in place of `min_ms` then."""
    end_ms: float = 1000.0
    """Milliseconds before the agent's end within which a "yes" is an answer: the agent is not stopped, but the turn is
    answered."""
    backchannels: Collection[str] | Mapping[str, Collection[str]] = field(
        default_factory=lambda: BACKCHANNELS, repr=False
    )
    """Words and phrases of a listener: for all languages, or by language. Replaces the list that comes along."""
    language: str | None = None
    """Of transcripts that do not tell theirs, as a BCP 47 tag. None: listener's words of all languages count."""
    _listening: Backchannels = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_listening", Backchannels(self.backchannels))
        if self.at_first not in ("pause", "duck", "ignore", "interrupt"):
            raise _unfit("at_first", self.at_first, '"pause", "duck", "ignore" or "interrupt"')
        for name in ("min_words", "protected_min_words"):
            if not isinstance(value := getattr(self, name), int) or isinstance(value, bool) or value < 1:
                raise _unfit(name, value, "a whole number from 1 up")
        for name in _MILLISECONDS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise _unfit(name, value, "milliseconds, from 0 up")
        if self.longest_ms < max(self.min_ms, self.protected_min_ms if self.protect_ms else 0):
            raise _unfit("longest_ms", self.longest_ms, "no less than min_ms and protected_min_ms")

    @classmethod
    def at_once(cls) -> InterruptionPolicy:
        """The first sound interrupts, as vendors do it by themselves."""
        return cls(at_first="interrupt", protect_ms=0)

    @classmethod
    def never(cls) -> InterruptionPolicy:
        """The user never stops the agent."""
        return cls(enabled=False)

    def __call__(self, signals: Signals) -> Verdict:
        """What these signals mean."""
        if not self.enabled:
            return Verdict("ignore", "off", answer=True)
        if signals.source == "client":
            return Verdict("ignore", "push_to_talk", answer=True)
        protected = 0 <= signals.agent_ms < self.protect_ms
        listening, others = self._listening.count(signals.text, signals.language or self.language)
        if self.at_first == "interrupt" and not protected:
            return Verdict("interrupt", "speech")
        if others >= (self.protected_min_words if protected else self.min_words):
            return Verdict("interrupt", "words")
        wordless = not listening + others
        enough_ms = (self.protected_min_ms if protected else self.min_ms) if wordless else self.longest_ms
        if signals.speech_ms >= enough_ms and signals.phase != "discarded" and not signals.final:
            return Verdict("interrupt", "speech")
        if signals.phase == "speech" and not signals.final:
            return self._at_first(protected, enough_ms - signals.speech_ms)
        wait_ms = self.resume_after_ms - signals.silent_ms
        if wait_ms > 0 and _more_may_come(signals):
            return self._at_first(protected, wait_ms)
        return self._let_go(signals, protected, listening, others)

    def _at_first(self, protected: bool, again_in_ms: float) -> Verdict:
        if protected:
            return Verdict("wait", "protected", again_in_ms)
        if self.at_first == "duck" or self.at_first == "pause":
            return Verdict(self.at_first, "speech", again_in_ms)
        return Verdict("wait", "speech", again_in_ms)

    def _let_go(self, signals: Signals, protected: bool, listening: int, others: int) -> Verdict:
        if others:
            return Verdict("ignore", "protected" if protected else "few_words", answer=True)
        near_end = not signals.response_ids or (signals.left_ms is not None and signals.left_ms <= self.end_ms)
        if listening:
            return Verdict("ignore", "backchannel", answer=near_end)
        known = signals.final or signals.phase == "discarded" or signals.transcripts == "live"
        return Verdict("ignore", "noise" if known else "short", answer=near_end and not known)


_MILLISECONDS = ("min_ms", "longest_ms", "resume_after_ms", "protect_ms", "protected_min_ms", "end_ms")


def _unfit(name: str, value: object, fitting: str) -> BadOption:
    return BadOption(f"The interruption setting {name}={value!r} does not fit: it takes {fitting}.", code="bad_setting")


def _more_may_come(signals: Signals) -> bool:
    """Whether the user may go on, or words may still come."""
    if signals.final or signals.phase == "discarded":
        return False
    return signals.phase == "pause" or signals.transcripts != "none"
