"""The vendor's `error`: whose it is, and what follows for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voicebridge.contract.codec import Frame
from voicebridge.contract.events import BackendError
from voicebridge.core.arbiter import Request

from .conversation import Conversation, Outcome
from .sent import Sent, What
from .user_turns import Turn
from .vendor_errors import (
    ALREADY_ACTIVE,
    CANCEL_NOT_ACTIVE,
    COMMIT_EMPTY,
    code_of,
    ends_the_session,
    fault_of,
    is_benign,
    is_gone,
)

__all__ = ["refused"]

_ABOUT: dict[str, What] = {CANCEL_NOT_ACTIVE: "cancel", COMMIT_EMPTY: "commit"}
"""Errors that tell by their code what they answer, where the server does not name our frame."""


def refused(on: Conversation, error: Mapping[str, Any]) -> list[Outcome]:
    """What follows from an error."""
    code, event_id = code_of(error), error.get("event_id")
    asked = on.requests.asked
    if asked and (event_id == asked.event_id or (event_id is None and code == ALREADY_ACTIVE)):
        return _response_refused(on, error, code)
    sent = on.sent.take(event_id)
    if sent is None and event_id is None and (about := _ABOUT.get(code)):
        sent = on.sent.take_oldest(about)
    if sent is not None:
        return _frame_refused(on, sent, error)
    if code == ALREADY_ACTIVE:
        return [] if event_id is not None else [*_answer_later(on)]
    if is_benign(error):
        return []
    fault = fault_of(error)
    fatal = ends_the_session(fault) or (not on.ready and event_id is None)
    return [BackendError(fault=fault, fatal=fatal)]


def _answer_later(on: Conversation) -> list[Frame]:
    """The vendor could not answer a turn by itself, because a response runs: we ask for that once it has ended."""
    turn_ids, unwanted = on.turns.answered()
    if unwanted or not turn_ids:
        return []
    on.requests.arbiter.busy = on.requests.arbiter.busy or on.in_the_way()
    return on.requests.ask(Request(cause="user", answers=turn_ids))


def _response_refused(on: Conversation, error: Mapping[str, Any], code: str) -> list[Outcome]:
    runs = on.in_the_way()
    if code == ALREADY_ACTIVE:
        frames, given_up = on.requests.already_active(anything_runs=runs)
    else:
        frames, given_up = on.requests.failed(anything_runs=runs)
    outcomes: list[Outcome] = []
    fault = fault_of(error)
    for command_id in given_up.settles if given_up else ():
        outcomes += on.settle(command_id, fault)
    if given_up is not None and not given_up.settles:  # nobody waits to hear of it: an `EndTurn` was settled before
        outcomes.append(BackendError(fault=fault, fatal=ends_the_session(fault)))
    return [*outcomes, *frames]


def _frame_refused(on: Conversation, sent: Sent, error: Mapping[str, Any]) -> list[Outcome]:
    fault = fault_of(error)
    if sent.what == "cut":
        return [*on.interruptions.cut(sent.command_id, sent.about, None if is_benign(error) else fault)]
    if sent.what == "delete":
        return [*on.interruptions.cut(sent.command_id, sent.about, None if is_gone(error) else fault)]
    if sent.what == "cancel":
        return [*on.interruptions.cancelled(sent.about, None if is_benign(error) else fault)]
    if sent.command_id is None:
        return [BackendError(fault=fault, fatal=sent.what == "update" or ends_the_session(fault))]
    if sent.what == "commit":
        return _commit_refused(on, sent, error)
    if sent.what == "update":
        on.taken.answered(sent.command_id, taken=False)
        on.go_by_the_settings()
    elif sent.what == "item":
        on.requests.unsettled_items.discard(sent.command_id)
        on.requests.refuse(sent.command_id)
    # What was settled when it was sent has still failed.
    return on.settle(sent.command_id, fault) or [BackendError(fault=fault)]


def _commit_refused(on: Conversation, sent: Sent, error: Mapping[str, Any]) -> list[Outcome]:
    """An `EndTurn` ended nothing; perhaps because the vendor had found the end of that turn first."""
    turn: Turn = sent.about[0]
    empty = code_of(error) == COMMIT_EMPTY
    assert sent.command_id is not None
    if empty and turn.phase == "committed":
        if on.answers_by_itself:
            on.requests.refuse(sent.command_id, turn.id)
        return on.settle(sent.command_id)
    fault = fault_of(error)
    if empty:
        fault = replace(fault, category="config", code="empty_turn")
    outcomes = on.settle(sent.command_id, fault) or [BackendError(fault=fault)]
    on.requests.refuse(sent.command_id, turn.id)
    outcomes += [*on.turns.not_ended(turn), *on.turns.told_late()]
    on.heed_the_floor()
    return outcomes
