"""The contract of stages: good ones keep it, and each way to break it is caught."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.cascade.lifted_model import LiftedModel
from voicebridge.cascade.lifted_voice import LiftedRecogniser, LiftedVoice
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import (
    Flush,
    LanguageModelTraits,
    Mark,
    Speech,
    SpeechToTextTraits,
    TextToSpeechTraits,
    Transcript,
    Usage,
    Word,
)
from voicebridge.testing.contract.stages import (
    LanguageModelContract,
    SpeechToTextContract,
    StageContract,
    TextToSpeechContract,
)
from voicebridge.testing.contract.verdict import Broken
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

DEAD = VoiceBridgeError(Fault(category="network", message="The peer has gone."))


class _Dying:
    """Its `dying_world` is one in which the stage that is made next is dead."""

    virtual_time = True
    dead = False

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        self.dead = True
        yield {}


class Ear(ScriptedRecogniser):
    """Hears where there is something to hear."""

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        heard = 0

        async def noted() -> AsyncIterator[bytes | Mark]:
            nonlocal heard
            async for piece in audio:
                heard += len(piece) if isinstance(piece, bytes) else 0
                yield piece

        async for output in super().listen(noted()):
            yield output if heard else replace(output, text="")
            yield Usage({"audio_seconds": heard / 32_000}, basis="estimated")


class Forgetful(Ear):
    """Answers the last mark alone."""

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        pieces = [piece async for piece in audio]
        marks = [piece for piece in pieces if isinstance(piece, Mark)]
        for mark in marks[-1:]:
            yield Transcript("x", final=True, mark=mark.n)


class TestRecogniser(_Dying, SpeechToTextContract):
    def stage(self) -> Any:
        return Ear(["hello"], final_s=0.1, fails={0: DEAD} if self.dead else None, traits=SpeechToTextTraits())


class TestModel(_Dying, LanguageModelContract):
    def stage(self) -> Any:
        script = ["Hi,", DEAD] if self.dead else ["Hi,", " there.", Usage({"text_out": 2.0})]
        traits = LanguageModelTraits(speculative="safe", usage="exact")
        return ScriptedModel(script, first_s=0.1, piece_s=0.1, traits=traits)


class TestVoice(_Dying, TextToSpeechContract):
    def stage(self) -> Any:
        return Mouth(dead=self.dead)

    wrong_voice = "nobody"


class Mouth(ScriptedVoice):
    """Times its words."""

    def __init__(self, *, dead: bool = False, takes: Any = "clauses") -> None:
        super().__init__(first_s=0.1, traits=TextToSpeechTraits(takes=takes, alignment="word", usage="exact"))
        self.dead = dead

    def configure(self, config: SessionConfig) -> None:
        if config.voice == "nobody":
            raise ConfigError("There is no such voice.")

    async def speak(self, text: Any) -> AsyncIterator[Any]:
        async for speech in super().speak(text):
            if self.dead:
                raise DEAD
            yield replace(speech, words=tuple(Word(word, 0.0, 1.0) for word in speech.text.split()))
            yield Usage({"characters": len(speech.text)})


class TestVoiceThatTakesTokens(TextToSpeechContract):
    virtual_time = True

    def stage(self) -> Any:
        return Mouth(takes="tokens")


class TestPlainFunctionAsRecogniser(SpeechToTextContract):
    def stage(self) -> Any:
        return LiftedRecogniser(lambda pcm: "hello" if pcm else "")


class TestPlainFunctionAsModel(LanguageModelContract):
    def stage(self) -> Any:
        return LiftedModel(lambda words: f"You said {words}.")


class TestPlainFunctionAsVoice(TextToSpeechContract):
    def stage(self) -> Any:
        return LiftedVoice(lambda text: bytes(2 * len(text)))


# Each way to break it


class Deaf(Ear):
    """Answers marks that nobody wants, or not in order."""

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        marks = [piece async for piece in audio if isinstance(piece, Mark)]
        for mark in reversed(marks):
            yield Transcript("hello", final=True, mark=mark.n)


class Stubborn(ScriptedModel):
    """Does not let go."""

    async def respond(self, prompt: Any) -> AsyncIterator[Any]:
        try:
            yield "Hi."
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(1)


class Foreign(ScriptedModel):
    async def respond(self, prompt: Any) -> AsyncIterator[Any]:
        yield "Hi."
        raise ConnectionResetError("by peer")


class Halves(ScriptedVoice):
    """Halves of samples, a text that it does not cover, and a failure at what can't be said."""

    async def speak(self, text: Any) -> AsyncIterator[Any]:
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            if not any(char.isalpha() for char in clause):
                raise ValueError("nothing to say")
            yield Speech(bytes(self.size), "Hello")

    size = 4


