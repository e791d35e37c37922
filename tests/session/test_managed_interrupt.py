"""An interruption by the application holds for a backend that can't be told to stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from voicebridge.contract.commands import Interrupt, Respond
from voicebridge.contract.events import CommandSettled, OutputAudio, OutputHeard
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from .bare import reading
from .lines import virtually


@virtually
async def test_a_backend_that_cant_be_told_is_silenced_all_the_same() -> None:
    can = replace(SCRIPTED_CAPABILITIES, interrupt=frozenset({"auto"}))
    backend = ScriptedBackend(Reply("One two three four five six.", word_s=0.3), capabilities=can)
    async with reading(backend) as (session, events):
        await session.send(Respond())
        await asyncio.sleep(0.7)
        interrupt = Interrupt()
        await session.send(interrupt)
        before = len(events)
        await asyncio.sleep(4)
        settled = [e for e in events if isinstance(e, CommandSettled) and e.command_id == interrupt.id]
        assert [e.fault for e in settled] == [None]
        assert len([e for e in events if isinstance(e, OutputHeard)]) == 1
        assert not any(isinstance(e, OutputAudio) for e in events[before:])
        assert not len(session._own)


@virtually
async def test_one_that_waits_for_the_connection_settles_well_too() -> None:
    can = replace(SCRIPTED_CAPABILITIES, interrupt=frozenset({"auto"}))
    async with reading(ScriptedBackend("Hello.", capabilities=can, ready_s=1.0)) as (session, events):
        interrupt = Interrupt()
        await session.send(interrupt)
        await asyncio.sleep(2)
        assert [e.fault for e in events if isinstance(e, CommandSettled)] == [None]
