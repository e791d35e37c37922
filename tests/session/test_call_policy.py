"""The rules of a call at work: no byte is kept without consent, nothing passes unmarked, no text is logged as it is."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.events import BackendError, OutputAudio
from voicebridge.session.call_policy import Consent, OutputGuard, combined_policy, redactor
from voicebridge.testing.clock import run_in_virtual_time

PIECE = OutputAudio(response_id="r1", pcm=b"\x01\x02" * 240, offset_ms=40.0)
QUIET = replace(PIECE, pcm=bytes(480))


def test_all_rules_hold_at_once() -> None:
    assert combined_policy(None, []) == CallPolicy()
    imposed = [CallPolicy(max_duration_s=30), CallPolicy(max_duration_s=20, disclosure="AI.")]
    assert combined_policy(CallPolicy(max_duration_s=60), imposed) == CallPolicy(max_duration_s=20, disclosure="AI.")


async def later(answer: Any) -> Any:
    await asyncio.sleep(5)
    if isinstance(answer, Exception):
        raise answer
    return answer


def failing() -> bool:
    raise ValueError("jo@example.com")


@pytest.mark.parametrize(
    ("hook", "given"),
    [
        (None, False),
        (lambda: True, True),
        (lambda: False, False),
        (lambda: "yes", False),
        (lambda: 1, False),
        (lambda: later(True), True),
        (lambda: later(False), False),
        (lambda: later(ValueError("jo@example.com")), False),
        (failing, False),
    ],
)
def test_only_true_is_consent(hook: Any, given: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        consent = Consent(CallPolicy(consent=hook))
        assert not consent.given
        assert await consent.ask() is given
        assert consent.given is given
        await consent.aclose()
        assert not consent.given, "after the end nothing is kept"

    run_in_virtual_time(run())
    assert "example" not in caplog.text


def test_nothing_is_kept_before_the_answer_and_it_is_asked_once() -> None:
    asked = 0

    def hook() -> Any:
        nonlocal asked
        asked += 1
        return later(True)

    async def run() -> None:
        consent = Consent(CallPolicy(consent=hook))
        waiting = [asyncio.create_task(consent.ask()) for _ in range(3)]
        await asyncio.sleep(4)
        assert not consent.given
        waiting[0].cancel()
        await asyncio.sleep(2)
        assert consent.given
        assert [await one for one in waiting[1:]] == [True, True]
        assert asked == 1

    run_in_virtual_time(run())


def test_an_answer_after_the_end_counts_for_nothing() -> None:
    async def run() -> None:
        consent = Consent(CallPolicy(consent=lambda: later(True)))
        waiting = asyncio.create_task(consent.ask())
        await asyncio.sleep(1)
        await consent.aclose()
        assert await waiting is False
        await asyncio.sleep(9)
        assert not consent.given

    run_in_virtual_time(run())


def test_a_plain_function_that_waits_holds_nothing_up() -> None:
    answered = threading.Event()

    def wait() -> bool:
        return answered.wait(20)

    async def run() -> None:
        consent = Consent(CallPolicy(consent=wait).combined(CallPolicy(consent=lambda: later(True))))
        asked = asyncio.create_task(consent.ask())
        await asyncio.sleep(0)
        assert not consent.given
        answered.set()  # the loop goes on, or this would never come
        assert await asked

    run_in_virtual_time(run())


@pytest.mark.parametrize(("one", "other", "given"), [(True, True, True), (True, False, False), (False, True, False)])
def test_both_of_two_must_agree(one: bool, other: bool, given: bool) -> None:
    asked: list[str] = []

    def first() -> bool:
        asked.append("first")
        return one

    async def run() -> None:
        consent = Consent(CallPolicy(consent=first).combined(CallPolicy(consent=lambda: later(other))))
        assert await consent.ask() is given

    run_in_virtual_time(run())
    assert asked == ["first"]


def guard(hook: Callable[[OutputAudio], Any], format: AudioFormat = DOOR_FORMAT) -> tuple[OutputGuard, list[Any]]:
    told: list[BackendError] = []
    return OutputGuard(hook, format, told.append), told


def test_the_hook_marks_each_piece() -> None:
    marking, told = guard(lambda audio: replace(audio, pcm=audio.pcm[:-1] + b"M"))
    assert marking(PIECE).pcm == PIECE.pcm[:-1] + b"M"
    assert (told, marking.withheld_bytes) == ([], 0)


def test_it_can_not_change_whose_piece_it_is() -> None:
    moving, told = guard(lambda audio: replace(audio, response_id="r2", offset_ms=0.0, pcm=b"\x03" * 480))
    assert moving(PIECE) == replace(PIECE, pcm=b"\x03" * 480)
    assert not told


@pytest.mark.parametrize("answer", [ValueError("secret"), b"..", "piece", replace(PIECE, pcm=b"..")], ids=repr)
def test_nothing_passes_unmarked_and_it_is_told_once(answer: Any) -> None:
    def hook(audio: OutputAudio) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    failing, told = guard(hook)
    assert [failing(PIECE), failing(PIECE)] == [QUIET, QUIET]
    assert failing.withheld_bytes == 960
    assert [(one.fault.code, one.fatal) for one in told] == [("output_hook_failed", False)]
    assert "secret" not in told[0].fault.message


def test_what_it_withholds_on_purpose_is_silent_without_a_word() -> None:
    withholding, told = guard(lambda audio: None)
    assert withholding(PIECE) == QUIET
    assert (told, withholding.withheld_bytes) == ([], 480)


@pytest.mark.parametrize(("encoding", "silence"), [("ulaw", b"\xff"), ("alaw", b"\xd5")])
def test_silence_is_silent_in_every_encoding(encoding: Any, silence: bytes) -> None:
    withholding, _ = guard(lambda audio: None, AudioFormat(encoding=encoding, rate=8_000))
    assert withholding(PIECE).pcm == silence * 480


def test_texts_are_redacted_unless_told_otherwise() -> None:
    assert redactor(CallPolicy())("I am jo@example.com") == "I am [email]"
    assert redactor(CallPolicy(redact=lambda text: text.replace("Jo", "[name]")))("I am Jo") == "I am [name]"


def test_a_redaction_that_fails_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def hook(text: str) -> str:
        raise ValueError(text)

    redacted = redactor(CallPolicy(redact=hook))
    with caplog.at_level(logging.DEBUG):
        assert [redacted("Jo"), redacted("Jo")] == ["[redacted]", "[redacted]"]
    assert len(caplog.records) == 1
    assert "Jo" not in caplog.text
    broken: Any = lambda text: None  # noqa: E731  # one line says it
    assert redactor(CallPolicy(redact=broken))("Jo") == "[redacted]"
