"""What was heard of an answer goes into the history, the account, and the mind of the backend that gave it."""

from __future__ import annotations

from voicebridge.contract.commands import SendText
from voicebridge.contract.events import OutputHeard

from .handover_session import HandoverSession

__all__ = ["HeardNotes"]

_HEARD_LESS = "The user did not hear all of your answer {said!r}. Of it they heard only: {text!r}."
_HEARD_NOTHING = "The user heard nothing of your answer {said!r}."
_QUOTED = 80
"""Characters of an answer that say which one it is."""


class HeardNotes:
    """Writes it down. A backend that can't be made to forget the rest has to be told of it.

    Args:
        carrier: has the call.
    """

    def __init__(self, carrier: HandoverSession) -> None:
        self._carrier = carrier

    def heard(self, heard: OutputHeard) -> SendText | None:
        """It is known how much of an answer was heard, or known better. What the backend is to be told, if anything."""
        carrier, chronicle = self._carrier, self._carrier.briefing.chronicle
        believed = chronicle.heard(heard.response_id)  # as it said itself, or as it was told when it got the call
        chronicle.happened(heard)
        carrier.ledger.heard(heard.response_id, heard.heard_ms)
        forgets = carrier.can_truncate(heard.response_id) or chronicle.heard(heard.response_id) == believed
        if forgets or carrier.capabilities.context == "none":
            return None
        said = believed if len(believed) <= _QUOTED else f"{believed[:_QUOTED]}..."
        text = _HEARD_LESS if heard.text else _HEARD_NOTHING
        note = SendText(text=text.format(said=said, text=heard.text), role="system", respond=False)
        chronicle.leave_out(note.id)
        return note
