"""Clips that show a reader the scale: a person's recording above, noise and a spoiled recording below."""

from __future__ import annotations

import numpy as np

__all__ = ["in_noise", "spoiled", "white_noise"]


def in_noise(pcm: bytes, snr_db: float, seed: int) -> bytes:
    """PCM16 with white noise that is `snr_db` below its mean power."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, 1, len(samples))
    level = np.sqrt(np.mean(samples**2)) / 10 ** (snr_db / 20)
    return _pcm(samples + noise * level)


def spoiled(pcm: bytes) -> bytes:
    """PCM16 of which the loud half is cut off, with eight bits left of sixteen."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    top = np.abs(samples).max(initial=1.0)
    cut = np.clip(samples, -top / 8, top / 8) * 4
    return _pcm(np.round(cut / 256) * 256)


def white_noise(length: int, seed: int) -> bytes:
    """PCM16 of `length` samples, at -20 dBFS."""
    return _pcm(np.random.default_rng(seed).normal(0, 3277, length))


def _pcm(samples: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bytes:
    return np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes()
