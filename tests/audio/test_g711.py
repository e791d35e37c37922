from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from voicebridge.audio.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode

EVERY = np.arange(-32768, 32768).astype(np.int16)
CODES = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0xFF, 0),
        (0x7F, 0),
        (0xFE, 8),
        (0x7E, -8),
        (0x80, 32124),
        (0x00, -32124),
        (0xEF, 132),
        (0xF0, 120),
        (0x9F, 8316),
    ],
)
def test_known_ulaw_words(code: int, sample: int) -> None:
    assert int(ulaw_decode(np.uint8([code]))[0]) == sample
    if code != 0x7F:  # minus nought is only ever received
        assert int(ulaw_encode(np.int16([sample]))[0]) == code


@pytest.mark.parametrize(
    ("code", "sample"),
    [(0xD5, 8), (0x55, -8), (0xD4, 24), (0xAA, 32256), (0x2A, -32256), (0xC5, 264), (0xDA, 248), (0xB5, 8448)],
)
def test_known_alaw_words(code: int, sample: int) -> None:
    assert int(alaw_decode(np.uint8([code]))[0]) == sample
    assert int(alaw_encode(np.int16([sample]))[0]) == code


def test_every_level_comes_back_and_order_is_kept() -> None:
    for encode, decode, same in ((ulaw_encode, ulaw_decode, 255), (alaw_encode, alaw_decode, 256)):
        assert len(set(decode(CODES).tolist())) == same
        kept = CODES if same == 256 else CODES[CODES != 0x7F]
        assert np.array_equal(encode(decode(kept)), kept)
        assert (np.diff(decode(encode(EVERY)).astype(int)) >= 0).all()
        assert encode(EVERY.reshape(2, -1)).shape == (2, 32768)


def test_every_sample_goes_to_a_nearest_level() -> None:
    for encode, decode, ends in ((ulaw_encode, ulaw_decode, 32635), (alaw_encode, alaw_decode, 32767)):
        levels = np.unique(decode(CODES)).astype(int)
        error = np.abs(decode(encode(EVERY)).astype(int) - EVERY)
        nearest = np.abs(levels[:, None] - EVERY[None, ::7].astype(int)).min(axis=0)
        inside = np.abs(EVERY[::7].astype(int)) <= ends
        # The laws see 14 and 13 bits, so that a tie may fall to either side by what they can't see. And where the step
        # doubles from one segment to the next the decision value is not the middle: half a step below, one above.
        assert (error[::7] <= nearest * 2 + 16)[inside].all()
        assert np.mean(error[::7] <= nearest + 8) > 0.97


@pytest.mark.parametrize("level_db", [-3, -10, -20, -30])
def test_round_trip_keeps_the_ratio_the_law_is_made_for(level_db: float) -> None:
    tone = np.sin(np.arange(48_000) * 0.123) * 32767 * 10 ** (level_db / 20)
    pcm = np.rint(tone).astype(np.int16)
    for encode, decode in ((ulaw_encode, ulaw_decode), (alaw_encode, alaw_decode)):
        error = decode(encode(pcm)).astype(float) - pcm
        assert (
            10 * np.log10(np.mean(pcm.astype(float) ** 2) / np.mean(error**2)) > 33
        )  # G.712 asks for 33 from 0 to -30 dBm0


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left the standard library")
def test_against_audioop() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    assert np.array_equal(ulaw_decode(CODES), np.frombuffer(audioop.ulaw2lin(CODES.tobytes(), 2), np.int16))
    assert np.array_equal(alaw_decode(CODES), np.frombuffer(audioop.alaw2lin(CODES.tobytes(), 2), np.int16))
    assert np.array_equal(alaw_encode(EVERY), np.frombuffer(audioop.lin2alaw(EVERY.tobytes(), 2), np.uint8))
    theirs = np.frombuffer(audioop.lin2ulaw(EVERY.tobytes(), 2), np.uint8)
    differs = ulaw_encode(EVERY) != theirs
    # It rounds negative samples away from zero before it decides: at 127 decision values of one sign, four samples.
    assert differs.sum() == 508
    assert (EVERY[differs] < 0).all()
    assert np.abs(ulaw_encode(EVERY[differs]).astype(int) - theirs[differs]).max() == 1
