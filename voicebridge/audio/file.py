"""Recordings from files, whole or in blocks, and WAV files that are valid while they grow.

Whatever a file holds (8 to 32-bit whole numbers, floats, μ-law, FLAC, OGG, MP3, any number of channels) comes out as
PCM16 mono at the file's own rate; `voicebridge.audio.converter.Converter` takes it from there.
"""

from __future__ import annotations

import os
import shlex
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio

__all__ = ["Recording", "RecordingReader", "Repairs", "WavWriter", "open_recording", "read_recording"]

_UNKNOWN_SIZE = 0xFFFFFFFF
"""What programs write for the size of a stream whose end they don't know yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What was changed so that a recording could be used: samples of the file, over all its channels."""

    nan: int = 0
    """Samples that were not a number: zeroed."""
    infinite: int = 0
    """Samples that were infinite: zeroed."""
    clipped: int = 0
    """Samples beyond full scale (only floats can be): set to full scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A whole recording as PCM16 mono."""

    pcm: bytes
    """Signed 16-bit little-endian, one channel: the mean of the file's channels."""
    rate: int
    """Samples a second."""
    channels_in_file: int
    repaired: Repairs
    notes: tuple[str, ...]
    """What a person should know of this file, a sentence each: repairs, a missing end. Empty where all is well."""

    @property
    def format(self) -> AudioFormat:
        """The format of `pcm`."""
        return AudioFormat(rate=self.rate)

    @property
    def duration_s(self) -> float:
        """Seconds of audio in `pcm`."""
        return len(self.pcm) / (2 * self.rate)

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """The samples, int16 of shape (n,), read-only."""
        return np.frombuffer(self.pcm, "<i2")


def read_recording(path: str | Path, *, max_s: float = 3600.0) -> Recording:
    """Read a whole audio file.

    Raises `BadAudio`, with the file's name and what to do, for what is missing, unreadable, no audio, without a
    sample, or longer than `max_s` seconds (an hour of 48 kHz takes 350 MB; `open_recording` reads any length).
    A file that ends before its header says is kept as far as it goes, with a note.
    """
    with open_recording(path) as reader:
        too_long = BadAudio(
            f"{path} is longer than the {max_s:g} s that are read at once. Cut it into shorter files, for example with "
            f"`ffmpeg -i {shlex.quote(str(path))} -f segment -segment_time {max_s:g} part%03d.wav`."
        )
        if reader.duration_s > max_s:
            raise too_long
        pcm = bytearray()
        for block in reader:
            pcm += block
            # A header may say less than there is.
            if len(pcm) > 2 * reader.rate * max_s:
                raise too_long
    return Recording(
        pcm=bytes(pcm),
        rate=reader.rate,
        channels_in_file=reader.channels_in_file,
        repaired=reader.repaired,
        notes=reader.notes,
    )


def open_recording(path: str | Path, *, block_ms: float = 100.0) -> RecordingReader:
    """Open an audio file of any length, to be read in blocks of `block_ms` milliseconds. Raises as `read_recording`."""
    return RecordingReader(path, block_ms=block_ms)


