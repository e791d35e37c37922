"""Voices that fail without saying so: they hang, end too early, or do not tell what they speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.contract.events import BackendError, OutputAudio, ResponseEnded
from voicebridge.contract.stages import Flush, Speech
from voicebridge.testing.stages import ScriptedModel, ScriptedVoice
from voicebridge.testing.user import User

from .test_fallback import asked, conversation, fault, now

SENTENCES = ["First sentence is here now. ", "Second sentence is here as well."]


class Partial(ScriptedVoice):
    """Speaks so many clauses, of the last one only 100 ms; then hangs, ends its stream well, or fails."""

    def __init__(self, clauses: int, then: str, *, tells: bool = True) -> None:
        super().__init__()
        self.clauses, self.then, self.tells = clauses, then, tells

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for clause in text:
            if isinstance(clause, Flush) or len(self.spoken) >= self.clauses:
                continue
            self.spoken.append(clause)
            last = len(self.spoken) == self.clauses
            yield Speech(bytes(4800 if last else len(clause) * 2880), clause if self.tells else "")
            if last and self.then == "hang":
                await asyncio.sleep(3600)
            if last and self.then == "fail":
                raise fault()


def test_a_voice_that_hangs_in_the_middle_of_a_clause_is_replaced() -> None:
    second = ScriptedVoice()

    async def test(user: User) -> None:
        began = now()
        await asked(user)
        assert user.all(OutputAudio)[1].at - began < 5.5
        assert user.all(ResponseEnded)[0].status == "completed"
        assert "Second sentence is here as well." in "".join(second.spoken)

    conversation(test, llm=ScriptedModel(SENTENCES), tts=[Partial(1, "hang"), second])


@pytest.mark.parametrize("clauses", [0, 1])
def test_a_voice_that_ends_well_without_all_words_is_replaced(clauses: int) -> None:
    second = ScriptedVoice()

    async def test(user: User) -> None:
        await asked(user)
        assert user.all(ResponseEnded)[0].status == "completed"
        assert len(user.all(BackendError)) == 1
        assert second.spoken[-1].strip() == SENTENCES[1]

    conversation(test, llm=ScriptedModel(SENTENCES), tts=[Partial(clauses, "end"), second])


def test_a_slow_model_is_not_the_failure_of_a_voice_that_tells_no_text() -> None:
    first, second = Partial(9, "end", tells=False), ScriptedVoice()

    async def test(user: User) -> None:
        await asked(user)
        assert user.all(BackendError) == []

    conversation(test, llm=ScriptedModel(SENTENCES, piece_s=8), tts=[first, second])
    assert (len(first.spoken), second.spoken) == (2, [])


def test_what_a_voice_that_tells_no_text_has_spoken_is_not_spoken_again() -> None:
    second = ScriptedVoice()
    conversation(asked, llm=ScriptedModel(SENTENCES), tts=[Partial(2, "fail", tells=False), second])
    assert second.spoken
    assert "First" not in "".join(second.spoken)
