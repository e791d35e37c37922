"""A short conversation over a line, and what became of it: for tests of planned moves."""

from __future__ import annotations

from voicebridge.contract.codec import Timeouts
from voicebridge.contract.events import OutputText, ResponseEnded, ResponseStarted, SessionNotice, SessionRestarted

from .lines import Bench, Line, final, say, settle, turn

__all__ = ["ENDS", "PATIENT", "answer", "exchange", "moved"]

ENDS = SessionNotice(expires_in_s=40)
PATIENT = Timeouts(first_output_s=None, acknowledge_s=None, between_outputs_s=None)


def answer(name: str, words: str, *, to: str = "t1", ended: bool = True) -> list[ResponseStarted | OutputText]:
    told: list[ResponseStarted | OutputText] = [
        ResponseStarted(response_id=name, cause="user", answers=(to,)),
        OutputText(response_id=name, delta=words),
    ]
    return [*told, *([ResponseEnded(response_id=name, status="completed")] if ended else [])]  # type: ignore[list-item]  # events all


async def exchange(b: Bench, line: Line, start_ms: int = 0) -> None:
    """The user says something of a second, the agent answers."""
    await say(b.session, start_ms, start_ms + 1000)
    line.tell(turn("t1", "speech", 0), turn("t1", "committed", 1000), final("t1", "Hello"), *answer("r1", "Hi"))
    await settle()


def moved(b: Bench) -> list[tuple[str, float, float]]:
    return [(one.reason, one.gap_ms, one.lost_audio_ms) for one in b.of(SessionRestarted)]
