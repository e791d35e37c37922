"""A whole agent on the native wire: what the user did not hear, the model forgets."""

from __future__ import annotations

import asyncio
from typing import Any

from voicebridge import (
    Event,
    OutputHeard,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    SimulatorSettings,
    UserTurn,
    VoiceAgent,
)
from voicebridge.registry.registry import registry
from voicebridge.testing.sound import ScriptedMicrophone, ScriptedSpeaker

LONG = "Let me tell you about the weather of the whole week, day by day, from Monday morning on to Sunday night."
SETTINGS = SimulatorSettings(
    options={"detector": "energy", "voice": "tone", "pace": 20, "replies": [LONG, "Of course."]}
)


async def test_a_user_who_breaks_in_cuts_the_answer_to_what_was_heard() -> None:
    events: list[Event] = []

    def started() -> list[ResponseStarted]:
        return [event for event in events if isinstance(event, ResponseStarted)]

    async def until(condition: Any) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"it never came; got {events}")

    async def breaks_in(user: ScriptedMicrophone) -> None:
        await user.say(0.6)
        await until(started)
        await asyncio.sleep(1.0)  # all of the answer is here by now, and a second of it was played
        await user.say(0.6)
        await until(lambda: len(started()) == 2)
        await until(lambda: sum(isinstance(event, ResponseEnded) for event in events) == 2)

    speaker = ScriptedSpeaker()
    async with registry().simulator("openai-realtime", SETTINGS).serve() as url:
        agent = VoiceAgent(
            backend="openai/gpt-realtime-2",
            base_url=url,
            api_key="any",
            turns={"silence_ms": 200},
            provider_events=True,
        )
        playing = asyncio.create_task(speaker.run())
        try:
            await agent.run(ScriptedMicrophone(breaks_in), speaker, on_event=events.append)
        finally:
            playing.cancel()

    first = started()[0].response_id
    [heard] = [event for event in events if isinstance(event, OutputHeard) and event.response_id == first]
    spoke_at = [event.at for event in events if isinstance(event, UserTurn) and event.phase == "speech"]
    played_s = spoke_at[1] - started()[0].at
    assert 0 < heard.heard_ms <= played_s * 1000 + 100
    assert LONG.startswith(heard.text.rstrip(".,"))
    assert len(heard.text) < len(LONG) / 2
    assert not any(isinstance(event, ProviderEvent) for event in events), "the wire said something unknown"
    assert speaker.given > 3 * speaker.format.size(heard.heard_ms)
