"""Where a seat with several models does not ask again, and where it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.contract.commands import SendText
from voicebridge.contract.events import BackendError, ResponseEnded
from voicebridge.contract.stages import LanguageModelTraits, Prompt, ToolRequest
from voicebridge.testing.stages import ScriptedModel, ScriptedVoice
from voicebridge.testing.user import User

from .test_fallback import asked, conversation, fault, now

ACTS = LanguageModelTraits(speculative="unsafe")


async def ended(user: User, count: int = 1) -> Any:
    await user.session.send(SendText(text="hi"))
    return await user.until(ResponseEnded, count=count)


@pytest.mark.parametrize("traits", [ACTS, LanguageModelTraits(speculative="safe", memory="own")], ids=["acts", "own"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "two"])
def test_a_model_that_may_have_acted_is_asked_once_and_nobody_in_its_place(traits: Any, alone: bool) -> None:
    first, second = ScriptedModel([fault()], traits=traits), ScriptedModel(["Done again."])

    async def test(user: User) -> None:
        end = await ended(user)
        assert (end.status, end.fault.retryable, end.fault.code) == ("failed", False, "may_have_acted")
        assert (len(first.prompts), len(second.prompts)) == (1, 0)
        assert user.all(BackendError) == []

    conversation(test, llm=first if alone else [first, second])


def test_the_turn_after_that_is_answered_by_the_next_one() -> None:
    first, second = ScriptedModel([fault()], traits=ACTS), ScriptedModel(["Second."])

    async def test(user: User) -> None:
        await ended(user)
        assert await asked(user, 2) == "Second."

    conversation(test, llm=[first, second])


def test_a_model_that_failed_after_a_call_is_left_alone_by_the_next_turn() -> None:
    first, second = ScriptedModel([ToolRequest("c1", "f", "{}"), fault("quota")]), ScriptedModel(["Second."])

    async def test(user: User) -> None:
        await ended(user)
        assert await asked(user, 2) == "Second."

    conversation(test, llm=[first, second])


def test_one_that_can_not_go_on_with_words_is_passed_over() -> None:
    own = [ScriptedModel([" no."], traits=LanguageModelTraits(speculative="safe", memory="own")) for _ in range(2)]

    async def alone(user: User) -> None:
        assert (await ended(user)).status == "failed"
        assert user.all(BackendError) == [], "nobody takes over"

    conversation(alone, llm=[ScriptedModel(["The weather", fault()]), own[0]])

    async def third(user: User) -> None:
        assert await asked(user) == "The weather is fine."

    conversation(third, llm=[ScriptedModel(["The weather", fault()]), own[1], ScriptedModel([" is fine."])])
    assert [model.prompts for model in own] == [[], []]


class Late(ScriptedModel):
    """Fails two seconds after it was asked on a guess, which is then no guess any more."""

    async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
        self.prompts.append(prompt)
        await asyncio.sleep(2)
        raise fault()
        yield


def test_an_adopted_guess_that_fails_is_asked_of_those_that_are_not_asked_on_a_guess() -> None:
    acts = ScriptedModel(["Done."], traits=ACTS)

    async def test(user: User) -> None:
        await user.speak(600)
        assert (await user.until(ResponseEnded)).status == "completed"
        assert [prompt.speculative for prompt in acts.prompts] == [False]

    conversation(test, llm=[Late([]), acts])


def test_a_guess_is_not_tried_again_and_the_answer_is() -> None:
    model = ScriptedModel([fault()])

    async def test(user: User) -> None:
        await user.speak(600)
        end = await user.until(ResponseEnded)
        assert (end.status, end.fault.retryable) == ("failed", False), "it was tried again enough"
        assert [prompt.speculative for prompt in model.prompts] == [True, False, False, False]

    conversation(test, llm=model)


class NeverWarm:
    """Its warm-up hangs."""

    async def warm(self) -> None:
        await asyncio.sleep(3600)


class ColdModel(NeverWarm, ScriptedModel):
    pass


class ColdVoice(NeverWarm, ScriptedVoice):
    pass


def test_one_that_does_not_get_warm_is_passed_over_for_one_that_is() -> None:
    async def test(user: User) -> None:
        began = now()
        assert await asked(user) == "Third."
        assert now() - began < 1

    conversation(test, llm=[ScriptedModel([fault("auth")]), ColdModel(["x"]), ScriptedModel(["Third."])])


def test_nobody_waits_for_a_warm_up_longer_than_for_an_answer() -> None:
    async def test(user: User) -> None:
        began = now()
        assert await asked(user) == "Third."
        assert now() - began < 6

    third = ScriptedModel(["Third."], warm_s=4)
    conversation(test, llm=[ScriptedModel([fault("auth")]), ColdModel(["x"]), third])


def test_a_slow_first_choice_holds_up_no_answer() -> None:
    async def test(user: User) -> None:
        began = now()
        await asked(user)
        assert now() - began < 1

    conversation(test, tts=[ColdVoice(), ScriptedVoice()])
