"""Every code block of README.md runs as it stands; every command in it exists."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import moonshine_voice
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
NEEDS_SOUND = [program for program in PROGRAMS if ".start()" in program]


def run(program: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p not in NEEDS_SOUND])
def test_a_program_runs(program: str, tmp_path: Path) -> None:
    done = run(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_program_answers(tmp_path: Path) -> None:
    words = run(PROGRAMS[0], tmp_path).stdout.split()
    assert 1 <= len(words) <= 40


FAKE_SOUND = """
import numpy as np
from voicebridge.audio import device

class Microphone:
    format = device.DOOR_FORMAT
    def __init__(self, *given, **also): pass
    async def __aenter__(self): return self
    async def __aexit__(self, *error): pass
    async def __aiter__(self):
        import asyncio
        for _ in range(300):
            yield bytes(960)
            await asyncio.sleep(0.01)

class Speaker(Microphone):
    def play(self, pcm, response_id=""): pass
    def end(self): pass
    def clear(self): return 0.0
    def played_ms(self, response_id=""): return 0.0
    def progress(self): return {}

device.Microphone, device.Speaker = Microphone, Speaker
"""


def test_the_agent_of_three_lines_starts_and_ends_with_its_microphone(tmp_path: Path) -> None:
    (program,) = NEEDS_SOUND
    done = run(FAKE_SOUND + program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_its_two_commands_make_their_own_environment() -> None:
    commands = [line for block in SHELL for line in block.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    for command in commands:
        (folder,) = re.findall(r"^python3 -m venv (\S+) ", command)
        assert all(part.split()[0].startswith(folder) for part in command.split(" && ")[1:])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"bin/voicebridge (\w+)", TEXT))))
def test_a_command_that_it_names_exists(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voicebridge.cli", name, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def commands(block: str) -> list[str]:
    """The lines of a block that run voicebridge, each with its continuation and without its comment."""
    lines = [line.partition("  #")[0].strip() for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if "bin/voicebridge " in line and not line.startswith("python3 -m venv")]


BLOCKS = [block for block in SHELL if commands(block)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def argv(command: str, port: int) -> list[str]:
    """As it stands, but for where the environment is and which port is free."""
    assets = str(Path(moonshine_voice.__file__).parents[1])
    words = command.replace(".venv/lib/python3*/site-packages", assets).replace("8800", str(port)).split()
    return [sys.executable, "-m", "voicebridge.cli", *words[1:]]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[1])
def test_the_commands_of_a_block_run_in_order(block: str, tmp_path: Path) -> None:
    """Servers go on while the others run. `talk` says what is missing where there is no sound device."""
    port = free_port()
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands(block):
            words = argv(command, port)
            if words[3] == "simulate":
                servers.append(subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
                assert servers[-1].stdout is not None
                assert b"listens" in servers[-1].stdout.readline()
            else:
                runs(words, tmp_path)
    finally:
        for server in servers:
            server.send_signal(signal.SIGINT)
            rest, _ = server.communicate(timeout=20)
            assert b"Traceback" not in rest


def runs(words: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    except subprocess.TimeoutExpired:
        assert words[3] == "talk", "only a conversation goes on"
        return
    assert "Traceback" not in done.stderr
    if words[3] == "talk":
        assert (done.returncode, "voicebridge ask" in done.stderr) == (3, True)
    elif words[3] == "doctor":
        assert done.returncode in (0, 1), done.stderr  # 1: no sound device is a problem for some
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_table_of_the_benchmark_is_there() -> None:
    table = TEXT.partition("<!-- bench:begin -->")[2].partition("<!-- bench:end -->")[0]
    for row in ("first reply, cold start", "later replies: median", "later replies: p90", "word error rate"):
        assert f"| {row} |" in table


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target
