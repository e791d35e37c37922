"""What the user's audio becomes: words understood, and, where the session asks for it, told as a transcription."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.testing.simulator.ears import Recogniser
from voicebridge.testing.simulator.profile import StageDraws

from .background import Background
from .conversation import Entry
from .input_buffer import Utterance
from .options import WireOptions
from .outbox import Outbox
from .usage import transcription_usage

if TYPE_CHECKING:
    from .response_run import ResponseRun

__all__ = ["Hearing"]

_TOLD = "conversation.item.input_audio_transcription"


class Hearing:
    """Understands one utterance after the other."""

    def __init__(self, options: WireOptions, outbox: Outbox, draws: StageDraws, background: Background) -> None:
        self._script = list(options.transcripts)
        self._outbox = outbox
        self._draws = draws
        self._background = background
        self._listening: dict[str, asyncio.Task[str]] = {}
        """By the item's id: what it says, where that is not known yet."""
        self._recogniser = Recogniser(options.recogniser) if options.recogniser else None
        self._one_at_a_time = asyncio.Lock()
        self._utterances = 0

    @property
    def wants_audio(self) -> bool:
        """A recogniser listens."""
        return self._recogniser is not None

    def listen(self, entry: Entry, utterance: Utterance | None) -> asyncio.Task[str]:
        """Begin to understand an item; None: it is silence. The task gives the words, or a `VoiceBridgeError`."""
        task = self._background.start(self._hear(entry, utterance))
        self._listening[entry.id] = task
        task.add_done_callback(lambda _: self._listening.pop(entry.id, None))
        return task

    async def understood(self, item_id: str) -> None:
        """Wait until it is clear what an item says, or that nobody can tell."""
        if task := self._listening.get(item_id):
            # The model hears for itself: it answers also where the transcription failed.
            await asyncio.wait({task})

    async def _hear(self, entry: Entry, utterance: Utterance | None) -> str:
        entry.heard = "" if utterance is None else await self._understand(utterance)
        return entry.heard

    async def _understand(self, utterance: Utterance) -> str:
        if self._recogniser is None:
            text = self._script.pop(0) if self._script else f"{utterance.ms / 1000:.1f} seconds of speech"
            if text is None:
                raise VoiceBridgeError("Input transcription failed.", code="transcription_failed")
            return text
        async with self._one_at_a_time:
            return await self._recogniser.transcribe(utterance.audio, utterance.format)

    async def tell(
        self, entry: Entry, ms: float, understood: asyncio.Task[str], model: str, answer: ResponseRun | None
    ) -> None:
        """Send the transcription of an item: its end comes in the middle of the answer, if there is one."""
        self._utterances += 1
        drawn = self._draws.ms("transcription", self._utterances)
        if answer is not None:
            answer.record.drawn_ms["transcription"] = drawn
        where: dict[str, Any] = {"item_id": entry.id, "content_index": 0}
        await asyncio.sleep(drawn / 1000)
        try:
            text = await asyncio.shield(understood)
        except VoiceBridgeError as error:
            problem = {
                "type": "server_error",
                "code": error.fault.code or None,
                "message": error.fault.message,
                "param": None,
            }
            await self._outbox.send(f"{_TOLD}.failed", **where, error=problem)
            return
        await self._tell_growing(where, text)
        if answer is not None:
            await answer.begun.wait()
        entry.item["content"][0]["transcript"] = text
        usage = {"usage": transcription_usage(model, ms, text)} if self._outbox.dialect.usage else {}
        status = {"status": "completed"} if self._outbox.dialect.cumulative_transcripts else {}
        await self._outbox.send(f"{_TOLD}.completed", **where, transcript=text, **status, **usage)

    async def _tell_growing(self, where: dict[str, Any], text: str) -> None:
        """Word by word what is new, or all of it so far."""
        for word in re.finditer(r"\S+", text):
            if self._outbox.dialect.cumulative_transcripts:
                so_far = text[: word.end()]
                await self._outbox.send(f"{_TOLD}.updated", **where, transcript=so_far)
                await self._outbox.send(f"{_TOLD}.completed", **where, transcript=so_far, status="in_progress")
            else:
                delta = f" {word[0]}"
                padding = self._outbox.identifiers.obfuscation(delta)
                await self._outbox.send(f"{_TOLD}.delta", **where, delta=delta, obfuscation=padding)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Release the recogniser."""
        if self._recogniser is not None:
            await self._recogniser.aclose()
