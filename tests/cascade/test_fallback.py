"""Several stages in a seat: each takes over from the one before it, and nothing is said or asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import SendText
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    SessionReady,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.fault import Category, Fault
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import (
    Flush,
    LanguageModelTraits,
    Mark,
    Progress,
    Prompt,
    Speech,
    SpeechToTextTraits,
    TextToSpeechTraits,
    ToolRequest,
    Transcript,
    TurnSignal,
    Usage,
    Word,
)
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation


def fault(category: Category = "network", *, retryable: bool = True, **more: Any) -> VoiceBridgeError:
    return VoiceBridgeError(Fault(category=category, message="As planned.", retryable=retryable, **more))


def now() -> float:
    return asyncio.get_running_loop().time()


async def asked(user: User, count: int = 1) -> str:
    """What the agent answers to a text."""
    await user.session.send(SendText(text="hi"))
    ended = await user.until(ResponseEnded, count=count)
    return "".join(e.delta for e in user.all(OutputText, response_id=ended.response_id))


def conversation(test: Callable[[User], Any], **seats: Any) -> Any:
    async def main() -> Any:
        async with scripted_conversation(**seats) as user:
            await user.until(SessionReady)
            return await test(user)

    return run_in_virtual_time(main())


# The model


class Chatty(ScriptedModel):
    """Sends what keeps a connection alive, and never a word."""

    async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
        self.prompts.append(prompt)
        while True:
            await asyncio.sleep(0.5)
            yield ""
            yield Usage({"text_out": 1.0})


def test_a_model_that_only_keeps_its_connection_alive_is_replaced_within_five_seconds() -> None:
    async def test(user: User) -> None:
        began = now()
        assert await asked(user) == "Hello from the other one."
        first = user.all(OutputText)[0]
        assert first.at - began <= 5.2
        [told] = user.all(BackendError)
        assert not told.fatal
        assert told.fault.code == "stage_replaced"
        assert "The next one takes over from the language model." in told.fault.message

    conversation(test, llm=[Chatty([]), ScriptedModel(["Hello from the other one."])])


class Thoughtful(ScriptedModel):
    """Thinks for 12 s, and tells that it does."""

    async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
        for _ in range(4):
            await asyncio.sleep(3)
            yield Progress()
        yield "At last."


def test_a_model_that_thinks_or_writes_a_call_is_not_replaced() -> None:
    async def test(user: User) -> None:
        assert await asked(user) == "At last."
        assert user.all(BackendError) == []

    conversation(test, llm=[Thoughtful([]), ScriptedModel(["Hello from the other one."])])


@pytest.mark.parametrize("category", ["network", "auth", "busy", "quota", "protocol"])
def test_the_next_model_answers_at_once_and_the_first_one_when_it_is_well_again(category: Category) -> None:
    failing = [fault(category)]

    def script(prompt: Prompt) -> Sequence[str]:
        if failing:
            raise failing.pop()
        return ["First."]

    first, second = ScriptedModel(script), ScriptedModel(["Second."])

    async def test(user: User) -> None:
        assert await asked(user) == "Second."
        assert await asked(user, 2) == "Second."
        assert len(first.prompts) == 1
        await user.pause(12_000)
        again = await asked(user, 3)
        assert again == ("Second." if category in ("auth", "quota") else "First.")
        assert [e.status for e in user.all(ResponseEnded)] == ["completed"] * 3

    conversation(test, llm=[first, second])


def test_it_is_left_alone_as_long_as_it_asked_for() -> None:
    first = ScriptedModel([fault("rate", retry_after_s=60)])

    async def test(user: User) -> None:
        await asked(user)
        await user.pause(30_000)
        await asked(user, 2)
        assert len(first.prompts) == 1
        await user.pause(31_000)
        await asked(user, 3)
        assert len(first.prompts) == 2

    conversation(test, llm=[first, ScriptedModel(["Second."])])


def test_the_next_model_goes_on_with_the_words_and_repeats_none() -> None:
    second = ScriptedModel(["The weather ", "is fine ", "and warm", " today."])

    async def test(user: User) -> None:
        assert await asked(user) == "The weather is fine and warm today."
        [prompt] = second.prompts
        assert prompt.items[-1] == MessageItem(role="assistant", text="The weather is fine")
        assert "Go on from there" in prompt.instructions
        assert user.all(ResponseEnded)[0].status == "completed"

    conversation(test, llm=[ScriptedModel(["The weather", " is fine", fault()]), second])


def test_one_that_was_to_call_a_tool_is_not_asked_again() -> None:
    second = ScriptedModel(["No."])

    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        assert (await user.until(ResponseEnded)).status == "failed"
        assert second.prompts == []

    conversation(test, llm=[ScriptedModel([ToolRequest("c1", "f", "{}"), fault()]), second])


def test_one_that_remembers_by_itself_can_not_go_on_and_does_not_try() -> None:
    second = ScriptedModel(["No."], traits=LanguageModelTraits(memory="own"))

    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        assert (await user.until(ResponseEnded)).status == "failed"
        assert second.prompts == []

    conversation(test, llm=[ScriptedModel(["The weather", fault()]), second])


def test_what_was_refused_for_what_was_said_is_not_taken_elsewhere() -> None:
    second = ScriptedModel(["No."])

    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        assert (await user.until(ResponseEnded)).fault.category == "content"
        assert second.prompts == []

    conversation(test, llm=[ScriptedModel([fault("content")]), second])


def test_usage_is_of_the_model_that_used_it() -> None:
    first = ScriptedModel([Usage({"text_in": 1.0}), fault()])
    second = ScriptedModel(["Hi.", Usage({"text_in": 2.0})])

    async def test(user: User) -> None:
        await asked(user)
        assert [(e.model, dict(e.units)) for e in user.all(UsageReported)] == [
            ("custom", {"text_in": 1.0}),
            ("custom", {"text_in": 2.0}),
        ]

    conversation(test, llm=[first, second])


def test_a_model_that_acts_is_not_asked_on_a_guess_but_answers_the_turn() -> None:
    acts = ScriptedModel(["Done."], traits=LanguageModelTraits(speculative="unsafe"))

    async def test(user: User) -> None:
        await user.speak(400)
        assert (await user.until(ResponseEnded)).status == "completed"
        assert [prompt.speculative for prompt in acts.prompts] == [False]

    conversation(test, llm=[ScriptedModel([fault()]), acts])


@pytest.mark.parametrize(("failures", "status"), [(1, "completed"), (2, "completed"), (3, "failed")])
def test_one_that_is_alone_is_tried_again_before_it_has_said_anything(failures: int, status: str) -> None:
    left = [fault() for _ in range(failures)]

    def script(prompt: Prompt) -> Sequence[str]:
        if left:
            raise left.pop()
        return ["At last."]

    async def test(user: User) -> None:
        began = now()
        await user.session.send(SendText(text="hi"))
        ended = await user.until(ResponseEnded)
        assert ended.status == status
        assert now() - began < 5
        assert user.all(BackendError) == []

    conversation(test, llm=ScriptedModel(script))


@pytest.mark.parametrize(
    "script",
    [["One.", fault()], [fault(retryable=False)], [fault("rate", retry_after_s=20)]],
    ids=["begun", "no", "long"],
)
def test_it_is_not_where_that_would_not_help(script: Any) -> None:
    model = ScriptedModel(script)

    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        assert (await user.until(ResponseEnded)).status == "failed"
        assert len(model.prompts) == 1

    conversation(test, llm=model)


# The voice


class Dying(ScriptedVoice):
    """Speaks in pieces of 100 ms, word by word where it knows their times, and dies after so much audio."""

    def __init__(
        self, dies_after_ms: float, *, aligned: bool = False, rate: int = 24_000, takes: Any = "clauses"
    ) -> None:
        format = AudioFormat(rate=rate)
        alignment: Any = "word" if aligned else "none"
        super().__init__(traits=TextToSpeechTraits(format=format, takes=takes, alignment=alignment), character_ms=60)
        self.left_ms, self.aligned = dies_after_ms, aligned

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            self.spoken.append(clause)
            whole_ms, sent_ms = len(clause) * 60.0, 0.0
            while sent_ms < whole_ms:
                await asyncio.sleep(0.01)
                piece_ms = min(100.0, whole_ms - sent_ms, self.left_ms)
                if piece_ms <= 0:
                    raise fault()
                words = tuple(_timed(clause)) if self.aligned and not sent_ms else ()
                yield Speech(bytes(self.traits.format.size(piece_ms)), clause if not sent_ms else "", words)
                sent_ms, self.left_ms = sent_ms + piece_ms, self.left_ms - piece_ms


def _timed(clause: str) -> list[Word]:
    words, at = [], 0
    for word in clause.split():
        at = clause.index(word, at)
        words.append(Word(word, at * 60.0, (at + len(word)) * 60.0))
        at += len(word)
    return words


TEXT = "One two three four five six seven, eight nine ten eleven twelve thirteen. Fourteen fifteen."


def spoken_words(*voices: ScriptedVoice) -> list[list[str]]:
    return [" ".join(voice.spoken).split() for voice in voices]


@pytest.mark.parametrize("takes", ["clauses", "tokens"])
@pytest.mark.parametrize("dies_after_ms", [0, 70, 1000, 2000, 2500, 4000, 5000])
def test_a_voice_that_dies_in_mid_sentence_is_gone_on_with_and_no_word_is_repeated(
    dies_after_ms: int, takes: Any
) -> None:
    first = Dying(dies_after_ms, aligned=True)
    second = ScriptedVoice(traits=TextToSpeechTraits(takes=takes))

    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        ended = await user.until(ResponseEnded)
        assert ended.status == "completed"
        heard = (await user.until(OutputHeard, text=TEXT)).text
        assert heard == TEXT  # each word is told once, whoever spoke it
        assert "".join(e.delta for e in user.all(OutputText)) == TEXT
        [told] = user.all(BackendError)
        assert ("It goes on with '" in told.fault.message) == (dies_after_ms > 0)

    conversation(test, llm=ScriptedModel([TEXT]), tts=[first, second])
    whole = [word for word in _timed(TEXT) if word.end_ms <= dies_after_ms + 1]
    [again] = spoken_words(second)
    assert [word.text for word in whole] + again == TEXT.split()


@pytest.mark.parametrize("dies_after_ms", [500, 1000, 2000, 3000, 4000, 5000])
def test_without_times_of_words_one_may_be_missing_and_none_is_repeated(dies_after_ms: int) -> None:
    first, second = Dying(dies_after_ms), ScriptedVoice()

    async def test(user: User) -> None:
        await asked(user)
        assert len(user.all(BackendError)) == 1

    conversation(test, llm=ScriptedModel([TEXT]), tts=[first, second])
    begun = [word.text for word in _timed(TEXT) if word.start_ms < dies_after_ms]
    [again] = spoken_words(second)
    assert TEXT.split()[-len(again) :] == again or not again
    assert len(begun) + len(again) <= len(TEXT.split())
    assert len(begun) + len(again) >= len(TEXT.split()) - 3


def test_the_next_voice_speaks_in_the_format_of_the_first() -> None:
    first, second = Dying(0), ScriptedVoice(traits=TextToSpeechTraits(format=AudioFormat(rate=16_000)), character_ms=50)

    async def test(user: User) -> None:
        await asked(user)
        bytes_ = sum(len(e.pcm) for e in user.all(OutputAudio))
        assert bytes_ == pytest.approx(first.traits.format.size(len(TEXT) * 50.0), abs=4)

    conversation(test, llm=ScriptedModel([TEXT]), tts=[first, second])


def test_a_voice_for_clauses_takes_over_from_one_that_takes_tokens() -> None:
    first, second = Dying(0, takes="tokens"), ScriptedVoice()
    pieces = [TEXT[at : at + 3] for at in range(0, len(TEXT), 3)]
    conversation(asked, llm=ScriptedModel(pieces, piece_s=0.01), tts=[first, second])
    assert "".join(second.spoken).split() == TEXT.split()
    assert len(second.spoken) > 1


class Mute(ScriptedVoice):
    """Takes the text and gives nothing."""

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for _ in text:
            pass
        await asyncio.sleep(3600)
        yield Speech(b"")


def test_a_voice_that_hangs_is_replaced_within_five_seconds() -> None:
    async def test(user: User) -> None:
        began = now()
        await user.session.send(SendText(text="hi"))
        assert (await user.until(OutputAudio)).at - began <= 5.2

    conversation(test, llm=ScriptedModel(["Hello."]), tts=[Mute(), ScriptedVoice()])


def test_a_voice_that_waits_for_a_slow_model_does_not_hang() -> None:
    second = ScriptedVoice()
    slow = ScriptedModel(["Wait a moment, please. ", "Now it is done."], piece_s=20)
    assert conversation(asked, llm=slow, tts=[ScriptedVoice(), second]) == "Wait a moment, please. Now it is done."
    assert second.spoken == []


def test_when_the_last_voice_dies_too_the_response_has_failed() -> None:
    async def test(user: User) -> None:
        await user.session.send(SendText(text="hi"))
        ended = await user.until(ResponseEnded)
        assert (ended.status, ended.fault.category) == ("failed", "network")

    conversation(test, llm=ScriptedModel([TEXT]), tts=[Dying(500), Dying(500)])


# The recogniser


class Ear(ScriptedRecogniser):
    """Notes what it hears; fails at the marks of these numbers, or hangs there."""

    def __init__(self, text: str, *, fails: Sequence[int] = (), hangs: Sequence[int] = (), **more: Any) -> None:
        super().__init__([text], **more)
        self.wrong, self.hangs = list(fails), hangs
        self.heard_ms: list[float] = []

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        heard = 0
        async for piece in audio:
            if isinstance(piece, bytes):
                heard += len(piece)
                continue
            self.marks.append(piece)
            if piece.n in self.wrong:
                raise fault()
            if piece.n in self.hangs:
                await asyncio.sleep(3600)
            if piece.wanted:
                self.heard_ms.append(self.traits.format.ms(heard))
                yield Transcript(self._texts[0], final=True, mark=piece.n)
            if piece.fresh:
                heard = 0


def finals(user: User) -> list[str]:
    return [e.text for e in user.all(InputTranscript, final=True)]


def test_the_next_recogniser_hears_the_utterance_and_answers_what_was_asked() -> None:
    first, second = Ear("first", fails=[1]), Ear("second", traits=SpeechToTextTraits(format=AudioFormat(rate=24_000)))

    async def test(user: User) -> None:
        await user.speak(1000)
        await user.until(ResponseEnded)
        assert finals(user) == ["second"]
        assert [e.phase for e in user.all(UserTurn)] == ["speech", "pause", "committed"]

    conversation(test, stt=[first, second])
    assert second.heard_ms[0] == pytest.approx(1040, abs=25)


def test_a_recogniser_that_hangs_is_replaced_within_five_seconds() -> None:
    async def test(user: User) -> None:
        spoken_at = await user.speak(1000)
        assert (await user.until(InputTranscript, final=True)).at - spoken_at <= 5.2
        assert finals(user) == ["second"]

    conversation(test, stt=[Ear("first", hangs=[1]), Ear("second")])


class Stuck(ScriptedRecogniser):
    """Reads the first piece of audio, and nothing after it."""

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        async for _ in audio:
            await asyncio.Event().wait()
        yield


def test_a_recogniser_that_stops_reading_is_replaced_within_five_seconds() -> None:
    async def test(user: User) -> None:
        spoken_at = await user.speak(1000)
        await user.until(ResponseEnded)
        assert finals(user) == ["second"]
        assert user.all(InputTranscript, final=True)[0].at - spoken_at <= 5.5

    conversation(test, stt=[Stuck(["x"]), Ear("second")])


def test_the_next_one_that_does_not_read_either_is_replaced_too() -> None:
    async def test(user: User) -> None:
        await user.speak(1000)
        await user.until(ResponseEnded)
        assert finals(user) == ["third"]

    conversation(test, stt=[Stuck(["x"]), Stuck(["x"]), Ear("third")])


def test_one_that_is_alone_and_stops_reading_ends_its_turn_in_words() -> None:
    async def test(user: User) -> None:
        await user.speak(1000)
        written = await user.until(InputTranscript, final=True)
        assert written.fault.code == "stage_timeout"

    conversation(test, stt=Stuck(["x"]), timeout_s=10)


def test_the_preferred_one_hears_again_from_the_next_utterance_on() -> None:
    async def test(user: User) -> None:
        for count, gap_ms in ((1, 1000), (2, 11_000), (3, 1000)):
            await user.speak(600)
            await user.until(ResponseEnded, count=count)
            await user.pause(gap_ms)
        assert finals(user) == ["second", "second", "first"]

    conversation(test, stt=[Ear("first", fails=[1]), Ear("second")])


def test_one_that_is_alone_loses_no_turn_when_it_fails_once() -> None:
    ear = Ear("hello", fails=[1])

    async def test(user: User) -> None:
        await user.speak(1000)
        await user.pause(60)
        ear.wrong.clear()
        await user.until(ResponseEnded)
        assert finals(user) == ["hello"]
        assert user.all(BackendError) == []

    conversation(test, stt=ear)
    assert ear.heard_ms[0] == pytest.approx(1040, abs=30)


class Own(Ear):
    """Finds turns itself: speech at its first sound, an end when a second of it has been heard."""

    def __init__(self, text: str, *, dies_at_ms: float = 1e9) -> None:
        super().__init__(text, traits=SpeechToTextTraits(turns="own"))
        self.dies_at_ms = dies_at_ms

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        heard_ms, began_ms = 0.0, -1.0
        async for piece in audio:
            if isinstance(piece, Mark):
                if piece.wanted:
                    yield Transcript(self._texts[0], final=True, mark=piece.n)
                continue
            if began_ms < 0 and any(piece):
                began_ms = heard_ms
                yield TurnSignal("speech", began_ms)
            heard_ms += self.traits.format.ms(len(piece))
            if heard_ms > self.dies_at_ms:
                raise fault()
            if began_ms >= 0 and heard_ms - began_ms >= 1000:
                yield TurnSignal("end", heard_ms)
                began_ms = -1.0


def test_signals_of_the_next_recogniser_are_where_they_are_in_all_the_audio() -> None:
    async def test(user: User) -> None:
        for count in (1, 2):
            await user.speak(1000)
            await user.until(ResponseEnded, count=count)
            await user.pause(1000)
        found = [(e.phase, e.audio_ms) for e in user.all(UserTurn)]
        assert finals(user) == ["first", "second"]
        spoken = [ms for phase, ms in found if phase == "speech"]
        committed = [ms for phase, ms in found if phase == "committed"]
        assert [end - begin for begin, end in zip(spoken, committed, strict=True)] == pytest.approx([1000, 1000])
        assert spoken[1] > committed[0] + 900

    async def main() -> None:
        from voicebridge.cascade.backend import CascadeBackend
        from voicebridge.contract.stages import PCM_16K
        from voicebridge.session.door import connect_raw

        seats: Any = {"llm": ScriptedModel(["Hi."]), "tts": ScriptedVoice(), "detector": None}
        backend = CascadeBackend(stt=[Own("first", dies_at_ms=2800), Own("second")], **seats)
        async with connect_raw(backend, input_format=PCM_16K) as session:
            user = User(session)
            await test(user)
            await user.done()
        user.check()

    run_in_virtual_time(main())


# Warming up


class Cold(ScriptedVoice):
    """Can't be warm."""

    async def warm(self) -> None:
        await asyncio.sleep(0.1)
        raise fault("auth", retryable=False)


