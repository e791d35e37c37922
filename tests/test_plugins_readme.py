"""The plugin that plugins/README.md tells to write works as it stands, and bears what a conversation may bring."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "plugins" / "README.md"

HARSH = """
import asyncio
import voicebridge
from voicebridge import *

async def rest(session):
    events = []
    try:
        while True:
            events.append(await asyncio.wait_for(anext(aiter(session)), 0.05))
    except TimeoutError:
        return events

def told(events):
    return " ".join(getattr(event, "phase", None) or type(event).__name__ for event in events)

async def main():
    second = SendAudio(pcm=b"12" * 24_000)
    async with voicebridge.connect_raw("echo") as session:
        await session.send(EndTurn())
        events = await rest(session)
        print(told(events), events[-1].fault.code)
        await session.send(second)
        await session.send(EndTurn(respond=False))
        print(told(await rest(session)))
        for _ in range(70):
            await session.send(second)
        await session.send(EndTurn())
        events = await rest(session)
        print(told(events), events[1].audio_ms, len(events[-2].pcm) // 48_000)
        for _ in range(2):  # a third would wait, until two minutes are read
            for _ in range(60):
                await session.send(second)
            await session.send(EndTurn())
        waiting = asyncio.create_task(session.send(EndTurn()))
        await asyncio.sleep(0)
        await session.aclose()
        try:
            await waiting
        except SessionClosed:
            print("closed")
    shout = voicebridge.registry.registry.registry().stage("llm", "echo/shout")
    result = ToolResultItem(call_id="k", output="x")
    for items in [(), (MessageItem(role="user", text="a"), result), (MessageItem(role="assistant", text="b"),)]:
        print([piece async for piece in shout.respond(Prompt(items))])

asyncio.run(main())
"""
WIRE = """
import asyncio, json
import voicebridge, websockets
from voicebridge import *

async def echo(socket):
    hello = json.loads(await socket.recv())
    print(hello, socket.request.headers["Authorization"])
    await socket.send(json.dumps({"ready": "s1"}))
    heard = []
    async for frame in socket:
        if isinstance(frame, bytes):
            heard.append(frame)
        else:
            await socket.send(json.dumps({"start": "r1"}))
            for pcm in heard:
                await socket.send(pcm)
            await socket.send(json.dumps({"end": True}))

async def main():
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with voicebridge.connect("echo/wire", base_url=url, api_key="key", instructions="hi") as session:
            await session.send(SendAudio(pcm=b"12" * 24_000))
            await session.send(EndTurn())
            heard = 0
            async for event in session:
                heard += len(event.pcm) if isinstance(event, OutputAudio) else 0
                if isinstance(event, ResponseEnded):
                    print(heard, event.status)
                    break
            try:
                await session.send(Respond())
            except Unsupported as error:
                print(error)

asyncio.run(main())
"""
CALLS = """
from voicebridge import *
from voicebridge.registry.observers import imposed_policies, observers
from voicebridge_echo.calls import seen

[policy] = imposed_policies(SessionConfig())
print(policy.max_duration_s, policy.say_at_limit)
watching = observers()
for hooks, one in [
    (watching.command_sent, EndTurn()),
    (watching.event_received, ResponseEnded(response_id="r1", status="completed")),
    (watching.output_audio, OutputAudio(response_id="r1", pcm=b"1234", offset_ms=0)),
]:
    for hook in hooks:
        hook(None, one)
print(dict(seen))
"""
BORNE = """\
SessionReady CommandSettled empty_turn
speech committed CommandSettled
speech committed CommandSettled ResponseStarted OutputAudio ResponseEnded 71000.0 60
closed
['HELLO ']
['A ']
['HELLO ']
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Each code block in the file that its first line names, as if it were installed."""
    for name, text in re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", README.read_text(), re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    info = tmp_path / "voicebridge_echo-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (points,) = project["entry-points"].items()
    lines = "\n".join(f"{name} = {module}" for name, module in points[1].items())
    (info / "entry_points.txt").write_text(f"[{points[0]}]\n{lines}\n")
    return tmp_path


def said_by(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, program], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_the_plugin_of_the_readme_works(plugin: Path) -> None:
    assert said_by("try_it.py", plugin) == "1000 ms came back\nA QUIET WORD "


def test_it_bears_what_a_conversation_may_bring(plugin: Path) -> None:
    (plugin / "harsh.py").write_text(HARSH)
    assert said_by("harsh.py", plugin) == BORNE


def test_its_codec_works_over_a_socket(plugin: Path) -> None:
    (plugin / "wire.py").write_text(WIRE)
    said = "{'hello': 'hi'} Bearer key\n48000 completed\nThis wire can't do Respond.\n"
    assert said_by("wire.py", plugin) == said


def test_its_hooks_set_rules_and_watch(plugin: Path) -> None:
    (plugin / "calls.py").write_text(CALLS)
    said = "600 We have to stop here. Goodbye!\n{'EndTurn': 1, 'ResponseEnded': 1, 'bytes of voice': 4}\n"
    assert said_by("calls.py", plugin) == said
