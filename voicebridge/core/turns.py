"""The user's turn in a cascade: from the detector's signals and the recogniser's texts to one committed turn.

    state       input                      becomes     effect
    quiet       speech                     speaking    turn opens; barge in, if the policy says so
    quiet       audio in push-to-talk      speaking    turn opens
    speaking    eager_end                  paused      mark the audio, if guessing is allowed
    paused      text of the mark           paused      guess with it
    paused      resumed, speech            speaking    drop the guess
    paused      end, text known            quiet       commit with that text: only silence came after it
    paused      end, text not yet known    quiet       the turn waits for its mark; a fresh utterance begins
    speaking,
    paused      end, nothing marked        quiet       mark the audio; the turn waits
    any         text of a waiting mark     same        commit that turn (discard it if there is no text)
    speaking,
    paused      discard                    quiet       drop the guess; discard

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
    """False: the application did not want an answer, or the user already speaks again."""


Effect = Tell | Listen | BargeIn | Guess | DropGuess | Commit | Mark


@dataclass(slots=True)
class _Turn:
    id: str
    source: Literal["local", "client"]
    mark: int | None = None
    """The mark that was put when it seemed to end."""
    text: str | None = None
    """The text up to that mark."""
    end_ms: float = 0.0
    respond: bool = True


class TurnMachine:
    """See the table above. Each input returns its effects, in the order in which they must happen.

    Args:
        guess: put a mark at the first sign of an end, and guess with its text.
        policy: whether turns are answered by themselves (unless the command that ended one says otherwise), and whether
            speech stops the agent. May be replaced at any time.
    """

    def __init__(self, *, guess: bool = True, policy: TurnPolicy | None = None) -> None:
        self.guess = guess
        self.policy = policy or TurnPolicy()
        self._turn: _Turn | None = None
        self._waiting: dict[int, _Turn] = {}
        self._marks = 0
        self._turns = 0

    @property
    def turn_id(self) -> str | None:
        """The open turn."""
        return self._turn.id if self._turn else None

    def signal(self, signal: TurnSignal) -> list[Effect]:
        """The detector noticed something."""
        if signal.phase == "speech":
            return self._resume(signal.audio_ms) if self._turn else self._open(signal.audio_ms, "local")
        if self._turn is None:
            return []
        if signal.phase == "eager_end":
            return self._pause(signal.audio_ms)
        if signal.phase == "resumed":
            return self._resume(signal.audio_ms)
        return self._end(signal.audio_ms, self.policy.auto_respond)

    def open_by_client(self, audio_ms: float) -> list[Effect]:
        """Push-to-talk: the first audio of a turn came."""
        return [] if self._turn else self._open(audio_ms, "client")

    def end_by_client(self, audio_ms: float, *, respond: bool) -> list[Effect]:
        """The application says that the turn is over. Without an open turn there is nothing to commit."""
        return self._end(audio_ms, respond) if self._turn else []

    def discard(self, audio_ms: float) -> list[Effect]:
        """Forget the open turn."""
        turn, self._turn = self._turn, None
        if turn is None:
            return []
        self._marks += 1
        return [DropGuess(), Mark(self._marks, fresh=True, wanted=False), self._told(turn, "discarded", audio_ms)]

    def transcript(self, heard: Transcript) -> list[Effect]:
        """The recogniser wrote something."""
        if not heard.final or heard.mark is None:
            return self._interim(heard)
        if turn := self._waiting.pop(heard.mark, None):
            turn.text = heard.text.strip()
            return self._close(turn, language=heard.language)
        turn = self._turn
        if turn is None or turn.mark != heard.mark or turn.text is not None:
            return []  # the user went on meanwhile, or the turn was discarded
        turn.text = heard.text.strip()
        told = Tell(InputTranscript(turn_id=turn.id, text=turn.text, final=False, language=heard.language))
        return [told, Guess(turn.id, turn.text)] if turn.text else []

    def recogniser_failed(self, fault: Fault) -> list[Effect]:
        """No text will come for what waits: those turns are told as failed, and nobody answers them."""
        waiting, self._waiting = list(self._waiting.values()), {}
        effects: list[Effect] = []
        if self._turn:
            self._turn.mark = self._turn.text = None
            effects.append(DropGuess())
        for turn in waiting:
            effects.append(self._told(turn, "discarded", turn.end_ms))
            effects.append(Tell(InputTranscript(turn_id=turn.id, text="", final=True, fault=fault)))
        return effects

    def _open(self, audio_ms: float, source: Literal["local", "client"]) -> list[Effect]:
        self._turns += 1
        self._turn = _Turn(f"t{self._turns}", source)
        effects: list[Effect] = [Listen(audio_ms), self._told(self._turn, "speech", audio_ms)]
        if source == "local" and self.policy.auto_interrupt:
            for turn in self._waiting.values():
                turn.respond = False
            effects.append(BargeIn())
        return effects

    def _pause(self, audio_ms: float) -> list[Effect]:
        assert self._turn is not None
        told = self._told(self._turn, "pause", audio_ms)
        if not self.guess:
            return [told]
        self._marks += 1
        self._turn.mark, self._turn.text = self._marks, None
        return [Mark(self._marks), told]

    def _resume(self, audio_ms: float) -> list[Effect]:
        assert self._turn is not None
        self._turn.mark = self._turn.text = None
        return [DropGuess(), self._told(self._turn, "speech", audio_ms)]

    def _end(self, audio_ms: float, respond: bool) -> list[Effect]:
        turn, self._turn = self._turn, None
        assert turn is not None
        turn.end_ms, turn.respond = audio_ms, respond
        self._marks += 1
        if turn.text:
            return [Mark(self._marks, fresh=True, wanted=False), *self._close(turn)]
        if turn.mark is not None and turn.text is None:
            self._waiting[turn.mark] = turn
            return [Mark(self._marks, fresh=True, wanted=False)]
        self._waiting[self._marks] = turn
        return [Mark(self._marks, fresh=True)]

    def _close(self, turn: _Turn, *, language: str | None = None) -> list[Effect]:
        text = turn.text or ""
        if not text:
            return [DropGuess(), self._told(turn, "discarded", turn.end_ms)]
        told = Tell(InputTranscript(turn_id=turn.id, text=text, final=True, language=language))
        return [self._told(turn, "committed", turn.end_ms), told, Commit(turn.id, text, turn.respond)]

    def _interim(self, heard: Transcript) -> list[Effect]:
        if self._turn is None or not heard.text:
            return []
        return [Tell(InputTranscript(turn_id=self._turn.id, text=heard.text, final=False, language=heard.language))]

    def _told(self, turn: _Turn, phase: Literal["speech", "pause", "committed", "discarded"], ms: float) -> Tell:
        return Tell(UserTurn(turn_id=turn.id, phase=phase, audio_ms=ms, source=turn.source))
