"""The link over a connection without a socket, in virtual time. Sockets: see test_wire.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.codec import Closed, Endpoint, Liveness, Timeouts
from voicebridge.contract.commands import EndTurn, Interrupt, ReportPlayed, Respond, SendAudio, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, SessionFailed, Unsupported, VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.lines import dump, load
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.line_codec import LineCodec, ready_line
from voicebridge.testing.memory_wire import MemoryWire
from voicebridge.transport.link import LinkSession, open_link

FRAME = b"\x01\x00" * 480
SECOND = b"\x01\x00" * 24_000
STARTED = dump(ResponseStarted(response_id="r", cause="user"))
COMPLETED = dump(ResponseEnded(response_id="r", status="completed"))


def audio(response_id: str = "r", ms: float = 20, offset_ms: float = 0) -> str:
    return dump(OutputAudio(response_id=response_id, pcm=b"\0" * DOOR_FORMAT.size(ms), offset_ms=offset_ms))


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in virtual time, and see that it leaves no task."""

    def run(**fixtures: Any) -> None:
        async def watched() -> None:
            await test(**fixtures)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run_in_virtual_time(watched())

    run.__name__ = test.__name__
    return run


@asynccontextmanager
async def linked(
    codec: LineCodec | None = None, *, ready: bool = True, **config: Any
) -> AsyncIterator[tuple[LinkSession, MemoryWire]]:
    wire = MemoryWire(*([ready_line()] if ready else []))
    async with open_link(codec or LineCodec(), SessionConfig(**config), dial=wire.dial) as session:
        if ready:
            assert isinstance(await anext(aiter(session)), SessionReady)
        yield session, wire
    assert wire.closed_by_client or wire.endpoint is None


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def kinds(wire: MemoryWire) -> list[str]:
    return [json.loads(frame)["type"] for frame in wire.written]


async def rest(session: LinkSession) -> tuple[list[Event], Fault | None]:
    """Every event until the end, and why it ended."""
    events: list[Event] = []
    try:
        async for event in session:
            events.append(event)
    except SessionFailed as error:
        return events, error.fault
    return events, None


@virtual
async def test_first_words_wait_in_order_until_the_backend_is_ready() -> None:
    async with linked(ready=False) as (session, wire):
        await session.send(SendAudio(pcm=FRAME))
        await session.send(SendText(text="one", respond=False))
        await session.send(SendAudio(pcm=FRAME))
        await session.send(EndTurn())
        await asyncio.sleep(1)
        assert wire.written == []
        wire.say(ready_line())
        await settle()
        assert kinds(wire) == ["send_audio", "send_text", "send_audio", "end_turn"]


@virtual
async def test_thirty_seconds_of_first_words_find_room_and_more_waits() -> None:
    async with linked(ready=False, codec=LineCodec(timeouts=Timeouts(connect_s=None))) as (session, wire):
        for _ in range(30):
            await session.send(SendAudio(pcm=SECOND))
        late = asyncio.create_task(session.send(SendAudio(pcm=FRAME)))
        await asyncio.sleep(1)
        assert not late.done()
        wire.say(ready_line())
        await asyncio.sleep(1)
        assert late.done()
        assert sum(len(json.loads(frame)["pcm"]) for frame in wire.written) * 3 // 4 == len(SECOND) * 30 + len(FRAME)


@virtual
async def test_a_command_that_fails_only_once_the_backend_is_ready_is_told_as_its_fate() -> None:
    class Picky(LineCodec):
        def encode(self, command: Any) -> Any:
            raise Unsupported("Not now.", command_id=command.id)

    async with linked(Picky(), ready=False) as (session, wire):
        command = SendText(text="x")
        await session.send(command)
        wire.say(ready_line())
        await anext(aiter(session))
        event = await anext(aiter(session))
        assert isinstance(event, CommandSettled)
        assert event.command_id == command.id
        assert event.fault is not None
        assert event.fault.category == "unsupported"


@pytest.mark.parametrize("ready", [True, False])
def test_what_a_backend_can_not_do_is_refused_at_once(ready: bool) -> None:
    async def main() -> None:
        async with linked(LineCodec(capabilities=Capabilities()), ready=ready) as (session, wire):
            with pytest.raises(Unsupported):
                await session.send(SendAudio(pcm=FRAME))
            await settle()
            assert wire.written == []

    run_in_virtual_time(main())


