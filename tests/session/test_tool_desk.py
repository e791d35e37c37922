"""A team and its functions over sessions that change in place, or by a handover."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from voicebridge import (
    Capabilities,
    Command,
    CommandSettled,
    Configure,
    Event,
    Item,
    MessageItem,
    OutputText,
    ResponseEnded,
    SendText,
    SendToolResult,
    SessionConfig,
    ToolCall,
    Unsupported,
)
from voicebridge.session.team import Agent, Team
from voicebridge.session.tool_desk import ToolDesk
from voicebridge.session.toolbox import Toolbox
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend, ScriptedSession

TO_BILLING = Call("handoff", '{"agent": "billing", "message": "Invoice 7."}')
TO_DESK = Call("handoff", '{"agent": "desk"}')
NO_LIVE_VOICE = replace(SCRIPTED_CAPABILITIES, live_update=frozenset({"instructions", "tools"}))


async def refund(invoice: int) -> str:
    """Give money back."""
    return f"refunded {invoice}"


DESK = Agent("desk", "You are the desk.", voice="alloy")
BILLING = Agent("billing", "You settle invoices.", [refund], voice="marin")


class Line:
    """A session of backends by name, with a desk that is told its events. What can't be changed in place is changed by
    another connection, which is told what was said.
    """

    def __init__(self, team: Team | Toolbox, call: SessionConfig, backends: Mapping[str, ScriptedBackend]) -> None:
        self.backends = backends
        self.events: list[Event] = []
        self.sent: list[Command] = []
        self.refused = ""
        self.faults: dict[type[Command], list[Exception]] = {}
        """What the next ones of a kind raise."""
        self.name = next(iter(backends))
        self._stack = AsyncExitStack()
        self._readers: list[asyncio.Task[None]] = []
        patch = team.patch_for(team.first, call, self.name) if isinstance(team, Team) else {"tools": team.tools}
        patch.pop("backend", None)
        self.opened = call.patched(patch)
        self.desk = ToolDesk(self, team, call, self.name)

    async def dial(self, config: SessionConfig, history: Sequence[Item] = ()) -> None:
        self.session = await self._stack.enter_async_context(self.backends[self.name].connect(config, history))
        self._readers.append(asyncio.create_task(self._read(self.session)))

    async def _read(self, session: ScriptedSession) -> None:
        async for event in session:
            if isinstance(event, ToolCall):
                assert self.desk.told(event, session)
            elif not self.desk.told(event, session):
                self.events.append(event)

    async def aclose(self) -> None:
        await self.desk.aclose()
        await self._stack.aclose()
        await asyncio.gather(*self._readers)

    @property
    def capabilities(self) -> Capabilities:
        return self.session.capabilities

    def settings(self) -> Mapping[str, Any]:
        return {name: getattr(self.session.config, name) for name in SessionConfig.model_fields} | {
            "backend": self.name
        }

    async def send(self, command: Command) -> None:
        self.sent.append(command)
        if faults := self.faults.get(type(command)):
            raise faults.pop(0)
        if isinstance(command, Configure) and self.refused:
            raise Unsupported(self.refused)
        if isinstance(command, Configure) and not set(command.patch) <= self.capabilities.live_update:
            patch, before = dict(command.patch), self.session
            self.name = patch.pop("backend", self.name)
            await before.aclose()
            await self.dial(before.config.patched(patch), before.conversation)
            assert self.desk.told(CommandSettled(command_id=command.id))
        else:
            await self.session.send(command)

    def served(self, name: str) -> list[ScriptedSession]:
        return self.backends[name].sessions

    @property
    def words(self) -> list[str]:
        """What was said, answer by answer."""
        answers: list[str] = [""]
        for event in self.events:
            if isinstance(event, OutputText):
                answers[-1] += event.delta
            elif isinstance(event, ResponseEnded):
                answers.append("")
        return answers[:-1]

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def on_line(script: Callable[[Line], Awaitable[None]], team: Team | Toolbox, **backends: ScriptedBackend) -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            line = Line(team, SessionConfig(voice="sage"), backends)
            await line.dial(line.opened)
            await script(line)
            await line.aclose()

    run_in_virtual_time(main())


async def asked(line: Line, text: str, after_s: float = 120) -> None:
    await line.session.send(SendText(text=text))
    await asyncio.sleep(after_s)


def test_functions_are_run_and_what_the_desk_sends_is_nobody_elses_business() -> None:
    async def script(line: Line) -> None:
        await asked(line, "Please.")
        assert line.words == ["Wait.", "Done."]
        assert len(line.all(CommandSettled)) == 1  # of our own text
        assert line.desk.agent is None
        assert not line.desk._own  # all of it is settled and forgotten

    replies = Reply("Wait.", calls=(Call("refund", '{"invoice": 7}'),)), "Done."
    on_line(script, Toolbox([refund]), only=ScriptedBackend(*replies))


def test_what_can_be_changed_in_place_is_and_the_next_one_speaks_at_once() -> None:
    async def script(line: Line) -> None:
        await asked(line, "My invoice is wrong.")
        assert line.words == ["One moment.", "Billing here.", "It is done."]
        [session] = line.served("only")
        assert (session.config.voice, session.config.instructions) == ("marin", "You settle invoices.")
        assert line.desk.agent is BILLING
        assert len(line.all(ResponseEnded)) == 3
        assert len(line.all(CommandSettled)) == 1

    refunds = Reply("Billing here.", calls=(Call("refund", '{"invoice": 7}'),))
    backend = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), refunds, "It is done.")
    on_line(script, Team([DESK, BILLING]), only=backend)


def test_a_voice_that_can_not_be_changed_in_place_takes_another_connection_which_knows_what_was_said() -> None:
    async def script(line: Line) -> None:
        await asked(line, "My invoice is wrong.")
        assert line.words == ["One moment.", "Billing here."]
        before, after = line.served("only")
        assert (before.config.voice, after.config.voice) == ("alloy", "marin")
        said = [item.text for item in after.conversation if isinstance(item, MessageItem)]
        assert said == ["My invoice is wrong.", "One moment.", "Billing here."]

    def reply(conversation: tuple[Item, ...]) -> Reply | str:
        return "Billing here." if len(conversation) > 1 else Reply("One moment.", calls=(TO_BILLING,))

    on_line(script, Team([DESK, BILLING]), only=ScriptedBackend(reply, capabilities=NO_LIVE_VOICE))


def test_what_is_so_already_needs_no_other_connection() -> None:
    async def script(line: Line) -> None:
        await asked(line, "My invoice is wrong.")
        assert line.words == ["One moment.", "Billing here."]
        [session] = line.served("only")
        assert (session.config.voice, session.config.instructions) == ("alloy", "You settle invoices.")

    backend = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), "Billing here.", capabilities=NO_LIVE_VOICE)
    on_line(script, Team([DESK, Agent("billing", "You settle invoices.", voice="alloy")]), only=backend)


def test_another_backend_is_told_every_setting_though_the_last_one_had_the_same() -> None:
    async def script(line: Line) -> None:
        await asked(line, "My invoice is wrong.")
        [change] = [command for command in line.sent if isinstance(command, Configure)]
        assert set(change.patch) == {"backend", "instructions", "tools", "voice"}
        assert (change.patch["backend"], change.patch["voice"]) == ("far", "alloy")

    near = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)))
    team = Team([DESK, Agent("billing", voice="alloy", backend="far")])
    on_line(script, team, near=near, far=ScriptedBackend("Billing here."))


def test_members_on_backends_of_their_own_go_there_and_come_back() -> None:
    async def script(line: Line) -> None:
        await asked(line, "My invoice is wrong.")
        assert line.words == ["One moment.", "Billing here."]
        assert line.name == "far"
        await asked(line, "Thank you. Something else.")
        assert line.words[2:] == ["Back to the desk.", "The desk again."]
        assert line.name == "near"
        assert [session.config.voice for session in line.served("near")] == ["sage", "sage"]
        assert [session.config.voice for session in line.served("far")] == [None]

    def near(conversation: tuple[Item, ...]) -> Reply | str:
        return "The desk again." if len(conversation) > 1 else Reply("One moment.", calls=(TO_BILLING,))

    far = ScriptedBackend("Billing here.", Reply("Back to the desk.", calls=(TO_DESK,)))
    team = Team([Agent("desk", "You are the desk."), Agent("billing", backend="far")])
    on_line(script, team, near=ScriptedBackend(near), far=far)


def test_two_who_differ_in_nothing_that_the_session_is_set_to_still_take_turns() -> None:
    async def script(line: Line) -> None:
        await asked(line, "Go on.")
        assert line.words == ["One moment.", "Billing here."]
        assert line.desk.agent is not None
        assert line.desk.agent.name == "billing"

    team = Team(
        [
            Agent("desk", handoffs=["billing"]),
            Agent("spare"),
            Agent("billing", handoffs=["billing2"]),
            Agent("billing2"),
        ]
    )
    on_line(script, team, only=ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), "Billing here."))


@pytest.mark.parametrize("calls", [(TO_BILLING, TO_DESK), (TO_BILLING, TO_BILLING)])
def test_of_two_handoffs_in_one_response_the_first_holds(calls: tuple[Call, ...]) -> None:
    async def script(line: Line) -> None:
        await asked(line, "Go on.")
        assert line.words == ["One moment.", "Billing here."]
        assert line.desk.agent is BILLING

    on_line(script, Team([DESK, BILLING]), only=ScriptedBackend(Reply("One moment.", calls=calls), "Billing here."))


def test_a_handoff_that_does_not_work_is_told_to_the_one_who_goes_on() -> None:
    async def script(line: Line) -> None:
        line.refused = "It is shut."
        await asked(line, "Go on.")
        assert line.words == ["One moment.", "Then I will do it."]
        assert line.desk.agent is DESK
        told = [item.text for item in line.served("only")[0].conversation if isinstance(item, MessageItem)]
        assert "The conversation could not be handed over to billing: It is shut. Go on yourself." in told

    backend = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), "Then I will do it.")
    on_line(script, Team([DESK, BILLING]), only=backend)


def test_the_end_of_the_session_in_the_middle_of_a_handoff_leaves_nothing() -> None:
    async def script(line: Line) -> None:
        await line.session.send(SendText(text="Go on."))
        await asyncio.sleep(1)
        [desk] = line.served("near")
        assert isinstance(desk.received[-1], SendToolResult)  # the handoff is answered, and the next one is called
        assert (line.name, line.words) == ("far", ["One moment."])

    far = ScriptedBackend("Billing here.", ready_s=60)
    team = Team([DESK, Agent("billing", backend="far")])
    on_line(script, team, near=ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,))), far=far)


@pytest.mark.parametrize("error", [Unsupported("No result is wanted now."), RuntimeError("a bug")], ids=["told", "bug"])
@pytest.mark.parametrize("kind", [SendToolResult, Configure])
def test_a_handoff_that_fails_stands_in_the_way_of_no_other(kind: type[Command], error: Exception) -> None:
    async def script(line: Line) -> None:
        line.faults[kind] = [error]
        await asked(line, "My invoice is wrong.")
        assert line.desk.agent is DESK
        told = [one.text for one in line.sent if isinstance(one, SendText)]
        assert [text.partition(":")[0] for text in told] == ["The conversation could not be handed over to billing"]
        await asked(line, "Try again.")
        assert line.desk.agent is BILLING

    once_more = Reply("Once more.", calls=(TO_BILLING,))
    backend = ScriptedBackend(Reply("One moment.", calls=(TO_BILLING,)), "I can't.", once_more, "Billing here.")
    on_line(script, Team([DESK, BILLING]), near=backend)
