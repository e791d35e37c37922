"""How turns are treated is changed while a call runs: the session's own machines follow."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import Configure, SendText
from voicebridge.contract.events import Interruption, OutputHeard, ResponseEnded, ResponseStarted, SessionRestarted
from voicebridge.contract.fault import Fault
from voicebridge.testing.script import Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from .managed_call import call, virtually

STORY = "One two three four five six seven eight nine ten."


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("stops", [True, False])
def test_whether_the_user_stops_the_agent(stops: bool, live: bool) -> None:
    @virtually
    async def test() -> None:
        backend = ScriptedBackend(Reply(STORY, word_s=0.3))
        begins = {"silence_ms": 200, "auto_interrupt": not stops}
        async with call(backend, turns=begins) as user:
            change = {"turns": {**begins, "auto_interrupt": stops}} | ({} if live else {"speed": 1.5})
            await user.session.send(Configure(patch=change))
            await asyncio.sleep(1)
            await user.session.send(SendText(text="Tell me a story."))
            await user.until(ResponseStarted)
            await user.pause(800)
            await user.speak(400)
            await user.pause(5000)
            assert ("interrupt" in [one.action for one in user.all(Interruption)]) == stops
            heard = user.all(OutputHeard)[0]
            assert (heard.text == STORY) != stops

    test()


@virtually
async def test_who_is_to_answer_only_when_asked_does_so_over_the_next_connection_as_well() -> None:
    lost = Fault(category="network", code="lost", message="It is gone.", retryable=True)
    backend = ScriptedBackend("Hello.", moments=((4.0, lost),))
    async with call(backend) as user:
        await user.session.send(Configure(patch={"turns": {"silence_ms": 200, "auto_respond": False}}))
        await asyncio.sleep(2)
        await user.speak(400)
        await user.pause(1000)
        await asyncio.sleep(3)
        backend.script = ScriptedBackend("Hello.").script
        await user.until(SessionRestarted)
        await asyncio.sleep(3)
        assert not user.all(ResponseStarted)
        assert not user.all(ResponseEnded)