@virtual
async def test_a_codec_that_breaks_on_a_command_is_named_and_settles_nothing() -> None:
    class Broken(LineCodec):
        def encode(self, command: Any) -> Any:
            raise KeyError("x")

    async with linked(Broken()) as (session, _):
        with pytest.raises(VoiceBridgeError) as raised:
            await session.send(Respond())
        assert raised.value.fault.code == "codec_failed"
        await session.aclose()
        assert await rest(session) == ([], None)


@virtual
async def test_an_interruption_passes_audio_and_nothing_passes_a_commit() -> None:
    async with linked() as (session, wire):
        wire.takes.clear()
        await session.send(SendAudio(pcm=FRAME))  # the writer holds this one
        await settle()
        await session.send(SendAudio(pcm=FRAME))
        await session.send(EndTurn())
        await session.send(SendAudio(pcm=FRAME))
        await session.send(SendAudio(pcm=FRAME))
        await session.send(Interrupt())
        wire.takes.set()
        await settle()
        assert kinds(wire) == ["send_audio", "send_audio", "end_turn", "interrupt", "send_audio", "send_audio"]


@virtual
async def test_a_command_without_confirmation_settles_when_it_is_on_the_wire() -> None:
    async with linked() as (session, wire):
        wire.takes.clear()
        command = SendText(text="x", respond=False)
        await session.send(command)
        waiting = asyncio.create_task(anext(aiter(session)))
        await asyncio.sleep(1)
        assert not waiting.done()
        wire.takes.set()
        event = await waiting
        assert event == CommandSettled(command_id=command.id, basis="sent", at=event.at)


@virtual
async def test_a_second_settlement_and_one_of_an_unknown_command_are_dropped_and_counted() -> None:
    async with linked(LineCodec(settles=True)) as (session, wire):
        command = Respond()
        await session.send(command)
        settled = dump(CommandSettled(command_id=command.id))
        wire.say(settled, settled, dump(CommandSettled(command_id="stranger")))
        await settle()
        await session.aclose()
        events, _ = await rest(session)
        assert [event.command_id for event in events if isinstance(event, CommandSettled)] == [command.id]
        assert session.counts["settled_twice"] == 2


@virtual
async def test_back_pressure_is_felt_when_two_seconds_are_unconfirmed() -> None:
    async with linked() as (session, wire):
        wire.answers_pings = False
        sent_ms = 0
        try:
            async with asyncio.timeout(10):
                while True:
                    await session.send(SendAudio(pcm=FRAME))
                    await asyncio.sleep(0.02)
                    sent_ms += 20
        except TimeoutError:
            pass
        on_the_wire_ms = 20 * kinds(wire).count("send_audio")
        assert on_the_wire_ms == 2000
        assert sent_ms <= 3000  # that, and what the queue holds
        assert session.delivered_ms == 0
        wire.answers_pings = True
        wire.pings[-1].set_result(0.0)
        await asyncio.sleep(2)
        assert session.delivered_ms == 20 * kinds(wire).count("send_audio") > 2000


@virtual
async def test_only_a_pong_says_that_audio_has_arrived() -> None:
    async with linked() as (session, wire):
        wire.answers_pings = False
        await session.send(SendAudio(pcm=FRAME))
        await asyncio.sleep(1.5)
        await session.send(SendAudio(pcm=FRAME))
        await settle()
        assert (session.delivered_ms, session.unconfirmed_ms) == (0, 40)
        wire.pings[0].set_result(0.0)
        await settle()
        assert (session.delivered_ms, session.unconfirmed_ms) == (20, 20)


@virtual
async def test_the_last_audio_is_confirmed_without_more_of_it() -> None:
    async with linked() as (session, _):
        await session.send(SendAudio(pcm=FRAME))
        await session.send(SendAudio(pcm=FRAME))
        await asyncio.sleep(1.5)
        assert session.unconfirmed_ms == 0


@virtual
async def test_a_send_that_is_cancelled_while_it_waits_has_sent_nothing() -> None:
    async with linked() as (session, wire):
        wire.takes.clear()
        for _ in range(52):
            sending = asyncio.create_task(session.send(SendAudio(pcm=FRAME)))
            await settle()
        assert not sending.done()
        sending.cancel()
        ending = asyncio.create_task(session.send(EndTurn()))
        wire.takes.set()
        await asyncio.sleep(5)
        assert sending.cancelled()
        assert ending.done()
        assert kinds(wire) == ["send_audio"] * 51 + ["end_turn"]


