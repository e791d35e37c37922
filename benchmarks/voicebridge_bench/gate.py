"""Where sound rises above a level: blocks of 10 ms, in runs of 30 ms or more.

The same gate marks the user's speech in a recording and the first audible sample of the agent's reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

__all__ = ["AUDIBLE_DBFS", "BLOCK_MS", "RUN_MS", "block_rms", "first_audible", "loud_runs"]

BLOCK_MS = 10
"""Milliseconds over which a level is taken."""
RUN_MS = 30
"""Milliseconds that a sound must last: a click is no speech."""
AUDIBLE_DBFS = -50.0
"""Decibels below full scale above which the agent is heard."""


def block_rms(samples: Samples, rate: int) -> npt.NDArray[np.float64]:
    """The root mean square of each whole block of `samples`, where 1 is full scale. `rate` is in Hz."""
    import numpy as np

    size = rate * BLOCK_MS // 1000
    blocks = len(samples) // size
    whole = samples[: blocks * size].astype(np.float64).reshape(blocks, size)
    rms: npt.NDArray[np.float64] = np.sqrt(np.square(whole).mean(axis=1))
    return rms


def loud_runs(rms: npt.NDArray[np.float64], level: float) -> list[tuple[int, int]]:
    """The runs of blocks above `level`, as (first block, block after the last one)."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([0], (rms > level).astype(np.int8), [0]))))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(first, after) for first, after in pairs if (after - first) * BLOCK_MS >= RUN_MS]


def first_audible(pcm: bytes, rate: int) -> int | None:
    """The first audible sample of PCM16 mono at `rate` Hz, to the block; None where all of it is silence."""
    import numpy as np

    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float32) / np.float32(32768)
    runs = loud_runs(block_rms(samples, rate), 10 ** (AUDIBLE_DBFS / 20))
    return runs[0][0] * (rate * BLOCK_MS // 1000) if runs else None
