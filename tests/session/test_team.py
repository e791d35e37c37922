"""Several agents in one call: who they are, what each is told, and who has the floor."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge import (
    BadOption,
    ConfigError,
    Configure,
    MessageItem,
    OutputText,
    Respond,
    ResponseEnded,
    SendText,
    SendToolResult,
    SessionConfig,
    Tool,
    ToolCall,
    ToolResultItem,
)
from voicebridge.session.team import Agent, Floor, Handoff, Team
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend


def refund(invoice: str) -> str:
    """Give the money for an invoice back."""
    return f"refunded {invoice}"


def hours() -> str:
    """When the shop is open."""
    return "always"


DESK = Agent("desk", "Find out what it is about.", voice="alloy", description="the first to speak to")
BILLING = Agent("billing", "You settle invoices.", [refund], description="invoices, refunds")
REPAIR = Agent("repair", "You repair.", handoffs=["desk"], options={"speed": 1.2})


def team(**options: Any) -> Team:
    return Team([DESK, BILLING, REPAIR], **options)


def handoff(arguments: Any, *, call_id: str = "k1", response_id: str = "r1", name: str = "handoff") -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(response_id=response_id, call_id=call_id, name=name, arguments=text)


# ---------------------------------------------------------------------- who they are


def test_the_first_begins_and_members_are_found_by_name() -> None:
    assert team().first is DESK
    assert team().agents == (DESK, BILLING, REPAIR)
    assert team().named("repair") is REPAIR
    with pytest.raises(ConfigError, match="desk, billing, repair"):
        team().named("sales")


def test_the_tool_names_those_who_can_go_on_and_what_they_are_for() -> None:
    [tool] = team().toolbox_of(DESK).tools
    assert tool.name == "handoff"
    assert "- billing: invoices, refunds\n- repair" in tool.description
    schema = json.loads(json.dumps(tool.parameters))
    assert schema["properties"]["agent"]["enum"] == ["billing", "repair"]
    assert schema["required"] == ["agent"]
    assert set(schema["properties"]) == {"agent", "message"}


def test_a_member_hands_over_to_those_it_may_and_one_alone_to_nobody() -> None:
    [tool] = team().toolbox_of(REPAIR).tools
    assert tool.parameters["properties"]["agent"]["enum"] == ["desk"]
    assert Team([DESK]).toolbox_of(DESK).tools == ()
    last = Agent("last", handoffs=())
    assert Team([DESK, last]).toolbox_of(last).tools == ()


def test_functions_come_before_the_handoff_and_shared_ones_are_everybodys() -> None:
    made = team(tools=[hours])
    assert [tool.name for tool in made.toolbox_of(BILLING).tools] == ["refund", "hours", "handoff"]
    assert [tool.name for tool in made.toolbox_of(DESK).tools] == ["hours", "handoff"]
    assert made.toolbox_of(BILLING).has("refund")
    assert not made.toolbox_of(BILLING).has("handoff")  # the session's own


def test_a_name_that_nobody_has_is_answered_unless_the_application_answers_calls() -> None:
    assert team().toolbox_of(DESK).has("weather")
    made = Team([Agent("one", tools=[Tool(name="lookup")]), DESK])
    assert not made.toolbox_of(made.first).has("weather")
    assert not made.toolbox_of(made.first).has("lookup")


@pytest.mark.parametrize(
    ("agents", "told"),
    [
        ([], "at least one"),
        ([DESK, DESK], "Two agents are called 'desk'"),
        (DESK, "a list of Agents"),
        ("desk", "a list of Agents"),
        (None, "a list of Agents"),
        ([DESK, "billing"], "str is none"),
        ([Agent("one", handoffs=["two"])], "'two', who is not in the team"),
        ([Agent("one", handoffs=["one"])], "to itself"),
        ([DESK, Agent("one", tools=[Tool(name="handoff")])], "Two tools are called 'handoff'"),
        ([DESK, Agent("one", tools=[refund, refund])], "Two tools are called 'refund'"),
        ([DESK, Agent("one", tools=[lambda a: a])], "function with a name"),
    ],
)
def test_what_can_be_no_team_is_refused(agents: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Team(agents)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": ""}, "name"),
        ({"name": "the desk"}, "name"),
        ({"name": 3}, "name"),
        ({"handoffs": "billing"}, "handoffs is a list"),
        ({"tools": refund}, "tools is a list"),
        ({"voice": 3}, "voice"),
        ({"options": {"voice": "alloy"}}, "voice is a field of its own"),
        ({"options": {"input_format": None}}, "voicebridge.connect"),
        ({"options": {"speed": "fast"}}, "speed"),
    ],
)
def test_what_can_be_no_agent_is_refused(fields: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Agent(**{"name": "one", **fields})


def test_a_wrong_setting_is_a_bad_option() -> None:
    with pytest.raises(BadOption):
        Agent("one", options={"speed": 99})


# ---------------------------------------------------------------------- what each is told

CALL = SessionConfig(instructions="Be kind.", voice="sage", speed=0.9, model="m1", options={"region": "eu"})


def test_a_member_without_a_voice_has_the_calls_and_not_that_of_the_one_before() -> None:
    made = team()
    desk, billing, repair = (made.patch_for(agent, CALL, "vendor/m1") for agent in made.agents)
    assert [patch["voice"] for patch in (desk, billing, repair)] == ["alloy", "sage", "sage"]
    assert [patch["speed"] for patch in (desk, billing, repair)] == [0.9, 0.9, 1.2]
    assert billing["instructions"] == "You settle invoices."
    assert [tool.name for tool in billing["tools"]] == ["refund", "handoff"]
    assert set(desk) == set(billing) == set(repair) == {"instructions", "voice", "tools", "speed"}
    assert CALL.patched(billing).voice == "sage"  # each is a patch that fits
    assert made.patch_for(Agent("desk"), CALL, "vendor/m1")["instructions"] == "Be kind."


def test_a_member_on_another_backend_takes_nothing_along_that_only_the_calls_backend_knows() -> None:
    far = Agent("far", backend="other/m2", options={"tone": "warm"})
    near = Agent("near", backend="vendor/m1", options={"region": "us"})
    made = Team([DESK, far, near])
    desk, far_patch, near_patch = (made.patch_for(agent, CALL, "vendor/m1") for agent in made.agents)
    assert [patch["backend"] for patch in (desk, far_patch, near_patch)] == ["vendor/m1", "other/m2", "vendor/m1"]
    assert [patch["voice"] for patch in (desk, far_patch, near_patch)] == ["alloy", None, "sage"]
    assert [patch["options"] for patch in (desk, far_patch, near_patch)] == [
        {"region": "eu"},
        {"tone": "warm"},
        {"region": "us"},
    ]
    assert far_patch["instructions"] == "Be kind."


def test_options_may_be_given_by_their_own_names_or_as_options() -> None:
    one = Agent("one", options={"tone": "warm", "options": {"pace": 2}, "speed": 1.5})
    assert one.settings == {"speed": 1.5, "options": {"pace": 2, "tone": "warm"}}
    assert Team([one]).patch_for(one, CALL, "x")["options"] == {"region": "eu", "pace": 2, "tone": "warm"}


# ---------------------------------------------------------------------- who has the floor


def test_a_handoff_is_answered_without_a_response_and_passes_the_floor_once_it_is_done() -> None:
    floor = Floor(team())
    read = floor.read(handoff({"agent": "billing", "message": "Invoice 7 is wrong."}))
    assert isinstance(read, Handoff)
    assert (read.before, read.to, read.message) == (DESK, BILLING, "Invoice 7 is wrong.")
    assert (read.result.call_id, read.result.respond, read.result.is_error) == ("k1", False, False)
    assert "billing speaks from here on" in read.result.output
    assert "Invoice 7 is wrong." in read.result.output
    assert floor.agent is DESK
    assert floor.passing is read
    assert floor.done() is BILLING
    assert (floor.agent, floor.passing) == (BILLING, None)
    back = floor.read(handoff({"agent": "desk"}, call_id="k2", response_id="r2"))
    assert isinstance(back, Handoff)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"agent": "sales"}, "no agent 'sales'"),
        ({"agent": "desk"}, "You are desk yourself"),
        ({"agent": ["billing"]}, "no agent"),
        ({"agent": None}, "no agent"),
        ({"who": "billing"}, "do not fit"),
        ("billing", "do not fit"),
        ("", "do not fit"),
        ("[1]", "do not fit"),
        ('"x"', "do not fit"),
        ("null", "do not fit"),
    ],
)
def test_what_is_no_handoff_is_answered_in_words(arguments: Any, told: str) -> None:
    floor = Floor(team())
    read = floor.read(handoff(arguments))
    assert isinstance(read, SendToolResult)
    assert (read.is_error, read.respond) == (True, True)
    assert told in read.output
    assert "billing, repair" in read.output
    assert (floor.agent, floor.passing) == (DESK, None)


def test_other_tools_and_handoffs_of_one_who_has_nobody_are_none_of_its_business() -> None:
    assert Floor(team()).read(handoff({}, name="refund")) is None
    assert Floor(Team([DESK])).read(handoff({"agent": "billing"})) is None


def test_one_who_may_not_hand_over_to_a_member_is_told_to_whom_it_may() -> None:
    read = Floor(team(), REPAIR).read(handoff({"agent": "billing"}))
    assert isinstance(read, SendToolResult)
    assert "You can hand over to: desk." in read.output


@pytest.mark.parametrize("done", [False, True])
def test_of_two_handoffs_in_one_response_the_first_holds(done: bool) -> None:
    floor = Floor(team())
    floor.read(handoff({"agent": "billing"}))
    if done:
        floor.done()
    second = floor.read(handoff({"agent": "repair"}, call_id="k2"))
    assert isinstance(second, SendToolResult)
    assert (second.call_id, second.is_error, second.respond) == ("k2", True, False)
    assert "billing already" in second.output


def test_a_handoff_that_is_told_again_is_answered_again_and_made_once() -> None:
    floor = Floor(team())
    first = floor.read(handoff({"agent": "billing"}))
    floor.done()
    again = floor.read(handoff({"agent": "billing"}))
    assert isinstance(first, Handoff)
    assert isinstance(again, SendToolResult)
    assert (again.output, again.respond) == (first.result.output, False)
    assert again.id != first.result.id
    assert floor.agent is BILLING
    repeated = floor.read(handoff({"agent": "billing"}, response_id="g2.r1"))  # by another connection
    assert isinstance(repeated, SendToolResult)
    assert "You are billing yourself" in repeated.output
    other = floor.read(handoff({"agent": "desk"}, response_id="g2.r2"))  # another call, by the same name
    assert isinstance(other, Handoff)


def test_one_who_keeps_the_floor_is_told_why_and_may_try_again() -> None:
    floor = Floor(team())
    floor.read(handoff({"agent": "billing"}))
    note = floor.failed("The backend is busy.")
    assert (note.role, note.respond) == ("system", True)
    assert "billing: The backend is busy. Go on" in note.text
    assert (floor.agent, floor.passing) == (DESK, None)
    assert isinstance(floor.read(handoff({"agent": "repair"}, call_id="k2")), Handoff)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["desk", "billing", "repair", "x"]), st.booleans())))
def test_whatever_is_called_one_has_the_floor_and_each_call_is_answered(ops: list[tuple[str, str, bool]]) -> None:
    floor = Floor(team())
    for number, (call_id, to, works) in enumerate(ops):
        read = floor.read(handoff({"agent": to}, call_id=call_id, response_id=f"r{number}"))
        assert read is not None
        if isinstance(read, Handoff):
            assert read.to in floor.team.partners_of(floor.agent)
            before = floor.agent
            if works:
                floor.done()
            else:
                floor.failed("No.")
            assert floor.agent is (read.to if works else before)
        assert floor.passing is None


# ---------------------------------------------------------------------- with a session


def test_the_next_one_speaks_with_its_own_settings_and_knows_what_was_said() -> None:
    async def script() -> None:
        made = team()
        floor, call = Floor(made), SessionConfig(voice="sage")
        calls = (Call("handoff", '{"agent": "billing", "message": "Invoice 7."}'),)
        backend = ScriptedBackend(Reply("One moment.", calls=calls), "Billing here.")
        words, ended = "", 0
        async with backend.connect(call.patched(made.patch_for(made.first, call, "x"))) as session:
            await session.send(SendText(text="My invoice is wrong."))
            async for event in session:
                if isinstance(event, ToolCall) and isinstance(read := floor.read(event), Handoff):
                    await session.send(read.result)
                    await session.send(Configure(patch=made.patch_for(read.to, call, "x")))
                    floor.done()
                    await session.send(Respond())
                elif isinstance(event, OutputText):
                    words += event.delta
                elif isinstance(event, ResponseEnded):
                    ended += 1
                    if ended == 2:
                        break
            assert words.endswith("Billing here.")
            assert (session.config.voice, session.config.instructions) == ("sage", "You settle invoices.")
            [result] = [item for item in session.conversation if isinstance(item, ToolResultItem)]
            assert "Invoice 7." in result.output
            await asyncio.sleep(60)
            said = [item for item in session.conversation if isinstance(item, MessageItem) and item.role == "assistant"]
            assert [item.text for item in said] == ["One moment.", "Billing here."]  # nobody answers the handoff itself

    run_in_virtual_time(script())
