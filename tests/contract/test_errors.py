"""An error holds its fault, and the fault its category."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from voicebridge.contract import errors
from voicebridge.contract.errors import BadOption, SessionFailed, Unsupported, VoiceBridgeError
from voicebridge.contract.fault import Category, Fault

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_words_become_a_fault_of_the_classes_category(cls: type[VoiceBridgeError]) -> None:
    error = cls("It broke.", code="broken", command_id="c7")
    assert str(error) == "It broke."
    assert error.fault == Fault(category=cls.category, message="It broke.", code="broken", retryable=cls.retryable)
    assert error.category in typing.get_args(Category)
    assert error.command_id == "c7"


def test_a_fault_counts_more_than_the_class() -> None:
    fault = Fault(category="rate", message="Wait.", code="slow_down", retryable=True, retry_after_s=2.0)
    error = SessionFailed(fault)
    assert error.fault is fault
    assert (error.category, error.retryable, str(error), error.command_id) == ("rate", True, "Wait.", None)
    assert SessionFailed.category == "protocol"
    assert SessionFailed.retryable is False


def test_categories() -> None:
    assert BadOption("x").category == "config"
    assert Unsupported("x").category == "unsupported"
    assert errors.SessionClosed("x").category == "closed"
    assert errors.NoSoundDevice("x").category == "config"


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_travels_whole(again: typing.Callable[[VoiceBridgeError], VoiceBridgeError]) -> None:
    fault = Fault(category="busy", message="Later.", code="busy", retryable=True)
    other = again(Unsupported(fault, command_id="c1"))
    assert type(other) is Unsupported
    assert (other.fault, other.command_id, other.category, other.retryable) == (fault, "c1", "busy", True)
