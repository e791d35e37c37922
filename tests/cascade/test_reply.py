"""One answer: model and voice at the same time, held back until it is wanted, and timed out where it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from voicebridge.cascade.reply import Output, Reply, StageError
from voicebridge.contract.stages import Flush, Progress, Prompt, Speech, TextToSpeechTraits, ToolRequest, Usage
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedVoice

CALL = ToolRequest("k1", "f", "{}")
PROMPT = Prompt(items=())


async def room() -> None:
    """There always is."""


class Stage:
    def __init__(
        self,
        script: Iterable[Any] = ("One.", " Two."),
        *,
        prompt: Prompt | str = PROMPT,
        llm: Any = None,
        tts: Any = None,
        text_only: bool = False,
        room: Callable[[], Any] = room,
        keep_markup: bool = False,
    ) -> None:
        self.outputs: list[Output] = []
        self.llm = llm or ScriptedModel(script)
        self.tts = None if text_only else tts or ScriptedVoice(character_ms=10)
        self.reply = Reply(
            prompt, self.llm, self.tts, emit=self.outputs.append, room=room, timeout_s=5, keep_markup=keep_markup
        )

    @property
    def written(self) -> list[str]:
        return [output for output in self.outputs if isinstance(output, str)]

    @property
    def spoken(self) -> list[str]:
        return [output.text for output in self.outputs if isinstance(output, Speech)]


async def fault(stage: Stage) -> tuple[str, str, float]:
    """Which seat failed, why, and when."""
    with pytest.raises(StageError) as raised:
        await stage.reply.run()
    return raised.value.seat, repr(raised.value.__cause__), asyncio.get_running_loop().time()


def test_what_an_answer_consists_of() -> None:
    async def main() -> None:
        stage = Stage(["One.", " Two.", CALL, Usage({"output_tokens": 3})])
        stage.reply.release()
        await stage.reply.run()
        assert stage.written == ["One.", " Two."]
        assert stage.spoken == ["One.", " Two."]
        assert CALL in stage.outputs
        assert ("llm", Usage({"output_tokens": 3})) in stage.outputs
        assert stage.reply.work.characters == len("One. Two.")
        assert stage.reply.work.speech_bytes == sum(len(o.pcm) for o in stage.outputs if isinstance(o, Speech))

    run_in_virtual_time(main())


@pytest.mark.parametrize("keep_markup", [False, True])
@pytest.mark.parametrize("takes", ["clauses", "tokens"])
def test_the_voice_gets_plain_words_and_the_application_what_was_written(keep_markup: bool, takes: Any) -> None:
    async def main() -> None:
        pieces = ["## Two *th", "ings*\n- [milk](https://milk.org)\n", "```\ncode\n```\n- bread \U0001f600"]
        stage = Stage(
            pieces, tts=ScriptedVoice(character_ms=10, traits=TextToSpeechTraits(takes=takes)), keep_markup=keep_markup
        )
        stage.reply.release()
        await stage.reply.run()
        assert "".join(stage.written) == "".join(pieces)
        said = "".join(pieces) if keep_markup else "Two things\nmilk\n\nbread"
        assert "".join(stage.spoken).split() == said.split()

    run_in_virtual_time(main())


def test_nothing_is_told_before_the_release() -> None:
    async def main() -> None:
        stage = Stage(["One. ", "Two. "], llm=ScriptedModel(["One. ", "Two. "], piece_s=1))
        running = asyncio.create_task(stage.reply.run())
        await asyncio.sleep(0.5)
        assert stage.outputs == []
        stage.reply.release()
        assert stage.written == ["One. "]
        assert stage.reply.times.released == 0.5
        await running
        assert stage.written == ["One. ", "Two. "]

    run_in_virtual_time(main())


@pytest.mark.parametrize("released", [True, False])
def test_nothing_is_told_once_it_is_dropped(released: bool) -> None:
    async def main() -> None:
        stage = Stage(llm=ScriptedModel(["One. ", Usage({"a": 1})], piece_s=1))
        if released:
            stage.reply.release()
        running = asyncio.create_task(stage.reply.run())
        await asyncio.sleep(0.5)
        told = list(stage.outputs)
        stage.reply.drop()
        await running
        stage.reply.release()
        assert stage.outputs == told
        assert stage.reply.work.usages == [("llm", Usage({"a": 1}))], "what was used was used"

    run_in_virtual_time(main())


def test_white_space_at_the_end_is_no_clause() -> None:
    async def main() -> None:
        stage = Stage(["One. ", "\n", " "])
        stage.reply.release()
        await stage.reply.run()
        assert stage.written == ["One. ", "\n", " "]
        assert [text.strip() for text in stage.spoken] == ["One."]

    run_in_virtual_time(main())


def test_words_of_others_need_no_model() -> None:
    async def main() -> None:
        stage = Stage(prompt="Exactly this.")
        stage.reply.release()
        await stage.reply.run()
        assert stage.written == stage.spoken == ["Exactly this."]
        assert stage.llm.prompts == []

    run_in_virtual_time(main())


def test_text_only() -> None:
    async def main() -> None:
        stage = Stage(text_only=True)
        stage.reply.release()
        await stage.reply.run()
        assert stage.outputs == ["One.", " Two."]
        assert not stage.reply.spoken

    run_in_virtual_time(main())


class Taker(ScriptedVoice):
    """Keeps the pieces it was given."""

    def __init__(self, takes: Any) -> None:
        super().__init__(traits=TextToSpeechTraits(takes=takes))
        self.taken: list[str | Flush] = []

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for piece in text:
            self.taken.append(piece)
            if isinstance(piece, str):
                yield Speech(bytes(2), piece)


@pytest.mark.parametrize(
    ("takes", "taken"),
    [
        ("clauses", ["Hello there.", " So"]),
        ("tokens", ["Hel", "lo there", ". ", "So", Flush(), Flush()]),
    ],
)
def test_a_voice_gets_what_it_takes(takes: str, taken: list[str | Flush]) -> None:
    async def main() -> None:
        tts = Taker(takes)
        stage = Stage(["Hel", "lo there", ". ", "So"], tts=tts)
        await stage.reply.run()
        flushes = [piece for piece in tts.taken if isinstance(piece, Flush)]
        assert len(flushes) == len([piece for piece in taken if isinstance(piece, Flush)])
        assert [p.strip() for p in tts.taken if isinstance(p, str)] == [p.strip() for p in taken if isinstance(p, str)]

    run_in_virtual_time(main())


# Time


def test_each_first_thing_is_timed() -> None:
    async def main() -> None:
        llm = ScriptedModel(["One", " two. "], first_s=1, piece_s=0.5)
        stage = Stage(llm=llm, tts=ScriptedVoice(first_s=0.25))
        await stage.reply.run()
        times = stage.reply.times
        assert (times.asked, times.first_token, times.first_clause, times.first_speech) == (0, 1, 1.5, 1.75)

    run_in_virtual_time(main())


async def hang(_: Any) -> AsyncIterator[Any]:
    await asyncio.sleep(1e6)
    yield


def test_a_model_that_hangs() -> None:
    async def main() -> None:
        llm = ScriptedModel([])
        llm.respond = hang  # type: ignore[method-assign,assignment]  # the fault under test
        assert await fault(Stage(llm=llm)) == ("language model", "TimeoutError()", 5)

    run_in_virtual_time(main())


def test_a_model_that_hangs_between_two_words() -> None:
    async def main() -> None:
        llm = ScriptedModel(["a", "b"], first_s=1, piece_s=6)
        assert await fault(Stage(llm=llm)) == ("language model", "TimeoutError()", 6)

    run_in_virtual_time(main())


def test_a_model_that_is_slow_but_gets_on() -> None:
    async def main() -> None:
        stage = Stage(llm=ScriptedModel(["a", "b", "c"], first_s=4, piece_s=4.9))
        stage.reply.release()
        await stage.reply.run()
        assert stage.written == ["a", "b", "c"]

    run_in_virtual_time(main())


def test_a_model_that_writes_a_long_call_has_all_its_time() -> None:
    async def main() -> None:
        class Writing(ScriptedModel):
            async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
                yield "One."
                for _ in range(4):
                    await asyncio.sleep(4)
                    yield Progress()
                yield CALL

        stage = Stage(llm=Writing([]))
        stage.reply.release()
        await stage.reply.run()
        assert stage.outputs[0] == "One."
        assert CALL in stage.outputs
        assert Progress() not in stage.outputs
        assert asyncio.get_running_loop().time() >= 16

    run_in_virtual_time(main())


def test_a_voice_that_hangs_does_so_from_its_first_clause_on() -> None:
    async def main() -> None:
        llm = ScriptedModel(["One. ", "Two. "], first_s=3, piece_s=1)
        tts = ScriptedVoice(first_s=1e6)
        assert await fault(Stage(llm=llm, tts=tts)) == ("voice", "TimeoutError()", 8)

    run_in_virtual_time(main())


def test_a_voice_that_waits_for_a_slow_model_does_not_hang() -> None:
    async def main() -> None:
        llm = ScriptedModel(["One. ", "Two. ", "Three. ", "Four. "], first_s=4, piece_s=4)
        stage = Stage(llm=llm)
        stage.reply.release()
        await stage.reply.run()
        assert len(stage.spoken) == 4

    run_in_virtual_time(main())


def test_a_reader_that_is_slow_is_nobodys_fault() -> None:
    async def main() -> None:
        stage = Stage([f"Sentence {number}. " for number in range(60)], room=lambda: asyncio.sleep(100))
        stage.reply.release()
        await stage.reply.run()
        assert len(stage.spoken) == 60

    run_in_virtual_time(main())


# Faults


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (["One.", RuntimeError("boom")], "RuntimeError('boom')"),
        (["One.", asyncio.CancelledError()], "CancelledError()"),
        ([5], "TypeError('it gave a int')"),
        (["One.", b"two"], "TypeError('it gave a bytes')"),
    ],
)
def test_faults_of_the_model(script: list[Any], why: str) -> None:
    class Model(ScriptedModel):
        async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
            for piece in script:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece

    async def main() -> None:
        assert await fault(Stage(llm=Model([]))) == ("language model", why, 0)

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("gives", "why"),
    [
        ([RuntimeError("boom")], "RuntimeError('boom')"),
        ([Speech(bytes(2), "One."), asyncio.CancelledError()], "CancelledError()"),
        ([b"\x00\x00"], "TypeError('it gave a bytes')"),
        ([], "RuntimeError('it gave no audio')"),
        ([Speech(b"", "One.")], "RuntimeError('it gave no audio')"),
    ],
)
def test_faults_of_the_voice(gives: list[Any], why: str) -> None:
    class Voice(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Any]:
            async for _ in text:
                pass
            for output in gives:
                if isinstance(output, BaseException):
                    raise output
                yield output

    async def main() -> None:
        assert await fault(Stage(tts=Voice())) == ("voice", why, 0)

    run_in_virtual_time(main())


def test_a_fault_of_one_ends_the_other() -> None:
    async def main() -> None:
        llm = ScriptedModel(["One. ", "Two. "], piece_s=60)
        tts = ScriptedVoice()

        async def speak(text: Any) -> AsyncIterator[Speech]:
            raise RuntimeError("boom")
            yield

        tts.speak = speak  # type: ignore[method-assign]  # the fault under test
        assert (await fault(Stage(llm=llm, tts=tts)))[0::2] == ("voice", 0)
        assert llm.cancelled == 1

    run_in_virtual_time(main())


@pytest.mark.parametrize("nothing", ["", "\n", Usage({"output_tokens": 1})])
def test_a_stream_that_only_keeps_alive_runs_into_the_time_out(nothing: Any) -> None:
    async def main() -> None:
        llm = ScriptedModel([nothing] * 100, first_s=1, piece_s=1)
        assert await fault(Stage(llm=llm)) == ("language model", "TimeoutError()", 5)

    run_in_virtual_time(main())


def test_a_voice_that_only_counts_its_characters_runs_into_the_time_out() -> None:
    class Counting(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Any]:
            async for clause in text:
                for _ in clause * 100:
                    await asyncio.sleep(1)
                    yield Usage({"characters": 1})

    async def main() -> None:
        assert await fault(Stage(["One."], tts=Counting())) == ("voice", "TimeoutError()", 5)

    run_in_virtual_time(main())


def test_a_model_that_writes_blanks_while_the_voice_is_slow_has_all_its_time() -> None:
    async def main() -> None:
        script = [*("Word. " * 40).split(" ")[:40], *[" "] * 3, "End."]
        traits = TextToSpeechTraits(takes="tokens")
        stage = Stage(llm=ScriptedModel(script, first_s=1, piece_s=1), tts=ScriptedVoice(first_s=4, traits=traits))
        stage.reply.release()
        await stage.reply.run()
        assert stage.written[-1] == "End."

    run_in_virtual_time(main())
