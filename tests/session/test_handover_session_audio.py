"""A session that outlives its connections: the user's voice and commands reach a connection exactly once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import (
    Command,
    EndTurn,
    SendAudio,
    SendText,
)
from voicebridge.contract.events import (
    CommandSettled,
    SessionReady,
    SessionRestarted,
    UserTurn,
)

from .lines import (
    NETWORK,
    STREAM,
    Line,
    Refusal,
    bench,
    fates,
    final,
    say,
    settle,
    turn,
    virtually,
    voice,
)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=40),
    committed=st.floats(0, 1),
    cut=st.integers(0, 40),
    written=st.booleans(),
)
def test_the_next_connection_hears_every_sample_since_the_last_text(
    sizes: list[int], committed: float, cut: int, written: bool
) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second) as b:
            sent = 0
            for number, size in enumerate(sizes):
                if number == cut:
                    first.tell(turn("t1", "committed", committed_ms := DOOR_FORMAT.ms(int(sent * committed) // 2 * 2)))
                    first.tell(*[final("t1", "Hello")] * written)
                    await settle()
                    first.end()
                await b.session.send(SendAudio(pcm=STREAM[sent : sent + size]))
                sent += size
                await asyncio.sleep(0.02)
            await settle(1)
            if cut >= len(sizes):
                assert first.audio == STREAM[: sent // 2 * 2], "half a sample waits for the other half"
            else:
                start = DOOR_FORMAT.size(committed_ms) if written else 0
                assert second.audio == STREAM[start : sent // 2 * 2]
                assert b.of(SessionRestarted)[0].lost_audio_ms == 0

    test()


@virtually
async def test_commands_keep_their_place_in_the_audio_through_two_failures() -> None:
    first, refused, broken, second = Line(), Refusal(NETWORK, 0.3), Line(ready=False), Line()
    async with bench(first, refused, broken, second) as b:
        await say(b.session, 0, 300)
        first.end()
        await settle()
        commands: list[Command] = []
        for number in range(8):
            await say(b.session, 300 + 100 * number, 400 + 100 * number)
            commands.append(EndTurn() if number % 2 else SendText(text=f"note {number}"))
            await b.session.send(commands[-1])
            if broken.dialled_at is not None:
                broken.end()
        await settle(3)
        assert broken.dialled_at is not None
        expected: list[bytes | Command] = [voice(0, 400)]
        for number, command in enumerate(commands):
            expected.append(command)
            if number < 7:
                expected.append(voice(400 + 100 * number, 500 + 100 * number))
        assert second.heard == expected
        assert fates(b) == {command.id: None for command in commands}
        assert b.backend.histories[-1] == (), "what is said again as a command is not told as history, too"
        assert len(b.of(SessionRestarted)) == 1


@virtually
async def test_first_words_survive_a_first_connection_that_fails() -> None:
    refused, line = Refusal(NETWORK, 0.5), Line()
    async with bench(refused, line) as b:
        await say(b.session, 0, 200)
        hello = SendText(text="Hello")
        await b.session.send(hello)
        await say(b.session, 200, 1000)
        await settle(1)
        assert line.heard == [voice(0, 200), hello, voice(200, 1000)]
        assert fates(b) == {hello.id: None}
        assert [type(event) for event in b.events if not isinstance(event, CommandSettled)] == [SessionReady]


@virtually
async def test_more_than_half_a_minute_is_lost_and_told() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 42_000)
        first.end()
        await settle(1)
        restarted = b.of(SessionRestarted)[0]
        heard_ms = DOOR_FORMAT.ms(len(second.audio))
        assert 30_000 <= heard_ms <= 31_100
        assert second.audio == voice(42_000 - heard_ms, 42_000)
        assert restarted.lost_audio_ms == pytest.approx(42_000 - heard_ms)
        second.tell(turn("t1", "committed", 20_000))
        await settle()
        assert b.of(UserTurn)[0].audio_ms == pytest.approx(42_000 - heard_ms + 20_000), "the lost part counts as well"


@virtually
async def test_what_was_lost_is_told_once_through_failures() -> None:
    first, second, third = Line(), Line(), Line()
    async with bench(first, Refusal(NETWORK, 2), Refusal(NETWORK, 2), second, third) as b:
        await say(b.session, 0, 42_000)
        first.end()
        await say(b.session, 42_000, 55_000)
        lost_ms = b.of(SessionRestarted)[0].lost_audio_ms
        assert second.audio == voice(lost_ms, 55_000)
        assert 11_000 < lost_ms < 17_000
        second.end()
        await settle(1)
        again_ms = b.of(SessionRestarted)[1].lost_audio_ms
        assert third.audio == voice(lost_ms + again_ms, 55_000)
        assert DOOR_FORMAT.ms(len(third.audio)) >= 30_000


@virtually
async def test_a_server_that_claims_to_have_heard_more_than_was_said() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 5_000)
        first.tell(turn("t1", "committed", 60_000), final("t1", "Hello"))
        await say(b.session, 5_000, 6_000)
        first.end()
        await settle(1)
        await say(b.session, 6_000, 7_000)
        assert b.of(SessionRestarted)[0].lost_audio_ms == 0
        assert second.audio == voice(6_000, 7_000)


@virtually
async def test_a_send_of_audio_that_is_cancelled_is_not_heard_twice() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        first.takes.clear()
        sent = 0
        with pytest.raises(TimeoutError):  # noqa: PT012 - it is the loop that runs out of time
            async with asyncio.timeout(1):
                while True:
                    await b.session.send(SendAudio(pcm=voice(sent, sent + 100)))
                    sent += 100
        first.end()
        await settle(1)
        await say(b.session, sent, sent + 500)
        assert second.audio == voice(0, sent + 500)


@virtually
async def test_a_send_of_audio_that_waits_when_the_connection_is_lost() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        first.takes.clear()

        async def speak() -> None:
            for at in range(0, 29_000, 100):
                await b.session.send(SendAudio(pcm=voice(at, at + 100)))

        speaking = asyncio.create_task(speak())
        await settle(1)
        assert not speaking.done()
        first.end()
        await settle(10)
        assert speaking.done()
        assert second.audio == voice(0, 29_000)
