"""Every time stamp of a turn as plain data, so that any figure can be computed again from `results.jsonl`."""

from __future__ import annotations

from collections.abc import Callable

from voicebridge_bench.measures import Spoken
from voicebridge_bench.trace import Answer, Trace

__all__ = ["time_stamps"]

Ms = Callable[[float | None], float | None]


def time_stamps(trace: Trace, spoken: Spoken) -> dict[str, object]:
    """What happened in the turn, in ms after its zero, rounded to 0.1 ms."""

    def ms(at: float | None) -> float | None:
        return None if at is None else round((at - spoken.zero) * 1000, 1)

    def within(at: float) -> bool:
        return spoken.began <= at <= spoken.until

    answers = [answer for answer in trace.answers.values() if within(answer.started_at)]
    named = {answer.id for answer in answers}
    return {
        "speech_began": ms(spoken.began),
        "listened_until": ms(spoken.until),
        "commits": [{"turn_id": commit.turn_id, "at": ms(commit.at)} for commit in trace.commits if within(commit.at)],
        "transcripts": [
            {"turn_id": turn_id, "first": ms(heard.first_at), "final": ms(heard.final_at), "fault": heard.fault}
            for turn_id, heard in trace.heard.items()
            if within(heard.first_at)
        ],
        "responses": [_response(answer, ms(trace.sounded_at(answer.id)), ms) for answer in answers],
        "audio": [
            [piece.response_id, ms(piece.arrived), ms(piece.start), ms(piece.end)]
            for piece in trace.playout.pieces
            if piece.response_id in named
        ],
    }


def _response(answer: Answer, sounded: float | None, ms: Ms) -> dict[str, object]:
    return {
        "response_id": answer.id,
        "cause": answer.cause,
        "answers": answer.answers,
        "started": ms(answer.started_at),
        "first_text": ms(answer.first_text_at),
        "first_audio": ms(answer.first_audio_at),
        "sounded": sounded,
        "ended": ms(answer.ended_at),
        "status": answer.status,
        "fault": answer.fault,
    }
