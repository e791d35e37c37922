"""A replayed session gives what the recorded one gave: same events, same order, same sound."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voicebridge
from voicebridge import (
    BadOption,
    BadRecording,
    CommandSettled,
    Configure,
    EndTurn,
    Interrupt,
    OutputAudio,
    ReplayDiverged,
    ReportPlayed,
    Respond,
    ResponseEnded,
    ResponseStarted,
    SendAudio,
    SendText,
    SendToolResult,
    SessionClosed,
    SessionConfig,
    SessionFailed,
    SessionReady,
    ToolCall,
    Unsupported,
    UserTurn,
)
from voicebridge.contract.stages import ToolRequest
from voicebridge.observe.recording import Recording
from voicebridge.observe.replay import ReplayBackend
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel
from voicebridge.testing.user import User

from .conftest import again, expected, record, timeless


async def two_turns(user: User) -> None:
    await user.until(SessionReady)
    await user.speak(600)
    await user.until(ResponseEnded)
    await user.session.send(SendText(text="Say more."))
    await user.until(OutputAudio, count=4)
    await user.session.send(Interrupt(heard={user.all(OutputAudio)[-1].response_id: 120.0}))
    await user.speak(400)
    await user.until(ResponseEnded, count=3)


def replayed(recording: Recording, pace: Any = "instant") -> tuple[list[Any], float]:
    """The events of a replay, and the seconds that it took."""

    async def main() -> tuple[list[Any], float]:
        async with ReplayBackend(recording.folder, pace).connect(SessionConfig()) as session:
            events = timeless(await again(session, recording))
            return events, asyncio.get_running_loop().time()

    return run_in_virtual_time(main())


@pytest.mark.parametrize("pace", ["instant", "recorded"])
def test_a_conversation_comes_back_event_by_event_and_byte_by_byte(tmp_path: Path, pace: str) -> None:
    recording = record(tmp_path / "call", two_turns)
    assert recording.complete
    wanted = expected(recording)
    assert {SessionReady, UserTurn, ResponseStarted, OutputAudio, CommandSettled} <= {type(one) for one in wanted}
    events, took = replayed(recording, pace)
    assert events == wanted
    if pace == "instant":
        assert took == 0.0
    else:
        assert took == pytest.approx(recording.duration_s, abs=0.1)
    assert replayed(recording, pace)[0] == events


def test_what_the_application_got_is_what_was_recorded(tmp_path: Path) -> None:
    got: list[Any] = []

    async def talk(user: User) -> None:
        await two_turns(user)
        got.append(user)

    recording = record(tmp_path / "call", talk, output_format=voicebridge.DOOR_FORMAT)
    events: list[Any] = [recording.whole(line) for line in recording.lines() if line.kind == "event"]
    seen = [event for event in got[0].events if not isinstance(event, SessionReady | OutputAudio)]
    assert seen == [event for event in events if not isinstance(event, SessionReady | OutputAudio)]

    def voice(of: list[Any]) -> bytes:
        return b"".join(event.pcm for event in of if isinstance(event, OutputAudio))

    assert voice(got[0].events) == voice(events)
    sent = [recording.whole(line) for line in recording.lines() if line.kind == "command"]
    assert b"\x00\x20" * 320 * 10 in b"".join(one.pcm for one in sent if isinstance(one, SendAudio))


def test_tools_and_refusals_come_back(tmp_path: Path) -> None:
    def answer(prompt: Any) -> Any:
        done = any(type(item).__name__ == "ToolResultItem" for item in prompt.items)
        return ["It is done."] if done else [ToolRequest("call-1", "act", '{"now": true}')]

    async def act(user: User) -> None:
        await user.session.send(SendText(text="Act."))
        call = await user.until(ToolCall)
        with pytest.raises(voicebridge.VoiceBridgeError):
            await user.session.send(Configure(patch={"noise_reduction": "near_field"}))
        await user.session.send(SendToolResult(call_id=call.call_id, output="ok"))
        await user.until(OutputAudio)
        await user.until(ResponseEnded, count=2)

    tools = [{"name": "act"}]
    recording = record(tmp_path / "call", act, seats={"llm": lambda: ScriptedModel(answer)}, tools=tools)
    assert replayed(recording)[0] == expected(recording)
    [refused] = [one.refused for one in recording.script if one.refused is not None]

    async def main() -> None:
        async with ReplayBackend(recording.folder, "instant").connect(SessionConfig()) as session:
            await session.send(SendText(text="Act."))
            with pytest.raises(type(refused)) as caught:
                await session.send(Configure(id="mine", patch={}))
            assert caught.value.fault == refused.fault
            assert caught.value.command_id == "mine"

    run_in_virtual_time(main())


ACTIONS = st.lists(
    st.sampled_from(["speak", "pause", "text", "note", "end", "respond", "interrupt", "played", "configure"]),
    min_size=1,
    max_size=8,
)


async def act(user: User, action: str) -> None:
    commands: dict[str, Any] = {
        "text": lambda: SendText(text="a question"),
        "note": lambda: SendText(text="a note", role="system", respond=False),
        "end": EndTurn,
        "respond": Respond,
        "interrupt": Interrupt,
        "configure": lambda: Configure(patch={"instructions": "Be brief."}),
        "played": lambda: ReportPlayed(response_id="r", ms=20.0),
    }
    if action == "speak":
        await user.speak(400)
    elif action == "pause":
        await user.pause(700)
    else:
        try:
            await user.session.send(commands[action]())
        except (Unsupported, voicebridge.ConfigError):
            await user.pause(20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS, manual=st.booleans())
def test_any_conversation_comes_back(
    actions: list[str], manual: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def talk(user: User) -> None:
        for action in actions:
            await act(user, action)

    turns = {"mode": "manual"} if manual else {"silence_ms": 200}
    recording = record(tmp_path_factory.mktemp("call") / "it", talk, turns=turns)
    assert recording.complete
    assert replayed(recording)[0] == expected(recording)


# What is matched, and what is not


@pytest.fixture
def call(tmp_path: Path) -> Recording:
    return record(tmp_path / "call", two_turns)


async def ask(user: User) -> None:
    """Without a microphone."""
    await come(user, SessionReady)
    await user.session.send(SendText(text="One."))
    await come(user, ResponseEnded)


async def come(user: User, kind: Any) -> None:
    for _ in range(1000):
        if user.all(kind):
            return
        await asyncio.sleep(0.02)


def test_another_command_is_refused_and_the_expected_one_named(tmp_path: Path) -> None:
    recording = record(tmp_path / "call", ask)

    async def main() -> None:
        async with ReplayBackend(recording.folder, "instant").connect(SessionConfig()) as session:
            with pytest.raises(ReplayDiverged, match=r"no end_turn here: its command 1 of 1 is send_text\.$") as caught:
                await session.send(EndTurn(id="odd"))
            assert (caught.value.command_id, caught.value.fault.code) == ("odd", "replay_diverged")
            assert isinstance(caught.value, voicebridge.ConfigError)
            await session.send(SendText(id="mine", text="Anything."))
            with pytest.raises(ReplayDiverged, match="it had all its 1 commands before"):
                await session.send(SendText(text="More."))
            seen = []
            async for event in session:
                seen.append(event)
                if isinstance(event, ResponseEnded):
                    break
            [settled] = [event for event in seen if isinstance(event, CommandSettled)]
            [started] = [event for event in seen if isinstance(event, ResponseStarted)]
            assert settled.command_id == "mine"
            assert started.answers == ("mine",)

    run_in_virtual_time(main())


def test_nothing_that_followed_a_command_comes_before_it(tmp_path: Path) -> None:
    recording = record(tmp_path / "call", ask)

    async def main() -> None:
        async with ReplayBackend(recording.folder, patience_s=2000).connect(SessionConfig()) as session:
            reader = aiter(session)
            assert isinstance(await anext(reader), SessionReady)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1000):
                    await anext(reader)
            began = asyncio.get_running_loop().time()
            await session.send(SendText(text="One."))
            while not isinstance(event := await anext(reader), OutputAudio):
                pass
            assert event.at - began == pytest.approx(0.3, abs=0.01)  # what the stages took when it was recorded

    run_in_virtual_time(main())


def test_audio_counts_by_its_length_and_reports_not_at_all(call: Recording) -> None:
    async def main() -> None:
        async with ReplayBackend(call.folder, "instant", patience_s=60).connect(SessionConfig()) as session:
            reader, seen = aiter(session), []

            async def read() -> None:
                async for event in reader:
                    seen.append(event)

            reading = asyncio.create_task(read())
            await session.send(ReportPlayed(response_id="none", ms=1.0))
            for _ in range(20):
                await asyncio.sleep(1)
            assert [type(event) for event in seen] == [SessionReady]
            for _ in range(70):  # 700 ms in other pieces than the recorded ones
                await session.send(SendAudio(pcm=bytes(320)))
            await asyncio.sleep(1)
            assert UserTurn in {type(event) for event in seen}
            assert ResponseStarted not in {type(event) for event in seen}
            await session.aclose()
            await reading

    run_in_virtual_time(main())


def test_after_an_interrupt_nothing_of_it_is_heard_though_it_comes_early(tmp_path: Path) -> None:
    async def interrupted_late(user: User) -> None:
        await user.session.send(SendText(text="One."))
        await user.until(OutputAudio)
        await user.pause(400)
        await user.session.send(Interrupt())
        await user.until(ResponseEnded)

    recording = record(tmp_path / "call", interrupted_late)

    async def main() -> None:
        async with ReplayBackend(recording.folder).connect(SessionConfig()) as session:
            await session.send(SendAudio(pcm=bytes(10_000_000)))
            await session.send(SendText(text="One."))
            reader = aiter(session)
            while not isinstance(await anext(reader), ResponseStarted):
                pass
            await session.send(Interrupt())
            began = asyncio.get_running_loop().time()
            while not isinstance(event := await anext(reader), ResponseEnded):
                assert not isinstance(event, OutputAudio)
            assert event.at - began < 0.1

    run_in_virtual_time(main())


# The end


def test_a_close_settles_what_is_open(call: Recording) -> None:
    async def main() -> None:
        async with ReplayBackend(call.folder).connect(SessionConfig()) as session:
            await session.send(SendText(id="open", text="Wait."))
            await session.aclose()
            await session.aclose()
            events = [event async for event in session]
            [settled] = [event for event in events if isinstance(event, CommandSettled)]
            assert settled.command_id == "open"
            assert settled.fault is not None
            assert settled.fault.category == "closed"
            with pytest.raises(SessionClosed):
                await session.send(SendText(text="Late."))

    run_in_virtual_time(main())
    assert not [name for name in call.folder.iterdir() if name.suffix not in (".jsonl", ".wav")]


def test_a_recording_that_was_cut_ends_and_says_so(call: Recording) -> None:
    log = call.folder / "call.jsonl"
    text = log.read_bytes()
    log.write_bytes(text[: len(text) * 2 // 3])
    cut = Recording(call.folder)
    assert not cut.complete

    async def main() -> None:
        async with ReplayBackend(call.folder, "instant").connect(SessionConfig()) as session:
            events = await again(session, cut)
            with pytest.raises(SessionFailed) as failed:
                events += [event async for event in session]
            assert failed.value.fault.code == "recording_ended"
            assert "the program that recorded it was stopped" in str(failed.value)
            assert timeless(events) == expected(cut)

    run_in_virtual_time(main())


def test_a_session_that_failed_fails_again(tmp_path: Path) -> None:
    class Mute(ScriptedModel):
        async def warm(self) -> None:
            raise OSError("no weights")

    recordings: list[Any] = []

    async def wait(user: User) -> None:
        for _ in range(50):
            await asyncio.sleep(0.02)
        recordings.append(user.failure)

    recording = record(tmp_path / "call", wait, seats={"llm": lambda: Mute(["never"])})
    assert recording.complete

    async def main() -> None:
        async with ReplayBackend(recording.folder).connect(SessionConfig()) as session:
            with pytest.raises(SessionFailed) as failed:
                async for _ in session:
                    pass
            assert failed.value.fault == recordings[0].fault

    run_in_virtual_time(main())


# By name


@pytest.fixture
def _only_replay() -> Any:
    before = use_registry(Registry(allow=["replay"]))
    yield
    use_registry(before)


@pytest.mark.usefixtures("_only_replay")
def test_it_is_a_backend_by_name_relative_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = record(tmp_path / "calls" / "7", ask)
    monkeypatch.chdir(tmp_path)

    async def main(spec: str) -> None:
        async with voicebridge.connect(spec, pace="instant") as session:
            assert session.capabilities.turns == recording.capabilities.turns
            await session.send(SendText(text="One."))
            spoken = b""
            async for event in session:
                spoken += event.pcm if isinstance(event, OutputAudio) else b""
                if isinstance(event, ResponseEnded):
                    break
            assert len(spoken) > 10_000

    for spec in ("replay/calls/7", f"replay/{tmp_path}/calls/7"):
        run_in_virtual_time(main(spec))


@pytest.mark.usefixtures("_only_replay")
@pytest.mark.parametrize(("spec", "said"), [("replay", "Which recording"), ("replay/nowhere", "does not exist")])
async def test_a_folder_that_is_missing_is_said(spec: str, said: str) -> None:
    with pytest.raises(BadRecording, match=said):
        async with voicebridge.connect(spec):
            pass


async def test_options(call: Recording) -> None:
    for options, said in (({"speed_up": 2}, "no option 'speed_up'"), ({"pace": "slow"}, "pace is 'recorded'")):
        with pytest.raises(BadOption, match=said):
            async with ReplayBackend(call.folder).connect(SessionConfig(options=options)):
                pass
    with pytest.raises(BadOption, match="pace is 'recorded'"):
        ReplayBackend(call.folder, "never")  # type: ignore[arg-type]  # what is refused
