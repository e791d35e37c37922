"""Plain functions as recogniser and voice."""

from __future__ import annotations

from voicebridge.cascade.lifted_voice import LiftedRecogniser, LiftedVoice
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.events import InputTranscript, OutputAudio, OutputHeard, SessionReady
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.user import scripted_conversation


def test_functions_in_all_three_seats() -> None:
    heard: list[int] = []

    async def recognise(pcm: bytes) -> str:
        heard.append(len(pcm))
        return "good morning"

    async def answer(words: str) -> str:
        return f"{words} to you. And good night."

    async def speak(text: str) -> bytes:
        return b"\x00\x10" * 240 * len(text)

    async def main() -> None:
        async with scripted_conversation(stt=recognise, llm=answer, tts=speak) as user:
            await user.speak(500)
            await user.until(OutputHeard)
            assert user.all(InputTranscript)[-1].text == "good morning"
            assert [len(e.pcm) // 480 for e in user.all(OutputAudio)] == [
                len("good morning to you."),
                len(" And good night."),
            ]
            first = heard[0]
            assert 500 * 32 <= first <= 700 * 32
            await user.speak(500)
            await user.until(OutputHeard, count=2)
            assert abs(heard[-1] - first) <= 150 * 32  # a new utterance, not both

    run_in_virtual_time(main())


def test_formats_of_functions_are_converted_at_the_door() -> None:
    eight = AudioFormat(rate=8_000)

    async def recognise(pcm: bytes) -> str:
        return "hi"

    async def speak(text: str) -> bytes:
        return b"\x00\x10" * 8_000

    async def main() -> None:
        stt, tts = LiftedRecogniser(recognise, format=eight), LiftedVoice(speak, format=eight)
        async with scripted_conversation(stt=stt, tts=tts, llm=lambda_model) as user:
            await user.speak(500)
            await user.until(OutputHeard)
            ready = user.all(SessionReady)[0]
            assert (ready.input_format.rate, ready.output_format.rate) == (16_000, 24_000)
            assert sum(len(e.pcm) for e in user.all(OutputAudio)) == 24_000 * 2
            offsets = [e.offset_ms for e in user.all(OutputAudio)]
            assert offsets == sorted(offsets)

    run_in_virtual_time(main())


async def lambda_model(words: str) -> str:
    return "One clause."
