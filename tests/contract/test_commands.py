"""Ids of commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicebridge.contract.commands import DiscardTurn, EndTurn, Interrupt, SendAudio, restart_command_ids
from voicebridge.contract.lines import dump, load


@pytest.fixture(autouse=True)
def _ids() -> Iterator[None]:
    yield
    restart_command_ids()


def test_each_command_has_an_id_of_its_own() -> None:
    restart_command_ids()
    assert [EndTurn().id, SendAudio(pcm=b"").id, DiscardTurn().id] == ["c1", "c2", "c3"]
    restart_command_ids(41)
    assert [EndTurn().id, EndTurn().id] == ["c41", "c42"]
    assert len({EndTurn().id for _ in range(1000)}) == 1000


def test_an_id_that_is_given_uses_up_none() -> None:
    restart_command_ids()
    assert EndTurn(id="mine").id == "mine"
    load(dump(EndTurn(id="c7")))
    assert EndTurn().id == "c1"


def test_one_command_has_not_the_others_map() -> None:
    assert Interrupt().heard is not Interrupt().heard
