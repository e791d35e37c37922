"""The contract suite: what every session promises, as checks that run against any backend.

    class TestMine(BackendContract):
        spec = "mine/model"

or from the shell: `voicebridge contract mine/model`.
"""

from . import answers, hand_turns, interrupting, opening
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
    "expect",
    "hand_turns",
    "interrupting",
    "opening",
    "run_check",
]