class HalvesIndeed(Halves):
    size = 3


class Swallows(ScriptedVoice):
    """Takes any option."""

    def configure(self, config: SessionConfig) -> None:
        self.taken = dict(config.options)


def contract(of: type[StageContract], stage: Any) -> StageContract:
    class Contract(_Dying, of):  # type: ignore[misc,valid-type]  # a class made at run time
        def stage(self) -> Any:
            return stage()

    made: StageContract = Contract()
    return made


@pytest.mark.parametrize(
    ("of", "stage", "check", "words"),
    [
        (SpeechToTextContract, lambda: Deaf(["x"]), "marks_are_answered_in_order_and_each_once", "in the order"),
        (SpeechToTextContract, lambda: Forgetful(["x"]), "marks_are_answered_in_order_and_each_once", "were lost"),
        (SpeechToTextContract, lambda: Deaf(["x"]), "a_mark_that_nobody_wants_is_not_answered", "unwanted"),
        (SpeechToTextContract, lambda: Deaf(["x"]), "an_utterance_without_sound_does_no_harm", "in nothing"),
        (
            SpeechToTextContract,
            lambda: Deaf(["x"], traits=SpeechToTextTraits()),
            "it_tells_what_it_used_as_it_declares",
            "'estimated', and it told",
        ),
        (LanguageModelContract, lambda: Stubborn([]), "it_lets_go_when_it_is_cancelled", "to let go"),
        (LanguageModelContract, lambda: ScriptedModel([]), "it_answers_in_words", "it said ''"),
        (LanguageModelContract, lambda: ScriptedModel(["x"]), "a_dying_peer_is_told_in_our_words", "as if nothing"),
        (LanguageModelContract, lambda: ScriptedModel([5]), "it_works_again_and_again", "gave a int"),  # type: ignore[list-item]  # that is the point
        (TextToSpeechContract, lambda: HalvesIndeed(), "its_pieces_cover_the_text", "half a sample"),
        (TextToSpeechContract, lambda: Halves(), "its_pieces_cover_the_text", "it says to have spoken"),
        (TextToSpeechContract, lambda: Swallows(), "it_refuses_an_option_that_it_does_not_know", "can't know"),
        (
            TextToSpeechContract,
            lambda: ScriptedVoice(traits=TextToSpeechTraits(alignment="word")),
            "its_words_have_times_as_it_declares",
            "0 words",
        ),
    ],
)
def test_a_stage_that_breaks_it_is_caught(of: type[StageContract], stage: Any, check: str, words: str) -> None:
    with pytest.raises(Broken, match=words):
        getattr(contract(of, stage), f"test_{check}")()


@pytest.mark.parametrize(
    ("of", "stage", "check", "error"),
    [
        (LanguageModelContract, lambda: Foreign([]), "a_dying_peer_is_told_in_our_words", ConnectionResetError),
        (TextToSpeechContract, lambda: Halves(), "text_without_words_does_no_harm", ValueError),
    ],
)
def test_a_foreign_error_comes_out_as_it_is(of: type[StageContract], stage: Any, check: str, error: Any) -> None:
    with pytest.raises(error):
        getattr(contract(of, stage), f"test_{check}")()


def test_a_recogniser_that_declares_more_than_it_does_is_caught() -> None:
    traits = SpeechToTextTraits(usage="exact")
    with pytest.raises(Broken, match="declared exact"):
        contract(SpeechToTextContract, lambda: Ear(["x"], traits=traits)).test_it_tells_what_it_used_as_it_declares()  # type: ignore[attr-defined]  # of the subclass
