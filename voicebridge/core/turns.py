"""The user's turn in a cascade: from the detector's signals and the recogniser's texts to one committed turn.

    state       input                      becomes     effect
    quiet       speech                     speaking    turn opens; barge in, if the policy says so
    quiet       audio in push-to-talk      speaking    turn opens
    speaking    eager_end                  paused      mark the audio, if guessing is (still) allowed
    paused      text of the mark           paused      guess with it
    paused      resumed, speech            speaking    drop the guess
    paused      end, text known            quiet       commit with that text: only silence came after it
    paused      end, text not yet known    quiet       the turn waits for its mark; a fresh utterance begins
    speaking,
    paused      end, nothing marked        quiet       mark the audio; the turn waits
    any         text of a waiting mark     same        commit that turn (discard it if there is no text)
    any         text of a later mark       same        discard the turn that was passed over, with a fault
    speaking,
    paused      discard                    quiet       drop the guess; discard
    quiet       eager_end, resumed, end    speaking    a turn opens where a command cut the one before off, if the
                                                       speech went on for 300 ms; what `end` and `eager_end` say follows
    quiet       resumed                    speaking    turn opens: a command ended the one before in its pause
    any         recogniser failed          same        discard what waits, with the fault; forget marks without text

What is not in the table changes nothing: a second `eager_end`, `resumed` without one, an end while all is quiet.
Everything is told in audio time, so it makes no difference how fast the audio came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicebridge.contract.config import TurnPolicy
from voicebridge.contract.events import InputTranscript, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, Transcript, TurnSignal

__all__ = ["BargeIn", "Commit", "DropGuess", "Effect", "Guess", "Listen", "Tell", "TurnMachine"]


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the application."""

    event: UserTurn | InputTranscript


@dataclass(frozen=True, slots=True)
class Listen:
    """The recogniser shall hear the audio from here on."""

    from_ms: float
    """Milliseconds from the first sample of the session's audio."""


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The user speaks: what the agent says now is interrupted."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The turn may be over, and this would be its text."""

    turn_id: str
    text: str


@dataclass(frozen=True, slots=True)
class DropGuess:
    """It was not over."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The turn is over, and this is its text."""

    turn_id: str
    text: str
    respond: bool
    """False: the application wants no answer."""
    command_id: str | None = None
    """The command that ended the turn."""


_TRAILING_MS = 300.0
"""Speech that goes on after `EndTurn` for less than this is the end of its last word."""
_PASSED_OVER = Fault(
    category="protocol", code="mark_passed_over", message="The speech recogniser gave no text for this turn."
)

Effect = Tell | Listen | BargeIn | Guess | DropGuess | Commit | Mark


@dataclass(slots=True)
class _Turn:
    id: str
    source: Literal["local", "client"]
    paused: bool = False
    mark: int | None = None
    """The mark that was put when it seemed to end."""
    guesses: int = 0
    """How often that was."""
    text: str | None = None
    """The text up to that mark."""
    end_ms: float = 0.0
    respond: bool = True
    command_id: str | None = None


