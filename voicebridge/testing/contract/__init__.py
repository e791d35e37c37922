"""The contract suite: what every session promises, as checks that run against any backend.

    class TestMine(BackendContract):
        spec = "mine/model"

or from the shell: `voicebridge contract mine/model`.
"""

from . import opening, answers, unread, hand_turns, interrupting, tool_calls, refusals, cancelling, closing, hostility  # isort: skip  # the order of the table
from .backend_contract import BackendContract
from .subject import Subject
from .suite import CHECKS, Bench, Check, run_check
from .verdict import Broken, NotApplicable, NotTried, Verdict, expect

__all__ = [
    "CHECKS",
    "BackendContract",
    "Bench",
    "Broken",
    "Check",
    "NotApplicable",
    "NotTried",
    "Subject",
    "Verdict",
    "answers",
    "cancelling",
    "closing",
    "expect",
    "hand_turns",
    "hostility",
    "interrupting",
    "opening",
    "refusals",
    "run_check",
    "tool_calls",
    "unread",
]
