"""What the user heard of an answer: estimated, reported, corrected; and that the conversation keeps just that."""

from __future__ import annotations

import pytest

from voicebridge.contract.commands import Interrupt, ReportPlayed, Respond, SendText
from voicebridge.contract.events import OutputAudio, OutputHeard, ResponseEnded, ResponseStarted
from voicebridge.contract.items import MessageItem
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation

COUNTING = "One two three four five six seven eight nine ten."


def heard(user: User) -> list[tuple[float, str, str]]:
    return [(round(e.heard_ms), e.text, e.basis) for e in user.all(OutputHeard)]


async def remembered(user: User, llm: ScriptedModel) -> list[str]:
    """What the next prompt says that the agent said."""
    asked = len(llm.prompts)
    await user.session.send(SendText(text="and then?"))
    while len(llm.prompts) == asked:
        await user.pause(20)
    return [i.text for i in llm.prompts[-1].items if isinstance(i, MessageItem) and i.role == "assistant"]


@pytest.mark.parametrize("wait_ms", range(0, 2000, 80))
def test_a_short_answer_that_nobody_disturbs_is_heard_whole(wait_ms: int) -> None:
    """At any time of day: sums of fractions of seconds must not cost it."""

    async def main() -> None:
        llm = ScriptedModel(["ok."])
        async with scripted_conversation(llm=llm) as user:
            await user.pause(wait_ms)
            await user.session.send(SendText(text="q"))
            await user.until(OutputHeard)
            assert heard(user) == [(180, "ok.", "estimated")]
            assert await remembered(user, llm) == ["ok."]

    run_in_virtual_time(main())


def test_an_interrupt_that_names_nothing_cuts_by_the_estimate() -> None:
    async def main() -> None:
        llm = ScriptedModel([COUNTING])
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(600)
            await user.session.send(Interrupt())
            await user.pause(20)
            assert heard(user) == [(600, "One two", "estimated")]
            assert await remembered(user, llm) == ["One two"]

    run_in_virtual_time(main())


def test_a_cut_may_be_corrected_upwards() -> None:
    async def main() -> None:
        llm = ScriptedModel([COUNTING])
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=20)) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(100)
            await user.session.send(Interrupt(heard={"r1": 140}))
            await user.session.send(Interrupt(heard={"r1": 99_999}))
            await user.pause(20)
            assert heard(user) == [(140, "One two", "measured"), (980, COUNTING, "measured")]
            assert await remembered(user, llm) == [COUNTING]

    run_in_virtual_time(main())


def test_a_report_that_comes_after_barge_in_corrects_the_estimate() -> None:
    async def main() -> None:
        llm = ScriptedModel([COUNTING])
        async with scripted_conversation(llm=llm, stt=ScriptedRecogniser([""])) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(1000)
            await user.speak(200)
            assert heard(user) == [(1100, "One two three four", "estimated")]
            await user.session.send(ReportPlayed(response_id="r1", ms=300))
            await user.pause(1000)
            assert heard(user)[1:] == [(300, "One", "measured")]
            assert await remembered(user, llm) == ["One"]

    run_in_virtual_time(main())


def test_hearing_of_another_response_does_not_stop_the_one_that_runs() -> None:
    async def main() -> None:
        llm = ScriptedModel(["One two three four. ", " Five six seven eight. ", " Nine ten."], piece_s=1)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=20)) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(1200)
            await user.session.send(Interrupt(response_id="r0", heard={"r1": 300}))
            await user.until(ResponseEnded, status="completed")
            assert len(user.all(OutputAudio)) == 3
            assert not user.all(OutputHeard), "what was said of it is where the player is, not where it stops"
            await user.session.send(ReportPlayed(response_id="r1", ms=1060))
            await user.until(OutputHeard)
            assert heard(user) == [(1060, "One two three four.  Five six seven eight.  Nine ten.", "measured")]

    run_in_virtual_time(main())


def test_hearing_of_an_earlier_answer_does_not_stop_the_one_that_runs() -> None:
    async def main() -> None:
        llm = ScriptedModel([COUNTING, " And more."], piece_s=1)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=20)) as user:
            await user.session.send(Respond(say="First."))
            await user.until(OutputHeard)
            await user.session.send(SendText(text="q"))
            await user.until(ResponseStarted, count=2)
            await user.session.send(Interrupt(response_id="r1", heard={"r1": 0}))
            await user.until(ResponseEnded, count=2)
            assert [e.status for e in user.all(ResponseEnded)] == ["completed", "completed"]
            assert await remembered(user, llm) == [f"{COUNTING} And more."]

    run_in_virtual_time(main())


def test_a_player_that_is_late_is_waited_for() -> None:
    """It reports twice a second, the last time before the answer's last word came."""

    async def main() -> None:
        llm = ScriptedModel(["One two three. ", "Four."], piece_s=0.8)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=50)) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(500)
            await user.session.send(ReportPlayed(response_id="r1", ms=400))
            await user.until(ResponseEnded)
            await user.pause(1000)
            assert not user.all(OutputHeard), "by the estimate it is over, but the player said that it is not so far"
            await user.session.send(ReportPlayed(response_id="r1", ms=1000))
            await user.until(OutputHeard)
            assert heard(user) == [(1000, "One two three. Four.", "measured")]

    run_in_virtual_time(main())


def test_a_player_that_has_stopped_is_not_waited_for_for_ever() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel([COUNTING]), tts=ScriptedVoice(character_ms=20)) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(300)
            await user.session.send(ReportPlayed(response_id="r1", ms=280))
            told = await user.until(OutputHeard)
            assert heard(user) == [(280, "One two three", "measured")]
            assert told.at == pytest.approx(0.98 + 2, abs=0.05)

    run_in_virtual_time(main())


def test_many_answers_in_a_row_are_all_told() -> None:
    """More than are remembered once they were heard, made in no time and played one after the other."""

    async def main() -> None:
        async with scripted_conversation(tts=ScriptedVoice(character_ms=50)) as user:
            for number in range(30):
                await user.session.send(Respond(say=f"Number {number}."))
            await user.until(OutputHeard, count=30)
            assert [e.response_id for e in user.all(OutputHeard)] == [f"r{number + 1}" for number in range(30)]
            assert {e.text for e in user.all(OutputHeard)} == {f"Number {number}." for number in range(30)}

    run_in_virtual_time(main())
