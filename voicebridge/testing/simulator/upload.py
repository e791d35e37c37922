"""The audio of an upload, as mono PCM16: a file of any kind that is read here, or bare samples."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio

__all__ = ["Upload", "read_upload"]


@dataclass(frozen=True, slots=True)
class Upload:
    """What was uploaded."""

    pcm: bytes
    """Signed 16-bit little-endian, one channel: the mean of the file's channels."""
    format: AudioFormat
    """Of `pcm`."""
    channels: int = 1
    """Of the file."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.format.ms(len(self.pcm)) / 1000


def read_upload(content: bytes, *, bare: AudioFormat | None = None) -> Upload:
    """Read audio by its contents: WAV (also one whose header counts more or less than there is), FLAC, OGG, MP3.

    Args:
        bare: what it is where it has no header of its own; mono.

    Raises:
        BadAudio: it can't be read, or holds no sample.
    """
    if bare is not None and content[:4] not in (b"RIFF", b"fLaC", b"OggS"):
        pcm = _decoded_bare(content, bare)
        if not pcm:
            raise BadAudio("The upload holds no sample.")
        return Upload(pcm, AudioFormat(rate=bare.rate))
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, as_it_is = file.samplerate, file.channels == 1 and file.subtype == "PCM_16"
            # What is what is wanted already costs a tenth of the time: with many clients, that is what others wait for.
            samples = file.read(dtype="int16" if as_it_is else "float64", always_2d=True)
        source = AudioFormat(rate=int(rate))
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OSError) as error:
        reason = str(error).rpartition(": ")[2].rstrip(".")
        raise BadAudio(f"The upload is no audio that can be read ({reason}). Send a WAV file.") from None
    if not len(samples):
        raise BadAudio("The upload holds no sample.")
    if as_it_is:
        return Upload(samples.astype("<i2").tobytes(), source)
    mono = np.nan_to_num(np.clip(samples, -1, 1)).mean(axis=1)
    pcm = np.clip(np.rint(mono * 32768), -32768, 32767).astype("<i2").tobytes()
    return Upload(pcm, source, samples.shape[1])


def _decoded_bare(content: bytes, bare: AudioFormat) -> bytes:
    from voicebridge.audio.converter import Converter

    converter = Converter(bare, AudioFormat(rate=bare.rate))
    whole = content[: len(content) - len(content) % bare.frame_bytes]
    return converter.convert(whole) + converter.flush()
