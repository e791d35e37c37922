"""What the suites share: figures that were measured once become rounds of pytest-benchmark, with percentiles beside."""

import os
from collections.abc import Callable, Sequence

import pytest

from voicebridge_bench.intervals import quantile

Record = Callable[[Sequence[float]], None]


class Recorded:
    """A clock that moves by what was measured, so that a table shows measurements and not the time to show them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Seconds."""
        return self.seconds


CLOCK = Recorded()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the recorded clock to the suites that use `record`."""
    for item in items:
        if "record" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.benchmark(timer=CLOCK.now))


@pytest.fixture
def record(benchmark) -> Record:
    """`record(seconds)`: each value becomes a round; p50, p90 and p99 with their intervals go into `extra_info`."""

    def rounds(seconds: Sequence[float]) -> None:
        left = iter(seconds)

        def move() -> None:
            CLOCK.seconds += max(0.0, next(left))

        benchmark.pedantic(move, rounds=len(seconds), iterations=1, warmup_rounds=0)
        milliseconds = [value * 1000 for value in seconds]
        for p in (0.5, 0.9, 0.99):
            if found := quantile(milliseconds, p):
                figure = f"{found.value:.2f} ms [{found.low:.2f}-{found.high:.2f}], n {found.n}"
                benchmark.extra_info[f"p{p * 100:g}"] = figure
        benchmark.extra_info["load_average"] = os.getloadavg()[0]
        print(f"\n{benchmark.name}: {benchmark.extra_info}")

    return rounds
