"""What is sent at a pace keeps it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.simulator.pacing import in_pieces, paced, paced_audio, text_tokens

PCM = AudioFormat(rate=8000)


async def times(pieces: AsyncIterator[object], busy_s: float = 0.0) -> list[float]:
    """When each piece came to one who needs so long for the first of them."""
    loop = asyncio.get_running_loop()
    came = []
    async for _ in pieces:
        came.append(loop.time())
        if len(came) == 1:
            await asyncio.sleep(busy_s)
    return came


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(text_tokens(text)) == text


def test_tokens_are_about_those_of_a_model() -> None:
    assert text_tokens("Hello, internationalisation.") == ["Hello", ",", " internat", "ionalisa", "tion", "."]


def test_pieces_come_evenly() -> None:
    assert run_in_virtual_time(times(paced("abcd", 10))) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert run_in_virtual_time(times(paced("ab", 10, since=5.0))) == pytest.approx([5, 5.1])
    assert run_in_virtual_time(times(paced("abcd", 0))) == [0, 0, 0, 0]


def test_what_is_late_once_makes_up_for_it() -> None:
    assert run_in_virtual_time(times(paced("abcde", 10), busy_s=0.25)) == pytest.approx([0, 0.25, 0.25, 0.3, 0.4])


@pytest.mark.parametrize(("pace", "came"), [(1, [0, 0.5, 0.6]), (2, [0, 0.25, 0.3]), (0, [0, 0, 0])])
def test_audio_comes_as_it_plays(pace: float, came: list[float]) -> None:
    audio = [bytes(PCM.size(500)), bytes(PCM.size(100)), bytes(PCM.size(20))]
    assert run_in_virtual_time(times(paced_audio(audio, PCM, pace))) == pytest.approx(came)


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_audio_is_cut_anew(pieces: list[bytes], size: int) -> None:
    async def cut() -> list[bytes]:
        return [piece async for piece in in_pieces(pieces, size)]

    made = run_in_virtual_time(cut())
    assert b"".join(made) == b"".join(pieces)
    assert all(len(piece) == size for piece in made[:-1])
    assert all(made)