class TurnMachine:
    """See the table above. Each input returns its effects, in the order in which they must happen.

    Args:
        guess: put a mark at the first sign of an end, and guess with its text.
        most_guesses: at most so many such marks a turn, for a recogniser that is paid for each. Recorded turns of two
            to four seconds have three or four pauses of 60 ms, and the last one counts: without a guess in it the whole
            wait for the text comes on top of the silence.
        policy: whether turns are answered by themselves (unless the command that ended one says otherwise), and whether
            speech stops the agent. May be replaced at any time.
    """

    def __init__(
        self, *, guess: bool = True, most_guesses: int | None = None, policy: TurnPolicy | None = None
    ) -> None:
        self.guess, self.most_guesses = guess, most_guesses
        self.guess_marks = 0
        """Marks that were put on a guess."""
        self.wasted_marks = 0
        """Those whose text was of no use: the user went on, or it was empty."""
        self.policy = policy or TurnPolicy()
        self._turn: _Turn | None = None
        self._waiting: dict[int, _Turn] = {}
        self._marks = 0
        self._turns = 0
        self._cut_ms: float | None = None
        """Where a command ended a turn that the detector found. It may still hear the same speech go on."""

    @property
    def turn_id(self) -> str | None:
        """The open turn."""
        return self._turn.id if self._turn else None

    @property
    def heard_turn_id(self) -> str | None:
        """The turn that the recogniser is at."""
        return next((turn.id for turn in self._waiting.values()), self.turn_id)

    def signal(self, signal: TurnSignal) -> list[Effect]:
        """The detector noticed something."""
        turn = self._turn
        if turn is None:
            return self._open(signal.audio_ms, "local") if signal.phase == "speech" else self._go_on(signal)
        if signal.phase == "end":
            return self._end(turn, signal.audio_ms, self.policy.auto_respond)
        if turn.paused == (signal.phase == "eager_end"):
            return []
        return self._resume(turn, signal.audio_ms) if turn.paused else self._pause(turn, signal.audio_ms)

    def open_by_client(self, audio_ms: float) -> list[Effect]:
        """Push-to-talk: the first audio of a turn came."""
        return [] if self._turn else self._open(audio_ms, "client")

    def end_by_client(self, audio_ms: float, *, respond: bool, command_id: str | None = None) -> list[Effect]:
        """The application says that the turn is over. Without an open turn there is nothing to commit."""
        turn = self._turn
        if turn is None:
            return []
        turn.command_id = command_id
        if turn.source == "local" and not turn.paused:
            self._cut_ms = audio_ms
        return self._end(turn, audio_ms, respond)

    def withdraw_answers(self) -> None:
        """Turns that have ended and wait for their text are not to be answered."""
        for turn in self._waiting.values():
            turn.respond = False

    def discard(self, audio_ms: float) -> list[Effect]:
        """Forget the open turn."""
        turn, self._turn = self._turn, None
        self._cut_ms = None
        if turn is None:
            return []
        self.wasted_marks += turn.mark is not None
        self._marks += 1
        return [DropGuess(), Mark(self._marks, fresh=True, wanted=False), self._told(turn, "discarded", audio_ms)]

    def transcript(self, heard: Transcript) -> list[Effect]:
        """The recogniser wrote something."""
        if not heard.final or heard.mark is None:
            return self._interim(heard)
        effects = self._lost(heard.mark, _PASSED_OVER)
        if turn := self._waiting.pop(heard.mark, None):
            turn.text = heard.text.strip()
            return effects + self._close(turn, language=heard.language)
        turn = self._turn
        if turn is None or turn.mark != heard.mark or turn.text is not None:
            return effects  # the user went on meanwhile, or the turn was discarded
        turn.text = heard.text.strip()
        if turn.text:
            told = Tell(InputTranscript(turn_id=turn.id, text=turn.text, final=False, language=heard.language))
            effects += [told, Guess(turn.id, turn.text)]
        return effects

    def recogniser_failed(self, fault: Fault) -> list[Effect]:
        """No text will come for what waits: those turns are told as failed, and nobody answers them.

        A text that is known stays good, and so does the guess with it: only silence came after it.
        """
        if self._turn and not self._turn.text:
            self._turn.mark = self._turn.text = None
        return self._lost(self._marks + 1, fault)

    def _go_on(self, signal: TurnSignal) -> list[Effect]:
        """Speech that a command cut off went on for longer than a word's end, or began again: that is another turn."""
        cut_ms, self._cut_ms = self._cut_ms, None
        if cut_ms is not None and signal.audio_ms - cut_ms >= _TRAILING_MS:
            return self._open(cut_ms, "local") + (self.signal(signal) if signal.phase != "resumed" else [])
        return self._open(signal.audio_ms, "local") if signal.phase == "resumed" else []

    def _open(self, audio_ms: float, source: Literal["local", "client"]) -> list[Effect]:
        self._turns += 1
        self._cut_ms = None
        self._turn = _Turn(f"t{self._turns}", source)
        effects: list[Effect] = [Listen(audio_ms), self._told(self._turn, "speech", audio_ms)]
        if source == "local" and self.policy.auto_interrupt:
            effects.append(BargeIn())
        return effects

    def _pause(self, turn: _Turn, audio_ms: float) -> list[Effect]:
        turn.paused = True
        told = self._told(turn, "pause", audio_ms)
        if not self.guess or turn.guesses == self.most_guesses:
            return [told]
        turn.guesses += 1
        self.guess_marks += 1
        self._marks += 1
        turn.mark = self._marks
        return [Mark(self._marks), told]

    def _resume(self, turn: _Turn, audio_ms: float) -> list[Effect]:
        turn.paused = False
        self.wasted_marks += turn.mark is not None
        turn.mark = turn.text = None
        return [DropGuess(), self._told(turn, "speech", audio_ms)]

    def _end(self, turn: _Turn, audio_ms: float, respond: bool) -> list[Effect]:
        self._turn = None
        turn.end_ms, turn.respond = audio_ms, respond
        self._marks += 1
        if turn.text:
            return [Mark(self._marks, fresh=True, wanted=False), *self._close(turn)]
        if turn.mark is not None and turn.text is None:
            self._waiting[turn.mark] = turn
            return [Mark(self._marks, fresh=True, wanted=False)]
        self.wasted_marks += turn.mark is not None
        self._waiting[self._marks] = turn
        return [Mark(self._marks, fresh=True)]

    def _close(self, turn: _Turn, *, language: str | None = None) -> list[Effect]:
        text = turn.text or ""
        if not text:
            return [self._told(turn, "discarded", turn.end_ms)]
        told = Tell(InputTranscript(turn_id=turn.id, text=text, final=True, language=language))
        return [self._told(turn, "committed", turn.end_ms), told, Commit(turn.id, text, turn.respond, turn.command_id)]

    def _lost(self, before: int, fault: Fault) -> list[Effect]:
        """Turns that wait for a mark before this one get no text."""
        effects: list[Effect] = []
        for mark in [mark for mark in self._waiting if mark < before]:
            turn = self._waiting.pop(mark)
            # In this order: while the turn is not over, another backend can still hear it.
            effects.append(Tell(InputTranscript(turn_id=turn.id, text="", final=True, fault=fault)))
            effects.append(self._told(turn, "discarded", turn.end_ms))
        return effects

    def _interim(self, heard: Transcript) -> list[Effect]:
        # The recogniser has not come past the mark of a turn that waits, so it is that turn's text.
        turn = next(iter(self._waiting.values()), self._turn)
        if turn is None or not heard.text:
            return []
        return [Tell(InputTranscript(turn_id=turn.id, text=heard.text, final=False, language=heard.language))]

    def _told(self, turn: _Turn, phase: Literal["speech", "pause", "committed", "discarded"], ms: float) -> Tell:
        return Tell(UserTurn(turn_id=turn.id, phase=phase, audio_ms=ms, source=turn.source))
