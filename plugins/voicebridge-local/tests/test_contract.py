"""The whole of `local`, its models included, keeps what every session promises. Run by `pytest -m slow`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import soundfile

from voicebridge.testing.contract import BackendContract, Subject
from voicebridge_local.weights import installed_folder


@pytest.mark.slow
class TestLocal(BackendContract):
    spec: ClassVar[str] = "local"

    def subject(self) -> Subject:
        recording: Path = installed_folder("moonshine_voice") / "assets" / "beckett.wav"
        no_matter, _ = soundfile.read(recording, dtype="int16", start=int(3.4 * 16_000), stop=int(4.3 * 16_000))
        return Subject(backend=self.backend(), speech=no_matter.tobytes())
