"""A message of a response while it is made: deltas of text, or of transcript and audio."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pybase64

from .conversation import Entry
from .stage import Stage

if TYPE_CHECKING:
    from .response_run import ResponseRun

__all__ = ["MessageOutput"]


class MessageOutput:
    """One content part: `make` it, then `finish` it, cut off or not."""

    def __init__(self, run: ResponseRun, stage: Stage, entry: Entry, output_index: int) -> None:
        self._run = run
        self._stage = stage
        self._entry = entry
        self._speaks = run.request.modality == "audio"
        self._text = ""
        self._format = run.request.format
        self._delta_bytes = self._format.size(stage.options.delta_ms)
        self._pcm = bytearray()
        self._sent_ms = 0.0
        self._first_at: float | None = None
        self._where: dict[str, Any] = {
            "response_id": run.id,
            "item_id": entry.id,
            "output_index": output_index,
            "content_index": 0,
        }

    async def make(self, text: str) -> None:
        """Say the text, until it is said or the response is cancelled."""
        await self._send("response.content_part.added", part=self._part())
        self._entry.item["content"] = [self._content()]
        if self._speaks:
            await self._speak(text)
        else:
            for word in re.findall(r"\s*\S+|\s+$", text):
                if self._run.stopped:
                    break
                await self._write("response.output_text.delta", word)
                self._run.begun.set()
                await asyncio.sleep(0)

    async def finish(self) -> None:
        """Tell that the part is over. Also of a part that was cut off."""
        if self._speaks:
            await self._send("response.output_audio.done")
            await self._send("response.output_audio_transcript.done", transcript=self._text)
        else:
            await self._send("response.output_text.done", text=self._text)
        content = self._entry.item["content"][0]
        if not self._speaks:
            content["text"] = self._text
        elif not self._truncated:
            content["transcript"] = self._text
        await self._send("response.content_part.done", part=self._part())

    async def _speak(self, text: str) -> None:
        async with aclosing(self._stage.voice.speak(text, self._format, self._run.request.speed)) as pieces:
            # A voice may take its time: a cancel does not wait for it.
            while piece := await self._run.unless_stopped(anext(pieces, None)):
                if self._run.stopped:
                    break
                pcm, covered = piece
                if covered:
                    await self._write("response.output_audio_transcript.delta", covered)
                    if not self._truncated:
                        self._entry.heard += covered
                self._pcm += pcm
                while len(self._pcm) >= self._delta_bytes and not self._run.stopped:
                    await self._send_audio(self._delta_bytes)
        if self._pcm and not self._run.stopped:
            await self._send_audio(len(self._pcm))

    async def _send_audio(self, size: int) -> None:
        pcm = bytes(self._pcm[:size])
        del self._pcm[:size]
        await self._keep_pace()
        if self._run.stopped:
            return
        self._stage.session.spoken = True
        ms = self._format.ms(size)
        self._sent_ms += ms
        self._entry.made_ms += ms
        if not self._truncated:
            self._entry.audio_ms += ms
        length = {"audio_duration_ms": round(ms)} if self._stage.outbox.dialect.audio_duration else {}
        await self._send("response.output_audio.delta", delta=pybase64.b64encode(pcm).decode(), **length)
        self._run.stamp("first_audio")
        self._run.begun.set()

    async def _keep_pace(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._first_at is None:
            self._first_at = now
        pace = self._stage.options.pace
        due = self._first_at + self._sent_ms / 1000 / pace if pace else now
        await self._run.pause(due - now)

    async def _write(self, kind: str, delta: str) -> None:
        self._text += delta
        self._entry.made_text += delta
        await self._send(kind, delta=delta, obfuscation=self._stage.outbox.identifiers.obfuscation(delta))

    @property
    def _truncated(self) -> bool:
        """What is still to come of it was never heard: it does not become part of the conversation."""
        return self._speaks and self._entry.item["content"][0]["transcript"] is None

    def _part(self) -> dict[str, Any]:
        return {"type": "audio", "transcript": self._text} if self._speaks else {"type": "text", "text": self._text}

    def _content(self) -> dict[str, Any]:
        return {"type": "output_audio", "transcript": ""} if self._speaks else {"type": "output_text", "text": ""}

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._stage.outbox.send(kind, **self._where, **fields)
