"""A team in one call through the door: in place, by a handover, on backends of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge import Event, Item, MessageItem, OutputText, SendText, SessionRestarted, ToolResultItem
from voicebridge.session.team import Agent
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

TO_BILLING = Call("handoff", '{"agent": "billing", "message": "Invoice 7."}')
TO_DESK = Call("handoff", '{"agent": "desk"}')
NO_LIVE_VOICE = replace(SCRIPTED_CAPABILITIES, live_update=frozenset({"instructions", "tools"}))


async def refund(invoice: int) -> str:
    """Give money back."""
    return f"refunded {invoice}"


def in_call(
    script: Callable[[Any, list[Event]], Awaitable[None]], agents: list[Agent], backend: ScriptedBackend, **options: Any
) -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            async with voicebridge.connect(backend, agents=agents, **options) as session:
                events: list[Event] = []

                async def listen() -> None:
                    async for event in session:
                        events.append(event)

                listening = asyncio.create_task(listen())
                await script(session, events)
            await listening

    run_in_virtual_time(main())


async def asked(session: Any, text: str) -> None:
    await session.send(SendText(text=text))
    await asyncio.sleep(60)


def words(events: list[Event]) -> list[str]:
    answers: dict[str, str] = {}
    for event in events:
        if isinstance(event, OutputText):
            answers[event.response_id] = answers.get(event.response_id, "") + event.delta
    return list(answers.values())


def first_or(then: str) -> Callable[[tuple[Item, ...]], Reply | str]:
    """Hands over in the first answer of a conversation, and says this in later ones."""
    return lambda said: then if len(said) > 2 else Reply("One moment.", calls=(TO_BILLING,))


def test_the_next_agent_speaks_with_its_own_settings_and_tools() -> None:
    async def script(session: Any, events: list[Event]) -> None:
        assert session.agent == "desk"
        await asked(session, "My invoice is wrong.")
        assert session.agent == "billing"
        assert words(events) == ["One moment.", "Billing here.", "It is done."]
        [served] = backend.sessions
        assert (served.config.voice, served.config.instructions) == ("marin", "You settle invoices.")

    refunds = Reply("Billing here.", calls=(Call("refund", '{"invoice": 7}'),))
    backend = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), refunds, "It is done.")
    desk = Agent("desk", "You are the desk.", voice="alloy")
    in_call(script, [desk, Agent("billing", "You settle invoices.", [refund], voice="marin")], backend)


def test_another_voice_takes_one_other_connection_which_knows_what_was_said() -> None:
    async def script(session: Any, events: list[Event]) -> None:
        await asked(session, "My invoice is wrong.")
        assert words(events) == ["One moment.", "Billing here."]
        assert len([event for event in events if isinstance(event, SessionRestarted)]) == 1
        before, after = backend.sessions
        assert (before.config.voice, after.config.voice) == ("alloy", "sage")
        said = [item.text for item in after.conversation if isinstance(item, MessageItem)]
        assert said == ["My invoice is wrong.", "One moment.", "Billing here."]

    backend = ScriptedBackend(first_or("Billing here."), capabilities=NO_LIVE_VOICE)
    in_call(script, [Agent("desk", voice="alloy"), Agent("billing")], backend, voice="sage")


def test_there_and_back_between_two_backends_with_the_key_of_each_and_all_that_was_said() -> None:
    async def script(session: Any, events: list[Event]) -> None:
        await asked(session, "My invoice is wrong.")
        await asked(session, "Thank you. Something else.")
        assert session.agent == "desk"
        assert words(events) == ["One moment.", "Billing here.", "Back to the desk.", "The desk again."]
        keys = [
            [one.config.api_key and one.config.api_key.get_secret_value() for one in b.sessions] for b in (near, far)
        ]
        assert keys == [["sk-near", "sk-near"], [None]]
        assert [[one.config.voice for one in backend.sessions] for backend in (near, far)] == [["sage", "sage"], [None]]
        results = [item.output for item in near.sessions[1].conversation if isinstance(item, ToolResultItem)]
        assert [result.partition(" ")[0] for result in results] == ["billing", "desk"]

    near = ScriptedBackend(first_or("The desk again."))
    far = ScriptedBackend("Billing here.", Reply("Back to the desk.", calls=(TO_DESK,)))
    in_call(script, [Agent("desk"), Agent("billing", backend=far)], near, voice="sage", api_key="sk-near")


def test_one_who_begins_on_a_backend_of_its_own_leaves_nothing_of_it_to_the_next() -> None:
    async def script(session: Any, events: list[Event]) -> None:
        await asked(session, "My invoice is wrong.")
        assert words(events) == ["One moment.", "Billing at home."]
        [served] = near.sessions
        assert (served.config.instructions, served.config.speed, served.config.voice) == ("Be kind.", None, "sage")
        assert served.config.api_key is not None

    near = ScriptedBackend("Billing at home.")
    far = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)))
    first = Agent("desk", "You are the desk.", backend=far, options={"speed": 1.2})
    options = {"voice": "sage", "instructions": "Be kind.", "api_key": "sk-near"}
    in_call(script, [first, Agent("billing")], near, **options)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"backend": "no-such/thing"}, "no backend 'no-such/thing'"),
        ({"options": {"nonsense": 1}}, "no option 'nonsense'"),
        ({"backend": ScriptedBackend(), "options": {"nonsense": 1}}, "no option 'nonsense'"),
        ({"backend": "local", "options": {"nonsense": 1}}, "no option 'nonsense'"),
        ({"options": {"turns": {"mode": "semantic"}}}, "can't find turns by 'semantic'"),
    ],
)
def test_what_is_wrong_with_a_later_agent_is_told_at_the_door(wrong: dict[str, Any], told: str) -> None:
    async def main() -> None:
        near = ScriptedBackend("Hello.")
        with pytest.raises(
            voicebridge.VoiceBridgeError, match=f"The agent 'billing' can't be used: .*{told}"
        ) as raised:
            async with voicebridge.connect(near, agents=[Agent("desk"), Agent("billing", **wrong)]):
                pass
        assert raised.value.category in ("config", "unsupported")
        assert not near.sessions, "nothing was dialled"

    run_in_virtual_time(main())
