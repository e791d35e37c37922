"""Gemma 3 270m, a base model: an offline stand-in for a real assistant, by llama.cpp inside the process (xllamacpp)."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import LanguageModelTraits, Prompt, Usage

from .dialogue import GRAMMAR, STOPS, begun, written
from .gguf import assembled
from .weights import Weights, required
from .worker import Stop, Worker

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["Gemma", "GemmaModel", "model"]

_SLOTS = 4
"""Conversations that are remembered at once. More of them share."""
_CONTEXT = 1_024
"""Tokens that one of them may have."""
_ROOMS = (3_000, 1_500, 0)
"""Characters of conversation that are tried, one after the other, until it fits: a token has about four of them in
English, but one or fewer in other scripts."""
_BATCH = 128
"""Tokens read at once. More are hardly faster, and take memory."""
_MOST_TOKENS = 40
_SAMPLING = {
    "temperature": 0.0,  # the same turn has the same answer, also when it was first answered on a guess
    # Against saying again what it said before, to which a small model that reads its own answers tends. llama.cpp's
    # better means, `dry`, takes 25 to 100 ms at the start of every answer.
    "repeat_penalty": 1.12,
    "repeat_last_n": 90,
}


class TooLong(Exception):
    """A prompt does not fit."""


@dataclass(frozen=True, slots=True)
class _Delta:
    """A piece of the answer, and at the end what it took."""

    text: str = ""
    used: dict[str, float] | None = None


class Gemma:
    """The model in memory, with a place for each of a few conversations."""

    def __init__(self) -> None:
        llama = _llama()
        settings = llama.CommonParams()
        settings.model.path = str(assembled())
        settings.n_ctx, settings.n_parallel, settings.kv_unified = _CONTEXT * _SLOTS, _SLOTS, False
        settings.n_batch = settings.n_ubatch = _BATCH
        settings.swa_full = True  # else Gemma's sliding window makes each turn read everything anew
        settings.cache_ram_mib = settings.n_ctx_checkpoints = 0  # no second memory of conversations beside the slots
        settings.fit_params = False  # it would load the model's outline a second time, to see how much a GPU can hold
        cores = os.cpu_count() or 1
        settings.cpuparams.n_threads = max(1, min(4, cores // 2))  # the voice speaks what is written meanwhile
        settings.cpuparams_batch.n_threads = min(4, cores)
        settings.verbosity = -1
        # It always opens a port on this machine. Nobody knows the key to it.
        settings.api_keys, settings.n_threads_http, settings.endpoint_slots = [secrets.token_hex(32)], 1, False
        self._server = llama.Server(settings)
        self._taken = [0] * _SLOTS

    @classmethod
    def load(cls) -> Gemma:
        """The installed model. The first run is the session's own, which reads its instructions.

        Raises:
            MissingExtra: `xllamacpp` or the weights are not installed.
        """
        return cls()

    def take_slot(self) -> int:
        """A place for a conversation: its own, as long as there are not more of them than places."""
        slot = self._taken.index(min(self._taken))
        self._taken[slot] += 1
        return slot

    def give_slot(self, slot: int) -> None:
        """The conversation is over."""
        self._taken[slot] -= 1

    def complete(self, prompt: str, most: int, slot: int, stop: Stop, tell: Any) -> None:
        """Go on with a prompt, giving `tell` each `_Delta`. Returns soon after `stop` is set.

        Raises:
            TooLong: the prompt has more tokens than fit.
            VoiceBridgeError: the model failed.
        """
        failures: list[dict[str, Any]] = []

        def take(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                failures.append(chunk["error"])
                return True
            tell(_Delta(chunk["choices"][0]["text"], _used(chunk.get("usage"))))
            return not stop.wanted

        request = {
            "prompt": prompt,
            "max_tokens": most,
            "stop": list(STOPS),
            "grammar": GRAMMAR,
            "stream": True,
            "cache_prompt": True,
            "id_slot": slot,
            **_SAMPLING,
        }
        self._server.handle_completions(request, take)
        for failure in failures:
            if failure.get("type") == "exceed_context_size_error":
                raise TooLong
            message = f"Gemma failed: {failure.get('message', failure)}"
            raise VoiceBridgeError(Fault(category="busy", code="llama", message=message, retryable=True))


_weights = Weights("Gemma 3 270m", Gemma.load)
_worker = Worker("voicebridge.local gemma", threads=_SLOTS)


class GemmaModel:
    """The `LanguageModel` stage, for one session. Also `ReadsAhead`."""

    def __init__(self) -> None:
        self._instructions = ""
        self._most = _MOST_TOKENS
        self._slot: int | None = None

    @property
    def traits(self) -> LanguageModelTraits:
        """How it works."""
        return LanguageModelTraits(speculative="safe", memory="prompt", tools=False)

    def configure(self, config: SessionConfig) -> None:
        """Take the limit of tokens, and the instructions to warm up with."""
        self._instructions = config.instructions or ""
        self._most = min(config.max_output_tokens or _MOST_TOKENS, _MOST_TOKENS)

    async def warm(self) -> None:
        """Load the model, and let it read the instructions.

        Raises:
            MissingExtra: its packages are not installed.
        """
        await self._read(partial(begun, (), self._instructions))

    async def aclose(self) -> None:
        """Give its place to others. The model stays in memory."""
        slot, self._slot = self._slot, None
        if slot is not None:
            _weights.now().give_slot(slot)

    async def read_ahead(self, prompt: Prompt) -> None:
        """Read the conversation while the user still speaks."""
        await self._read(partial(begun, prompt.items, prompt.instructions))

    async def respond(self, prompt: Prompt) -> AsyncIterator[str | Usage]:
        """The answer, one short sentence. See `LanguageModel.respond`."""
        text = partial(written, prompt.items, prompt.instructions)
        pieces: asyncio.Queue[_Delta | None] = asyncio.Queue()
        run = asyncio.create_task(self._run(text, self._most, pieces), name="gemma")
        run.add_done_callback(lambda _: pieces.put_nowait(None))
        spoken = False
        try:
            while (piece := await pieces.get()) is not None:
                said = piece.text if spoken else piece.text.lstrip()
                spoken = spoken or bool(said)
                if said:
                    yield said
                if piece.used:
                    yield Usage(piece.used)
            await run
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError, Exception):  # raised above, or of no more interest
                await run

    async def _read(self, text: Callable[[int], str]) -> None:
        # One token is the least that it writes. The next request finds what it read here.
        await self._run(text, 1, asyncio.Queue())

    async def _run(self, text: Callable[[int], str], most: int, pieces: asyncio.Queue[_Delta | None]) -> None:
        loaded = await _weights.get()
        if self._slot is None:
            self._slot = loaded.take_slot()
        loop, slot = asyncio.get_running_loop(), self._slot

        def tell(delta: _Delta) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(pieces.put_nowait, delta)

        def complete(stop: Stop) -> None:
            for room in _ROOMS:
                with suppress(TooLong):
                    return loaded.complete(text(room), most, slot, stop, tell)
            raise ConfigError("The instructions are too long for Gemma: use fewer words.", code="too_long")

        await _worker.run(complete)


def model() -> GemmaModel:
    """The stage, for one session."""
    return GemmaModel()


def _llama() -> Any:
    """The runtime.

    Raises:
        MissingExtra: it is not installed.
        ConfigError: it is, but not the OpenMP library that it needs of the system.
    """
    # Its threads would wait for each other busily. On a machine that does something else as well, each then waits for
    # one that is not running, and a sentence takes ten seconds. The OpenMP library reads this once, when it is loaded.
    before = os.environ.get("GOMP_SPINCOUNT")
    os.environ["GOMP_SPINCOUNT"] = before or "0"
    try:
        return required("xllamacpp")
    except ImportError as error:
        if "libgomp" not in str(error):
            raise
        message = "Gemma needs the library libgomp of the system. On Debian or Ubuntu: apt-get install libgomp1"
        raise ConfigError(message, code="missing_library") from error
    finally:
        if before is None:
            del os.environ["GOMP_SPINCOUNT"]


def _used(usage: dict[str, Any] | None) -> dict[str, float] | None:
    if not usage:
        return None
    return {"input_tokens": float(usage["prompt_tokens"]), "output_tokens": float(usage["completion_tokens"])}