class RecordingReader:
    """Yields PCM16 mono blocks of a file, the last one shorter. A context manager; closes itself at the end.

    `repaired` and `notes` are about what was read so far. The first block that can't be read raises `BadAudio`; a
    later one ends the recording with a note.
    """

    def __init__(self, path: str | Path, *, block_ms: float = 100.0) -> None:
        self.path = Path(path)
        self._notes: list[str] = []
        self._nan = self._infinite = self._clipped = self._frames_read = 0
        _check_file(self.path)
        self._file = _open_sound(self.path)
        try:
            self.rate: int = self._file.samplerate
            """Samples a second."""
            self.channels_in_file: int = self._file.channels
            self.duration_s: float = self._file.frames / self.rate
            """Seconds, as the file's header says; what is really there may be less."""
            self._block_frames = max(1, round(self.rate * block_ms / 1000))
            self._check_contents()
        except BaseException:
            self.close()
            raise

    @property
    def format(self) -> AudioFormat:
        """The format of the blocks."""
        return AudioFormat(rate=self.rate)

    @property
    def repaired(self) -> Repairs:
        """What was repaired so far."""
        return Repairs(nan=self._nan, infinite=self._infinite, clipped=self._clipped)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the file, so far."""
        notes = list(self._notes)
        if self._nan or self._infinite:
            notes.append(f"{self._nan + self._infinite} samples of {self.path} were NaN or infinite: set to zero.")
        if self._clipped:
            notes.append(f"{self._clipped} samples of {self.path} lay beyond full scale: clipped.")
        return tuple(notes)

    def __iter__(self) -> Iterator[bytes]:
        while not self._file.closed:
            block = self._read()
            if not len(block):
                self.close()
                return
            yield block

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Safe to call again."""
        self._file.close()

    def _check_contents(self) -> None:
        try:
            _ = self.format
        except ValueError as error:
            raise BadAudio(f"{self.path} can't be used: {error}. Resample it: {_repair(self.path)}") from error
        said, there = _wav_data_sizes(self.path)
        if not self._file.frames:
            if said == 0 and there > 1:
                raise BadAudio(
                    f"{self.path} has a header that was never completed: it counts no samples, but {there} bytes follow"
                    f" it. The program that recorded it was stopped. Repair it: {_repair(self.path)}"
                )
            raise BadAudio(f"{self.path} has a header but no samples. Record it again, or name another file.")
        if said > there and said != _UNKNOWN_SIZE:
            self._notes.append(f"{self.path} ends early: {there} of the {said} bytes that its header counts are there.")

    def _read(self) -> bytes:
        import soundfile

        try:
            block = self._file.read(self._block_frames, dtype="float64", always_2d=True)
        except soundfile.SoundFileError as error:
            if not self._frames_read:
                problem = f"{self.path} is damaged: nothing of it can be read. Make it again from its source."
                raise BadAudio(problem) from error
            block = np.empty((0, 1))
        if not len(block) and self._frames_read < self._file.frames:
            there = f"{self._frames_read / self.rate:.1f} of the {self.duration_s:.1f} s"
            self._notes.append(f"{self.path} ends early: {there} that its header counts are there.")
        self._frames_read += len(block)
        return self._repaired_mono(block)

    def _repaired_mono(self, block: npt.NDArray[np.float64]) -> bytes:
        """Floats of shape (frames, channels), full scale 1, as PCM16."""
        finite = np.isfinite(block)
        if not finite.all():
            nan = int(np.isnan(block).sum())
            self._nan += nan
            self._infinite += int(finite.size - finite.sum()) - nan
            block = np.where(finite, block, 0.0)
        self._clipped += int((np.abs(block) > 1).sum())
        mono = np.clip(block, -1, 1).mean(axis=1)
        return bytes(np.clip(np.rint(mono * 32768), -32768, 32767).astype("<i2"))


def _check_file(path: Path) -> None:
    """Raise `BadAudio` for what can't be an audio file at all. Never waits, as opening a pipe would."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadAudio(f"{path} is a folder. Name one audio file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise BadAudio(f"{path} is a pipe or a device, not a file. Save its audio as a .wav file and name that.")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise BadAudio(f"{path} does not exist.{_near(path)} Check the name and the folder.") from error
    except PermissionError as error:
        problem = f"{path} may not be read by this user. Give yourself the right: `chmod u+r {shlex.quote(str(path))}`."
        raise BadAudio(problem) from error
    except (OSError, ValueError) as error:
        raise BadAudio(f"{path} can't be opened: {error}. Name another file.") from error
    if not status.st_size:
        raise BadAudio(f"{path} is empty (0 bytes). Record it again, or name another file.")


def _near(path: Path) -> str:
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, 1_000)]
    except OSError:
        return f" Nor does the folder {path.parent}."
    return "".join(f" Did you mean {path.parent / name}?" for name in get_close_matches(path.name, names, n=1))


def _open_sound(path: Path) -> Any:
    import soundfile

    try:
        return soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError, ValueError, OSError) as error:
        # A TypeError is how a headerless file (.raw) is refused: its rate would have to be told.
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise BadAudio(f"{path} is no audio that can be read ({reason}). Convert it: {_repair(path)}") from error


def _repair(path: Path) -> str:
    """The command that makes a usable file of most things."""
    return f"`ffmpeg -i {shlex.quote(str(path))} -ar 24000 -ac 1 {shlex.quote(path.stem + '-24k.wav')}`."


def _wav_data_sizes(path: Path) -> tuple[int, int]:
    """Bytes of samples that a WAV's header says follow, and that do; (0, 0) for any other file.

    The decoder only tells what is there, so that a cut file would look like a short one.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0, 0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                return size, path.stat().st_size - file.tell()
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0, 0


