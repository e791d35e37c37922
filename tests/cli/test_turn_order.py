"""Whatever order events came in, a recorded conversation reads as one: question, answer, question, answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ended

Run = Callable[..., Ended]


def turn(name: str) -> dict[str, Any]:
    return {"type": "user_turn", "turn_id": name, "phase": "committed", "audio_ms": 0}


def heard(name: str) -> dict[str, Any]:
    return {"type": "input_transcript", "turn_id": name, "text": f"question {name}", "final": True}


def started(name: str, *answers: str) -> dict[str, Any]:
    return {"type": "response_started", "response_id": name, "cause": "user", "answers": answers}


def said(name: str, delta: str) -> dict[str, Any]:
    return {"type": "output_text", "response_id": name, "delta": delta}


def ended(name: str, status: str = "completed") -> dict[str, Any]:
    return {"type": "response_ended", "response_id": name, "status": status}


WRITTEN = {"type": "send_text", "text": "in between"}
ANSWER = [said("r1", "Well, "), said("r1", "yes.")]
ONE, TWO = "You: question 1\nAgent: Well, yes.\n", "You: question 2\nAgent: No.\n"


@pytest.mark.parametrize(
    ("events", "printed"),
    [
        ([turn("1"), heard("1"), started("r1", "1"), *ANSWER, ended("r1")], ONE),
        ([turn("1"), started("r1", "1"), ANSWER[0], heard("1"), ANSWER[1], ended("r1")], ONE),
        ([turn("1"), started("r1"), *ANSWER, ended("r1"), heard("1")], ONE),
        ([started("r1", "1"), *ANSWER, ended("r1"), turn("1"), heard("1")], ONE),
        ([turn("1"), started("r1", "1"), *ANSWER, ended("r1")], "Agent: Well, yes.\n"),
        ([turn("1"), started("r1", "1"), *ANSWER], "Agent: Well, yes.\n"),
        (
            [
                turn("1"),
                started("r1", "1"),
                ANSWER[0],
                turn("2"),
                heard("2"),
                heard("1"),
                ANSWER[1],
                ended("r1"),
                started("r2", "2"),
                said("r2", "No."),
                ended("r2"),
            ],
            ONE + TWO,
        ),
        (
            [
                turn("1"),
                heard("1"),
                started("r1", "1"),
                ANSWER[0],
                turn("2"),
                heard("2"),
                started("r2", "2"),
                said("r2", "No."),
                ended("r2"),
                ANSWER[1],
                ended("r1"),
            ],
            ONE + TWO,
        ),
        (
            [
                turn("1"),
                heard("1"),
                started("r1", "1"),
                ANSWER[0],
                heard("2"),
                ended("r1", "interrupted"),
                turn("2"),
                started("r2", "2"),
                said("r2", "No."),
                ended("r2"),
            ],
            "You: question 1\nAgent: Well,  ...\n" + TWO,
        ),
        (
            [turn("1"), heard("1"), started("r1", "1"), ANSWER[0], WRITTEN, ANSWER[1], ended("r1")],
            ONE + "You (in writing): in between\n",
        ),
    ],
)
def test_the_order(run: Run, tmp_path: Path, events: list[dict[str, Any]], printed: str) -> None:
    lines: list[Any] = [{"recording": 1, "capabilities": {}, "began": "x"}]
    lines += [{"command" if one is WRITTEN else "event": one, "t": 0} for one in events]
    (tmp_path / "call.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run("replay", tmp_path).out == printed


def test_what_is_held_back_is_bounded(run: Run, tmp_path: Path) -> None:
    events = [turn("1"), started("r1", "1"), *[said("r1", "x") for _ in range(5_000)], heard("1"), ended("r1")]
    lines: list[Any] = [{"recording": 1, "capabilities": {}}, *[{"event": one, "t": 0} for one in events]]
    (tmp_path / "call.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run("replay", tmp_path).out.count("x") == 5_000
