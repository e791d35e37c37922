"""The rules of a call: checked when they are made, and two of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.call_policy import Budget, CallPolicy
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import OutputAudio, UsageReported

PIECE = OutputAudio(response_id="r1", pcm=b"..", offset_ms=0.0)


def free(usage: UsageReported) -> float:
    return 0.0


def test_by_default_nothing_is_asked_for() -> None:
    policy = CallPolicy()
    assert not policy.limited
    assert (policy.disclosure, policy.consent, policy.output_audio) == (None, None, None)


@pytest.mark.parametrize(
    "given",
    [
        {"disclosure": " "},
        {"disclosure": 3},
        {"disclosure_as": "sound"},
        {"consent": True},
        {"redact": "x"},
        {"output_audio": 1},
        {"max_duration_s": 0},
        {"max_duration_s": float("nan")},
        {"max_duration_s": "60"},
        {"max_usage": 5},
        {"max_usage": {"audio_s": -1}},
        {"budgets": [Budget(free, 1)]},
        {"budgets": (1,)},
        {"say_at_limit": ""},
        {"grace_s": -1},
        {"grace_s": float("nan")},
    ],
    ids=lambda given: str(given).partition(" at 0x")[0],  # the same in every process
)
def test_what_does_not_fit_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))) as raised:
        CallPolicy(**given)
    assert raised.value.fault.code == "bad_policy"


@pytest.mark.parametrize(("spend", "limit"), [(1, 1), (free, 0), (free, True)])
def test_a_budget_that_does_not_fit(spend: Any, limit: Any) -> None:
    with pytest.raises(ConfigError, match=r"Budget\."):
        Budget(spend, limit)


def test_the_lower_limit_holds() -> None:
    one = CallPolicy(max_duration_s=60, max_usage={"a": 1, "b": 5}, budgets=(Budget(free, 1),), say_at_limit="Bye.")
    other = CallPolicy(max_duration_s=90, max_usage={"b": 2, "c": 3}, budgets=(Budget(free, 2),), grace_s=5)
    both = one.combined(other)
    assert (both.max_duration_s, both.grace_s, both.say_at_limit) == (60, 5, "Bye.")
    assert both.max_usage == {"a": 1, "b": 2, "c": 3}
    assert [budget.limit for budget in both.budgets] == [1, 2]
    assert both.limited


def test_a_policy_that_asks_for_nothing_changes_nothing() -> None:
    policy = CallPolicy(disclosure="AI.", disclosure_as="text", consent=lambda: True, max_usage={"a": 1})
    assert policy.combined(CallPolicy()) == policy
    assert CallPolicy().combined(policy) == policy


@pytest.mark.parametrize(("ways", "way"), [("text text", "text"), ("text speech", "speech"), ("speech text", "speech")])
def test_both_disclosures_are_made_in_the_stricter_way(ways: str, way: str) -> None:
    one, other = (CallPolicy(disclosure=f"I am {n}.", disclosure_as=w) for n, w in zip("ab", ways.split(), strict=True))  # type: ignore[arg-type]  # the words are the two ways
    both = one.combined(other)
    assert (both.disclosure, both.disclosure_as) == ("I am a. I am b.", way)
    assert one.combined(one).disclosure == "I am a.", "the same one is made once"


@pytest.mark.parametrize(("answers", "agreed"), [((True, True), True), ((True, False), False), ((False, True), False)])
def test_both_have_to_consent(answers: tuple[bool, bool], agreed: bool) -> None:
    async def later() -> bool:
        return answers[1]

    both = CallPolicy(consent=lambda: answers[0]).combined(CallPolicy(consent=later))
    assert both.consent is not None
    asked = both.consent()
    assert isinstance(asked, Awaitable)

    async def answer() -> bool:
        return await asked

    assert asyncio.run(answer()) is agreed


def test_the_hooks_come_one_after_the_other() -> None:
    def mark(mark: bytes) -> CallPolicy:
        return CallPolicy(
            output_audio=lambda audio: replace(audio, pcm=audio.pcm + mark), redact=lambda text: text + "!"
        )

    both = mark(b"1").combined(mark(b"2"))
    assert both.output_audio is not None
    assert both.output_audio(PIECE) == replace(PIECE, pcm=b"..12")
    assert both.redact is not None
    assert both.redact("a") == "a!!"


def test_what_one_hook_withholds_the_next_does_not_get() -> None:
    both = CallPolicy(output_audio=lambda audio: None).combined(CallPolicy(output_audio=lambda audio: audio))
    assert both.output_audio is not None
    assert both.output_audio(PIECE) is None
