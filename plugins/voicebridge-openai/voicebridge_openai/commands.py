"""What each command becomes on the wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ProviderCommand,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, Unsupported
from voicebridge.contract.events import CommandSettled, OutputHeard
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import ToolResultItem
from voicebridge.core.arbiter import Request

from .conversation import WITHDRAWN, Conversation, Outcome
from .conversation_items import item_of_text, wire_item
from .options import RESPONSE_OPTIONS, unknown_option
from .output import Cut, Response
from .requests import MOST_METADATA, request_of
from .sent import as_json
from .session_settings import changes
from .taken_settings import patched

__all__ = ["CommandFrames"]

_MIN_TURN_MS = 100
"""The vendor commits no less."""
_OWN_COMMANDS = {
    "input_audio_buffer.append": "SendAudio",
    "input_audio_buffer.clear": "DiscardTurn",
    "input_audio_buffer.commit": "EndTurn",
}
"""What passes by our count of the user's audio, we could not answer for."""
_LIVE = frozenset(
    {
        "instructions",
        "language",
        "max_output_tokens",
        "noise_reduction",
        "outputs",
        "speed",
        "tool_choice",
        "tools",
        "transcription",
        "turns",
        "voice",
    }
)


class CommandFrames:
    """Writes commands. Each either becomes all of its frames, or raises before anything has changed."""

    def __init__(self, conversation: Conversation) -> None:
        self._on = conversation
        self._planned: tuple[Configure, SessionConfig, dict[str, Any]] | None = None
        self._writers: dict[type[Command], Callable[[Any], list[Outcome]]] = {
            Configure: self._configure,
            DiscardTurn: self._discard_turn,
            EndTurn: self._end_turn,
            Interrupt: self._interrupt,
            ProviderCommand: self._provider,
            Respond: self._respond,
            SendText: self._text,
            SendToolResult: self._tool_result,
        }

    def write(self, command: Command) -> list[Outcome]:
        """The frames of a command that `check` lets through, and what is to be told once they are sent."""
        self._on.open(command.id)
        return self._writers[type(command)](command)

    def audio(self, command: SendAudio) -> list[Outcome]:
        """The user's voice."""
        on = self._on
        manual = on.mode == "manual"
        opened = on.turns.opened_by_client() if manual and command.pcm else []
        return [*on.input.append(command.pcm), *opened]

    # What can be known beforehand

    def check(self, command: Command) -> None:
        """Raise what is wrong with it."""
        if isinstance(command, SendAudio | ReportPlayed):  # what comes many times a second
            return
        dialect = self._on.dialect
        if isinstance(command, SendText):
            self._check_images(command)
        elif isinstance(command, Respond):
            self._check_respond(command)
        elif isinstance(command, Configure):
            self._plan(command)
        elif isinstance(command, Interrupt):
            self._check_heard(command)
        elif isinstance(command, DiscardTurn) and not (dialect.clear and "manual" in dialect.turns):
            raise Unsupported(f"{dialect.name} can't forget audio.", command_id=command.id)
        elif isinstance(command, EndTurn) and "manual" not in dialect.turns:
            raise Unsupported(f"{dialect.name} finds the ends of turns itself.", command_id=command.id)
        elif isinstance(command, ProviderCommand):
            self._check_payload(command)
        elif type(command) not in self._writers:
            raise Unsupported(
                f"This backend does not know the command {type(command).__name__}.", command_id=command.id
            )

    def _check_images(self, command: SendText) -> None:
        dialect = self._on.dialect
        if not command.images:
            return
        if not dialect.images:
            raise Unsupported(f"{dialect.name} takes no images.", command_id=command.id)
        if command.role != "user":
            raise Unsupported("Only a user's message holds images.", command_id=command.id)
        if not all(image.startswith("data:image/") for image in command.images):
            raise ConfigError(
                "This backend takes images as data: URLs (data:image/png;base64,...), not as links.",
                code="bad_image",
                command_id=command.id,
            )

    def _check_respond(self, command: Respond) -> None:
        dialect = self._on.dialect
        if command.say is not None:
            raise Unsupported(
                "This model can't be made to speak exact words: ask for them by `instructions`.", command_id=command.id
            )
        if command.aside and not dialect.asides:
            raise Unsupported(f"{dialect.name} has no responses out of band.", command_id=command.id)
        if command.modality == "text" and not dialect.text_output:
            raise Unsupported(f"{dialect.name} always speaks.", command_id=command.id)
        for name in command.options:
            if name not in RESPONSE_OPTIONS:
                raise unknown_option(name, RESPONSE_OPTIONS, dialect)
        metadata = command.options.get("metadata", {})
        if not isinstance(metadata, Mapping) or not all(isinstance(value, str) for value in metadata.values()):
            raise BadOption("The option 'metadata' is an object of strings.", code="bad_option", command_id=command.id)
        if len(metadata) > MOST_METADATA:
            raise BadOption(
                f"The option 'metadata' holds at most {MOST_METADATA} pairs, not {len(metadata)}.",
                code="bad_option",
                command_id=command.id,
            )
        _check_json("options", command.options, command)

    def _check_payload(self, command: ProviderCommand) -> None:
        kind = command.payload.get("type")
        if not isinstance(kind, str) or not kind:
            raise ConfigError(
                "ProviderCommand.payload is an event of this wire: it has a `type`.",
                code="bad_command",
                command_id=command.id,
            )
        if (ours := _OWN_COMMANDS.get(kind)) is not None:
            raise ConfigError(f"{kind} has a command of its own: {ours}.", code="bad_command", command_id=command.id)
        _check_json("payload", command.payload, command)

    def _check_heard(self, command: Interrupt) -> None:
        for response_id, ms in command.heard.items():
            if not (math.isfinite(ms) and ms >= 0):
                raise ConfigError(
                    f"Interrupt.heard[{response_id!r}] is milliseconds, 0 or more, not {ms}.",
                    code="bad_command",
                    command_id=command.id,
                )

    def _plan(self, command: Configure) -> dict[str, Any]:
        """The `session` object that this asks for, written once for the check and for the sending."""
        on = self._on
        if self._planned is not None and self._planned[0] is command and self._planned[1] is on.config:
            return self._planned[2]
        if beyond := sorted(set(command.patch) - _LIVE):
            raise Unsupported(
                f"{on.dialect.name} can't change {', '.join(beyond)} while a session runs.", command_id=command.id
            )
        config = patched(on.config, command.patch)
        if config.voice != on.config.voice and on.output.spoke:
            raise Unsupported(
                "The voice can't be changed once the model has spoken: open a new session with the history.",
                command_id=command.id,
            )
        body = on.settings_of(config).body()
        self._planned = command, on.config, body
        return body

    # Writing

    def _text(self, command: SendText) -> list[Outcome]:
        on = self._on
        frame = self._item(command.id, item_of_text(command))
        if not command.respond:
            return [frame]
        on.settled_by_response.add(command.id)
        request = Request(cause="request", answers=(command.id,), settles=(command.id,))
        return [frame, *on.requests.ask(request)]

    def _tool_result(self, command: SendToolResult) -> list[Outcome]:
        on = self._on
        if not on.requests.arbiter.knows_call(command.call_id):
            message = f"No tool call {command.call_id!r} is waiting for a result."
            return on.settle(command.id, Fault(category="config", code="unknown_call", message=message))
        result = ToolResultItem(call_id=command.call_id, output=command.output, is_error=command.is_error)
        frame = self._item(command.id, wire_item(result))
        request = on.requests.arbiter.answer_call(command.call_id, command.id, respond=command.respond)
        return [frame, *(on.requests.ask(request) if request else ())]

    def _item(self, command_id: str, item: dict[str, Any]) -> str:
        self._on.requests.unsettled_items.add(command_id)
        return self._on.sent.write_item(command_id, item)

    def _respond(self, command: Respond) -> list[Outcome]:
        return [*self._on.requests.ask(request_of(command))]

    def _end_turn(self, command: EndTurn) -> list[Outcome]:
        on = self._on
        if on.input.pending_ms < _MIN_TURN_MS:
            message = f"There are less than {_MIN_TURN_MS} ms of audio since the last turn."
            return on.settle(command.id, Fault(category="config", code="empty_turn", message=message))
        turn = on.turns.ended_by_client()
        frame = on.sent.write("commit", command.id, {"type": "input_audio_buffer.commit"}, (turn, on.input.sent_ms))
        on.input.take()
        if not command.respond:
            return [frame]
        on.requests.arbiter.user_speaks = False
        return [frame, *on.requests.ask(Request(cause="user", answers=(command.id, turn.id)))]

    def _discard_turn(self, command: DiscardTurn) -> list[Outcome]:
        self._on.input.take()
        return [self._on.sent.write("clear", command.id, {"type": "input_audio_buffer.clear"})]

    def _configure(self, command: Configure) -> list[Outcome]:
        on = self._on
        changed = changes(on.taken.body, self._plan(command))
        if len(changed) == 1:
            on.taken.kept(command.patch)
            on.go_by_the_settings()
            return on.settle(command.id)
        on.taken.sent(command.id, command.patch, changed)
        on.go_by_the_settings()
        return [on.sent.write("update", command.id, {"type": "session.update", "session": changed})]

    def _provider(self, command: ProviderCommand) -> list[Outcome]:
        on, payload = self._on, dict(command.payload)
        session, item = payload.get("session"), payload.get("item")
        if payload["type"] == "session.update":
            on.taken.sent(command.id, {}, session if isinstance(session, Mapping) else {})
            on.go_by_the_settings()
            return [on.sent.write("update", command.id, payload)]
        on.settle(command.id)
        if payload["type"] == "conversation.item.create" and isinstance(item, Mapping):
            frame = on.sent.write("item", None, payload, item)
        else:
            frame = on.sent.write("provider", command.id, payload)
        return [frame, CommandSettled(command_id=command.id, basis="sent")]

    # Stopping

    def _interrupt(self, command: Interrupt) -> list[Outcome]:
        on = self._on
        outcomes: list[Outcome] = []
        waits_for: list[str] = []
        if command.response_id is None:
            for command_id in on.requests.withdraw():
                outcomes += on.settle(command_id, WITHDRAWN)
            on.turns.withdraw_answers()
        for response in on.output.running():
            if response.told and command.response_id in (None, response.id):
                outcomes += self._stop(response, command.id)
                waits_for.append(f"cancel {response.id}")
        for response_id, ms in command.heard.items():
            outcomes += self._cut(response_id, ms, command.id, waits_for)
        begun = on.interruptions.begin(command.id, waits_for)
        if begun:
            on.open_commands.discard(command.id)
        return [*outcomes, *begun]

    def _stop(self, response: Response, command_id: str) -> list[Outcome]:
        """Cancel a running response, once."""
        if not response.wanted:
            return []
        response.wanted = False
        frame = {"type": "response.cancel", "response_id": response.id}
        return [self._on.sent.write("cancel", command_id, frame, response.id)]

    def _cut(self, response_id: str, ms: float, command_id: str, waits_for: list[str]) -> list[Outcome]:
        """Let the conversation keep of a response only what was heard, and tell that."""
        on, audio = self._on, self._on.output.format
        response = on.output.find(response_id)
        if response is None or not response.told or response.aside:
            return []
        if response.running and response.wanted:
            return []  # it goes on: this is no more than a report
        keep = min(audio.size(min(ms, audio.ms(response.size))), response.size)
        if response.kept is not None and keep >= response.kept:
            return []
        response.kept = keep
        heard_ms = audio.ms(keep)
        heard = OutputHeard(
            response_id=response.id, heard_ms=heard_ms, text=response.text_until(heard_ms, audio), basis="estimated"
        )
        frames: list[Outcome] = []
        for cut in response.cuts(keep, audio) if on.dialect.truncate else ():
            if not cut.keep_ms and not on.dialect.delete:
                continue
            if not frames:
                on.interruptions.will_hear(command_id, cut.item_id, heard)
            frames.append(self._cut_item(response, cut, command_id))
            waits_for.append(f"cut {cut.item_id}")
        return frames or [heard]  # where the vendor has nothing to confirm, it is told at once

    def _cut_item(self, response: Response, cut: Cut, command_id: str) -> Outcome:
        if not cut.keep_ms:
            response.deleted.add(cut.item_id)
            frame: dict[str, Any] = {"type": "conversation.item.delete", "item_id": cut.item_id}
            return self._on.sent.write("delete", command_id, frame, cut.item_id)
        response.cut_items.add(cut.item_id)
        frame = {
            "type": "conversation.item.truncate",
            "item_id": cut.item_id,
            "content_index": cut.content_index,
            "audio_end_ms": cut.keep_ms,
        }
        return self._on.sent.write("cut", command_id, frame, cut.item_id)


def _check_json(field: str, value: Mapping[str, Any], command: Command) -> None:
    try:
        as_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{type(command).__name__}.{field} holds what JSON has not: {error}",
            code="bad_command",
            command_id=command.id,
        ) from None
