"""The backend of the sample plugin, which a stranger could have written, keeps every promise."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from voicebridge.contract.session import Backend
from voicebridge.testing.contract import BackendContract, Subject

SAMPLE = Path(__file__).parents[2] / "sample_plugin"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SAMPLE)


class TestParrot(BackendContract):
    virtual_time = True

    def backend(self) -> Backend:
        made: Backend = importlib.import_module("voicebridge_parrot.backend").ParrotBackend("grey")
        return made

    def subject(self) -> Subject:
        return Subject(backend=self.backend(), asks_by="speech", virtual_time=True)