class WavWriter:
    """Writes a WAV file that can be played whenever the program stops: of what was written, at most the last
    `header_every_s` seconds are not yet in its header. A context manager. An existing file is replaced.

    Raises `BadAudio` where the file can't be made or written (no room, no right, beyond 4 GB); what was written until
    then stays and can be played. Every `write` reaches the operating system before it returns.
    """

    def __init__(self, path: str | Path, format: AudioFormat, *, header_every_s: float = 0.5) -> None:
        self.path = Path(path)
        self.format = format
        self.leftover_bytes = 0
        """Bytes that were no whole frame when the file was closed, and are not in it."""
        self._carried = b""
        self._written = 0
        self._in_header = -1
        self._header_every = format.size(header_every_s * 1000)
        self._header_size = len(_wav_header(format, 0))
        try:
            # Without a buffer of our own: nothing is lost with the process.
            self._file = self.path.open("wb", buffering=0)
        except (OSError, ValueError) as error:
            problem = f"{path} can't be written: {error}. Name a file in a folder that you may write to."
            raise BadAudio(problem) from error
        try:
            self._write_header()
        except BaseException:
            self._file.close()
            raise

    @property
    def duration_s(self) -> float:
        """Seconds of audio in the file."""
        return self.format.ms(self._written) / 1000

    def write(self, pcm: bytes) -> None:
        """Append audio in `format`, of any size: a part of a frame waits for the rest of it."""
        if self._file.closed:
            raise ValueError(f"{self.path} is closed")
        pcm = self._carried + pcm
        whole = len(pcm) - len(pcm) % self.format.frame_bytes
        if self._header_size + self._written + whole > _UNKNOWN_SIZE:
            raise BadAudio(f"{self.path} is full: a WAV file holds 4 GB. Go on in another file.")
        self._put(self._header_size + self._written, pcm[:whole])
        self._carried = pcm[whole:]
        self._written += whole
        if self._in_header <= 0 or self._written - self._in_header >= self._header_every:
            self._write_header()

    def close(self) -> None:
        """Complete the header and close the file. Safe to call again."""
        if self._file.closed:
            return
        try:
            self.leftover_bytes = len(self._carried)
            if self._written % 2:
                self._put(self._header_size + self._written, b"\0")
            self._write_header()
        finally:
            self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write_header(self) -> None:
        self._put(0, _wav_header(self.format, self._written))
        self._in_header = self._written

    def _put(self, at: int, data: bytes) -> None:
        try:
            self._file.seek(at)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise BadAudio(
                f"{self.path} can't be written any further: {error}. Its first {self.duration_s:.1f} s can be played. "
                f"Make room, or name a file elsewhere."
            ) from error


def _wav_header(format: AudioFormat, data: int) -> bytes:
    """The bytes before `data` bytes of samples. G.711 needs a longer one, with its number of frames."""
    code, bits = {"pcm16": (1, 16), "alaw": (6, 8), "ulaw": (7, 8)}[format.encoding]
    size = format.frame_bytes
    fmt = struct.pack("<HHIIHH", code, format.channels, format.rate, format.rate * size, size, bits)
    fact = b""
    if format.encoding != "pcm16":
        fmt += b"\0\0"
        fact = struct.pack("<4sII", b"fact", 4, data // size)
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + fact + struct.pack("<4sI", b"data", data)
    return struct.pack("<4sI", b"RIFF", len(body) + data + data % 2) + body
