"""One conversation in the process of a client: it speaks a turn, hears the answer to its end, and goes on.

Needs neither voicebridge nor anything else but numpy: it runs in the interpreters of others, too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicebridge_bench.handover.player import Player

from .arms.arm import Call, Ears
from .control import tell_turn
from .microphone import Microphone

__all__ = ["Conversation", "SpokenClip"]

_LIMIT_S = 15.0
"""After the end of speech: then there is no answer."""
_QUIET_S = 0.8
"""Of nothing more to play: then an answer is over."""
_REST_S = (0.2, 0.6)
"""Before the next turn, at random, so that sessions do not march in step."""
_LOOKS_S = 0.02


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """A clip in memory, at the rate of the client's microphone."""

    id: str
    pcm: bytes
    spoken_s: float


class Conversation:
    """One session's turns.

    Args:
        boards: URLs of the simulators, which are told which turn begins: then requests in it draw the same times.
    """

    def __init__(self, key: str, boards: Sequence[str], rng: random.Random) -> None:
        self.key = key
        self._boards, self._rng = boards, rng
        self._player = Player()
        self._turn = 0
        self._first_byte: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._last_heard = 0.0
        self._odd = b""

    def ears(self) -> Ears:
        """For the client."""
        return Ears(self._hear, lambda: None)

    def _hear(self, pcm: bytes) -> None:
        now = self._clock()
        pcm = self._odd + pcm  # some clients cut samples in two
        self._odd = pcm[len(pcm) // 2 * 2 :]
        pcm = pcm[: len(pcm) // 2 * 2]
        if self._first_byte is None and pcm:
            self._first_byte = now
        self._last_heard = now
        self._player.take(str(self._turn), pcm, now)

    async def hold(
        self,
        call: Call,
        microphone: Microphone,
        clips: Sequence[SpokenClip],
        turns: range,
        silences_s: Mapping[str, float],
        after_s: float = 0.0,
    ) -> list[dict[str, Any]]:
        """Say a clip a turn; a row of each.

        Args:
            turns: their numbers: those of a caller and a number draw the same stage times, whoever asks.
            silences_s: by name, moments after the last sample of speech: how late the microphone was then.
            after_s: before the first one.
        """
        rows = []
        await asyncio.sleep(after_s)
        for number in turns:
            await asyncio.gather(*(tell_turn(board, self.key, number) for board in self._boards))
            await asyncio.sleep(self._rng.uniform(*_REST_S))
            rows.append(await self._held(call, microphone, clips[number % len(clips)], number, silences_s))
        return rows

    async def _held(
        self, call: Call, microphone: Microphone, clip: SpokenClip, number: int, silences_s: Mapping[str, float]
    ) -> dict[str, Any]:
        before = dict(call.guesses())
        self._turn, self._first_byte = number, None
        self._last_heard = self._clock()
        spoke_until = microphone.say(clip.pcm) + clip.spoken_s
        while not self._is_over(spoke_until):  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(_LOOKS_S)
        answer = self._player.answers.get(str(number))
        audible = answer.audible_at if answer is not None else None
        return {
            "key": self.key,
            "turn": number,
            "clip": clip.id,
            "spoke_until": round(spoke_until, 6),
            "ms": None if audible is None else round((audible - spoke_until) * 1000, 3),
            "first_byte_ms": None if self._first_byte is None else round((self._first_byte - spoke_until) * 1000, 3),
            "heard_s": 0.0 if answer is None else round(answer.ends_at - answer.starts_at - answer.silence_s, 3),
            "gap_ms": 0.0 if answer is None else round(answer.silence_s * 1000, 1),
            "late_ms": {name: round(microphone.late_ms(spoke_until + at), 3) for name, at in silences_s.items()},
            "guesses": {name: value - before.get(name, 0) for name, value in call.guesses().items()},
        }

    def _is_over(self, spoke_until: float) -> bool:
        now = self._clock()
        answer = self._player.answers.get(str(self._turn))
        if answer is None or answer.audible_at is None or answer.audible_at < spoke_until:
            return now > spoke_until + _LIMIT_S
        return now > max(self._player.ends_at, self._last_heard) + _QUIET_S
