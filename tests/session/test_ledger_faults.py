"""The audio ledger of a call whose connections fail, against what their servers really got, sample by sample."""

from __future__ import annotations

import asyncio
import random

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Frame
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.lines import load
from voicebridge.core.retry import RetryPolicy

from .lines import NETWORK, STREAM, Line, Refusal, bench, final, say, settle, turn, virtually

FRAME = DOOR_FORMAT.frame_bytes
WATERMARK_S = 2.0
"""By so much the ledger may claim less than is true: a second between two pings, and what is sent behind the last."""


class Server(Line):
    """A line that counts what it got, until it goes deaf: what is written after that reaches nobody."""

    def __init__(self, got: bytearray) -> None:
        super().__init__()
        self.got = got
        self.deaf = False
        self.heard_ms = 0.0
        """How much of what was sent to it it heard."""
        self._place = 0
        self.on_frame = self._count

    def _count(self, frame: Frame) -> None:
        command = load(frame) if '"send_audio"' in str(frame)[:40] else None
        if self.deaf or not isinstance(command, SendAudio):
            return
        size = len(command.pcm)
        if STREAM[self._place : self._place + size] != command.pcm:
            self._place = STREAM.index(command.pcm)
        self.got[self._place // FRAME : (self._place + size) // FRAME] = b"\1" * (size // FRAME)
        self._place += size
        self.heard_ms += DOOR_FORMAT.ms(size)

    async def vanish(self, after_s: float) -> None:
        """The network swallows everything, and after a while that is noticed."""
        self.deaf, self.answers_pings = True, False
        await asyncio.sleep(after_s)
        self.end()


@pytest.mark.parametrize("seed", range(40))
def test_the_ledger_tells_no_more_than_the_truth(seed: int) -> None:
    @virtually
    async def call() -> None:
        chance = random.Random(seed)
        got = bytearray(len(STREAM) // FRAME)
        servers = [Server(got) for _ in range(4)]
        outage = [Refusal(NETWORK, after_s=chance.choice([0.05, 9.0])) for _ in range(chance.choice([0, 1, 6]))]
        lines: list[Line | Refusal] = [servers[0], *outage, *servers[1:]]
        policy = RetryPolicy(tries=20, deadline_s=300)
        async with bench(*lines, policy=policy) as call:
            talk = asyncio.create_task(say(call.session, 0, 90_000))
            for number, server in enumerate(servers[:-1]):
                await asyncio.sleep(chance.uniform(1, 15))
                if server.heard_ms and chance.random() < 0.5:
                    name = f"t{number}"
                    server.tell(turn(name, "speech", server.heard_ms / 2), turn(name, "committed", server.heard_ms))
                    server.tell(final(name, "hello"))
                    await settle()
                await server.vanish(chance.choice([0.0, 0.5, 3.0]))
            await talk
            before = call.session.account()
            assert before.balanced, str(before)
            servers[-1].deaf = chance.random() < 0.5
            if servers[-1].deaf:
                servers[-1].answers_pings = False
            await say(call.session, 90_000, 91_000)
        account = call.session.account()
        assert account.closed
        assert account.balanced, str(account)
        assert account.input.captured == DOOR_FORMAT.size(91_000) // FRAME
        true = sum(got)
        dropped = sum(account.input.dropped.values())
        assert account.input.delivered <= true, str(account)
        assert account.input.captured - true <= dropped, "what nobody got was told"
        too_much = DOOR_FORMAT.size(WATERMARK_S * 1000) // FRAME * len(servers)
        assert dropped - (account.input.captured - true) <= too_much, str(account)

    call()


@virtually
async def test_what_grew_too_old_while_nobody_listened_is_dropped_as_such() -> None:
    got = bytearray(len(STREAM) // FRAME)
    first, second = Server(got), Server(got)
    outage = [Refusal(NETWORK, after_s=8.0) for _ in range(6)]
    async with bench(first, *outage, second, policy=RetryPolicy(tries=20, deadline_s=300)) as call:
        first.end()
        await settle()
        await say(call.session, 0, 70_000)
    account = call.session.account()
    assert account.balanced, str(account)
    lost = account.input.dropped["too_old"]
    assert lost > 24_000, str(account)
    assert lost + sum(got) == account.input.captured
