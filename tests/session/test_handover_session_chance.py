"""A session that outlives its connections, whatever happens: each sample and each command arrives, and once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.codec import Timeouts
from voicebridge.contract.commands import Command, EndTurn, Respond, SendAudio, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled, SessionReady, SessionRestarted
from voicebridge.core.retry import RetryPolicy
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import NETWORK, STREAM, ULAW, Bench, Line, Refusal, bench, final, settle, turn, virtually

Plan = Literal["ready", "slow", "stuck", "refused"]
Step = int | Literal["text", "end", "drop", "drop and wait", "wait", "ready", "commit", "final"]
"""A number is of samples that the user says."""
CAPABILITIES = replace(LINE_CAPABILITIES, formats_in=(DOOR_FORMAT, ULAW))
PATIENT = RetryPolicy(deadline_s=1e6, tries=10_000, most_drops=10_000)
STEPS = st.lists(
    st.integers(1, 20_000)
    | st.sampled_from(["text", "end", "drop", "drop and wait", "drop and wait", "wait", "ready", "commit", "final"]),
    min_size=20,
    max_size=60,
)
WRITING = st.lists(st.sampled_from(["ready", "slow", "slow", "refused"]), min_size=3, max_size=8)
PLANS = WRITING | st.lists(st.sampled_from(["ready", "slow", "stuck", "refused"]), max_size=8)


@dataclass
class Server:
    """One connection, and which of the user's turns it has told."""

    line: Line
    ready: bool
    over: bool = False
    turns: list[tuple[int, bool]] = field(default_factory=list)
    """Of each: where in this connection's audio it ended, and whether its text is known."""

    def safe_bytes(self) -> int:
        return max((end for end, written in self.turns if written), default=0)


class World:
    """Drives a session, and knows what must have arrived."""

    def __init__(self, plans: list[Plan], format: AudioFormat) -> None:
        self.format = format
        first = Line(ready=False, format=format)
        self.dials: list[Line | Refusal] = [first]
        for plan in plans:
            self.dials.append(Refusal(NETWORK, 0.02) if plan == "refused" else self._line(plan != "slow"))
        self.dials += [self._line() for _ in range(70)]
        ready = [True, *[plan == "ready" for plan in plans], *[True] * 70]
        self.may_fail = "stuck" in plans
        """What was given to a connection that writes nothing is lost with it, and that is told."""
        self.servers = [
            Server(line, is_ready) for line, is_ready in zip(self.dials, ready, strict=True) if isinstance(line, Line)
        ]
        for plan, dial in zip(plans, self.dials[1:], strict=False):
            if plan == "stuck" and isinstance(dial, Line):
                dial.takes.clear()
        first.say(first.ready_line)
        self.sent = 0
        self.given: list[tuple[int, Command]] = []

    def _line(self, ready: bool = True) -> Line:
        return Line(ready=ready, format=self.format)

    @property
    def last(self) -> Server:
        return [server for server in self.servers if server.line.dialled_at is not None][-1]

    async def step(self, b: Bench, step: Step) -> None:
        server = self.last
        if isinstance(step, int):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    size = step * self.format.frame_bytes
                    await b.session.send(SendAudio(pcm=STREAM[self.sent : self.sent + size]))
                    self.sent += size
        elif step in ("text", "end"):
            command = SendText(text=f"{len(self.given)}", respond=False) if step == "text" else EndTurn()
            self.given.append((self.sent, command))
            await b.session.send(command)
        elif step == "wait":
            await settle(1)
        elif server.over:
            return
        elif step in ("drop", "drop and wait"):
            server.over = True
            server.line.end()
            await settle(1 if step == "drop and wait" else 0)
        elif step == "ready" and not server.ready:
            server.ready = True
            if not server.line.takes.is_set():
                server.line.takes.set()
            else:
                server.line.say(server.line.ready_line)
        elif step == "commit" and server.ready:
            await settle(0.001)
            end = len(server.line.audio)
            server.line.tell(turn(f"t{len(server.turns)}", "committed", self.format.ms(end)))
            server.turns.append((end, False))
        elif step == "final":
            for number, (end, written) in enumerate(server.turns):
                if not written:
                    server.line.tell(final(f"t{number}", "words"))
                    server.turns[number] = (end, True)
                    break
        await settle(0.001)

    def check(self, b: Bench) -> None:
        start, arrived = 0, list[Command]()
        for server in self.servers:
            if server.line.dialled_at is None:
                continue
            at = start
            here = list[Command]()
            asked = [heard for heard in server.line.heard if isinstance(heard, Respond)]
            assert len(asked) <= 1, "an answer that is owed is asked for once"
            for heard in server.line.heard:
                if isinstance(heard, Respond):
                    continue
                if isinstance(heard, bytes):
                    assert heard == STREAM[at : at + len(heard)], "not the samples that come next"
                    at += len(heard)
                else:
                    place = next(place for place, command in self.given if command == heard)
                    assert at == max(place, start), "a command stands elsewhere in the audio"
                    here.append(heard)
            assert len({command.id for command in here}) == len(here), "a command arrives once"
            assert here == [command for _, command in self.given if command in here], "commands arrive in order"
            fresh = [command for command in here if command not in arrived]
            assert all(isinstance(command, EndTurn) for command in here if command not in fresh)
            arrived += fresh
            start += server.safe_bytes()
        assert at == self.sent, "the last connection has not heard the end"
        told = [event.command_id for event in b.of(CommandSettled)]
        assert sorted(told) == sorted(command.id for _, command in self.given), "each command has one fate"
        failed = {event.command_id for event in b.of(CommandSettled) if event.fault}
        tolerance = self.format.size(20)
        places = {command.id: place for place, command in self.given}
        ends = [one for one in arrived if isinstance(one, EndTurn) and places[one.id] > tolerance]
        if not any(server.turns for server in self.servers):
            assert all(end in here for end in ends), "a turn that is heard again ends again"
        assert self.may_fail or not failed
        lost = [command for _, command in self.given if command not in arrived]
        assert {command.id for command in lost} <= failed, "what did not arrive has failed"
        order = [command for _, command in self.given if command in arrived]
        assert arrived == order, "commands arrive in order"
        assert len(b.of(SessionReady)) == 1
        assert all(event.lost_audio_ms == 0 for event in b.of(SessionRestarted))


@settings(max_examples=150, deadline=None)
@given(STEPS, PLANS, st.sampled_from([DOOR_FORMAT, ULAW]))
def test_whatever_happens(steps: list[Step], plans: list[Plan], format: AudioFormat) -> None:
    @virtually
    async def test() -> None:
        world = World(plans, format)
        config = SessionConfig(input_format=format)
        patience = {"policy": PATIENT, "timeouts": Timeouts(connect_s=None, first_output_s=None)}
        async with bench(*world.dials, capabilities=CAPABILITIES, config=config, **patience) as b:
            for step in steps:
                await world.step(b, step)
            for _ in range(20):
                await world.step(b, "ready")
                await settle(3)
            world.check(b)
            assert not b.over

    test()
