"""A process that holds a job's sessions: `python -m voicebridge_bench.worker` reads a job, and writes rows as lines.

It is a process of its own so that a cold start is one, memory is the backend's alone, and what crashes or hangs is not
the benchmark. Whatever models print goes to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from voicebridge.contract.errors import VoiceBridgeError

from .corpus.speech import Conversation, open_corpus
from .job import Job
from .live.talk import Pace, Talk, TalkFacts, TurnOutcome
from .rows import Kind, SessionRow, TurnRow
from .trace import Trace

__all__ = ["ALIVE", "main"]

ALIVE = '{"row": "alive"}'
"""Written every few seconds while the event loop runs."""
_ALIVE_S = 2.0

Write = Callable[[str], None]


async def hold_sessions(job: Job, write: Write) -> None:
    """Hold all sessions of a job, and write each row as soon as it is known."""
    conversations = {talk.name: talk for talk in open_corpus(job.corpus).conversations}
    alive = asyncio.create_task(_tell_alive(write), name="bench alive")
    try:
        for number, (session, conversation) in enumerate(job.sessions):
            await _hold_session(job, session, conversations[conversation], number == 0, write)
    finally:
        alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await alive


async def _hold_session(job: Job, session: str, conversation: Conversation, fresh: bool, write: Write) -> None:
    import voicebridge

    options = dict(job.options)
    if job.silence_ms is not None:
        options["turns"] = {"silence_ms": job.silence_ms}
    opener = functools.partial(voicebridge.connect_raw, job.backend, instructions=job.instructions, **options)
    turns = options.get("turns")
    yields = not (isinstance(turns, dict) and turns.get("auto_interrupt") is False)
    pace = Pace(ready_s=job.ready_s, reply_s=job.reply_s, cut_s=job.cut_s)
    age_ms = _process_age_ms() if fresh else None
    facts = await Talk(opener, conversation, pace, job.cold, Trace(yields=yields)).run(
        lambda outcome: write(_turn_row(job, session, conversation.name, outcome).model_dump_json())
    )
    write(_session_row(job, session, conversation.name, facts, age_ms).model_dump_json())


def _turn_row(job: Job, session: str, conversation: str, outcome: TurnOutcome) -> TurnRow:
    turn = outcome.spoken.turn
    kind: Kind = "cold" if job.cold else "later" if outcome.index else "first"
    return TurnRow(
        backend=job.backend,
        silence_ms=job.silence_ms,
        session=session,
        kind=kind,
        conversation=conversation,
        turn=turn.id,
        index=outcome.index,
        longest_pause_ms=turn.longest_pause_ms,
        reference=turn.text,
        accent=turn.accent,
        speaker=outcome.spoken.speaker,
        measures=outcome.measures,
        word_errors=None,  # the parent scores the words: here it would hold up the next turn
        lateness_ms=outcome.lateness_ms,
        times=outcome.times,
    )


def _session_row(job: Job, session: str, conversation: str, facts: TalkFacts, age_ms: float | None) -> SessionRow:
    ready = facts.ready_ms
    return SessionRow(
        backend=job.backend,
        silence_ms=job.silence_ms,
        session=session,
        cold=job.cold,
        conversation=conversation,
        model=facts.model,
        ready_ms=ready,
        process_ready_ms=None if ready is None or age_ms is None else age_ms + ready,
        failure=facts.failure,
        category=facts.category,
        lateness_ms=facts.lateness_ms,
        delivery_ms=facts.delivery_ms,
        machine=facts.machine,
    )


async def _tell_alive(write: Write) -> None:
    while True:
        write(ALIVE)
        await asyncio.sleep(_ALIVE_S)


def _process_age_ms() -> float | None:
    """Milliseconds since this process began, to 10 ms; None where the system does not tell."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return (time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000
    except (OSError, AttributeError, ValueError):  # not Linux
        return None


def _own_standard_output() -> IO[str]:
    """What was standard output, for rows alone: from now on prints go to standard error."""
    sys.stdout.flush()
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return rows


def main() -> int:
    """Run the job that standard input holds."""
    rows = _own_standard_output()
    job = Job.model_validate_json(sys.stdin.read())

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await hold_sessions(job, lambda row: print(row, file=rows))

    try:
        asyncio.run(run())
    except VoiceBridgeError as error:
        print(error, file=sys.stderr)
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
