"""POST /chat/completions and POST /responses: a simulated language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from voicebridge.testing.simulator.callers import Callers, CallerTurn
from voicebridge.testing.simulator.pacing import until
from voicebridge.testing.simulator.wire import HttpRequest, Reply

from ..simulator.replies import Failure, Part, read_reply
from .admission import Admission
from .api_error import failure
from .ask import Ask, Draft, draft
from .body_fields import parsed
from .chat_output import chat_pieces, whole_chat
from .chat_request import read_chat
from .dialects import HttpDialect
from .identity import Identity
from .options import HttpOptions
from .piece import Piece
from .playing import play
from .response_head import JSON, SSE, head
from .responses_output import ResponseOutput
from .responses_request import items_of, read_responses

__all__ = ["TextEndpoints"]

_MOST_KEPT = 1000
"""Responses that can be named as previous ones."""


class TextEndpoints:
    """Answers by script or by echo, at the pace of a model."""

    def __init__(
        self,
        options: HttpOptions,
        dialect: HttpDialect,
        admission: Admission,
        callers: Callers,
        seed: int,
        tokens_per_second: float,
    ) -> None:
        self._options = options
        self._dialect = dialect
        self._admission = admission
        self._callers = callers
        self._seed = seed
        self._token_s = 1 / tokens_per_second if tokens_per_second else 0.0
        self._replies: list[tuple[Part, ...]] = [read_reply(reply) for reply in options.replies]
        self._kept: dict[str, Sequence[Any]] = {}

    async def chat(self, key: str, request: HttpRequest, reply: Reply) -> None:
        """POST /chat/completions."""
        body = parsed(request.body)
        family = self._admission.family(body.get("model"), "chat")
        ask = read_chat(body, self._dialect, family)
        names = Identity(self._seed, reply.number)
        with self._callers.turn(key, cause="chat", connection=reply.number, at=request.at) as turn:
            answer = draft(ask, self._scripted(turn))
            whole = whole_chat(ask, answer, names, self._dialect)
            await self._say(turn, reply, ask, answer, whole, chat_pieces(ask, answer, names, self._dialect), names)

    async def responses(self, key: str, request: HttpRequest, reply: Reply) -> None:
        """POST /responses."""
        body = parsed(request.body)
        family = self._admission.family(body.get("model"), "chat")
        ask = read_responses(body, self._dialect.strict, family, self._kept.get)
        names = Identity(self._seed, reply.number)
        with self._callers.turn(key, cause="responses", connection=reply.number, at=request.at) as turn:
            answer = draft(ask, self._scripted(turn))
            output = ResponseOutput(ask, answer, names, self._dialect)
            if body.get("store") is not False:
                self._keep(output, body)
            await self._say(turn, reply, ask, answer, output.whole(), output.pieces(), names)

    def _scripted(self, turn: CallerTurn) -> tuple[Part, ...] | None:
        place = turn.record.turn - 1
        return self._replies[place] if place < len(self._replies) else None

    def _keep(self, output: ResponseOutput, body: dict[str, Any]) -> None:
        before = self._kept.get(body.get("previous_response_id") or "", ())
        self._kept[output.id] = [*before, *items_of(body["input"]), *output.items]
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    async def _say(
        self,
        turn: CallerTurn,
        reply: Reply,
        ask: Ask,
        answer: Draft,
        whole: bytes,
        pieces: Iterator[Piece],
        names: Identity,
    ) -> None:
        since = turn.began + turn.ms("first_token") / 1000
        failed = answer.failure
        if failed and (len(answer.parts) == 1 or not ask.stream):
            await until(since)
            turn.record.status = "failed"
            raise self._failure(failed)
        if not ask.stream:
            await until(since + answer.tokens * self._token_s)
            turn.stamp("first_token")
            await reply.start(200, head(JSON, names, len(whole)))
            await reply.send("body", whole)
            return
        await until(since)
        turn.stamp("first_token")
        await reply.start(200, head(SSE, names))
        await play(reply, pieces, since, self._token_s)
        if failed:
            turn.record.status = "failed"

    def _failure(self, failed: Failure) -> Exception:
        return failure(failed.code, failed.message, self._options.retry_after_s)
