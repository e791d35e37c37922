"""Several agents in one call, of whom one speaks: who they are, and how the conversation passes from one to the next.

    team = [
        Agent("desk", "Find out what the caller needs, then hand over."),
        Agent("billing", "You settle invoices.", tools=[refund], voice="marin", description="invoices, refunds"),
    ]

Each member has a tool `handoff` with the names of those it may hand over to. A call of it moves along this table
(`Floor`, which is pure):

the floor is   input                              becomes      answer to the call
held           handoff to a member                passing      a result that asks for no response
held           handoff to nobody, to oneself,
               in words that do not fit           held         a problem that the model can read
held           another handoff by the response
               that made the last one             held         a problem that asks for no response: the first one holds
passing        any handoff                        passing      likewise
passing        done                               held, by
                                                  the next
passing        failed                             held, as
                                                  before       a note for the one who holds it
any            a call that was told before        same         what it was answered then
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from voicebridge.contract.commands import SendText, SendToolResult
from voicebridge.contract.config import SessionConfig, Tool, checked
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import ToolCall
from voicebridge.contract.session import Backend
from voicebridge.pool.key_pool import KeyPool

from .candidate import OWN_SETTINGS, config_fields
from .toolbox import Toolbox

__all__ = ["HANDOFF", "Agent", "Floor", "Handoff", "Team"]

HANDOFF = "handoff"
"""The name of the tool."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REMEMBERED = 100
"""Handoffs whose answers are known after they were given."""


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """One member of a team. Each is only equal to itself.

    Raises:
        ConfigError: a field does not fit.
    """

    name: str
    """For the others, and for the models: letters, digits, `_` and `-`, 64 at most."""
    instructions: str | None = None
    """None: those of the call."""
    tools: Iterable[Callable[..., Any] | Tool] = ()
    """Functions, run as `voicebridge.connect` says. A `Tool` is left to the application."""
    voice: str | None = None
    """None: the call's voice; on a backend of its own, that backend's."""
    backend: str | Backend | None = None
    """A spec string or a `Backend`. None: that of the call."""
    description: str = field(default="", kw_only=True)
    """What it is for: the others read it when they choose whom to hand over to."""
    handoffs: Iterable[str] | None = field(default=None, kw_only=True)
    """The names of those it may hand over to. None: all others; empty: nobody."""
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Any other field of `SessionConfig` (`speed`, `turns`, ...), and the backend's own options. `api_key` may be a
    `KeyPool`."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"An agent's name has 1 to 64 letters, digits, '_' and '-', for example 'billing', not {self.name!r}.",
                code="bad_agent",
            )
        for given in ("tools", "handoffs"):
            value = getattr(self, given)
            if isinstance(value, str) or not (value is None or isinstance(value, Iterable)):
                raise self._problem(f"{given} is a list, not {type(value).__name__}")
        object.__setattr__(self, "tools", tuple(self.tools or ()))
        object.__setattr__(self, "handoffs", None if self.handoffs is None else tuple(self.handoffs))
        object.__setattr__(self, "options", dict(self.options))
        if own := sorted(self.options.keys() & {"name", "instructions", "tools", "voice", "backend"}):
            raise self._problem(f"{own[0]} is a field of its own, and no option")
        if kept := sorted(self.options.keys() & {"input_format", "output_format"}):
            raise self._problem(f"{kept[0]} is the whole call's: give it to voicebridge.connect")
        if isinstance(key := self.options.get("api_key"), str):
            object.__setattr__(self, "options", {**self.options, "api_key": SecretStr(key)})  # it may be shown
        pooled = {"api_key": None} if isinstance(key, KeyPool) else {}
        checked({"instructions": self.instructions, "voice": self.voice, **self.settings, **pooled})

    @property
    def settings(self) -> dict[str, Any]:
        """Its options as fields of `SessionConfig`."""
        return config_fields(self.options)

    def _problem(self, words: str) -> ConfigError:
        return ConfigError(f"The agent {self.name!r} can't be used: {words}.", code="bad_agent")