@virtual
async def test_what_waits_for_room_keeps_its_place() -> None:
    async with linked() as (session, wire):
        wire.takes.clear()
        sending = [asyncio.create_task(session.send(SendAudio(pcm=FRAME))) for _ in range(60)]
        await settle()
        ending = asyncio.create_task(session.send(EndTurn()))
        await settle()
        assert not ending.done()
        await session.send(Interrupt())  # waits for nobody
        wire.takes.set()
        await asyncio.gather(*sending, ending)
        await settle()
        assert kinds(wire) == ["send_audio", "interrupt", *["send_audio"] * 59, "end_turn"]


@virtual
async def test_other_commands_find_a_bound_as_well() -> None:
    async with linked() as (session, wire):
        wire.takes.clear()
        taken = 0

        async def write() -> None:
            nonlocal taken
            while True:
                await session.send(SendText(text="x" * 100_000, respond=False))
                taken += 1

        writing = asyncio.create_task(write())
        await asyncio.sleep(1)
        assert 40 <= taken <= 50
        writing.cancel()
        wire.takes.set()
        await settle()
        await session.send(SendText(text="x", respond=False))


@virtual
async def test_a_peer_that_talks_but_reads_nothing_is_dead() -> None:
    async with linked(LineCodec(liveness=Liveness(dead_after_s=6))) as (session, wire):
        wire.answers_pings = False

        async def talk() -> None:
            while True:
                wire.say(dump(ProviderEvent(kind="ping")))
                await asyncio.sleep(1)

        async def speak() -> None:
            while True:
                await session.send(SendAudio(pcm=FRAME))
                await asyncio.sleep(0.02)

        busy = [asyncio.create_task(talk()), asyncio.create_task(speak())]
        _, fault = await rest(session)
        assert fault is not None
        assert fault.code == "silent"
        assert asyncio.get_running_loop().time() < 9
        for one in busy:
            one.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


@virtual
async def test_an_answer_that_was_asked_for_before_an_interruption_is_not_heard() -> None:
    async with linked(LineCodec(settles=True)) as (session, wire):
        asked = Respond()
        await session.send(asked)
        await session.send(Interrupt())
        wire.say(dump(ResponseStarted(response_id="r", cause="request", answers=(asked.id,))), audio())
        wire.say(dump(ResponseEnded(response_id="r", status="interrupted")))
        again = Respond()
        await session.send(again)
        wire.say(dump(ResponseStarted(response_id="s", cause="request", answers=(again.id,))), audio("s"))
        await settle()
        heard = []
        while not heard:
            event = await anext(aiter(session))
            heard += [event.response_id] if isinstance(event, OutputAudio) else []
        assert heard == ["s"]


@virtual
async def test_what_was_negotiated_counts() -> None:
    ulaw = AudioFormat(encoding="ulaw", rate=8000)
    async with linked(ready=False) as (session, wire):
        ready = load(ready_line())
        assert isinstance(ready, SessionReady)
        wire.say(dump(replace(ready, input_format=ulaw)))
        await settle()
        await session.send(SendAudio(pcm=b"\x55" * 800))
        await asyncio.sleep(2)
        assert session.delivered_ms == 100


@virtual
async def test_keys_that_a_server_repeats_are_hidden() -> None:
    key = "sk-CANARY-0123456789"

    class Keyed(LineCodec):
        def endpoint(self, config: SessionConfig) -> Endpoint:
            return Endpoint(url="ws://server.invalid", headers={"Authorization": f"Bearer {key}"})

    fault = Fault(category="auth", message=f"The key '{key}' is not good.")
    async with linked(Keyed()) as (session, wire):
        wire.say(dump(BackendError(fault=fault)), STARTED)
        wire.say(dump(ResponseEnded(response_id="r", status="failed", fault=fault)))
        await settle()
        await session.aclose()
        events, _ = await rest(session)
        assert len(events) == 3
        assert "CANARY" not in repr(events)


@virtual
async def test_ticks_do_not_make_nonsense_good() -> None:
    async with linked(LineCodec(ticks=True)) as (session, wire):
        for _ in range(30):
            wire.say("}{")
            await asyncio.sleep(0.2)
        _, fault = await rest(session)
        assert fault is not None
        assert fault.code == "undecodable"


