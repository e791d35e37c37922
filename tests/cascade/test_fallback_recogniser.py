"""A recogniser that is well again comes back, however the one in its place answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.events import InputTranscript, ResponseEnded
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, TurnSignal
from voicebridge.session.door import connect_raw
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User

from .test_fallback import fault


class Listening(ScriptedRecogniser):
    """Finds turns itself, and goes on listening while its answers take a moment."""

    def __init__(self, text: str, *, answers_s: float, failures: int = 0) -> None:
        super().__init__([text], traits=SpeechToTextTraits(turns="own", usage="none"))
        self.answers_s, self.failures = answers_s, failures

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        outputs: asyncio.Queue[Any] = asyncio.Queue()
        reading = asyncio.create_task(self._read(audio, outputs))
        try:
            while (output := await outputs.get()) is not None:
                if isinstance(output, Exception):
                    raise output
                yield output
        finally:
            reading.cancel()

    async def _read(self, audio: Any, outputs: asyncio.Queue[Any]) -> None:
        later, heard_ms, quiet_ms, speaks = asyncio.get_running_loop().call_later, 0.0, 0.0, False
        async for piece in audio:
            if isinstance(piece, Mark):
                if piece.wanted:
                    later(self.answers_s, outputs.put_nowait, Transcript(self._texts[0], final=True, mark=piece.n))
                continue
            heard_ms += self.traits.format.ms(len(piece))
            quiet_ms = 0.0 if any(piece) else quiet_ms + self.traits.format.ms(len(piece))
            if not speaks and not quiet_ms:
                speaks = True
                outputs.put_nowait(TurnSignal("speech", heard_ms))
            elif speaks and quiet_ms >= 300:
                speaks = False
                if self.failures:
                    self.failures -= 1
                    outputs.put_nowait(fault())
                    return
                outputs.put_nowait(TurnSignal("end", heard_ms))
        outputs.put_nowait(None)


@pytest.mark.parametrize("answers_s", [0.0, 0.2])
def test_it_hears_again_once_it_is_well(answers_s: float) -> None:
    async def main() -> list[str]:
        first, second = (Listening(text, answers_s=answers_s, failures=text == "first") for text in ("first", "second"))
        backend = CascadeBackend(stt=[first, second], llm=ScriptedModel(["Hi."]), tts=ScriptedVoice(), detector=None)
        async with connect_raw(backend, input_format=PCM_16K) as session:
            user = User(session)
            for count in range(1, 5):
                await user.speak(500)
                await user.until(ResponseEnded, count=count)
                await user.pause(8000)
            texts = [event.text for event in user.all(InputTranscript, final=True)]
            await user.done()
        user.check()
        return texts

    texts = run_in_virtual_time(main())
    assert texts[0] == "second"
    assert texts[-1] == "first"
    assert len(texts) == 4
