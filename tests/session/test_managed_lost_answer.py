"""An answer that went down with its connection: what the next one is told of it."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Interrupt, ReportPlayed
from voicebridge.contract.events import OutputAudio, OutputText, ResponseStarted
from voicebridge.contract.items import MessageItem
from voicebridge.session.history_store import MemoryHistoryStore

from .lines import Line, Lines
from .managed_call import call, virtually


@pytest.mark.parametrize("stopped", [None, "before", "after"])
@pytest.mark.parametrize("reports", [False, True])
def test_it_knows_what_will_have_been_heard(stopped: str | None, reports: bool) -> None:
    """The application has all of it, and plays on, unless it was stopped."""

    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        backend = Lines([first, second])
        store = MemoryHistoryStore()
        async with call(backend, hears=False, history=store, conversation="monday") as person:
            first.tell(ResponseStarted(response_id="r1", cause="request"))
            first.tell(OutputText(response_id="r1", delta="One two three four."))
            first.tell(OutputAudio(response_id="r1", pcm=bytes(DOOR_FORMAT.size(2000)), offset_ms=0))
            await person.wait(OutputAudio)
            stop = Interrupt(response_id="r1", heard={"r1": 1000})
            if reports:
                await person.session.send(ReportPlayed(response_id="r1", ms=1000))
            if stopped == "before":
                await person.session.send(stop)
            first.end()
            if stopped == "after":
                await asyncio.sleep(0.01)  # nobody has the call
                await person.session.send(stop)
            await asyncio.sleep(1)
            cut = MessageItem(role="assistant", text="One two", interrupted=True)
            whole = MessageItem(role="assistant", text="One two three four.")
            assert backend.histories[-1] == (cut if stopped else whole,)
            assert [record.item for record in await store.load("monday")] == [cut if stopped else whole]

    test()
