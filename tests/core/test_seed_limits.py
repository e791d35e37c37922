"""How much of a conversation a backend is started with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.seed_limits import beyond_limits
from voicebridge.testing.line_codec import LINE_CAPABILITIES

USER, AGENT = MessageItem(role="user", text="hello"), MessageItem(role="assistant", text="hi")
CALL, RESULT = ToolCallItem(call_id="k", name="f", arguments="{}"), ToolResultItem(call_id="k", output="done")


def left(items: list[Item], most: int | None = None, size: int | None = None) -> list[Item]:
    can = replace(LINE_CAPABILITIES, seed_max_items=most, seed_max_bytes=size)
    return items[beyond_limits(items, can) :]


@pytest.mark.parametrize(
    ("items", "most", "size", "kept"),
    [
        ([USER, AGENT] * 3, None, None, [USER, AGENT] * 3),
        ([USER, AGENT] * 3, 6, 21, [USER, AGENT] * 3),
        ([USER, AGENT] * 3, 4, None, [USER, AGENT] * 2),
        ([USER, AGENT] * 3, 5, None, [USER, AGENT] * 2),
        ([USER, AGENT] * 3, None, 20, [USER, AGENT] * 2),
        ([USER, AGENT] * 3, 5, 7, [USER, AGENT]),
        ([USER, CALL, RESULT, AGENT], 3, None, [CALL, RESULT, AGENT]),
        ([USER, CALL, RESULT, AGENT], 2, None, [AGENT]),
        ([CALL, RESULT], 1, None, []),
        ([USER, AGENT], 0, None, []),
        ([USER, MessageItem(role="user", text="äö")], None, 3, []),
        ([USER, MessageItem(role="user", text="äö")], None, 4, [MessageItem(role="user", text="äö")]),
    ],
)
def test_the_oldest_are_left_out(items: list[Item], most: int | None, size: int | None, kept: list[Item]) -> None:
    assert left(items, most, size) == kept


GROUPS = st.lists(st.sampled_from([[USER], [AGENT], [CALL], [CALL, RESULT]]), max_size=12)


@given(GROUPS, st.none() | st.integers(0, 12), st.none() | st.integers(0, 60))
def test_what_is_left_can_be_told(groups: list[list[Item]], most: int | None, size: int | None) -> None:
    items = [item for group in groups for item in group]
    kept = left(items, most, size)
    assert most is None or len(kept) <= most
    for one, before in zip(kept, [None, *kept], strict=False):
        assert not isinstance(one, ToolResultItem) or isinstance(before, ToolCallItem)
    if kept != items and USER in kept:
        assert kept[0] == USER
