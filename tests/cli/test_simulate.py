"""`voicebridge simulate`: what it lists, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from voicebridge.registry.registry import Registry, use_registry
from voicebridge.testing.simulator.bare_client import bare_client

from .conftest import Ended

Run = Callable[..., Ended]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def simulators(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command where a wire is installed."""
    monkeypatch.setenv("VOICEBRIDGE_PLUGINS", "echo")
    use_registry(Registry())
    return run


def test_the_list(simulators: Run) -> None:
    ended = simulators("simulate")
    assert ended.status == 0
    assert re.search(r"echo-wire +Gives back each frame +ready", ended.out)
    assert re.search(r"lacking +Lacks a package +not installed", ended.out)
    assert "voicebridge simulate echo-wire --port 8800" in ended.out
    assert "! 'lacking' needs no_such_module_here" in ended.out


def test_nothing_to_list(run: Run) -> None:
    ended = run("simulate")
    assert ended.status == 0
    assert "pip install ." in ended.out


def test_the_options_of_one(simulators: Run) -> None:
    ended = simulators("simulate", "echo-wire", "--options")
    assert ended.status == 0
    assert re.search(r"voice +installed +How it sounds.", ended.out)
    assert re.search(r'prefix +"" +Comes before', ended.out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody"], "no simulator 'nobody'"),
        (["lacking"], "needs no_such_module_here"),
        (["echo-wire", "--profile", "fast"], "There are: instant"),
        (["echo-wire", "--fault", "explode"], "The fault 'explode' is not clear"),
        (["echo-wire", "-o", "prefx=3"], "Did you mean 'prefix'"),
        (["echo-wire", "-o", "prefix"], "write NAME=VALUE"),
        (["echo-wire", "-o", "prefix=3"], "'prefix' can't be 3"),
        (["echo-wire", "--log", "/no/such/folder/log"], "can't be written"),
        (["echo-wire", "--host", "256.1.1.1"], "256.1.1.1"),
        (["echo-wire", "--port", "70000"], "--port"),
    ],
)
def test_what_does_not_fit(simulators: Run, arguments: list[str], says: str) -> None:
    ended = simulators("simulate", *arguments)
    assert ended.status == 2
    assert says in ended.err


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to a process")
async def test_it_serves_until_it_is_stopped(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "turns.jsonl"
    serve = ("simulate", "echo-wire", "-o", "prefix=got ", "--log", log)
    process = start(*serve, "--port", 0, VOICEBRIDGE_PLUGINS="echo")
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while "Ctrl-C" not in told[-1]:
        told.append(process.stdout.readline())
    found = re.search(r"listens at (ws://127.0.0.1:(\d+)/v1)", told[0])
    assert found is not None, told
    assert f"curl http://127.0.0.1:{found[2]}/v1" in "".join(told)
    async with bare_client(found[1]) as client:
        assert (await client.until("hello"))["voice"] == "installed"
        await client.socket.send("this")
        assert (await client.until("echo"))["text"] == "got this"
        second = start(*serve, "--port", found[2], VOICEBRIDGE_PLUGINS="echo")
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "is taken" in err
        process.send_signal(signal.SIGINT)
        await client.ended()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "voicebridge: stopped.\n"
    assert json.loads(log.read_text(encoding="utf-8"))["status"] == "completed"


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to a process")
async def test_a_simulator_that_speaks_http_alone(start: Start) -> None:
    process = start("simulate", "plain-echo", "--port", 0, "--keep-alive", 0, "--stale", VOICEBRIDGE_PLUGINS="echo")
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while "Ctrl-C" not in told[-1]:
        told.append(process.stdout.readline())
    [url] = set(re.findall(r"[a-z]+://127.0.0.1:\d+/v1", "".join(told)))
    assert url.startswith("http://")
    assert f"base_url={url}, and any key" in told[1]
    assert f"  curl -d hello {url}\n" in told
    async with httpx.AsyncClient() as http:
        assert (await http.post(url, content=b"hello")).text == "hello"
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await http.post(url, content=b"hello")
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "voicebridge: stopped.\n")
