"""From what happened to figures: the latencies of one turn.

The zero of all of them is the moment at which the user's last speech sample passed, by the corpus's annotation and the
sender's schedule. A figure that could not be measured is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .trace import Answer, Commit, Trace

__all__ = ["Outcome", "Spoken", "TurnMeasures", "measure"]

Outcome = Literal["answered", "talked_over", "silent", "failed", "not_reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """When a turn was spoken. Seconds on the listener's clock."""

    began: float
    """The first speech sample."""
    zero: float
    """The last speech sample had passed."""
    until: float
    """The next turn began, or the listener stopped waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnMeasures:
    """What one turn gave. Milliseconds after the zero, unless said otherwise."""

    outcome: Outcome
    """`answered`: the reply to the whole turn was heard. `talked_over`: all that was heard began before the user had
    finished. `silent`: nothing was heard in time. `failed`: the backend said why. `not_reached`: the
    session was gone."""
    v2v_ms: float | None = None
    """First audible sample of the reply, when it left the speaker. Negative for `talked_over`."""
    first_byte_ms: float | None = None
    """Arrival of the reply's first audio."""
    pad_ms: float | None = None
    """v2v - first byte: silence in front of the voice, and waiting for the speaker to be free."""
    eou_ms: float | None = None
    """The backend's decision that the turn is over. Negative: it only ever decided too early."""
    commit_to_byte_ms: float | None = None
    """First byte after that decision: the figure that vendors quote."""
    transcript_ms: float | None = None
    """The final transcript of the last part of the turn."""
    response_ms: float | None = None
    """The reply was begun."""
    text_ms: float | None = None
    """First words of the reply."""
    cut_off: bool = False
    """The backend took the turn for finished while the user still spoke."""
    talked_over: bool = False
    """The agent was heard before the user had finished."""
    transcript: str = ""
    """All that was heard of the turn, its parts joined."""
    reply: str = ""
    """The words of the reply, as far as it has any."""
    reply_audio_ms: float = 0.0
    """Length of the reply's audio that came, whether or not it was played; not a time after the zero."""
    underruns_ms: tuple[float, ...] = ()
    """Lengths of the gaps in the reply that came from late audio."""
    fault: str | None = None
    """Why there was no reply, where the backend told."""


def measure(trace: Trace, spoken: Spoken) -> TurnMeasures:
    """The figures of the turn that was spoken then."""
    commits = [commit for commit in trace.commits if spoken.began <= commit.at <= spoken.until]
    answers = [
        answer
        for answer in trace.answers.values()
        if not answer.aside and spoken.began <= answer.started_at <= spoken.until
    ]
    sounds = {answer.id: trace.sounded_at(answer.id) for answer in answers}
    late = [commit for commit in commits if commit.at >= spoken.zero]
    final = late[0] if late else commits[-1] if commits else None
    reply = _reply(answers, sounds, spoken, final)
    end = _led_to(reply, commits) or final
    premature = [at for at in sounds.values() if at is not None and at < spoken.zero]
    sound = sounds[reply.id] if reply else min(premature, default=None)
    outcome, fault = _outcome(trace, answers, spoken, bool(reply), bool(premature))
    after = _After(spoken.zero)
    first_byte = after(reply.first_audio_at if reply else None)
    v2v = after(sound)
    return TurnMeasures(
        outcome=outcome,
        v2v_ms=v2v,
        first_byte_ms=first_byte,
        pad_ms=v2v - first_byte if v2v is not None and first_byte is not None else None,
        eou_ms=after(end.at if end else None),
        commit_to_byte_ms=_between(end, reply),
        transcript_ms=after(trace.heard[end.turn_id].final_at if end and end.turn_id in trace.heard else None),
        response_ms=after(reply.started_at if reply else None),
        text_ms=after(reply.first_text_at if reply else None),
        cut_off=any(commit.at < spoken.zero for commit in commits),
        talked_over=bool(premature),
        transcript=_transcript(trace, spoken),
        reply=reply.text.strip() if reply else "",
        reply_audio_ms=trace.format.ms(len(reply.pcm)) if reply else 0.0,
        underruns_ms=tuple(trace.playout.underruns_ms(reply.id)) if reply else (),
        fault=fault,
    )


@dataclass(frozen=True, slots=True)
class _After:
    zero: float

    def __call__(self, at: float | None) -> float | None:
        return None if at is None else (at - self.zero) * 1000


def _reply(
    answers: list[Answer], sounds: dict[str, float | None], spoken: Spoken, final: Commit | None
) -> Answer | None:
    """The first answer that follows the utterance's final commit and was heard, not before the user had finished.

    That commit is the first one after the zero or, where there is none, the last one before.
    """
    for answer in answers:
        sound = sounds[answer.id]
        whole = final is None or answer.started_at >= final.at or final.turn_id in answer.answers
        if whole and sound is not None and sound >= spoken.zero:
            return answer
    return None


def _led_to(reply: Answer | None, commits: list[Commit]) -> Commit | None:
    """The commit that a reply answers: the last one that it names, else the last one before it began."""
    if reply is None:
        return None
    named = [commit for commit in commits if commit.turn_id in reply.answers]
    before = [commit for commit in commits if commit.at <= reply.started_at]
    return named[-1] if named else before[-1] if before else None


def _outcome(
    trace: Trace, answers: list[Answer], spoken: Spoken, replied: bool, premature: bool
) -> tuple[Outcome, str | None]:
    if replied:
        return "answered", None
    if premature:
        return "talked_over", None
    faults = [answer.fault or "" for answer in answers if answer.status in ("failed", "lost")]
    faults += [message for at, message in trace.faults if spoken.began <= at <= spoken.until]
    return ("failed", faults[-1]) if faults else ("silent", None)


def _between(end: Commit | None, reply: Answer | None) -> float | None:
    if end is None or reply is None or reply.first_audio_at is None:
        return None
    return (reply.first_audio_at - end.at) * 1000


def _transcript(trace: Trace, spoken: Spoken) -> str:
    """The parts of the turn in order: of the backend's turns that were committed in it, and of those first heard of in
    it. What was known before it began was counted with the turn before."""
    committed = {commit.turn_id: commit.at for commit in trace.commits}
    parts = []
    for turn_id, heard in trace.heard.items():
        if turn_id in trace.discarded:
            continue
        at = committed.get(turn_id)
        if at is not None and spoken.began <= at <= spoken.until:
            text = heard.text
        elif spoken.began <= heard.first_at <= spoken.until and (at is None or at > spoken.until):
            text = heard.text_at(spoken.until)
        else:
            continue
        parts += text.split()[len(heard.text_at(spoken.began).split()) :]
    return " ".join(parts)
