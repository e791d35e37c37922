"""The suite can fail: each of these backends breaks one promise, and the check that is about it says so."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.contract import CHECKS, Verdict, run_check

from . import mutants_of_life, mutants_of_talk
from .mutant import CASES, LEAKED, Mutant, MutantBackend
from .test_cascade import scripted_subject


def verdict_on(mutant: type[Mutant], check: str) -> Verdict:
    subject = replace(scripted_subject(), backend=MutantBackend(mutant), patience_s=10.0)
    # These lose their connections, or meet with garbage, by themselves.
    broken = subject
    subject = replace(subject, dropping=lambda: nullcontext(broken), hostile=lambda: nullcontext(broken))
    return run_in_virtual_time(run_check(CHECKS[check], subject))


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in ("hostile_server", "lost_connection")])
def test_what_changes_nothing_passes(check: str) -> None:
    assert verdict_on(Mutant, check).status == "pass"


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    yield
    for one in LEAKED:
        if isinstance(one, socket.socket):
            one.close()
        elif isinstance(one, threading.Event):
            one.set()
    LEAKED.clear()


@pytest.mark.parametrize(("mutant", "check", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_is_caught(mutant: type[Mutant], check: str, words: str) -> None:
    verdict = verdict_on(mutant, check)
    assert verdict.status == "fail", f"{mutant.__name__} got away: {verdict}"
    assert re.search(words, verdict.reason), verdict.reason


def test_every_check_catches_something() -> None:
    """And a mutant that is written is one that is run."""
    assert set(CHECKS) - {check for _, check, _ in CASES} == set()
    for module in (mutants_of_life, mutants_of_talk):
        written = {one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Mutant)}
        assert written - {Mutant} <= {mutant for mutant, _, _ in CASES}
