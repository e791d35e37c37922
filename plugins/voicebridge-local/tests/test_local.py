"""The whole of `local`: a person speaks, it answers aloud; and the process ends cleanly whatever it was doing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import voicebridge_local
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import InputTranscript, OutputAudio, OutputText, ResponseEnded, SessionReady
from voicebridge.contract.session import Backend


def local() -> Backend:
    made: list[Backend] = []
    voicebridge_local.register_backends(lambda name, factory, about: made.append(factory(None)))
    [backend] = made
    return backend


def test_a_turn(best_of_times: NDArray[np.int16]) -> None:
    heard, said, pcm = "", "", b""

    async def main() -> None:
        nonlocal heard, said, pcm
        backend = local()
        config = SessionConfig.model_validate({"turns": {"silence_ms": 600}})
        async with asyncio.timeout(120), backend.connect(config) as session:
            for start in range(0, len(best_of_times), 320):
                await session.send(SendAudio(pcm=best_of_times[start : start + 320].tobytes()))
            await session.send(SendAudio(pcm=bytes(32_000)))
            async for event in session:
                if isinstance(event, SessionReady):
                    assert event.input_format.rate == 16_000
                    assert event.output_format.rate == 22_050
                elif isinstance(event, InputTranscript) and event.final:
                    heard = event.text
                elif isinstance(event, OutputText):
                    said += event.delta
                elif isinstance(event, OutputAudio):
                    pcm += event.pcm
                elif isinstance(event, ResponseEnded):
                    assert event.status == "completed"
                    return

    asyncio.run(main())
    assert "the best of times" in heard.lower()
    assert "the worst of times" in heard.lower()
    assert "," in said
    assert len(pcm) > 22_050  # half a second


LEAVINGS = {
    "done": "return",
    "while it answers": "await anext(llm.respond(prompt)); return",
    "while it speaks": "await anext(tts.speak(words())); return",
    "while it loads": "asyncio.create_task(whisper.warm()); await asyncio.sleep(0.05); return",
}


@pytest.mark.parametrize("leaving", LEAVINGS)
def test_the_process_ends_cleanly(leaving: str) -> None:
    """Native threads must not be caught by the interpreter's end."""
    path = [str(Path(sys.modules[name].__file__ or "").parents[1]) for name in ("voicebridge", "voicebridge_local")]
    code = f"""
import sys
sys.path[:0] = {path!r}
import asyncio
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Prompt
from voicebridge_local import gemma, moonshine, piper, silero, whisper as whispers

async def words():
    while True:
        yield "It was the best of times, it was the worst of times, and so it went on for many years."

async def main():
    stt, llm, tts, whisper = moonshine.recogniser(), gemma.model(), piper.voice(), whispers.base()
    await asyncio.gather(*(stage.warm() for stage in (stt, llm, tts, silero.detector())))
    prompt = Prompt(items=(MessageItem(role="user", text="Tell me a long story."),))
    {LEAVINGS[leaving]}

asyncio.run(main())
print("bye")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "bye"
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