def test_a_first_choice_that_can_not_warm_is_left_at_once() -> None:
    async def test(user: User) -> None:
        assert user.all(SessionReady)[0].at <= 0.3
        await asked(user)
        assert user.all(ResponseEnded)[0].status == "completed"
        assert [e.fault.code for e in user.all(BackendError)] == ["stage_not_ready"]

    conversation(test, tts=[Cold(), ScriptedVoice(warm_s=0.1)])


def test_a_dead_fallback_does_not_stop_the_session() -> None:
    async def test(user: User) -> None:
        await user.pause(500)
        await asked(user)
        assert user.all(ResponseEnded)[0].status == "completed"
        [told] = user.all(BackendError)
        assert not told.fatal
        assert "can't be used now" in told.fault.message

    conversation(test, tts=[ScriptedVoice(), Cold()])


def test_a_slow_first_choice_is_not_waited_for() -> None:
    async def test(user: User) -> None:
        assert user.all(SessionReady)[0].at == pytest.approx(5.0, abs=0.1)
        await asked(user)

    conversation(test, tts=[ScriptedVoice(warm_s=60), ScriptedVoice()])


def test_when_none_can_warm_the_session_ends() -> None:
    async def main() -> Any:
        async with scripted_conversation(tts=[Cold(), Cold()]) as user:
            await asyncio.sleep(1)
        return user.failure

    failure = run_in_virtual_time(main())
    assert failure.fault.category == "auth"
