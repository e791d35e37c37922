"""`voicebridge talk`: a live conversation through microphone and speaker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from voicebridge.audio import device
from voicebridge.contract.events import Event, OutputAudio
from voicebridge.contract.lines import dump
from voicebridge.observe.recorder import RecordedBackend, check_free
from voicebridge.session.agent import VoiceAgent
from voicebridge.session.captions import Captions
from voicebridge.session.door import backend_of

from .recorder import Recorder
from .settings import Settings

__all__ = ["talk"]


def talk(settings: Settings, *, record: Path | None, json: bool) -> int:
    """Run the command; its exit status.

    Raises:
        NoSoundDevice: there is no microphone or no speaker.
        VoiceBridgeError: the settings or the backend can't be used.
        KeyboardInterrupt: the user has talked enough.
    """
    captions = Captions(sys.stderr if json else sys.stdout)
    try:
        asyncio.run(_talk(settings, record, captions, _print_line if json else captions.show))
    finally:
        captions.end()
    return 0


async def _talk(settings: Settings, record: Path | None, captions: Captions, show: Callable[[Event], None]) -> None:
    if record is not None:
        check_free(record)
    backend = backend_of(settings.backend)
    if record is not None:
        backend = RecordedBackend(backend, record)
    agent = VoiceAgent(backend=backend, **settings.arguments())
    async with device.Microphone() as microphone, device.Speaker() as speaker:
        captions.note(f"Getting {settings.backend} ready ...")
        recorder = Recorder(record, microphone, speaker) if record else None
        with recorder or nullcontext():
            try:
                if recorder:
                    await agent.run(recorder.microphone, recorder.speaker, on_event=show)
                else:
                    await agent.run(microphone, speaker, on_event=show)
            finally:
                if recorder:
                    captions.end()
                    print(f"{recorder.duration_s:.1f} s of both sides are in {recorder.folder}", file=sys.stderr)


def _print_line(event: Event) -> None:
    """An event as a line of JSON, without the sound."""
    if not isinstance(event, OutputAudio):
        print(dump(event), flush=True)