@virtual
async def test_a_command_that_nothing_confirms_is_settled_with_a_fault() -> None:
    codec = LineCodec(settles=True, timeouts=Timeouts(acknowledge_s=3))
    async with linked(codec) as (session, _):
        command = SendText(text="note", respond=False)
        await session.send(command)
        settled = await anext(aiter(session))
        assert isinstance(settled, CommandSettled)
        assert settled.fault is not None
        assert settled.fault.code == "unacknowledged"
        assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.3)
        await session.send(Respond())


@virtual
async def test_an_ended_turn_that_nothing_answers_is_given_up() -> None:
    async with linked(LineCodec(timeouts=TIMEOUTS)) as (session, _):
        await session.send(EndTurn())
        assert await _fails(session, "no_response") == pytest.approx(3, abs=0.3)


@virtual
async def test_a_long_piece_of_audio_is_cut_and_whole() -> None:
    async with linked() as (session, wire):
        pcm = bytes(range(256)) * 500
        await session.send(SendAudio(pcm=pcm))
        await asyncio.sleep(5)
        pieces = [load(str(frame)) for frame in wire.written]
        assert b"".join(piece.pcm for piece in pieces if isinstance(piece, SendAudio)) == pcm
        assert len(pieces) > 10


@virtual
async def test_audio_is_counted_once_in_however_many_frames_it_goes() -> None:
    class InThree(LineCodec):
        def encode(self, command: Any) -> Any:
            [line] = super().encode(command)
            return [line, ProviderEvent(kind="note"), line, line]

    async with linked(InThree()) as (session, wire):
        await session.send(SendAudio(pcm=FRAME))
        await session.send(SendAudio(pcm=b""))
        await asyncio.sleep(1.5)
        assert session.delivered_ms == 20
        assert len(wire.written) == 3


@virtual
async def test_after_an_interruption_nothing_of_the_response_is_heard() -> None:
    async with linked() as (session, wire):
        wire.say(STARTED, audio(), audio(offset_ms=20))
        await settle()
        await session.send(Interrupt(response_id="r"))
        wire.say(audio(offset_ms=40), dump(ResponseEnded(response_id="r", status="interrupted")))
        await settle()
        await session.aclose()
        events, _ = await rest(session)
        assert not any(isinstance(event, OutputAudio) for event in events)
        assert sum(isinstance(event, ResponseEnded) for event in events) == 1
        assert session.counts["late_audio"] == 1


@virtual
async def test_another_response_is_still_heard_after_an_interruption_by_name() -> None:
    async with linked() as (session, wire):
        wire.say(STARTED, dump(ResponseStarted(response_id="s", cause="request")), audio("r"), audio("s"))
        await settle()
        await session.send(Interrupt(response_id="r"))
        wire.say(audio("r", offset_ms=20), audio("s", offset_ms=20))
        await settle()
        heard = []
        while len(heard) < 2:
            event = await anext(aiter(session))
            heard += [event.response_id] if isinstance(event, OutputAudio) else []
        assert heard == ["s", "s"]


@virtual
async def test_an_end_that_is_no_completion_purges_what_nobody_took() -> None:
    async with linked() as (session, wire):
        wire.say(STARTED, audio(), dump(ResponseEnded(response_id="r", status="interrupted")))
        await settle()
        await session.aclose()
        events, _ = await rest(session)
        assert [type(event) for event in events] == [ResponseStarted, ResponseEnded]


@virtual
async def test_what_starts_or_ends_twice_is_told_once() -> None:
    async with linked() as (session, wire):
        wire.say(STARTED, STARTED, COMPLETED, COMPLETED, audio())
        await settle()
        await session.aclose()
        events, _ = await rest(session)
        assert [type(event) for event in events] == [ResponseStarted, ResponseEnded]
        assert session.counts == {"started_twice": 1, "ended_twice": 1, "late_audio": 1}


@virtual
async def test_provider_events_come_only_where_they_are_wanted() -> None:
    line = dump(ProviderEvent(kind="vendor.news", payload={"a": 1}))
    for wanted in (False, True):
        async with linked(provider_events=wanted) as (session, wire):
            wire.say(line)
            await settle()
            await session.aclose()
            events, _ = await rest(session)
            assert bool(events) is wanted