class Team:
    """The agents of a call.

    Args:
        agents: the one who begins first.
        tools: what all of them have.

    Raises:
        ConfigError: there is none, two have one name, one may hand over to nobody known, or a tool can't be used.
    """

    def __init__(self, agents: Iterable[Agent], *, tools: Iterable[Callable[..., Any] | Tool] = ()) -> None:
        self._agents: dict[str, Agent] = {}
        for agent in _listed(agents):
            if agent.name in self._agents:
                raise ConfigError(f"Two agents are called {agent.name!r}.", code="bad_team")
            self._agents[agent.name] = agent
        if not self._agents:
            raise ConfigError("A team has at least one Agent.", code="bad_team")
        shared = tuple(tools)
        self._partners = {name: self._partners_of(agent) for name, agent in self._agents.items()}
        options = {name for agent in self._agents.values() for name in agent.settings}
        self._set_by_members = sorted(options | {"instructions", "voice", "tools"})
        self._toolboxes = {name: self._made(agent, shared) for name, agent in self._agents.items()}

    @property
    def agents(self) -> tuple[Agent, ...]:
        """All of them."""
        return tuple(self._agents.values())

    @property
    def first(self) -> Agent:
        """Who begins."""
        return next(iter(self._agents.values()))

    def named(self, name: str) -> Agent:
        """The member of that name.

        Raises:
            ConfigError: there is none.
        """
        if agent := self._agents.get(name):
            return agent
        raise ConfigError(f"There is no agent {name!r}. There are: {', '.join(self._agents)}.", code="bad_agent")

    def partners_of(self, agent: Agent) -> tuple[Agent, ...]:
        """Those it may hand over to."""
        return self._partners[agent.name]

    def toolbox_of(self, agent: Agent) -> Toolbox:
        """Its functions, and the tool `handoff` where there is somebody to hand over to."""
        return self._toolboxes[agent.name]

    def patch_for(
        self, agent: Agent, call: SessionConfig, backend: str | Backend, keys: KeyPool | None = None
    ) -> dict[str, Any]:
        """What `Configure` gets when this one speaks. Every field that any member sets is there, so that nothing of
        the one before it stays; what does not change, the session may leave out.

        Args:
            call: the settings of the whole call, for what this one does not say.
            backend: that of the whole call. `backend` is in the patch where a member has one of its own.
            keys: the pool of the whole call.
        """
        at_home = agent.backend is None or agent.backend == backend
        bare = SessionConfig()
        said = agent.settings | {"tools": self.toolbox_of(agent).tools}
        said |= {} if agent.instructions is None else {"instructions": agent.instructions}
        said |= {} if agent.voice is None else {"voice": agent.voice}
        if at_home and "options" in said:
            said["options"] = {**call.options, **said["options"]}
        patch: dict[str, Any] = {}
        for name in self._set_by_members:
            # A voice or a model of the call's backend means nothing to another one.
            default = call if at_home or name not in OWN_SETTINGS else bare
            patch[name] = said[name] if name in said else getattr(default, name)
            if name == "api_key" and name not in said and at_home:
                patch[name] = keys or patch[name]
        if any(one.backend is not None for one in self._agents.values()):
            patch["backend"] = backend if agent.backend is None else agent.backend
        return patch

    def _partners_of(self, agent: Agent) -> tuple[Agent, ...]:
        if agent.handoffs is None:
            return tuple(one for one in self._agents.values() if one is not agent)
        if agent.name in agent.handoffs:
            raise ConfigError(f"The agent {agent.name!r} can't hand over to itself.", code="bad_team")
        for name in agent.handoffs:
            if name not in self._agents:
                raise ConfigError(
                    f"The agent {agent.name!r} may hand over to {name!r}, who is not in the team. "
                    f"There are: {', '.join(self._agents)}.",
                    code="bad_team",
                )
        return tuple(self._agents[name] for name in dict.fromkeys(agent.handoffs))

    def _made(self, agent: Agent, shared: tuple[Callable[..., Any] | Tool, ...]) -> Toolbox:
        tools = (*agent.tools, *shared)
        partners = self._partners[agent.name]
        functions = [tool for tool in tools if not isinstance(tool, Tool)]
        others = [tool for tool in tools if isinstance(tool, Tool)]
        # Where the application answers nothing, an unknown name must be answered here, or the model would wait.
        sole = bool(functions) or not others
        return Toolbox(functions, others=others + ([_handoff_tool(partners)] if partners else []), sole=sole)


