"""The user's turns: found in the audio or ended by hand, put into the conversation, and answered."""

from __future__ import annotations

import asyncio
from typing import Any

from voicebridge.testing.simulator.turn_log import TurnRecord

from .background import Background
from .client_event import Event
from .conversation import Entry
from .hearing import Hearing
from .input_buffer import Found, InputBuffer, Utterance
from .item_rules import decoded_audio
from .protocol_error import missing
from .response_run import ResponseRun
from .responses import Responses
from .stage import Stage, stamp

__all__ = ["UserTurns"]


class UserTurns:
    """Takes the events of the input audio buffer."""

    def __init__(
        self, stage: Stage, hearing: Hearing, audio: InputBuffer, responses: Responses, background: Background
    ) -> None:
        self._stage = stage
        self._outbox = stage.outbox
        self._hearing = hearing
        self._input = audio
        self._responses = responses
        self._background = background
        self._turn_id: str | None = None
        """The item of the speech that goes on."""
        self._speech = stage.new_record("speech")
        """Of the speech that goes on, or went on last."""

    async def append(self, event: Event) -> None:
        """Take audio.

        Raises:
            ProtocolError: it is none.
        """
        if "audio" not in event:
            raise missing("audio")
        steps = {"speech": self._speech_began, "end": self._speech_ended, "idle": self._waited}
        for found in await self._input.append(decoded_audio(event["audio"], "audio")):
            await steps[found.phase](found)

    async def commit(self, event: Event) -> None:
        """End a turn by hand.

        Raises:
            ProtocolError: there is too little audio.
        """
        utterance = await self._input.commit()
        item_id, self._turn_id = self._turn_id or self._outbox.identifiers.new("item"), None
        entry, understanding = await self._add_spoken(item_id, utterance, self._stage.new_record("request"))
        self._transcribe(entry, utterance, understanding, None)

    async def clear(self, event: Event) -> None:
        """Forget the audio that is not committed."""
        await self._input.clear()
        self._turn_id = None
        await self._outbox.send("input_audio_buffer.cleared")

    async def _speech_began(self, found: Found) -> None:
        detection = self._stage.session.turn_detection or {}
        self._turn_id = self._outbox.identifiers.new("item")
        self._speech = self._stage.new_record("speech")
        start = self._input.speech_began(found.ms)
        self._speech.audio_ms["started"] = start
        interrupted = self._responses.running if detection.get("interrupt_response") else None
        if interrupted and self._outbox.dialect.stops_first:
            await interrupted.stop("turn_detected")
        await self._outbox.send("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self._turn_id)
        stamp(self._speech, "speech_started")
        if interrupted:
            await interrupted.stop("turn_detected")

    async def _speech_ended(self, found: Found) -> None:
        detection = self._stage.session.turn_detection
        if self._turn_id is None or detection is None:
            return  # its audio was committed or cleared by hand
        item_id, self._turn_id = self._turn_id, None
        self._speech.audio_ms["last_speech"] = found.ms
        end, utterance = self._input.speech_ended(found.ms)
        self._speech.audio_ms["stopped"] = end
        await self._outbox.send("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=item_id)
        stamp(self._speech, "speech_stopped")
        entry, understanding = await self._add_spoken(item_id, utterance, self._speech)
        answer = await self._responses.answer() if detection["create_response"] else None
        self._transcribe(entry, utterance, understanding, answer)

    async def _waited(self, found: Found) -> None:
        """The user was silent for so long that the model speaks again."""
        if self._responses.running:
            return
        start, end, silence = self._input.waited(found.ms)
        where: dict[str, Any] = {"audio_start_ms": start, "audio_end_ms": end}
        item_id = self._outbox.identifiers.new("item")
        await self._outbox.send("input_audio_buffer.timeout_triggered", **where, item_id=item_id)
        entry, understanding = await self._add_spoken(item_id, silence, self._stage.new_record("idle"), silent=True)
        self._transcribe(entry, silence, understanding, await self._responses.answer())

    async def _add_spoken(
        self, item_id: str, utterance: Utterance, record: TurnRecord, *, silent: bool = False
    ) -> tuple[Entry, asyncio.Task[str]]:
        content = [{"type": "input_audio", "transcript": None}]
        item: Event = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}
        entry = Entry(item=item, audio_ms=utterance.ms)
        understanding = self._hearing.listen(entry, None if silent else utterance)
        previous = self._stage.conversation.last_id
        await self._outbox.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        stamp(record, "committed")
        self._responses.unanswered = record
        await self._stage.add_item(entry)
        return entry, understanding

    def _transcribe(
        self, entry: Entry, utterance: Utterance, understanding: asyncio.Task[str], answer: ResponseRun | None
    ) -> None:
        if (wanted := self._stage.session.transcription) is not None:
            self._background.start(self._hearing.tell(entry, utterance.ms, understanding, wanted["model"], answer))
