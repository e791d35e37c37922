"""`voicebridge talk`: a live conversation through microphone and speaker."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path

from voicebridge.audio import device
from voicebridge.contract.events import Event, OutputAudio
from voicebridge.contract.lines import dump
from voicebridge.contract.session import Backend
from voicebridge.observe.recorder import check_free
from voicebridge.session.agent import VoiceAgent
from voicebridge.session.captions import Captions
from voicebridge.session.door import backend_of

from .recorded_call import recorded
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
        asyncio.run(_talk(settings, record, captions, json=json))
    finally:
        captions.close()
    return 0


async def _talk(settings: Settings, record: Path | None, captions: Captions, *, json: bool) -> None:
    if record is not None:
        check_free(record)
    arguments = settings.arguments()
    backend: str | Backend = settings.backend
    backend_of(backend)  # what is wrong with it is said before a device is opened
    if record is not None:
        backend, arguments = recorded(settings.backend, arguments, record)
    agent = VoiceAgent(backend=backend, **arguments)

    def show(event: Event) -> None:
        if json:
            _print_line(event)
        else:
            captions.show(event, agent.session)

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
                captions.close()
                if recorder:
                    print(f"{recorder.duration_s:.1f} s of both sides are in {recorder.folder}", file=sys.stderr)
                if agent.session and (where := settings.kept_in(agent.session.conversation)):
                    print(where, file=sys.stderr)


def _print_line(event: Event) -> None:
    """An event as a line of JSON, without the sound."""
    if not isinstance(event, OutputAudio):
        print(dump(event), flush=True)
