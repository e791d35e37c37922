"""The recogniser by realtime session, over real websockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge.testing.simulator.bare_client import tone
from voicebridge_openai.seats.session_stage import SessionRecogniser
from voicebridge_openai.simulator import simulator

SPEECH = tone(600)


class Listening:
    """A stage that listens, piece by piece."""

    def __init__(self, stage: SessionRecogniser) -> None:
        self.stage = stage
        self._pieces: asyncio.Queue[bytes | Mark | None] = asyncio.Queue()
        self._outputs = stage.listen(self._audio())

    async def _audio(self) -> AsyncIterator[bytes | Mark]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    def hears(self, *pieces: bytes | Mark | None) -> None:
        """Audio and marks; None ends them."""
        for piece in pieces:
            self._pieces.put_nowait(piece)

    async def final(self) -> Transcript:
        """The next answer."""
        async with asyncio.timeout(5):
            while True:
                output: Any = await anext(self._outputs)
                if isinstance(output, Transcript) and output.final:
                    return output

    async def close(self) -> None:
        """Nobody listens any more."""
        await self._outputs.aclose()  # type: ignore[attr-defined]  # it is a generator


@asynccontextmanager
async def listening(*faults: str, **options: Any) -> AsyncIterator[tuple[Listening, str]]:
    """A stage before the simulator, and the simulator's address."""
    server = simulator(SimulatorSettings(faults=faults, options={"transcripts": ["One.", "Two.", "Three."], **options}))
    async with server.serve() as url:
        stage = SessionRecogniser("gpt-realtime-whisper", name="openai/gpt-realtime-whisper")
        stage.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-test"}))
        await stage.warm()
        ear = Listening(stage)
        try:
            yield ear, url
        finally:
            await ear.close()
            await stage.aclose()


async def test_one_connection_serves_a_whole_session() -> None:
    async with listening() as (ear, _):
        for n, text in enumerate(("One.", "Two.", "Three.")):
            await ear.stage.get_ready()
            ear.hears(SPEECH, Mark(n, fresh=True))
            assert await ear.final() == Transcript(text, final=True, mark=n)
        ear.hears(None)
        with pytest.raises(StopAsyncIteration):
            await ear.final()


async def test_a_connection_that_ends_between_two_utterances_is_replaced() -> None:
    # Each connection has a script of its own: what the second one says first is said again.
    async with listening(session_s=0.3) as (ear, _):
        ear.hears(SPEECH, Mark(1, fresh=True))
        assert (await ear.final()).mark == 1
        waiting = asyncio.create_task(ear.final())
        await asyncio.sleep(0.5)  # the vendor ends its session; nobody is told
        assert not waiting.done()
        ear.hears(SPEECH, Mark(2, fresh=True))
        assert await waiting == Transcript("One.", final=True, mark=2)


async def test_one_that_is_lost_in_the_middle_of_an_utterance_is_told() -> None:
    async with listening("reset on input_audio_buffer.committed") as (ear, _):
        ear.hears(SPEECH, Mark(1, fresh=True))
        with pytest.raises(VoiceBridgeError) as caught:
            await ear.final()
    assert (caught.value.category, caught.value.retryable) == ("network", True)


async def test_a_failed_transcription_is_told() -> None:
    async with listening(transcripts=[None]) as (ear, _):
        ear.hears(SPEECH, Mark(1, fresh=True))
        with pytest.raises(VoiceBridgeError, match="transcription failed"):
            await ear.final()


async def test_usage_is_told_before_the_answer() -> None:
    async with listening() as (ear, _):
        outputs: list[Any] = []
        ear.hears(SPEECH, Mark(1, fresh=True), None)
        async for output in ear._outputs:
            outputs.append(output)
    assert outputs[-2:] == [Usage({"audio_s": 1.0}), Transcript("One.", final=True, mark=1)]
    assert not outputs[0].final  # it grows before


async def test_a_new_setting_holds_from_the_next_utterance_on() -> None:
    async with listening() as (ear, url):
        ear.hears(SPEECH, Mark(1, fresh=True))
        await ear.final()
        ear.stage.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-test", "language": "de"}))
        ear.hears(SPEECH, Mark(2, fresh=True))
        assert (await ear.final()).text == "One."  # of a session of its own


async def test_a_refused_key_is_told_when_it_warms_up() -> None:
    server = simulator(SimulatorSettings(options={"keys": ["sk-other"]}))
    async with server.serve() as url:
        stage = SessionRecogniser("gpt-realtime-whisper", name="openai/gpt-realtime-whisper")
        stage.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-secret"}))
        with pytest.raises(VoiceBridgeError) as caught:
            await stage.warm()
        await stage.aclose()
    assert caught.value.category == "auth"
    assert "sk-secret" not in str(caught.value)


def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        SessionRecogniser("whisper-1", name="x").configure(SessionConfig())
