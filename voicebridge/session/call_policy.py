"""The rules of a call at work in its session: consent, the last hook on the agent's voice, redaction."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.events import BackendError, OutputAudio
from voicebridge.contract.fault import Fault
from voicebridge.core.redaction import named, redact
from voicebridge.transport.thread import in_thread

__all__ = ["Consent", "OutputGuard", "combined_policy", "redactor"]

_CLOSE_S = 3.0
_REDACTED = "[redacted]"
_SILENCE = {"pcm16": b"\x00", "ulaw": b"\xff", "alaw": b"\xd5"}
_log = logging.getLogger("voicebridge")


def combined_policy(own: CallPolicy | None, imposed: Sequence[CallPolicy]) -> CallPolicy:
    """The application's rules and those that plugins impose, all at once."""
    policy = own or CallPolicy()
    for one in imposed:
        policy = policy.combined(one)
    return policy


class Consent:
    """Whether audio may be kept. Asked once; until it has said True, and without a hook for it, the answer is no."""

    def __init__(self, policy: CallPolicy) -> None:
        self._hook = policy.consent
        self._answer: asyncio.Task[None] | None = None
        self._closed = False
        self.given = False
        """Whether a byte of audio may be written now."""

    async def ask(self) -> bool:
        """Ask, unless that was done. May be called by several at once; none waits for another's cancellation."""
        if self._answer is None:
            self._answer = asyncio.create_task(self._asked(), name="consent")
        await asyncio.wait({self._answer})
        return self.given

    async def _asked(self) -> None:
        if self._hook is None:
            return
        try:
            for hook in getattr(self._hook, "parts", (self._hook,)):  # those of policies that were combined
                if await _answer_of(hook) is not True:
                    return
        except Exception as error:
            _log.warning("CallPolicy.consent failed (%s): nothing is kept", named(error))
        else:
            self.given = not self._closed

    async def aclose(self) -> None:
        """The session is over: nobody waits for an answer any more, and nothing more is kept."""
        self.given, self._closed = False, True
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()
            await asyncio.wait({self._answer}, timeout=_CLOSE_S)


async def _answer_of(hook: Callable[[], object]) -> object:
    """What a function of the application's gives; a plain one may wait for somebody, and must not hold up the call."""
    answer = hook() if inspect.iscoroutinefunction(hook) else await in_thread(hook, "voicebridge consent")
    return await answer if isinstance(answer, Awaitable) else answer


class OutputGuard:
    """The last one to have each piece of the agent's voice. What its hook does not give back is heard as silence, so
    that the places of all that follows stay right.

    Args:
        hook: `CallPolicy.output_audio`.
        format: of the agent's voice.
        tell: is told of the first failure.
    """

    def __init__(
        self,
        hook: Callable[[OutputAudio], OutputAudio | None],
        format: AudioFormat,
        tell: Callable[[BackendError], None],
    ) -> None:
        self._hook = hook
        self._silence = _SILENCE[format.encoding]
        self._tell = tell
        self._told = False
        self.withheld_bytes = 0
        """How much of the agent's voice became silence."""

    def __call__(self, audio: OutputAudio) -> OutputAudio:
        """The piece as it may be heard."""
        try:
            marked = self._hook(audio)
        except Exception as error:
            return self._withheld(audio, f"failed ({named(error)})")
        if marked is None:
            return self._withheld(audio, "")
        if not isinstance(marked, OutputAudio) or len(marked.pcm) != len(audio.pcm):
            return self._withheld(audio, "did not give back a piece of the same length")
        if marked.response_id != audio.response_id or marked.offset_ms != audio.offset_ms:
            return replace(audio, pcm=marked.pcm)
        return marked

    def _withheld(self, audio: OutputAudio, why: str) -> OutputAudio:
        self.withheld_bytes += len(audio.pcm)
        if why and not self._told:
            self._told = True
            message = f"CallPolicy.output_audio {why}: silence is heard in its place. Mend the hook."
            self._tell(BackendError(fault=Fault(category="protocol", code="output_hook_failed", message=message)))
        return replace(audio, pcm=self._silence * len(audio.pcm))


def redactor(policy: CallPolicy) -> Callable[[str], str]:
    """What each text goes through before it is logged. Where the policy's hook fails, no text is left."""
    hook = policy.redact
    if hook is None:
        return redact
    told = False

    def redacted(text: str) -> str:
        nonlocal told
        try:
            answer = hook(text)
        except Exception as error:
            if not told:
                told = True
                _log.warning("CallPolicy.redact failed (%s): texts are left out", named(error))
            return _REDACTED
        return answer if isinstance(answer, str) else _REDACTED

    return redacted
