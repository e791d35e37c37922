"""Frameworks that others wrote before the simulator of OpenAI's HTTP API: their models, recognisers and voices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="the openai SDK is in the extra `judges`")

from openai import AsyncOpenAI

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.bare_client import tone

pytestmark = pytest.mark.judges

HEARD = "What is the weather in Bonn?"
PCM = tone(1000, rate=16_000)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Any, str]]:
    """The simulator, and its URL."""
    simulator = registry().simulator("openai-http", SimulatorSettings(options={"transcripts": (HEARD,)}))
    async with simulator.serve() as url:
        yield simulator, url


def causes(simulator: Any) -> list[tuple[str, str]]:
    """The endpoints that were asked, and how it ended."""
    return [(turn.cause, turn.status) for turn in simulator.turns.turns]


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_and_its_tool(server: tuple[Any, str], api: str, stream: bool) -> None:
    agents = pytest.importorskip("agents", reason="openai-agents is in the extra `judges`")
    simulator, url = server
    agents.set_tracing_disabled(True)
    client = AsyncOpenAI(api_key="sk-test", base_url=url, max_retries=0)
    kind = agents.OpenAIResponsesModel if api == "responses" else agents.OpenAIChatCompletionsModel

    @agents.function_tool
    def get_weather(city: str) -> str:
        return f"rain in {city}"

    agent = agents.Agent(name="guide", instructions="Be brief.", tools=[get_weather], model=kind("gpt-4o", client))
    if stream:
        result = agents.Runner.run_streamed(agent, "Please get_weather Bonn")
        events = [event async for event in result.stream_events()]
        assert len(events) > 10
    else:
        result = await agents.Runner.run(agent, "Please get_weather Bonn")
    await client.close()
    assert result.final_output == "The tool says: rain in Bonn"
    assert causes(simulator) == [(api, "completed")] * 2


async def test_the_three_stages_of_livekit(server: tuple[Any, str]) -> None:
    plugin = pytest.importorskip("livekit.plugins.openai", reason="livekit-plugins-openai is in the extra `judges`")
    from livekit import rtc
    from livekit.agents import llm

    simulator, url = server
    door = {"api_key": "sk-test", "base_url": url}
    recogniser = plugin.STT(model="gpt-4o-mini-transcribe", **door)
    heard = await recogniser.recognize(rtc.AudioFrame(PCM, 16_000, 1, len(PCM) // 2))
    model = plugin.LLM(model="gpt-4o", **door)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=heard.alternatives[0].text)
    async with model.chat(chat_ctx=context) as stream:
        answer = "".join([chunk.delta.content or "" async for chunk in stream if chunk.delta])
    voice = plugin.TTS(model="gpt-4o-mini-tts", voice="ash", response_format="pcm", **door)
    async with voice.synthesize(answer) as speech:
        samples = sum([audio.frame.samples_per_channel async for audio in speech])
    for stage in (model, voice):
        await stage.aclose()
    assert answer == f"You said: {HEARD}"
    assert samples / 24 == pytest.approx(len(answer) * 65, rel=0.05)
    assert causes(simulator) == [("transcription", "completed"), ("chat", "completed"), ("speech", "completed")]
