"""A session that outlives its connections in a storm: losses, renewals, swaps and failovers in any order.

What must hold whatever happens: each sample reaches a connection that carried the call, or is told as lost; none
reaches one connection twice; each command has one fate; a turn that is ended by hand ends in its place on every
connection that hears it; each answer ends once; the account of the audio claims nothing that no server has.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Timeouts
from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.retry import RetryPolicy
from voicebridge.session.candidate import Candidate
from voicebridge.session.handover_session import handing_over
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import NETWORK, STREAM, Bench, Line, Lines, Refusal, final, settle, turn, virtually

PATIENT = Timeouts(connect_s=None, first_output_s=None, acknowledge_s=None, between_outputs_s=None, total_s=None)
POLICY = RetryPolicy(deadline_s=1e6, tries=10_000, most_drops=10_000)
SEEDS = 200
MUTE = replace(LINE_CAPABILITIES, context="none")


class Server(Line):
    """A connection with a server that talks."""

    def __init__(self, *, ready: bool) -> None:
        super().__init__(ready=ready)
        self.is_ready = ready
        self.over = False
        self.turns = 0
        self.open_turn: str | None = None
        self.responses = 0
        self.running: str | None = None
        self.start: int | None = None
        """Where in the user's voice the first byte that it heard is."""
        self.answered = 0
        """Requests that it has answered."""
        self.ended = 0
        """Turns that it has ended since it was told to."""
        self.settled: set[str] = set()
        self.unwritten: list[str] = []
        """Turns of which it has not told the words."""

    @property
    def is_asked(self) -> bool:
        asks = (isinstance(one, Respond) or getattr(one, "respond", False) for one in self.commands)
        return sum(asks) > self.answered

    @property
    def ends(self) -> list[tuple[int, Command]]:
        """What it was told of the ends of turns, and after how much audio."""
        ends, heard = [], 0
        for one in self.heard:
            if isinstance(one, bytes):
                heard += len(one)
            elif isinstance(one, EndTurn | DiscardTurn):
                ends.append((heard, one))
        return ends

    def settle(self) -> None:
        """Say that what it was told so far is done."""
        new = [one.id for one in self.commands if one.id not in self.settled]
        self.settled.update(new)
        self.tell(*(CommandSettled(command_id=one) for one in new))

    @property
    def alive(self) -> bool:
        return self.dialled_at is not None and not self.over and not self.closed_by_client

    def get_ready(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self.say(self.ready_line)

    def drop(self) -> None:
        self.over = True
        self.end()


@dataclass
class Fleet(Lines):
    """A backend with as many connections as it takes: some slow, some refused."""

    chance: random.Random = field(default_factory=random.Random)
    servers: list[Server] = field(default_factory=list)
    calm: bool = False

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        kind = "ready" if self.calm else self.chance.choice(["ready", "ready", "ready", "slow", "refused"])
        if kind == "refused":
            self.lines.append(Refusal(NETWORK, 0.02))
        else:
            server = Server(ready=kind == "ready")
            self.servers.append(server)
            self.lines.append(server)
        return super().connect(config, history, resume)


class Storm:
    """One call, and all that happens to it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.fleets = [self._fleet(), self._fleet()]
        self.sent = 0
        self.commands: list[Command] = []
        self.places: dict[str, int] = {}
        """How much of the user's voice came before a turn was ended."""
        self.b: Bench

    def _fleet(self) -> Fleet:
        capabilities = LINE_CAPABILITIES if self.chance.random() < 0.8 else MUTE
        settles = self.chance.random() < 0.5
        return Fleet([], chance=self.chance, timeouts=PATIENT, capabilities=capabilities, settles=settles)

    @property
    def servers(self) -> list[Server]:
        return sorted(
            (server for fleet in self.fleets for server in fleet.servers if server.dialled_at is not None),
            key=lambda server: server.dialled_at or 0.0,
        )

    async def run(self) -> None:
        config = SessionConfig()
        candidates = [Candidate.of(fleet, config) for fleet in self.fleets[: self.chance.choice([1, 2])]]
        async with handing_over(config, candidates, Chronicle(), policy=POLICY, chance=self.chance.random) as session:
            self.b = Bench(session, self.fleets[0])
            reader = asyncio.create_task(self.b.read())
            for _ in range(self.chance.randint(20, 70)):
                await self.step()
                self.check_account()
            await self.calm_down()
            self.check_audio()
            self.check_ends()
            assert not self.b.over
        await reader
        self.check_events()
        account = session.account()
        assert account.closed
        assert account.input.pending == 0
        assert account.input.captured == account.input.delivered + sum(account.input.dropped.values())
        assert account.input.captured == self.sent // 2

    async def step(self) -> None:
        chance, session = self.chance, self.b.session
        what = chance.choice(
            ["say"] * 6
            + ["serve"] * 8
            + ["text", "hello", "ask", "swap", "voice", "live", "wait", "wait", "drop", "ends", "ready", "cut", "stop"]
            + ["done", "done", "end", "end", "discard"]
        )
        alive = [server for server in self.servers if server.alive]
        if what == "say":
            size = 2 * chance.randint(1, 6_000)
            await session.send(SendAudio(pcm=STREAM[self.sent : self.sent + size]))
            self.sent += size
        elif what == "text":
            await self.send(SendText(text=f"note {len(self.commands)}", respond=False))
        elif what == "hello":
            await self.send(SendText(text=f"hello {len(self.commands)}"))
        elif what == "ask":
            await self.send(Respond())
        elif what in ("end", "discard"):
            end = EndTurn(respond=chance.random() < 0.7) if what == "end" else DiscardTurn()
            self.places[end.id] = self.sent
            await self.send(end)
        elif what == "swap" and len(self.fleets) < 5:
            self.fleets.append(self._fleet())
            await self.send(Configure(patch={"backend": Candidate.of(self.fleets[-1], SessionConfig())}))
        elif what == "voice":
            await self.send(Configure(patch={"voice": f"voice {len(self.commands)}"}))
        elif what == "live":
            await self.send(Configure(patch={"instructions": f"Be {len(self.commands)}."}))
        elif what == "wait":
            await settle(chance.choice([0.05, 0.5, 3.0, 12.0]))
        elif what == "cut":
            await session.send(ReportPlayed(response_id="r1", ms=1))
            await self.send(Interrupt())
        elif what == "stop":
            lost = [one.response_id for one in self.b.of(ResponseEnded) if one.status == "lost"]
            await self.send(Interrupt(response_id=lost[-1] if lost else "r1"))
        elif alive:
            self.serve(chance.choice(alive[-2:]), what)
        await settle(chance.choice([0, 0, 0.001, 0.02]))

    async def send(self, command: Command) -> None:
        self.commands.append(command)
        await self.b.session.send(command)

    def serve(self, server: Server, what: str) -> None:
        if what == "drop":
            server.drop()
        elif what == "ends":
            server.tell(SessionNotice(expires_in_s=self.chance.choice([4.0, 40.0])))
        elif what == "ready":
            server.get_ready()
        elif what == "done" and server.is_ready:
            server.settle()
        elif server.is_ready:
            self.talk(server)

    def talk(self, server: Server) -> None:
        at_ms = DOOR_FORMAT.ms(len(server.audio))
        if len(server.ends) > server.ended:
            self.end_turn(server)
            return
        if server.running is not None:
            name, server.running = server.running, self.chance.choice([server.running, None])
            server.tell(OutputAudio(response_id=name, pcm=bytes(960), offset_ms=0))
            if server.running is None:
                server.tell(ResponseEnded(response_id=name, status="completed"))
        elif server.is_asked:
            server.answered += 1
            self.answer(server, ())
        elif server.open_turn is not None:
            name, server.open_turn = server.open_turn, None
            server.tell(turn(name, "committed", at_ms))
            if self.chance.random() < 0.7:
                server.tell(final(name, f"words of {name}"))
            self.answer(server, (name,))
        else:
            server.turns += 1
            server.open_turn = f"t{server.turns}"
            server.tell(turn(server.open_turn, "speech", at_ms))

    def end_turn(self, server: Server) -> None:
        place, end = server.ends[server.ended]
        server.ended += 1
        if server.open_turn is None:
            server.turns += 1
        name, server.open_turn = server.open_turn or f"t{server.turns}", None
        phase = "committed" if isinstance(end, EndTurn) else "discarded"
        server.tell(turn(name, phase, DOOR_FORMAT.ms(place), "client"))
        if phase == "committed" and self.chance.random() < 0.7:
            server.tell(final(name, f"words of {name}"))
        elif phase == "committed":
            server.unwritten.append(name)

    def answer(self, server: Server, answers: tuple[str, ...]) -> None:
        server.responses += 1
        server.running = f"r{server.responses}"
        server.tell(ResponseStarted(response_id=server.running, cause="user", answers=answers))

    async def calm_down(self) -> None:
        for fleet in self.fleets:
            fleet.calm = True
        for _ in range(30):
            for server in self.servers:
                if server.alive:
                    server.get_ready()
                    server.settle()
                    server.tell(*(final(name, f"words of {name}") for name in server.unwritten))
                    server.unwritten.clear()
                    for _ in range(8):
                        if server.running or server.open_turn or server.is_asked or len(server.ends) > server.ended:
                            self.talk(server)
            await settle(2)

    # What must hold

    def place(self, server: Server) -> tuple[int, int]:
        """Which part of the user's voice it has heard: all of it at once, or it has heard something twice."""
        heard = server.audio
        if not heard:
            return 0, 0
        if server.start is None and len(heard) >= 16:
            server.start = STREAM.find(heard[:16])
        start = STREAM.find(heard) if server.start is None else server.start
        assert STREAM.startswith(heard, max(start, 0)), (
            "it is one piece of what was said: nothing is missing in it, nothing is there twice"
        )
        return start, start + len(heard)

    def check_ends(self) -> None:
        for server in (one for one in self.servers if one.audio):
            start = self.place(server)[0]
            ends = [(place + start, end.id) for place, end in server.ends]
            # What was ended before all that it hears is ended at its beginning.
            due = [(max(self.places[name], start), name) for _, name in ends]
            assert ends == due, "turns end where they were ended"
            assert len({name for _, name in ends}) == len(ends), "and once"

    def check_account(self) -> None:
        ledger = self.b.session.ledger
        self.b.session.account()
        known = max((self.place(server)[1] for server in self.servers), default=0)
        assert ledger.watermark <= known, "it claims what no server has"
        for leg in self.b.session._legs.all.values():
            assert leg.delivered_place <= known

    def check_audio(self) -> None:
        covered = 0
        for start, end in sorted(self.place(server) for server in self.servers if server.audio):
            assert start <= covered, f"nobody has heard {covered} to {start}"
            covered = max(covered, end)
        assert covered == self.sent
        carrying = [server for server in self.servers if server.alive]
        assert len(carrying) == 1, "one is there, and nothing is left behind"
        if carrying[0].audio:
            assert self.place(carrying[0])[1] == self.sent, "it has heard the user to the end"

    def check_events(self) -> None:
        b = self.b
        fates = Counter(event.command_id for event in b.of(CommandSettled))
        assert fates == Counter(command.id for command in self.commands), "each command has one fate"
        assert len(b.of(SessionReady)) == 1
        assert all(one.lost_audio_ms == 0 for one in b.of(SessionRestarted))
        began, ended = set[str](), set[str]()
        turns = dict[str, str]()
        for event in b.events:
            if isinstance(event, ResponseStarted):
                assert event.response_id not in began
                began.add(event.response_id)
            elif isinstance(event, OutputAudio):
                assert event.response_id in began - ended, "after its end nothing of an answer is heard"
            elif isinstance(event, ResponseEnded):
                assert event.response_id in began - ended
                ended.add(event.response_id)
            elif isinstance(event, UserTurn):
                assert turns.get(event.turn_id) not in ("committed", "discarded")
                turns[event.turn_id] = event.phase
            elif isinstance(event, SessionRestarted):
                assert began == ended, "no answer of an earlier connection runs on"
                assert not [one for one, phase in turns.items() if phase == "speech"]
        assert began == ended


@pytest.mark.parametrize("block", range(SEEDS // 40))
def test_a_storm(block: int) -> None:
    @virtually
    async def test(seed: int) -> None:
        await Storm(seed).run()

    for seed in range(block * 40, block * 40 + 40):
        try:
            test(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
