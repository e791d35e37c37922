"""A corpus ready to be spoken: turns as PCM16 mono at the door's 24 kHz, grouped into conversations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import BadAudio

from .manifest import Manifest, Turn, load
from .recording import read_clip

if TYPE_CHECKING:
    from .recording import Samples

__all__ = ["Conversation", "Corpus", "CorpusFacts", "SpokenTurn", "open_corpus"]


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """A turn as audio."""

    turn: Turn
    speaker: str
    pcm: bytes
    """PCM16 little-endian, mono, 24 kHz."""
    speech_start: int
    """The first speech sample of `pcm`."""
    speech_end: int
    """The sample of `pcm` after the last speech sample."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that one session hears, in order."""

    name: str
    turns: tuple[SpokenTurn, ...]


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What a reader must know of a corpus to judge figures taken with it."""

    name: str
    source: str
    licence: str
    speakers: int
    conversations: int
    turns: int
    speech_s: float
    """Seconds from the first to the last speech sample of each turn, summed."""
    words: int
    """Of the turns whose words are scored, split at blanks."""
    scored_turns: int
    clips_sha256: str
    """Over the clips' hashes and the turns' ranges: runs with different ones can't be compared."""

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.turns} turns in {self.conversations} conversations, "
            f"{self.speakers} {'speaker' if self.speakers == 1 else 'speakers'}, {self.speech_s:.1f} s of speech, "
            f"{self.words} words in {self.scored_turns} scored turns; {self.source}; {self.licence}"
        )


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus in memory."""

    manifest: Manifest
    conversations: tuple[Conversation, ...]

    def facts(self) -> CorpusFacts:
        """Its summary."""
        return facts(self.manifest)


def open_corpus(name_or_path: str) -> Corpus:
    """Read a corpus: by the name of a bundled one, or a folder with a manifest.

    Raises:
        ConfigError: the manifest or a clip is missing or wrong; the message says what to do.
    """
    manifest, folder = load(name_or_path)
    clips = {clip.id: (clip, read_clip(clip, folder, manifest.obtain)) for clip in manifest.clips}
    spoken = []
    for turn in manifest.turns:
        clip, samples = clips[turn.clip]
        if turn.end > len(samples):
            raise BadAudio(f"Turn {turn.id} ends at sample {turn.end}, but its clip has {len(samples)}.")
        spoken.append(_spoken(turn, clip.speaker, samples, clip.rate))
    groups = itertools.groupby(spoken, key=lambda turn: turn.turn.conversation)
    return Corpus(manifest, tuple(Conversation(name, tuple(turns)) for name, turns in groups))


def _spoken(turn: Turn, speaker: str, samples: Samples, rate: int) -> SpokenTurn:
    from voicebridge.audio.converter import Converter

    converter = Converter(AudioFormat(rate=rate), DOOR_FORMAT)
    pcm = converter.convert(samples[turn.start : turn.end].astype("<i2").tobytes()) + converter.flush()
    start, end = (round((at - turn.start) * DOOR_FORMAT.rate / rate) for at in (turn.speech_start, turn.speech_end))
    return SpokenTurn(turn, speaker, pcm, start, min(end, len(pcm) // 2))


def facts(manifest: Manifest) -> CorpusFacts:
    """What a manifest alone tells of its corpus: no clip is read."""
    import hashlib

    rates = {clip.id: clip.rate for clip in manifest.clips}
    scored = [turn for turn in manifest.turns if turn.text is not None]
    ranges = [(turn.clip, turn.start, turn.end, turn.speech_end) for turn in manifest.turns]
    identity = repr(([(clip.id, clip.sha256) for clip in manifest.clips], ranges))
    return CorpusFacts(
        name=manifest.name,
        source=manifest.source,
        licence=manifest.licence,
        speakers=len({clip.speaker for clip in manifest.clips}),
        conversations=len({turn.conversation for turn in manifest.turns}),
        turns=len(manifest.turns),
        speech_s=round(sum((turn.speech_end - turn.speech_start) / rates[turn.clip] for turn in manifest.turns), 1),
        words=sum(len((turn.text or "").split()) for turn in scored),
        scored_turns=len(scored),
        clips_sha256=hashlib.sha256(identity.encode()).hexdigest(),
    )
