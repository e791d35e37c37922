"""The command line. `main` is the program `voicebridge`; each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status. No exception leaves this: each becomes a line on stderr.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    from .ending import STOPPED, ended, log_lines

    for stream in (sys.stdout, sys.stderr):
        # What a terminal can't show becomes a question mark, not an exception.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    try:
        from .app import program

        with log_lines():
            result = program().main(
                args=None if arguments is None else list(arguments), prog_name="voicebridge", standalone_mode=False
            )
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has had enough, as in `voicebridge backends | head -1`. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:
        return ended(error)
    if result == STOPPED:  # some versions of typer make a status of Ctrl-C, others an exception
        return ended(KeyboardInterrupt())
    return result if isinstance(result, int) and not isinstance(result, bool) else 0