@virtual
async def test_a_frame_that_means_nothing_is_dropped_alone() -> None:
    async with linked() as (session, wire):
        wire.say("}{", STARTED, b"\xff\xfe", COMPLETED)
        await settle()
        await session.aclose()
        events, fault = await rest(session)
        assert [type(event) for event in events] == [BackendError, ResponseStarted, BackendError, ResponseEnded]
        assert fault is None
        assert session.counts["undecodable"] == 2


@virtual
async def test_a_server_that_speaks_nothing_but_nonsense_is_given_up() -> None:
    async with linked() as (session, wire):
        wire.say(*["}{"] * 30)
        events, fault = await rest(session)
        assert fault is not None
        assert fault.category == "protocol"
        assert len(events) == 25
        assert [event.fatal for event in events if isinstance(event, BackendError)] == [False] * 24 + [True]


@virtual
async def test_a_fatal_error_of_the_codec_ends_the_session() -> None:
    async with linked() as (session, wire):
        wire.say(dump(BackendError(fault=Fault(category="quota", message="Used up."), fatal=True)))
        events, fault = await rest(session)
        assert len(events) == 1
        assert fault == Fault(category="quota", message="Used up.")


@virtual
async def test_the_end_settles_commands_and_ends_responses() -> None:
    async with linked(LineCodec(settles=True)) as (session, wire):
        first, second = SendText(text="a"), Respond()
        await session.send(first)
        await session.send(second)
        wire.say(STARTED, audio())
        await settle()
        wire.end(Closed(by="peer", code=1001, reason="Your time is up."))
        await settle()
        events, fault = await rest(session)
        assert fault is not None
        assert fault.category == "planned_end"
        assert "Your time is up" in fault.message
        assert [event.command_id for event in events if isinstance(event, CommandSettled)] == [first.id, second.id]
        [ended] = [event for event in events if isinstance(event, ResponseEnded)]
        assert ended.status == "lost"
        assert not any(isinstance(event, OutputAudio) for event in events)
        assert isinstance(events[-1], BackendError)
        with pytest.raises(SessionClosed):
            await session.send(Respond())
        with pytest.raises(SessionFailed):
            await anext(aiter(session))


@virtual
async def test_the_own_end_is_no_failure_and_may_come_twice() -> None:
    async with linked(LineCodec(settles=True)) as (session, wire):
        await session.send(Respond())
        await asyncio.gather(session.aclose(), session.aclose())
        events, fault = await rest(session)
        assert [type(event) for event in events] == [CommandSettled]
        assert fault is None
        assert wire.closed_by_client


@virtual
async def test_it_may_be_closed_while_it_dials() -> None:
    async def never(_: Endpoint) -> Any:
        await asyncio.Event().wait()

    async with open_link(LineCodec(), SessionConfig(), dial=never) as session:
        await session.send(SendAudio(pcm=FRAME))
        await asyncio.sleep(1)
    assert await rest(session) == ([], None)


@virtual
async def test_a_close_that_is_cancelled_goes_on() -> None:
    async with linked() as (session, wire):
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.sleep(3)
        assert wire.closed_by_client


@pytest.mark.parametrize("dials", [True, False])
def test_a_backend_that_does_not_get_ready_in_time_is_told_so(dials: bool) -> None:
    async def main() -> None:
        wire = MemoryWire()

        async def never(_: Endpoint) -> MemoryWire:
            await asyncio.Event().wait()
            raise AssertionError

        codec = LineCodec(timeouts=Timeouts(connect_s=3))
        async with open_link(codec, SessionConfig(), dial=wire.dial if dials else never) as session:
            _, fault = await rest(session)
            assert fault is not None
            assert (fault.category, fault.code, fault.retryable) == ("network", "timeout", True)
            assert asyncio.get_running_loop().time() == pytest.approx(3)

    run_in_virtual_time(main())


@virtual
async def test_a_socket_of_which_nothing_is_heard_is_dead() -> None:
    async with linked(LineCodec(liveness=Liveness(ping_interval_s=2, dead_after_s=6))) as (session, wire):
        wire.answers_pings = False
        _, fault = await rest(session)
        assert fault is not None
        assert fault.code == "silent"
        assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.5)


