"""The `LanguageModel` stages: chat completions and the responses API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import LanguageModelTraits, Progress, Prompt, ToolRequest, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.body import Body
from voicebridge.transport.http import HttpCall

from .chat import ChatBody
from .connection import Connection
from .model_request import chat_request, responses_request
from .models import reasons
from .options import ChatOptions, ModelOptions
from .responses import ResponsesBody
from .servers import Server

__all__ = ["ChatModel", "ResponsesModel"]

_WORDS = ("auto", "none", "required")
_THINKING_S = 30.0
"""Seconds that a reasoning model may take to its first word."""
_WARM = Prompt(items=(MessageItem(role="user", text="Hello."),))


class ChatModel:
    """A model by chat completions, for one session.

    Args:
        model: as the server names it.
    """

    _options: ModelOptions

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._name = f"{server.name}/{model}"
        self._connection = Connection(server, model)
        self._config = SessionConfig()

    @property
    def traits(self) -> LanguageModelTraits:
        """How it works."""
        return LanguageModelTraits(
            heeds=frozenset({"base_url", "api_key", "tool_choice"}),
            usage="exact" if self._server.tells_usage else "estimated",
            speculative="safe",
            memory="prompt",
            tools=True,
        )

    def configure(self, config: SessionConfig) -> None:
        """Take the settings: the tool to choose, the limit of tokens, where to go, and the options.

        Raises:
            BadOption: an option that it does not know.
            ConfigError: no server, no key, or a tool to choose that there is none of.
        """
        choice, names = config.tool_choice, {tool.name for tool in config.tools}
        if choice is not None and choice not in _WORDS and choice not in names:
            known = ", ".join(map(repr, (*_WORDS, *sorted(names))))
            raise ConfigError(f"tool_choice {choice!r} names no tool of this session: it is one of {known}.")
        options = self._read(config)
        effort = options.reasoning_effort
        thinks = reasons(self._model) if effort is None else effort not in ("none", "minimal")
        if thinks and options.first_output_timeout_s is None:
            options = options.model_copy(update={"first_output_timeout_s": _THINKING_S})
        self._connection.configure(config, options)
        self._config, self._options = config, options

    def _read(self, config: SessionConfig) -> ModelOptions:
        return read_stage_options(ChatOptions, config.options, self._name)

    def _call(self, prompt: Prompt, config: SessionConfig) -> tuple[HttpCall, Body[Any]]:
        assert isinstance(self._options, ChatOptions)
        body = chat_request(self._server, self._model, config, self._options, prompt)
        return HttpCall(path="/chat/completions", json=body), ChatBody(
            _characters(prompt), thoughts=self._options.thoughts
        )

    async def warm(self) -> None:
        """Open a connection. A server of the user's own also loads the model, and reads the instructions.

        Raises:
            VoiceBridgeError: it does not run or has not that model, or the key is refused.
        """
        if not self._server.warms_up:
            await self._connection.warm()
            return
        config = self._config.model_copy(update={"max_output_tokens": 1})
        prompt = replace(_WARM, instructions=config.instructions or "")
        await self._connection.load(*self._call(prompt, config))

    async def get_ready(self) -> None:
        """Open a connection, if none waits."""
        await self._connection.get_ready()

    def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage | Progress]:
        """The answer as it comes. See `LanguageModel.respond`.

        Raises:
            VoiceBridgeError: the server refused, failed, or filtered the answer.
        """
        return self._connection.ask(*self._call(prompt, self._config))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


class ResponsesModel(ChatModel):
    """A model by the responses API, for one session. The vendor stores nothing of it."""

    def _read(self, config: SessionConfig) -> ModelOptions:
        return read_stage_options(ModelOptions, config.options, self._name)

    def _call(self, prompt: Prompt, config: SessionConfig) -> tuple[HttpCall, Body[Any]]:
        body = responses_request(self._model, config, self._options, prompt)
        return HttpCall(path="/responses", json=body), ResponsesBody(
            _characters(prompt), thoughts=self._options.thoughts
        )


def _characters(prompt: Prompt) -> int:
    """Characters that the model reads, tools left out."""
    said = (getattr(item, "text", "") or getattr(item, "output", "") for item in prompt.items)
    return len(prompt.instructions) + sum(map(len, said))
