"""The interruption policy: single judgements, settings that do not fit, and a listener's words."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.errors import BadOption
from voicebridge.core.backchannels import ANY_LANGUAGE, BACKCHANNELS, Backchannels
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals


def judged(policy: InterruptionPolicy | None = None, **fields: Any) -> tuple[str, str, bool]:
    known: dict[str, Any] = {
        "turn_id": "t1",
        "phase": "pause",
        "speech_ms": 300,
        "agent_ms": 9000,
        "response_ids": ("r1",),
    }
    verdict = (policy or InterruptionPolicy())(Signals(**(known | {"silent_ms": 9000} | fields)))
    return verdict.action, verdict.reason, verdict.answer


@pytest.mark.parametrize(
    ("fields", "action", "reason"),
    [
        ({"agent_ms": 499, "text": "no"}, "ignore", "protected"),
        ({"agent_ms": 500, "text": "no"}, "interrupt", "words"),
        ({"agent_ms": -1, "text": "no"}, "interrupt", "words"),
        ({"speech_ms": 900}, "interrupt", "speech"),
        ({"speech_ms": 900, "agent_ms": 100}, "ignore", "short"),
        ({"speech_ms": 900, "text": "mm"}, "ignore", "backchannel"),
        ({"speech_ms": 900, "phase": "discarded"}, "ignore", "noise"),
        ({"speech_ms": 9000, "final": True}, "ignore", "noise"),
        ({"speech_ms": 9000, "final": True, "text": "yeah"}, "ignore", "backchannel"),
        ({"phase": "speech", "silent_ms": 0, "final": True, "text": "yeah"}, "ignore", "backchannel"),
        ({"phase": "committed", "silent_ms": 0, "transcripts": "late"}, "pause", "speech"),
        ({"phase": "committed", "silent_ms": 0}, "ignore", "short"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else value,
)
def test_judgements(fields: dict[str, Any], action: str, reason: str) -> None:
    assert judged(**fields)[:2] == (action, reason)


def test_what_is_ignored_may_be_an_answer() -> None:
    yes: dict[str, Any] = {"text": "yes", "final": True}
    assert not judged(**yes)[2]
    assert judged(**yes, left_ms=1000)[2]
    assert not judged(**yes, left_ms=1001)[2]
    assert judged(**yes, response_ids=())[2]
    assert judged(left_ms=500)[2], "without transcripts, nobody knows"
    assert not judged(left_ms=500, final=True)[2], "there were no words"


def test_the_language_of_the_setting_is_for_transcripts_that_do_not_tell_theirs() -> None:
    policy = InterruptionPolicy(language="de-AT")
    assert judged(policy, text="genau")[0] == "ignore"
    assert judged(policy, text="gotcha")[0] == "interrupt"
    assert judged(policy, text="gotcha", language="en")[0] == "ignore"


def test_own_backchannels_replace_the_list() -> None:
    policy = InterruptionPolicy(backchannels=["roger that"])
    assert judged(policy, text="Roger that!")[0] == "ignore"
    assert judged(policy, text="yeah")[0] == "interrupt"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("at_first", "stop"),
        ("min_words", 0),
        ("min_words", 1.5),
        ("protected_min_words", True),
        ("min_ms", -1),
        ("resume_after_ms", float("inf")),
        ("protect_ms", float("nan")),
        ("end_ms", "1000"),
        ("longest_ms", 1199),
        ("backchannels", "yeah"),
        ("backchannels", {"en": "yeah"}),
        ("backchannels", [1]),
    ],
)
def test_a_setting_that_does_not_fit(setting: str, value: Any) -> None:
    with pytest.raises(BadOption) as raised:
        InterruptionPolicy(**{setting: value})
    assert setting.removesuffix("s") in str(raised.value)


def test_without_protection_its_settings_bind_nothing() -> None:
    assert InterruptionPolicy(protect_ms=0, min_ms=500, longest_ms=600).longest_ms == 600


def test_policies_with_the_same_settings_are_equal() -> None:
    assert InterruptionPolicy() == InterruptionPolicy()
    assert InterruptionPolicy.never() != InterruptionPolicy.at_once()


@pytest.mark.parametrize(
    ("text", "language", "listening", "others"),
    [
        ("", None, 0, 0),
        ("Mm-hmm.", "en", 2, 0),
        ("mhm,", "en", 1, 0),
        ("uh huh", "en", 2, 0),
        ("Yeah, yeah!", "en", 2, 0),
        ("yeahhhh okaaay hmmmmm", "en-US", 3, 0),
        ("I see. That’s right.", "en_GB", 4, 0),
        ("I saw", "en", 0, 2),
        ("yeah but wait", "en", 1, 2),
        ("stop", None, 0, 1),
        ("[BLANK_AUDIO] (coughs) *sighs* …", "en", 0, 0),
        ("genau", "en", 0, 1),
        ("genau", None, 1, 0),
        ("Genau, ja.", "de", 2, 0),
        ("D’accord", "fr", 1, 0),
        ("हाँ जी", "hi", 2, 0),
        ("はいはい", "ja", 2, 0),
        ("うんでも待って", "ja", 1, 3),
        ("对，对。", "zh", 2, 0),
        ("네, 네", "ko", 2, 0),
        ("okay", "sw", 1, 0),
    ],
)
def test_a_listeners_words(text: str, language: str | None, listening: int, others: int) -> None:
    assert Backchannels().count(text, language) == (listening, others)


@pytest.mark.parametrize(
    ("language", "phrase"), [(language, phrase) for language, listed in BACKCHANNELS.items() for phrase in listed]
)
def test_each_of_the_list_is_known_as_itself(language: str, phrase: str) -> None:
    listening, others = Backchannels().count(phrase, language or "sw")
    assert listening
    assert not others


@pytest.mark.parametrize(
    "refusal", ["no", "stop", "wait", "but", "why", "nein", "halt", "non", "alto", "não", "нет", "不"]
)
def test_no_list_holds_a_refusal(refusal: str) -> None:
    assert Backchannels().count(refusal) == (0, 1)
    assert ANY_LANGUAGE in BACKCHANNELS
