"""Stages are told that they will be asked soon: when they are warm, and when the user begins to speak."""

from __future__ import annotations

import asyncio

from voicebridge.contract.events import ResponseEnded, SessionReady
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import scripted_conversation


class Connecting:
    """Notes when it was asked to get ready, and what came of it."""

    def __init__(self, takes_s: float = 0.0, fails: bool = False) -> None:
        self.takes_s, self.fails = takes_s, fails
        self.asked: list[float] = []
        self.cancelled = 0

    async def get_ready(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise OSError("no route to host")


class ConnectingVoice(ScriptedVoice, Connecting):
    def __init__(self, takes_s: float = 0.0, fails: bool = False) -> None:
        ScriptedVoice.__init__(self, warm_s=1.0)
        Connecting.__init__(self, takes_s, fails)


class ConnectingModel(ScriptedModel, Connecting):
    def __init__(self) -> None:
        ScriptedModel.__init__(self, ["Yes."])
        Connecting.__init__(self)


class ConnectingRecogniser(ScriptedRecogniser, Connecting):
    def __init__(self) -> None:
        ScriptedRecogniser.__init__(self, ["hello"])
        Connecting.__init__(self)


def test_every_seat_is_asked_when_all_are_warm_and_when_a_turn_opens() -> None:
    seats = ConnectingRecogniser(), ConnectingModel(), ConnectingVoice()

    async def main() -> None:
        async with scripted_conversation(stt=seats[0], llm=seats[1], tts=seats[2]) as user:
            await user.until(SessionReady)
            await user.pause(4000)
            began = asyncio.get_running_loop().time()
            await user.speak(400)
            await user.until(ResponseEnded)
            for stage in seats:
                assert len(stage.asked) == 2
                assert stage.asked[0] == 1.0
                assert began < stage.asked[1] < began + 0.2

    run_in_virtual_time(main())


def test_it_is_not_asked_again_within_seconds_or_while_it_still_gets_ready() -> None:
    quick, slow = ConnectingVoice(), ConnectingVoice(takes_s=60)

    async def main(voice: ConnectingVoice) -> None:
        async with scripted_conversation(tts=voice) as user:
            await user.until(SessionReady)
            await user.pause(3100)
            for _ in range(4):  # 2.4 s in all
                await user.speak(200)
                await user.pause(400)
            await user.pause(3100)
            await user.speak(200)
            await user.pause(400)

    run_in_virtual_time(main(quick))
    run_in_virtual_time(main(slow))
    assert len(quick.asked) == 3
    assert len(slow.asked) == 1
    assert slow.cancelled == 1  # at the close, where no task may be left


def test_an_error_is_no_more_than_a_hint_that_came_to_nothing() -> None:
    voice = ConnectingVoice(fails=True)

    async def main() -> None:
        async with scripted_conversation(tts=voice) as user:
            await user.speak(400)
            assert (await user.until(ResponseEnded)).status == "completed"

    run_in_virtual_time(main())
    assert voice.asked
