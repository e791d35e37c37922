"""The seats of a cascade: speech to text, turn detection, language model, text to speech.

Streams go in and streams come out. To cancel a stage is to cancel the one task that reads its stream; it must then let
go of what it holds within 100 ms. Each stage has traits (data), and three moments of life:

    configure(config)   before anything else, and again when the session's settings change
    await warm()        load weights, open connections; called once, all stages at the same time
    await aclose()      release them

A stage serves one session; weights are shared by a process. One that was only made holds nothing yet: whoever wants
no more than its traits just lets it go.

A stream is any `AsyncIterator`. Whoever stops reading one closes it if it has `aclose`, as generators do; what it holds
is released there, in `finally`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .audio import DOOR_FORMAT, AudioFormat
from .items import Item

if TYPE_CHECKING:
    from .config import SessionConfig, Tool

__all__ = [
    "DetectorTraits",
    "Flush",
    "GetsReady",
    "LanguageModel",
    "LanguageModelTraits",
    "Mark",
    "Progress",
    "Prompt",
    "ReadsAhead",
    "Speech",
    "SpeechToText",
    "SpeechToTextTraits",
    "Stage",
    "TextToSpeech",
    "TextToSpeechTraits",
    "ToolRequest",
    "Transcript",
    "TurnDetector",
    "TurnSignal",
    "Usage",
    "Word",
]

PCM_16K = AudioFormat(rate=16_000)
"""What most recognisers and detectors want."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Put between pieces of audio: tell the final text of everything since the last fresh mark.

    Marks are answered in their order. One that is passed over counts as not answered.
    """

    n: int
    """Comes back in `Transcript.mark`."""
    fresh: bool = False
    """What follows is a new utterance."""
    wanted: bool = True
    """False: nobody needs the text, only the new beginning. The stage answers nothing."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place: milliseconds from the first sample of what it is told with."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said since the last fresh mark, so far: it replaces the one before."""

    text: str
    final: bool = False
    mark: int | None = None
    """The mark that a final transcript answers."""
    words: tuple[Word, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class TurnSignal:
    """What a detector noticed."""

    phase: Literal["speech", "eager_end", "resumed", "end"]
    """`speech`: the user began. `eager_end`: may have ended. `resumed`: no, goes on. `end`: has ended."""
    audio_ms: float
    """Milliseconds from the first sample pushed to where it happened in the audio: for `speech` the first sample of
    speech, for the others the last one (of `resumed`, the first one again). It lies before what was pushed last."""
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stage used since it last said so."""

    units: Mapping[str, float]
    basis: Literal["exact", "estimated"] = "exact"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model answers."""

    items: tuple[Item, ...]
    """The conversation, cut to what the user heard. The last one is mostly what to answer: the user's words, or what a
    tool gave. Asked by `Respond`, it may end with the agent's own words or a note, or be empty: then greet."""
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    speculative: bool = False
    """The user may go on, and then the answer is thrown away."""
    heard: str | None = None
    """What the user heard of the last answer where that was interrupted: for a model with a memory of its own."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """The model calls a tool."""

    call_id: str
    name: str
    arguments: str
    """JSON text, whole."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The model gets on with what it can't tell yet: it thinks, or writes a call. Nothing of it is spoken; it only
    shows that the model has not stopped."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Put between pieces of text: speak what you hold."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of audio, and the text that it speaks."""

    pcm: bytes
    """In `TextToSpeechTraits.format`."""
    text: str = ""
    """Covered by this piece; empty where it goes on with the text of the piece before."""
    words: tuple[Word, ...] = ()
    """Times from the first sample of this piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traits:
    heeds: frozenset[Literal["tool_choice", "noise_reduction", "base_url", "api_key"]] = frozenset()
    """Which of these fields of `SessionConfig` it takes. A cascade refuses those that none of its stages does."""
    usage: Literal["exact", "estimated", "none"] = "estimated"
    """How well it tells what it used: as its vendor bills it, as it counted itself, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechToTextTraits(_Traits):
    """How a recogniser works."""

    format: AudioFormat = PCM_16K
    turns: Literal["none", "own"] = "none"
    """`own`: it yields turn signals itself, and no detector is needed. Where somebody else finds the turns (a detector
    that was chosen all the same, or the application), `turns.mode` of its config is `manual`: then only marks end
    utterances, and its signals are not heeded."""
    recheck: Literal["free", "paid"] = "free"
    """What a mark on a guess costs: nothing, or as much as any other, as where each mark is an upload. Guesses are
    marked either way, but where they are paid at most eight times a turn, as long as the session's `speculate`
    allows any."""
    interim: bool = False
    """It also tells transcripts that are not final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTraits(_Traits):
    """How a turn detector works."""

    format: AudioFormat = PCM_16K
    semantic: bool = False
    """It uses what was said, not only silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelTraits(_Traits):
    """How a model works."""

    speculative: Literal["safe", "unsafe"] = "unsafe"
    """`unsafe`: it acts or remembers, so it is never asked on a guess."""
    memory: Literal["prompt", "own"] = "prompt"
    """`own`: it remembers the conversation by itself and reads only the last item."""
    tools: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToSpeechTraits(_Traits):
    """How a voice works."""

    format: AudioFormat = DOOR_FORMAT
    takes: Literal["tokens", "clauses"] = "clauses"
    """`tokens`: it wants text as it comes. `clauses`: it speaks whole clauses, which the cascade cuts."""
    alignment: Literal["word", "char", "none"] = "none"
    voices: tuple[str, ...] = field(default=())
    """Names that `SessionConfig.voice` may take. Empty: any."""


class Stage(Protocol):
    """What the four seats have in common."""

    def configure(self, config: SessionConfig) -> None:
        """Take the session's settings.

        Raises:
            ConfigError: a setting names what this stage has not, such as a voice.
        """

    async def warm(self) -> None:
        """Get ready to answer at full speed.

        Raises:
            VoiceBridgeError: it can't: weights are missing, a key is wrong.
        """

    async def aclose(self) -> None:
        """Release what this session holds. May be called again, and without `warm`."""


@runtime_checkable
class GetsReady(Protocol):
    """A stage of any seat that gains from knowing that it will be asked soon, such as one that opens connections."""

    async def get_ready(self) -> None:
        """Open what the next question needs, so that it is open by the end of the user's turn.

        Called at the end of the warm-up and when the user begins to speak, though not more often than every few
        seconds: a hint, cancelled at will. An error is ignored; it shows when the stage is asked, if it lasts.
        """


class SpeechToText(Stage, Protocol):
    """Hears."""

    @property
    def traits(self) -> SpeechToTextTraits: ...

    def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript | TurnSignal | Usage]:
        """Transcribe a stream of PCM in `traits.format`, pieces of any even length, until it ends."""


class TurnDetector(Stage, Protocol):
    """Notices when the user speaks and has finished."""

    @property
    def traits(self) -> DetectorTraits: ...

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """Take the next audio (in `traits.format`, any even length) and the transcript so far."""


class LanguageModel(Stage, Protocol):
    """Thinks."""

    @property
    def traits(self) -> LanguageModelTraits: ...

    def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage | Progress]:
        """The answer in pieces of text as they come. Empty text is none, and no progress either."""


@runtime_checkable
class ReadsAhead(Protocol):
    """A model that gains from seeing the prompt before it is complete."""

    async def read_ahead(self, prompt: Prompt) -> None:
        """Prepare for a prompt that begins like this one. The user still speaks: a hint, cancelled at will."""


class TextToSpeech(Stage, Protocol):
    """Speaks."""

    @property
    def traits(self) -> TextToSpeechTraits: ...

    def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:
        """Speak a stream of text. Called before the first word is there: connect then."""
