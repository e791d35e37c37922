"""The README's recipe: a telehealth line whose every seat is a plain function, in ten lines.

Google's speech recognition, a classifier of one's own and Amazon's voice, as an application would call them. Here the
two vendors are replaced by functions of the same form; all else is what the README shows.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.events import InputTranscript, OutputAudio, OutputText, ResponseEnded, SessionReady
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.user import User

RECIPE = """\
from voicebridge import AudioFormat, CascadeBackend
from voicebridge.cascade.lifted_voice import LiftedVoice
from clinic import classify, polly, transcribe  # functions, sync or async: pcm -> text, text -> class, text -> pcm

ANSWERS = {"refill": "I have asked for your refill.", "urgent": "Stay on the line, a nurse is coming."}

async def triage(words: str) -> str:  # the model's seat: what the user said in, what to say out
    return ANSWERS.get(await classify(words), "Let me connect you with the front desk.")

line = CascadeBackend(stt=transcribe, llm=triage, tts=LiftedVoice(polly, format=AudioFormat(rate=16_000)))
"""
"""Ten lines. `async with voicebridge.connect(line) as session` then talks."""


def clinic() -> ModuleType:
    """The two vendors and the classifier, as far as the recipe sees of them."""
    module: Any = ModuleType("clinic")

    def transcribe(pcm: bytes) -> str:  # as a vendor's blocking client: it runs in a thread
        return "My chest hurts." if len(pcm) > 20_000 else ""

    async def classify(words: str) -> str:
        await asyncio.sleep(0.05)
        return "urgent" if "hurts" in words else "other"

    async def polly(text: str) -> bytes:
        await asyncio.sleep(0.1)
        return bytes(2 * 16 * 60 * len(text))  # PCM of Amazon Polly has 16 kHz at most

    module.transcribe, module.classify, module.polly = transcribe, classify, polly
    return module  # type: ignore[no-any-return]  # it is one


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "clinic", clinic())
    names: dict[str, Any] = {}
    exec(RECIPE, names)  # what the README shows is what is tested
    return names["line"]


def test_it_is_ten_lines_and_the_readmes() -> None:
    assert len(RECIPE.splitlines()) == 10
    assert RECIPE in (Path(__file__).parents[2] / "README.md").read_text()


def test_a_patient_speaks_and_is_answered(line: Any) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"detector": "energy", "input_format": voicebridge.AudioFormat(rate=16_000)}
        async with voicebridge.connect_raw(line, **options) as session:
            user = User(session)
            await user.until(SessionReady)
            await user.speak(1200)
            await user.until(ResponseEnded)
            assert [e.text for e in user.all(InputTranscript, final=True)] == ["My chest hurts."]
            said = "".join(e.delta for e in user.all(OutputText))
            assert said == "Stay on the line, a nurse is coming."
            assert user.all(OutputAudio)
            assert session.capabilities.usage == "none", "plain functions tell nothing of what they use"
            await user.done()
        user.check()

    run_in_virtual_time(main())


def test_a_seat_of_it_can_be_replaced_by_a_name_or_get_one_to_fall_back_on(line: Any) -> None:
    async def broken(text: str) -> bytes:
        raise ConnectionError("no route to the region")

    async def main() -> None:
        options: dict[str, Any] = {"detector": "energy", "tts": [broken, clinic().polly]}
        async with voicebridge.connect_raw(line, **options) as session:
            user = User(session)
            await user.session.send(voicebridge.SendText(text="It hurts."))
            assert (await user.until(ResponseEnded)).status == "completed"
            assert user.all(OutputAudio)
            await user.done()

    run_in_virtual_time(main())
