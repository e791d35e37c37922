"""Who may write to a conversation: one call at a time, so that none erases what another one says.

the conversation                                    claimed by another call     written to by the call that had it
nobody has it                                       it has it                   -
a call has it, and told so in the last 30 s         refused: it is in use       written
a call has it that has told nothing for 30 s,       it has it                   written, as long as nobody took it; then
or whose program is gone                                                        refused: it was taken
the call that had it has ended                      it has it                   refused, once another one took it
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault

__all__ = ["CLAIM_S", "TAKEN", "Claim", "check_claim", "check_writer"]

CLAIM_S = 30.0
"""Seconds after which a call that has told nothing is taken for gone."""
TAKEN = "conversation_taken"
"""Code of the fault by which a call learns that the conversation is another one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A call has a conversation."""

    writer: str
    """A name of the call that no other one has."""
    told_at: float
    """When it last told that it is there, in seconds since 1970."""
    ended: bool = False


def check_claim(
    conversation: str, known: Claim | None, writer: str, now: float, *, who: str = "", gone: bool = False
) -> None:
    """Whether a call may have the conversation.

    Args:
        known: who has it, as far as the store knows.
        who: what is known of that one's program, for the message.
        gone: whether that program is known to have ended.

    Raises:
        ConfigError: another one has it.
    """
    if known is None or known.writer == writer or known.ended or gone:
        return
    silent_s = now - known.told_at
    if abs(silent_s) < CLAIM_S:  # a clock that was set back must not lock it for good
        raise ConfigError(
            f"The conversation {conversation!r} is in use by another call{who}, which wrote {max(silent_s, 0):.0f} s "
            f"ago. End that call first, or give this one another `conversation`. If that call is gone, it may go on "
            f"{CLAIM_S:.0f} s after it last wrote.",
            code="conversation_in_use",
        )


def check_writer(conversation: str, known: Claim | None, writer: str) -> None:
    """Whether a call still has the conversation. One that nobody claimed may be written to.

    Raises:
        VoiceBridgeError: another one took it.
    """
    if known is not None and known.writer != writer:
        message = (
            f"another call has taken the conversation {conversation!r}, because this one told nothing for "
            f"{CLAIM_S:.0f} s: what this one says from then on is not kept"
        )
        raise VoiceBridgeError(Fault(category="closed", code=TAKEN, message=message))
