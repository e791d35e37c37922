"""A backend for tests of the harness: it hears loudness, answers with a tone after a fixed time, and errs on request.

`bench-parrot/FAULT` errs: `mute` never answers, `busy` fails every answer, `mortal` dies in its second turn, `sleepy`
never gets ready, `shy` refuses to connect, `faint` answers with silence.
"""

from __future__ import annotations

import array
import asyncio
import math
import time
from contextlib import asynccontextmanager

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.errors import BadOption, ConfigError, SessionClosed, SessionFailed
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import About
from voicebridge.transport.delivery import Delivery

CAPABILITIES = Capabilities(
    turns=frozenset({"server_vad"}),
    interrupt=frozenset({"verb", "auto"}),
    inputs=frozenset({"audio"}),
    outputs=frozenset({"audio", "text"}),
    formats_in=(DOOR_FORMAT,),
    formats_out=(DOOR_FORMAT,),
)
DEFAULTS = {"ready_ms": 0, "delay_ms": 100, "pad_ms": 0, "reply_ms": 600, "chunk_ms": 200, "text": "", "stall": False}
FAULT = Fault(category="busy", message="The parrot is busy.")


def tone(ms: float, amplitude: int = 8000) -> bytes:
    """A sine in the door's format."""
    count = round(ms * DOOR_FORMAT.rate / 1000)
    return array.array("h", (round(amplitude * math.sin(n / 5)) for n in range(count))).tobytes()


class ParrotBackend:
    capabilities = CAPABILITIES

    def __init__(self, fault: str | None = None) -> None:
        self.fault = fault
        self.sessions: list[ParrotSession] = []

    @asynccontextmanager
    async def connect(self, config, history=(), resume=None):
        if unknown := set(config.options) - set(DEFAULTS):
            raise BadOption(f"The parrot has no option {unknown.pop()!r}.")
        options = DEFAULTS | dict(config.options)
        if options["stall"]:
            time.sleep(3600)  # noqa: ASYNC251  # the loop itself hangs: that is the fault
        if self.fault == "shy":
            raise ConfigError("The parrot does not talk to strangers.")
        await asyncio.sleep(options["ready_ms"] / 1000)
        session = ParrotSession(self.fault, config.turns.silence_ms or 500, options)
        self.sessions.append(session)
        try:
            yield session
        finally:
            await session.aclose()


class ParrotSession:
    capabilities = CAPABILITIES

    def __init__(self, fault, silence_ms, options) -> None:
        self.fault, self.silence_ms, self.options = fault, silence_ms, options
        self.commands: list[object] = []
        self.delivery = Delivery(DOOR_FORMAT, asyncio.get_running_loop().time)
        self.turns = 0
        self.response: asyncio.Task[None] | None = None
        self.response_id: str | None = None
        self.quiet_ms: float | None = None
        self.heard_ms = 0.0
        self.closed = False
        if fault != "sleepy":
            self.put(
                SessionReady(
                    session_id="p1",
                    model="bench/parrot",
                    capabilities=CAPABILITIES,
                    input_format=DOOR_FORMAT,
                    output_format=DOOR_FORMAT,
                )
            )

    def put(self, event) -> None:
        self.delivery.put(event)

    async def send(self, command) -> None:
        if self.closed:
            raise SessionClosed("The parrot has flown.")
        if isinstance(command, SendAudio):
            self.hear(command.pcm)
            return
        self.commands.append(command)
        if isinstance(command, Interrupt):
            await self.hush()
        if not isinstance(command, ReportPlayed):
            self.put(CommandSettled(command_id=command.id))

    def hear(self, pcm: bytes) -> None:
        samples = array.array("h", pcm)
        self.heard_ms += DOOR_FORMAT.ms(len(pcm))
        loud = math.sqrt(sum(s * s for s in samples[::4]) / len(samples[::4])) > 200
        if loud:
            if self.quiet_ms is None:
                self.begin_turn()
            self.quiet_ms = 0.0
        elif self.quiet_ms is not None:
            self.quiet_ms += DOOR_FORMAT.ms(len(pcm))
            if self.quiet_ms >= self.silence_ms:
                self.end_turn()

    def begin_turn(self) -> None:
        self.turns += 1
        if self.response is not None and not self.response.done():
            self.response.cancel()
        self.put(UserTurn(turn_id=f"t{self.turns}", phase="speech", audio_ms=self.heard_ms))

    def end_turn(self) -> None:
        self.quiet_ms = None
        turn = f"t{self.turns}"
        self.put(UserTurn(turn_id=turn, phase="committed", audio_ms=self.heard_ms))
        self.put(InputTranscript(turn_id=turn, text=self.options["text"], final=True))
        if self.fault == "mortal" and self.turns == 2:
            self.delivery.end(FAULT)
            self.closed = True
        elif self.fault != "mute":
            self.response = asyncio.create_task(self.answer(f"r{self.turns}", turn))

    async def answer(self, response_id: str, turn: str) -> None:
        await asyncio.sleep(self.options["delay_ms"] / 1000)
        self.put(ResponseStarted(response_id=response_id, cause="user", answers=(turn,)))
        self.response_id = response_id
        status = "interrupted"
        try:
            if self.fault == "busy":
                status = "failed"
                return
            self.put(OutputText(response_id=response_id, delta="Polly wants a cracker."))
            silence = bytes(DOOR_FORMAT.size(self.options["pad_ms"]))
            pcm = silence + tone(self.options["reply_ms"], 0 if self.fault == "faint" else 8000)
            size = DOOR_FORMAT.size(self.options["chunk_ms"])
            for start in range(0, len(pcm), size):
                offset_ms = DOOR_FORMAT.ms(start)
                self.put(OutputAudio(response_id=response_id, pcm=pcm[start : start + size], offset_ms=offset_ms))
                await asyncio.sleep(0.01)
            status = "completed"
        finally:
            fault = FAULT if status == "failed" else None
            self.put(ResponseEnded(response_id=response_id, status=status, fault=fault))

    async def hush(self) -> None:
        if self.response is not None and not self.response.done():
            self.response.cancel()
            await asyncio.gather(self.response, return_exceptions=True)

    def __aiter__(self):
        return self.delivery

    async def aclose(self) -> None:
        await self.hush()
        self.closed = True
        self.delivery.end()


@hookimpl
def register_backends(register) -> None:
    register("bench-parrot", ParrotBackend, About(summary="Answers with a tone."))


class Ear:
    """A recogniser that writes down what its option `text` says, and fails where that is `fail`."""

    traits = SpeechToTextTraits()

    def configure(self, config) -> None:
        if unknown := set(config.options) - {"text"}:
            raise BadOption(f"The ear has no option {unknown.pop()!r}.")
        self.text = config.options.get("text", "this is one")

    async def warm(self) -> None:
        if self.text == "deaf":
            raise ConfigError("The ear is deaf.")

    async def listen(self, audio):
        async for piece in audio:
            if isinstance(piece, Mark) and piece.wanted:
                if self.text == "fail":
                    raise SessionFailed(FAULT)
                yield Transcript(self.text, final=True, mark=piece.n)

    async def aclose(self) -> None:
        pass


@hookimpl
def register_stages(register) -> None:
    register("stt", "bench-ear", lambda model: Ear(), About(summary="Writes down what it is told."))
