"""The OpenAI Realtime wire as a `Codec`: frames in, events out, and commands back into frames. Pure.

file                      what it holds
dialects.py, models.py    what differs between vendors and models, as rows
options.py                what only this wire knows
session_settings.py       settings -> `session.update`
conversation_items.py     items -> `conversation.item.create`
input_audio.py            the user's samples
user_turns.py             the user's turns and transcripts
requests.py               `response.create`: when, and whose answer a response is
output.py                 responses and the items in them
interruptions.py          what an `Interrupt` waits for
sent.py                   our frames whose fate is still to come
taken_settings.py         settings that the vendor has taken, and changes on their way
conversation.py           all of these: the state of a connection
commands.py               what each command becomes
received.py, refusals.py  what each event, and each error, of the vendor does
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson
from pydantic import SecretStr

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.codec import Closed, Endpoint, Frame, Tick
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import Event
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, ToolCallItem, ToolResultItem

from .addresses import address, headers
from .capabilities import capabilities_of, narrowed
from .commands import CommandFrames
from .conversation import Conversation, Outcome
from .conversation_items import wire_item
from .dialects import Dialect
from .received import Received
from .vendor_errors import NoEvent, meaning_of

__all__ = ["RealtimeCodec"]

_KEEP_ALIVE = '{"type":"input_audio_buffer.append","audio":""}'
_SEED = "seed"


class RealtimeCodec:
    """One connection to a server that speaks this wire.

    `SessionReady.expires_in_s` comes from the rows of the model and the dialect: the wire tells a time of day
    (`expires_at`), and a codec has no clock to compare it with.

    Args:
        model: as the vendor names it.
        key: sent with the handshake and shown nowhere. None: the server asks for none.

    Raises:
        ConfigError, Unsupported: a setting or an option does not fit this dialect or model.
    """

    def __init__(self, dialect: Dialect, model: str, config: SessionConfig, key: SecretStr | None = None) -> None:
        self._dialect, self._key = dialect, key
        self._on = Conversation(dialect, model, config)
        self._commands = CommandFrames(self._on)
        self._received = Received(self._on, lambda: self.capabilities)
        self._bound = narrowed(capabilities_of(dialect, self._on.row), self._on)
        self._spoken = replace(self._bound, live_update=self._bound.live_update - {"voice"})
        self.ticks = dialect.keep_alive_s is not None
        self._quiet_since: float | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do now: once the model has spoken, its voice is fixed."""
        on = self._on
        now = self._spoken if on.output.spoke else self._bound
        if now.formats_in[0] == on.input.format and now.formats_out[0] == on.output.format:
            return now
        return replace(now, formats_in=(on.input.format,), formats_out=(on.output.format,))

    def endpoint(self, config: SessionConfig) -> Endpoint:
        """Where to dial. See `Codec.endpoint`."""
        return Endpoint(
            url=address(self._dialect, self._on.model, config.base_url),
            headers=headers(self._dialect, self._on.options, self._key),
            timeouts=self._on.options.timeouts,
            liveness=self._on.options.liveness(self._dialect.liveness),
        )

    def open(self, config: SessionConfig, history: Sequence[Item], resume: str | None) -> Sequence[Frame]:
        """The settings, and what was said before, in one go. Calls that were never answered may still be."""
        on = self._on
        frames: list[Frame] = [on.sent.write("update", None, {"type": "session.update", "session": on.taken.body})]
        frames += [on.sent.write_item(None, wire_item(item)) for item in history]
        on.sent.opened()
        answered = {item.call_id for item in history if isinstance(item, ToolResultItem)}
        for item in history:
            if isinstance(item, ToolCallItem) and item.call_id not in answered:
                on.requests.arbiter.open_call(item.call_id, _SEED)
        on.requests.arbiter.ended(_SEED)
        return frames

    def check(self, command: Command) -> None:
        """See `Codec.check`."""
        self._commands.check(command)

    def encode(self, command: Command) -> Sequence[Frame | Event]:
        """See `Codec.encode`."""
        self._quiet_since = None
        if isinstance(command, SendAudio):
            return self._commands.audio(command)
        if isinstance(command, ReportPlayed):
            return ()  # the player's clock is the application's: this wire is told when something is cut
        self._commands.check(command)
        return self._commands.write(command)

    def decode(self, received: Frame | Tick) -> Iterable[Event | Frame]:
        """See `Codec.decode`. Text and bytes are the same to it.

        Raises:
            NoEvent: it is no event of this wire.
        """
        if isinstance(received, Tick):
            return self._keep_alive(received.at)
        try:
            frame = orjson.loads(received)
            kind = frame["type"]
        except (ValueError, TypeError, KeyError):
            raise NoEvent("no JSON object with a type") from None
        if kind == "response.output_audio.delta":
            return self._on.output.audio(frame)
        if not isinstance(kind, str):
            raise NoEvent("its type is no text")
        kind = self._dialect.aliases.get(kind, kind)
        if kind == "response.output_audio.delta":
            return self._on.output.audio(frame)
        return self._received.take(kind, frame)

    def classify(self, closed: Closed) -> Fault:
        """See `Codec.classify`."""
        return meaning_of(closed)

    def _keep_alive(self, at: float) -> list[Outcome]:
        """Some vendors hang up on a client that says nothing for a while."""
        every_s = self._dialect.keep_alive_s
        if self._quiet_since is None:
            self._quiet_since = at
        if every_s is None or at - self._quiet_since < every_s:
            return []
        self._quiet_since = at
        return [_KEEP_ALIVE]