@virtual
async def test_pongs_or_frames_keep_it_alive() -> None:
    async with linked(LineCodec(liveness=Liveness(ping_interval_s=2, dead_after_s=6))) as (session, wire):
        await asyncio.sleep(60)
        assert 20 <= len(wire.pings) <= 35
        wire.answers_pings = False
        for _ in range(20):
            wire.say(dump(ProviderEvent(kind="ping")))
            await asyncio.sleep(3)
        await session.send(Respond())


@virtual
async def test_a_loop_that_stood_still_kills_no_healthy_socket() -> None:
    async with linked(LineCodec(liveness=Liveness(ping_interval_s=1, dead_after_s=4))) as (session, _):
        loop: Any = asyncio.get_running_loop()
        await asyncio.sleep(3.3)
        loop._jump.now += 30  # what a call that blocks does to the clock
        await asyncio.sleep(1)
        await session.send(Respond())


async def _fails(session: LinkSession, code: str) -> float:
    _, fault = await rest(session)
    assert fault is not None
    assert (fault.code, fault.category, fault.retryable) == (code, "busy", True)
    return asyncio.get_running_loop().time()


TIMEOUTS = Timeouts(first_output_s=3, between_outputs_s=5, total_s=30)


@virtual
async def test_a_request_that_nothing_follows_is_given_up() -> None:
    async with linked(LineCodec(settles=True, timeouts=TIMEOUTS)) as (session, _):
        await session.send(Respond())
        assert await _fails(session, "no_response") == pytest.approx(3, abs=0.3)


@virtual
async def test_a_response_without_output_is_given_up() -> None:
    async with linked(LineCodec(timeouts=TIMEOUTS)) as (session, wire):
        wire.say(STARTED)
        thought = dump(OutputText(response_id="r", delta="hm", kind="thought"))
        for _ in range(2):
            await asyncio.sleep(1)
            wire.say(thought)
        assert await _fails(session, "no_output") == pytest.approx(3, abs=0.3)


@virtual
async def test_a_response_that_stalls_is_given_up() -> None:
    async with linked(LineCodec(timeouts=TIMEOUTS)) as (session, wire):
        wire.say(STARTED, audio())
        await asyncio.sleep(4)
        wire.say(audio(offset_ms=20))
        assert await _fails(session, "output_stalled") == pytest.approx(9, abs=0.3)


@virtual
async def test_a_response_without_end_is_given_up() -> None:
    async with linked(LineCodec(timeouts=TIMEOUTS)) as (session, wire):
        wire.say(STARTED)

        async def go_on() -> None:
            while True:
                wire.say(audio())
                await asyncio.sleep(1)

        going = asyncio.create_task(go_on())
        assert await _fails(session, "response_too_long") == pytest.approx(30, abs=0.3)
        going.cancel()


@virtual
async def test_an_application_that_takes_nothing_is_no_stalled_backend() -> None:
    async with linked(LineCodec(timeouts=TIMEOUTS)) as (session, wire):
        wire.say(STARTED)
        wire.say(*[audio(ms=1000, offset_ms=1000 * n) for n in range(125)], COMPLETED)
        await asyncio.sleep(100)
        heard = 0
        async for event in session:
            heard += isinstance(event, OutputAudio)
            if isinstance(event, ResponseEnded):
                assert event.status == "completed"
                break
        assert heard == 125


@virtual
async def test_reading_stops_at_two_minutes_of_undelivered_audio() -> None:
    async with linked() as (session, wire):
        wire.say(STARTED, *[audio(ms=1000, offset_ms=1000 * n) for n in range(200)])
        await asyncio.sleep(5)
        await session.send(Interrupt())  # commands get through all the same
        await settle()
        assert "interrupt" in kinds(wire)


@virtual
async def test_ticks_come_to_a_codec_that_asks_for_them() -> None:
    codec = LineCodec(ticks=True)
    async with linked(codec) as (_, _):
        await asyncio.sleep(1.01)
    assert len(codec.ticked) == 20
    assert codec.ticked[1] - codec.ticked[0] == pytest.approx(0.05)


@virtual
async def test_reports_of_the_player_are_no_open_commands() -> None:
    async with linked(LineCodec(settles=True)) as (session, _):
        await session.send(ReportPlayed(response_id="r", ms=20))
        await session.aclose()
        assert await rest(session) == ([], None)


@virtual
async def test_every_connection_has_a_number_of_its_own() -> None:
    async with linked() as (one, _), linked() as (other, _):
        assert other.generation > one.generation
