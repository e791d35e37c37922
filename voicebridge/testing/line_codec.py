"""The plainest wire there is: each command and each event is a line of JSON, as the contract writes it.

For tests of the link and of what stands on it, and the shortest example of a codec.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.codec import Closed, Endpoint, Frame, Liveness, Tick, Timeouts
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import CommandSettled, Event, SessionReady
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.lines import dump, load
from voicebridge.core.closing import fault_of

__all__ = ["LINE_CAPABILITIES", "LineCodec", "ready_line"]

LINE_CAPABILITIES = Capabilities(
    turns=frozenset({"server_vad", "manual"}),
    interrupt=frozenset({"verb"}),
    respond=frozenset({"verb", "instructions"}),
    inputs=frozenset({"audio", "text"}),
    outputs=frozenset({"audio", "text"}),
    context="item",
    tools="blocking",
    seed=frozenset({"text", "tools"}),
    live_update=frozenset({"instructions"}),
    settles="sent",
    speech_events="reported",
    input_transcript="late",
    formats_in=(DOOR_FORMAT,),
    formats_out=(DOOR_FORMAT,),
)


class LineCodec:
    """A `Codec`. Commands settle when they are on the wire, unless the server settles them.

    Args:
        settles: leave the settling of commands to the server.
    """

    def __init__(
        self,
        url: str = "ws://server.invalid",
        *,
        capabilities: Capabilities = LINE_CAPABILITIES,
        settles: bool = False,
        ticks: bool = False,
        timeouts: Timeouts | None = None,
        liveness: Liveness | None = None,
    ) -> None:
        self.ticks = ticks
        self.ticked: list[float] = []
        """When `Tick`s came."""
        self._capabilities, self._settles = capabilities, settles
        self._endpoint = Endpoint(url=url, timeouts=timeouts or Timeouts(), liveness=liveness or Liveness())

    @property
    def capabilities(self) -> Capabilities:
        """As given."""
        return self._capabilities

    def endpoint(self, config: SessionConfig) -> Endpoint:
        """As given."""
        return self._endpoint

    def open(self, config: SessionConfig, history: Sequence[Item], resume: str | None) -> Sequence[Frame]:
        """The items of the history, a line each."""
        return [dump(item) for item in history]

    def check(self, command: Command) -> None:
        """Refuse audio where the capabilities have none."""
        if isinstance(command, SendAudio) and not self._capabilities.formats_in:
            raise Unsupported("This backend takes no audio.", command_id=command.id)

    def encode(self, command: Command) -> Sequence[Frame | Event]:
        """The command as a line."""
        frames: list[Frame | Event] = [dump(command)]
        if not self._settles and not isinstance(command, SendAudio | ReportPlayed):
            frames.append(CommandSettled(command_id=command.id, basis="sent"))
        return frames

    def decode(self, received: Frame | Tick) -> Iterable[Event | Frame]:
        """The event that a line holds. Raises whatever a line that holds none makes it raise."""
        if isinstance(received, Tick):
            self.ticked.append(received.at)
            return
        event = load(received if isinstance(received, str) else received.decode())
        if not isinstance(event, Event):
            raise TypeError(f"{type(event).__name__} is no event")
        yield event

    def classify(self, closed: Closed) -> Fault:
        """As usual."""
        return fault_of(closed)


def ready_line(capabilities: Capabilities = LINE_CAPABILITIES, session_id: str = "line") -> str:
    """What a server says first."""
    return dump(
        SessionReady(
            session_id=session_id,
            model="test/line",
            capabilities=capabilities,
            input_format=(*capabilities.formats_in, DOOR_FORMAT)[0],
            output_format=(*capabilities.formats_out, DOOR_FORMAT)[0],
        )
    )
