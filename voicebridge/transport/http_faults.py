"""What a failed request means: the one place where the ends of connections and refusals become faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.core.closing import fault_of

from .http_connection import Answer
from .secrets import Secrets
from .wire import WireClosed, retry_after

__all__ = ["CLOSED", "Explain", "HttpFaults"]

T = TypeVar("T")
Explain = Callable[[int, str], Fault | None]
"""What a vendor means by a refusal: its status and the text that came with it."""
CLOSED = Fault(category="closed", code="closed", message="This stage was closed.")
_SHOWN_CHARS = 500


class HttpFaults:
    """Faults of one API's answers, with no secret in them.

    Args:
        values: what must not be shown, such as the values of headers.
        explain: comes before the common table.
    """

    def __init__(self, values: Sequence[str], explain: Explain | None) -> None:
        self._values, self._explain = values, explain

    def of_connection(self, error: WireClosed) -> VoiceBridgeError:
        """There was no connection, or it ended too early."""
        fault = fault_of(error.closed)
        if error.closed.problem == "garbage":
            fault = replace(fault, message=f"What answered is no HTTP server. Check base_url: {error.closed.reason}.")
        return VoiceBridgeError(self.hidden(fault))

    def of_refusal(self, answer: Answer, text: str) -> VoiceBridgeError:
        """The server does not do what it was asked."""
        seconds = retry_after(answer.headers.get("retry-after", ()))
        text = Secrets(self._values).scrubbed(text)  # in this order: a cut would leave half a key
        fault = self._explained(answer.status, text)
        if fault is None:
            closed = Closed(by="peer", status=answer.status, body=text[:_SHOWN_CHARS], retry_after_s=seconds)
            fault = fault_of(closed)
        elif fault.retry_after_s is None:
            fault = replace(fault, retry_after_s=seconds)
        return VoiceBridgeError(self.hidden(fault))

    def _explained(self, status: int, text: str) -> Fault | None:
        try:
            return self._explain(status, text) if self._explain is not None else None
        except Exception:  # the text of a gateway, say, is none that a vendor's own reader knows
            return None

    def checked(self, read: Callable[[], Iterable[T]]) -> Iterator[T]:
        """What a body makes of bytes.

        Raises:
            VoiceBridgeError: it can't read them, or they tell of a failure.
        """
        try:
            yield from read()
        except VoiceBridgeError as error:
            fault = self.hidden(error.fault)
            if fault == error.fault:
                raise
            raise VoiceBridgeError(fault) from None
        except Exception as error:
            what = f"The server's answer could not be read ({type(error).__name__}: {error})."
            raise VoiceBridgeError(self.hidden(Fault(category="protocol", code="bad_answer", message=what))) from None

    def hidden(self, fault: Fault) -> Fault:
        """The fault, with no secret in its words."""
        secrets = Secrets(self._values)
        return replace(fault, message=secrets.scrubbed(fault.message), code=secrets.scrubbed(fault.code))
