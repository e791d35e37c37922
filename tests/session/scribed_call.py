"""A conversation that a scribe writes down, and a store that is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, SendText
from voicebridge.contract.events import (
    Event,
    OutputText,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.history import History
from voicebridge.core.history_record import AudioChunk, Record
from voicebridge.session.history_store import HistoryStore, MemoryHistoryStore
from voicebridge.session.scribe import Scribe

FORMAT = AudioFormat(encoding="ulaw", rate=8_000)
FRAME = b"\x7f" * 160
"""20 ms."""


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, *, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


class TroubledStore(MemoryHistoryStore):
    """A store that takes its time, and fails while it is told to."""

    def __init__(self, *, keeps_audio: bool = False, takes_s: float = 0.0) -> None:
        super().__init__(keeps_audio=keeps_audio)
        self.takes_s = takes_s
        self.failure: BaseException | None = None
        self.after_all = False
        """It fails after it wrote."""
        self.batches: list[int] = []
        """How many records each had."""
        self.at_once = 0

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
        *,
        writer: str | None = None,
    ) -> None:
        self.at_once += 1
        assert self.at_once == 1, "one batch after the other"
        try:
            await asyncio.sleep(self.takes_s)
            if self.failure and not self.after_all:
                raise self.failure
            await super().write(conversation, records, audio, forget, writer=writer)
            if records or audio or forget:
                self.batches.append(len(records))
            if self.failure:
                raise self.failure
        finally:
            self.at_once -= 1


class Call:
    """A conversation that is written down."""

    def __init__(self, store: HistoryStore, may_record: bool = True) -> None:
        self.store, self.faults = store, list[Fault]()
        self.chronicle = Chronicle()
        self.scribe = Scribe(
            store,
            "call",
            input_format=FORMAT,
            output_format=FORMAT,
            faulted=self.faults.append,
            may_record=may_record,
        )

    async def __aenter__(self) -> Call:
        self.chronicle = Chronicle(await self.scribe.resume())
        self.scribe.start(self.chronicle.changed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scribe.aclose()

    def tell(self, *told: Command | Event) -> None:
        for one in told:
            if isinstance(one, Command):
                self.chronicle.sent(one)
                self.scribe.sent(one)
            else:
                self.chronicle.happened(one)
                self.scribe.happened(one)

    async def stored(self) -> tuple[object, ...]:
        return History(await self.store.load("call")).items()


def write(number: int) -> SendText:
    return SendText(id=f"c{number}", text=f"text {number}")


def said(text: str, response: str = "r1") -> tuple[Event, ...]:
    return (
        ResponseStarted(response_id=response, cause="user"),
        OutputText(response_id=response, delta=text),
        ResponseEnded(response_id=response, status="completed"),
    )
