"""Everything that one connection knows, and what both directions do with it."""

from __future__ import annotations

from voicebridge.contract.codec import Frame
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled, Event
from voicebridge.contract.fault import Fault

from .dialects import Dialect
from .input_audio import InputAudio
from .interruptions import Interruptions
from .models import model_of
from .options import read_options
from .output import Output, Response
from .requests import Requests
from .sent import SentFrames
from .session_settings import Settings, turn_mode, wire_format
from .taken_settings import TakenSettings
from .user_turns import UserTurns

__all__ = ["WITHDRAWN", "Conversation", "Outcome"]

Outcome = Event | Frame
WITHDRAWN = Fault(category="closed", code="withdrawn", message="Interrupted before the response started.")
_PADDING_MS = 300
_SILENCE_MS = 500
_REMEMBERED = 1000


class Conversation:
    """The state of a connection: one part for each thing that the wire speaks of.

    Raises:
        ConfigError, Unsupported: a setting or an option does not fit this dialect or model.
    """

    def __init__(self, dialect: Dialect, model: str, config: SessionConfig) -> None:
        self.dialect, self.model = dialect, model
        self.row = model_of(dialect.name, model)
        self.options = read_options(config.options, dialect, self.row)
        self.settings = self.settings_of(config)
        self.taken = TakenSettings(config, self.settings.body())
        self.settings.refuse_idle_options()
        self.input = InputAudio(wire_format(dialect, config.input_format))
        self.turns = UserTurns(self.input)
        self.output = Output(wire_format(dialect, config.output_format))
        self.requests = Requests(
            sends_metadata=dialect.sends_metadata,
            echoes_metadata=dialect.echoes_metadata,
            text_output=dialect.text_output,
        )
        self.interruptions = Interruptions()
        self.sent = SentFrames()
        self.open_commands: set[str] = set()
        """Not settled yet."""
        self.settled_by_response: set[str] = set()
        """Those of them that are settled when their response starts, not when their item is there."""
        self._items: dict[str, None] = {}
        self.ready = False
        self.session_id = ""
        self.served_model = model
        self.go_by_the_settings()

    @property
    def config(self) -> SessionConfig:
        """The settings, those included that are on their way."""
        return self.taken.config

    @property
    def mode(self) -> str:
        """How turns end."""
        return turn_mode(self.config, self.dialect)

    @property
    def answers_by_itself(self) -> bool:
        """Whether the vendor answers the turns that it finds."""
        return self.mode != "manual" and self.config.turns.auto_respond

    @property
    def max_session_s(self) -> float | None:
        """Seconds that a session may last, as the rows say: the wire tells a time of day, and a codec has no clock."""
        return (self.row.max_session_s if self.row else None) or self.dialect.max_session_s

    def settings_of(self, config: SessionConfig) -> Settings:
        """What this connection would write of such a config."""
        return Settings(config, self.options, self.dialect, self.model)

    def go_by_the_settings(self) -> None:
        """What follows from the settings as they are now."""
        config = self.config
        self.settings = self.settings_of(config)
        self.requests.instructions = self.taken.instructions
        by_silence = self.mode == "server_vad"
        padding_ms = self.options.prefix_padding_ms
        self.turns.padding_ms = (_PADDING_MS if padding_ms is None else padding_ms) if by_silence else 0
        silence_ms = config.turns.silence_ms
        self.turns.silence_ms = (_SILENCE_MS if silence_ms is None else silence_ms) if by_silence else 0
        named = self.settings.transcription_model
        self.turns.transcription_model = f"{self.dialect.name}/{named or 'transcription'}"
        self.heed_the_floor()

    def open(self, command_id: str) -> None:
        """A command waits to be settled."""
        self.open_commands.add(command_id)

    def settle(self, command_id: str | None, fault: Fault | None = None) -> list[Outcome]:
        """Its fate; nothing where it is settled already."""
        if command_id is None or command_id not in self.open_commands:
            return []
        self.open_commands.discard(command_id)
        self.settled_by_response.discard(command_id)
        return [CommandSettled(command_id=command_id, fault=fault)]

    def seen(self, item_id: str) -> bool:
        """Whether this item was told before. From now on it was."""
        if item_id in self._items:
            return True
        self._items[item_id] = None
        if len(self._items) > _REMEMBERED:
            del self._items[next(iter(self._items))]
        return False

    def heed_the_floor(self) -> None:
        """While the user speaks, what nobody needs at once waits."""
        heeds = self.config.turns.auto_interrupt and self.mode != "manual"
        self.requests.arbiter.user_speaks = heeds and self.turns.user_speaks

    def in_the_way(self, response: Response | None = None) -> bool:
        """Whether a response runs, other than that one."""
        return any(running is not response for running in self.output.running())
