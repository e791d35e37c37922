"""The managed session over the simulator, through all that a network and a vendor do to a call."""

from __future__ import annotations

from voicebridge.contract.events import ResponseEnded, SessionRestarted

from .managed_call import WatchedServer, call


async def test_a_conversation_without_any_fault() -> None:
    server = WatchedServer(pace=20)
    async with call(server) as talk:
        await talk.say()
        first = await talk.next(ResponseEnded)
        assert first.status == "completed"
        await talk.say()
        await talk.next(ResponseEnded, 2)
    assert not talk.all(SessionRestarted)
    assert talk.words(first.response_id) == "You said: this is turn 1"
    assert len(server.lines) == 1