def _listed(agents: Iterable[Agent]) -> list[Agent]:
    if isinstance(agents, Agent | str) or not isinstance(agents, Iterable):
        raise ConfigError(f"A team is a list of Agents, not {type(agents).__name__}.", code="bad_team")
    listed = list(agents)
    for agent in listed:
        if not isinstance(agent, Agent):
            raise ConfigError(f"A team is made of Agents: {type(agent).__name__} is none.", code="bad_team")
    return listed


def _handoff_tool(partners: tuple[Agent, ...]) -> Tool:
    told = "\n".join(f"- {one.name}{': ' + one.description if one.description else ''}" for one in partners)
    return Tool(
        name=HANDOFF,
        description=(
            "Hand the conversation over to another agent, who knows all that was said and speaks from then on. "
            f"Say nothing more after it. There are:\n{told}"
        ),
        parameters={
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": [one.name for one in partners], "description": "Who goes on."},
                "message": {"type": "string", "description": "What the next agent should know or do first."},
            },
            "required": ["agent"],
            "additionalProperties": False,
        },
    )


@dataclass(frozen=True, slots=True)
class Handoff:
    """One agent hands the conversation over to another."""

    call: ToolCall
    before: Agent
    to: Agent
    message: str
    """What the next one should know. It stands in the result, and so in the conversation that it is given."""
    result: SendToolResult
    """The answer to the call. It asks for no response: the next agent gives one."""


class Floor:
    """Who of a team has the floor. Pure: the session makes the move, and says how it went.

    Args:
        agent: who has it at first. None: who begins in the team.
    """

    def __init__(self, team: Team, agent: Agent | None = None) -> None:
        self.team = team
        self.agent = agent or team.first
        """Who has it now. While it passes, the one before."""
        self.passing: Handoff | None = None
        """The move that is under way."""
        self._last: Handoff | None = None
        self._answers: OrderedDict[tuple[str, str], SendToolResult] = OrderedDict()
        """By the ids of response and call: another connection may use the id of a call for another one."""

    def read(self, call: ToolCall) -> Handoff | SendToolResult | None:
        """A move to make, the answer to a call that makes none, or None: the call is no handoff."""
        key = (call.response_id, call.call_id)
        if before := self._answers.get(key):
            return _answer(call, before.output, is_error=before.is_error, respond=False)
        if call.name != HANDOFF or not self.team.partners_of(self.agent):
            return None
        read = self._read(call)
        self._answers[key] = read.result if isinstance(read, Handoff) else read
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        if isinstance(read, Handoff):
            self.passing = self._last = read
        return read

    def done(self) -> Agent:
        """The next one has the floor."""
        assert self.passing is not None
        self.agent, self.passing = self.passing.to, None
        return self.agent

    def failed(self, why: str) -> SendText:
        """The next one can't be had. What the one who still has the floor is told, and should answer.

        Args:
            why: a sentence.
        """
        assert self.passing is not None
        name, self.passing, self._last = self.passing.to.name, None, None
        text = f"The conversation could not be handed over to {name}: {why} Go on yourself."
        return SendText(text=text, role="system")

    def _read(self, call: ToolCall) -> Handoff | SendToolResult:
        if taken := self.passing or (
            self._last if self._last and self._last.call.response_id == call.response_id else None
        ):
            return _answer(
                call, f"The conversation was handed over to {taken.to.name} already.", is_error=True, respond=False
            )
        partners = {one.name: one for one in self.team.partners_of(self.agent)}
        there = f"You can hand over to: {', '.join(partners)}."
        try:
            given = json.loads(call.arguments)
            name, message = given["agent"], given.get("message") or ""
        except (ValueError, TypeError, KeyError, AttributeError):
            form = json.dumps({"agent": next(iter(partners)), "message": "..."})
            return _answer(call, f"The arguments do not fit. Write for example {form}. {there}", is_error=True)
        if name == self.agent.name:
            return _answer(call, f"You are {name} yourself: go on. {there}", is_error=True)
        if not isinstance(name, str) or name not in partners:
            return _answer(call, f"There is no agent {name!r} to hand over to. {there}", is_error=True)
        message = message if isinstance(message, str) else json.dumps(message)
        told = f"{name} speaks from here on." + (f" What {name} should know: {message}" if message else "")
        return Handoff(call, self.agent, partners[name], message, _answer(call, told, respond=False))


def _answer(call: ToolCall, output: str, *, is_error: bool = False, respond: bool = True) -> SendToolResult:
    return SendToolResult(call_id=call.call_id, output=output, is_error=is_error, respond=respond)
