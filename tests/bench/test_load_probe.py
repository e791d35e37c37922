import asyncio
import os
import time

import pytest

from voicebridge_bench.live import load_probe
from voicebridge_bench.live.load_probe import LoadProbe


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system does not tell")
def test_the_time_of_a_process_is_what_it_used():
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    assert load_probe._cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.1)
    assert load_probe._cpu_seconds(2**30) == 0


@pytest.mark.parametrize(("parent_s", "others"), [(0.0, True), (1000.0, False)])
def test_the_parent_is_none_of_the_others(monkeypatch, parent_s, others):
    ticks = iter([[0] * 8, [100, 0, 0, 0, 0, 0, 0, 0]])
    seconds = iter([5.0, 5.0 + parent_s])
    monkeypatch.setattr(load_probe, "_system_times", lambda: next(ticks))
    monkeypatch.setattr(load_probe, "_cpu_seconds", lambda process: next(seconds))
    monkeypatch.setattr(os, "cpu_count", lambda: 100)

    async def watch():
        probe = LoadProbe()
        probe.start()
        await asyncio.sleep(0.01)
        return await probe.stop()

    assert (asyncio.run(watch()).others_cores > 0) is others
