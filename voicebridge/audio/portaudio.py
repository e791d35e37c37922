"""A stream to or from a sound device: opened without holding up the event loop, closed in bounded time.

| Resource | Acquired | Released |
|---|---|---|
| the PortAudio library | first `__aenter__`, in a worker thread | at the interpreter's exit, by sounddevice |
| a stream and its thread | `__aenter__`, in a worker thread | `close`, or the end of the opening it overtook |
"""

from __future__ import annotations

import abc
import asyncio
import atexit
import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import NoSoundDevice

__all__ = ["LOST_AFTER_S", "SoundDevice", "SoundLibrary"]

Kind = Literal["input", "output"]

LOST_AFTER_S = 5.0
"""A device that neither brings nor takes anything for so long is gone: not every system tells."""
_CLOSE_S = 2.0
"""How long a device may take to stop. One whose sound server died may never do so."""
_WITHOUT = "Without sound hardware, `voicebridge ask FILE.wav` talks with a recording instead."
_library_lock = threading.Lock()
"""PortAudio may not open or close two streams at once."""
_log = logging.getLogger(__name__)


class SoundLibrary(Protocol):
    """What is used of the sounddevice module; a test gives its own.

    A stream is made with samplerate, channels, dtype, blocksize, latency, device, callback and finished_callback, and
    has start(), abort(), close() and latency (seconds). An input callback gets (data, frames, time, status), an output
    callback the same with a buffer to fill; time has currentTime, inputBufferAdcTime and outputBufferDacTime.
    """

    RawInputStream: Callable[..., Any]
    RawOutputStream: Callable[..., Any]
    PortAudioError: type[Exception]

    def query_devices(self, device: int | str | None, kind: Kind) -> Any:
        """A mapping with default_samplerate, max_input_channels and max_output_channels."""


class SoundDevice(abc.ABC):
    """A stream of one direction: opened without holding up the event loop, closed once and for all."""

    kind: Kind
    noun: str

    def __init__(self, format: AudioFormat, device: int | str | None, library: SoundLibrary | None) -> None:
        self.format = format
        self.device = device
        self.device_format = format
        """What the device runs at: known once it is open."""
        self._library = library
        self._stream: Any = None
        self._closed = False
        self._lost = False

    async def __aenter__(self) -> Self:
        opening = asyncio.ensure_future(asyncio.to_thread(self._open, asyncio.get_running_loop()))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread can't be stopped, but closing waits for its lock: what it opens is closed, now or then.
            opening.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._closed = True
            asyncio.get_running_loop().run_in_executor(None, self.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # In a thread: ending a stream waits for the callback that runs. Cancelled, it still comes to its end.
        await asyncio.shield(asyncio.to_thread(self.close))

    def close(self) -> None:
        """Stop at once and give the device back. Safe to call again, and from any thread."""
        self._closed = True
        with _library_lock:
            stream, self._stream = self._stream, None
            if stream is not None:
                self._end(stream)

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        with _library_lock:
            library = self._library or _sounddevice()
            stream, self.device_format = self._first_that_works(library, loop)
            if self._closed:
                self._end(stream)
            else:
                self._stream = stream

    def _end(self, stream: Any) -> None:
        def end() -> None:
            # A device that was pulled out may fail here too: there is nothing left to give back.
            for step in (stream.abort, stream.close):
                with contextlib.suppress(Exception):
                    step()

        ending = threading.Thread(target=end, name=f"closing the {self.noun}", daemon=True)
        ending.start()
        ending.join(_CLOSE_S)
        if ending.is_alive():
            _log.warning("the %s does not stop: left to itself after %g s", self.noun, _CLOSE_S)
            # sounddevice ends PortAudio at the interpreter's exit, which would now wait for ever too.
            if handler := getattr(sys.modules.get("sounddevice"), "_exit_handler", None):
                atexit.unregister(handler)

    def _first_that_works(self, library: SoundLibrary, loop: asyncio.AbstractEventLoop) -> tuple[Any, AudioFormat]:
        problem: Exception | None = None
        try:
            about = library.query_devices(self.device, self.kind)
        except (library.PortAudioError, ValueError, OSError) as error:
            raise NoSoundDevice(f"There is no {self.noun} to use ({_reason(error)}). {_WITHOUT}") from error
        own_rate, channels = int(about["default_samplerate"]), self.format.channels
        most = max(1, min(2, int(about[f"max_{self.kind}_channels"])))
        for rate, count in dict.fromkeys([(self.format.rate, channels), (own_rate, channels), (own_rate, most)]):
            stream = None
            try:
                found = AudioFormat(rate=rate, channels=count)
                stream = self._start(library, found, loop)
                stream.start()
                return stream, found
            except (library.PortAudioError, ValueError, OSError) as error:
                problem = error
                if stream is not None:
                    self._end(stream)
        raise NoSoundDevice(f"The {self.noun} can't be opened ({_reason(problem)}). {_WITHOUT}") from problem

    @abc.abstractmethod
    def _start(self, library: SoundLibrary, found: AudioFormat, loop: asyncio.AbstractEventLoop) -> Any:
        """Open a stream of this format, not yet running."""

    def _gone(self) -> NoSoundDevice:
        return NoSoundDevice(f"The {self.noun} went away while it was in use. Plug it in and start again. {_WITHOUT}")


def _sounddevice() -> SoundLibrary:
    try:
        import sounddevice
    except ImportError as error:
        how = "In a clone of voicebridge: `pip install '.[mic]'`."
        raise NoSoundDevice(f"The sounddevice package is not installed. {how} {_WITHOUT}") from error
    except OSError as error:
        how = "On Debian or Ubuntu: `apt-get install libportaudio2`."
        raise NoSoundDevice(f"The PortAudio library is not installed. {how} {_WITHOUT}") from error
    library: SoundLibrary = sounddevice
    return library


def _reason(error: Exception | None) -> str:
    return str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
