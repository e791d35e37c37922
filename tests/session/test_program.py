"""Whether another program still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from voicebridge.session.program import Program


def test_this_program_runs() -> None:
    assert not Program.this().gone
    assert str(os.getpid()) in str(Program.this())


def test_an_earlier_program_of_the_same_number_is_gone() -> None:
    assert replace(Program.this(), run="earlier").gone


def test_a_program_is_gone_when_it_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = replace(Program.this(), pid=process.pid, run="other")
    assert not other.gone
    process.communicate()
    assert other.gone
    assert not replace(other, host="elsewhere").gone, "of other machines nobody knows"
