"""Whole conversations: both Amazon stages around a model, and the telehealth line of ten lines."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

import voicebridge
from voicebridge import connect_raw
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import SendText
from voicebridge.contract.events import InputTranscript, OutputAudio, OutputText, ResponseEnded, UsageReported
from voicebridge.contract.stages import PCM_16K
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.stages import ScriptedModel
from voicebridge.testing.user import User


@asynccontextmanager
async def talking(backend: Any, **options: Any) -> AsyncIterator[User]:
    """A user before it. All that it promises is checked."""
    async with connect_raw(backend, turns={"silence_ms": 200}, input_format=PCM_16K, **options) as session:
        user = User(session)
        try:
            yield user
        finally:
            await user.done()
    user.check()


@pytest.mark.parametrize("speculate", ["none", "transcript", "reply"])
async def test_a_spoken_turn_is_answered(serve: Any, speculate: str) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        where = {"base_url": vendor.url, "api_key": "caller-1:simulated"}
        backend = CascadeBackend(
            stt=voicebridge.stage("aws/transcribe", **where),
            llm=ScriptedModel(["It is ", "ten o'clock. ", "Time to go."]),
            tts=voicebridge.stage("aws/polly-generative", voice="Ruth", **where),
            detector=EnergyDetector(frame_ms=20),
        )
        async with talking(backend, speculate=speculate) as user:
            for _ in range(2):
                await user.speak(800)
                ended = await user.until(ResponseEnded, count=len(user.all(ResponseEnded)) + 1)
                assert ended.status == "completed"
        assert [one.text for one in user.all(InputTranscript, final=True)] == ["What is the time?"] * 2
        assert user.all(OutputAudio)
        used = [one.units for one in user.all(UsageReported)]
        assert any(units.get("audio_s", 0) >= 15 for units in used)
        assert any(units.get("characters", 0) for units in used)
        assert set(vendor.causes) == {"polly", "transcribe"}


README = (Path(__file__).parents[1] / "README.md").read_text()
(RECIPE,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "clinic" in block]
URGENT = "Stay on the line, a nurse is coming."


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the README shows, with a clinic's functions."""
    clinic: Any = ModuleType("clinic")

    def transcribe(pcm: bytes) -> str:  # as a blocking client would: it runs in a thread
        return "My chest hurts." if len(pcm) > 20_000 else ""

    async def classify(words: str) -> str:
        return "urgent" if "hurts" in words else "other"

    clinic.transcribe, clinic.classify = transcribe, classify
    monkeypatch.setitem(sys.modules, "clinic", clinic)
    names: dict[str, Any] = {}
    exec(RECIPE, names)  # what the README shows is what is tested
    return names["line"]


def test_the_recipe_has_ten_lines_at_most() -> None:
    assert len([line for line in RECIPE.splitlines() if line]) <= 10


async def test_the_telehealth_line_speaks_with_polly(serve: Any, line: Any) -> None:
    async with no_leaked_tasks(), serve() as vendor:
        own = {"tts.base_url": vendor.url, "tts.voice": "Joanna", "detector": "energy"}
        async with talking(line, **own) as user:
            await user.speak(1200)
            assert (await user.until(ResponseEnded)).status == "completed"
            assert [one.text for one in user.all(InputTranscript, final=True)] == ["My chest hurts."]
            assert "".join(one.delta for one in user.all(OutputText)) == URGENT
            assert user.all(OutputAudio)
            used = [one for one in user.all(UsageReported) if "characters" in one.units]
            spoken = len("Stay on the line,") + len("a nurse is coming.")
            assert sum(one.units["characters"] for one in used) == spoken
            assert {one.model for one in used} == {"aws/polly"}
        assert set(vendor.causes) == {"polly"}


async def test_a_voice_that_dies_fails_the_answer_and_not_the_call(serve: Any, line: Any) -> None:
    faults = ["reset on audio occurrence 4 connection 2"]  # the first request asks which voices there are
    async with (
        no_leaked_tasks(),
        serve(faults=faults) as vendor,
        talking(line, **{"tts.base_url": vendor.url, "detector": "energy"}) as user,
    ):
        await user.session.send(SendText(text="It hurts."))
        ended = await user.until(ResponseEnded)
        assert (ended.status, ended.fault.category) == ("failed", "network")
        await user.session.send(SendText(text="It hurts."))
        assert (await user.until(ResponseEnded, count=2)).status == "completed"
