"""voicebridge: one contract for every voice backend. A backend is a string.

    import voicebridge

    async with voicebridge.connect("local", instructions="You are a helpful assistant.") as session:
        await session.send(voicebridge.SendAudio(pcm=pcm))
        async for event in session:
            ...

This module is the door. A name is imported from where it lives when it is first used, so that `import voicebridge`
alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cascade.backend import CascadeBackend
    from .cascade.stage_choice import StageChoice, stage
    from .contract.account import Account, DiscardReason, Disclosed, DropReason, InputAccount, OutputAccount
    from .contract.audio import DOOR_FORMAT, AudioFormat
    from .contract.call_policy import Budget, CallPolicy
    from .contract.capabilities import Capabilities
    from .contract.codec import Closed, Codec, Endpoint, Frame, Liveness, Tick, Timeouts
    from .contract.commands import (
        Command,
        Configure,
        DiscardTurn,
        EndTurn,
        Interrupt,
        ProviderCommand,
        ReportPlayed,
        Respond,
        SendAudio,
        SendText,
        SendToolResult,
        restart_command_ids,
    )
    from .contract.config import SessionConfig, Tool, Transcription, TurnPolicy
    from .contract.errors import (
        BackendNotFound,
        BadAudio,
        BadOption,
        BadRecording,
        BrokenPlugin,
        ConcurrentIteration,
        ConfigError,
        MissingExtra,
        NoFreeKey,
        NoSoundDevice,
        ReplayDiverged,
        SessionClosed,
        SessionFailed,
        Unsupported,
        VoiceBridgeError,
    )
    from .contract.events import (
        BackendError,
        CommandSettled,
        Event,
        InputTranscript,
        Interruption,
        Limit,
        OutputAudio,
        OutputHeard,
        OutputText,
        ProviderEvent,
        ResponseEnded,
        ResponseStarted,
        SessionNotice,
        SessionReady,
        SessionRestarted,
        ToolCall,
        ToolCallCancelled,
        UsageReported,
        UserTurn,
    )
    from .contract.fault import Category, Fault
    from .contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
    from .contract.lines import dump, load
    from .contract.message import Message
    from .contract.session import Backend, VoiceSession
    from .contract.simulator import Simulator, SimulatorSettings
    from .contract.stages import (
        DetectorTraits,
        Flush,
        GetsReady,
        LanguageModel,
        LanguageModelTraits,
        Mark,
        Progress,
        Prompt,
        ReadsAhead,
        Speech,
        SpeechToText,
        SpeechToTextTraits,
        Stage,
        TextToSpeech,
        TextToSpeechTraits,
        ToolRequest,
        Transcript,
        TurnDetector,
        TurnSignal,
        Usage,
        Word,
    )
    from .core.closing import fault_of
    from .core.interruption_policy import InterruptionPolicy, Signals, Verdict
    from .core.retry import RetryPolicy
    from .pool.key_pool import KeyPool
    from .registry.hookspecs import hookimpl
    from .registry.registry import simulator
    from .registry.rows import About
    from .session.agent import VoiceAgent
    from .session.call_setup import ToolPolicy
    from .session.door import connect, connect_raw
    from .session.history_store import HistoryStore, MemoryHistoryStore, open_store
    from .session.managed import ManagedSession
    from .session.team import Agent
    from .transport.delivery import Delivery
    from .transport.link import open_link

    __version__: str

__all__ = [
    "DOOR_FORMAT",
    "About",
    "Account",
    "Agent",
    "AudioFormat",
    "Backend",
    "BackendError",
    "BackendNotFound",
    "BadAudio",
    "BadOption",
    "BadRecording",
    "BrokenPlugin",
    "Budget",
    "CallPolicy",
    "Capabilities",
    "CascadeBackend",
    "Category",
    "Closed",
    "Codec",
    "Command",
    "CommandSettled",
    "ConcurrentIteration",
    "ConfigError",
    "Configure",
    "Delivery",
    "DetectorTraits",
    "DiscardReason",
    "DiscardTurn",
    "Disclosed",
    "DropReason",
    "EndTurn",
    "Endpoint",
    "Event",
    "Fault",
    "Flush",
    "Frame",
    "GetsReady",
    "HistoryStore",
    "InputAccount",
    "InputTranscript",
    "Interrupt",
    "Interruption",
    "InterruptionPolicy",
    "Item",
    "KeyPool",
    "LanguageModel",
    "LanguageModelTraits",
    "Limit",
    "Liveness",
    "ManagedSession",
    "Mark",
    "MemoryHistoryStore",
    "Message",
    "MessageItem",
    "MissingExtra",
    "NoFreeKey",
    "NoSoundDevice",
    "OutputAccount",
    "OutputAudio",
    "OutputHeard",
    "OutputText",
    "Progress",
    "Prompt",
    "ProviderCommand",
    "ProviderEvent",
    "ReadsAhead",
    "ReplayDiverged",
    "ReportPlayed",
    "Respond",
    "ResponseEnded",
    "ResponseStarted",
    "RetryPolicy",
    "SendAudio",
    "SendText",
    "SendToolResult",
    "SessionClosed",
    "SessionConfig",
    "SessionFailed",
    "SessionNotice",
    "SessionReady",
    "SessionRestarted",
    "Signals",
    "Simulator",
    "SimulatorSettings",
    "Speech",
    "SpeechToText",
    "SpeechToTextTraits",
    "Stage",
    "StageChoice",
    "TextToSpeech",
    "TextToSpeechTraits",
    "Tick",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolCallCancelled",
    "ToolCallItem",
    "ToolPolicy",
    "ToolRequest",
    "ToolResultItem",
    "Transcript",
    "Transcription",
    "TurnDetector",
    "TurnPolicy",
    "TurnSignal",
    "Unsupported",
    "Usage",
    "UsageReported",
    "UserTurn",
    "Verdict",
    "VoiceAgent",
    "VoiceBridgeError",
    "VoiceSession",
    "Word",
    "__version__",
    "connect",
    "connect_raw",
    "dump",
    "fault_of",
    "hookimpl",
    "load",
    "open_link",
    "open_store",
    "restart_command_ids",
    "simulator",
    "stage",
]

_HOMES = {
    "cascade.backend": "CascadeBackend",
    "cascade.stage_choice": "StageChoice stage",
    "contract.account": "Account DiscardReason Disclosed DropReason InputAccount OutputAccount",
    "contract.audio": "AudioFormat DOOR_FORMAT",
    "contract.call_policy": "Budget CallPolicy",
    "contract.capabilities": "Capabilities",
    "contract.codec": "Closed Codec Endpoint Frame Liveness Tick Timeouts",
    "contract.commands": (
        "Command Configure DiscardTurn EndTurn Interrupt ProviderCommand ReportPlayed Respond SendAudio SendText "
        "SendToolResult restart_command_ids"
    ),
    "contract.config": "SessionConfig Tool Transcription TurnPolicy",
    "contract.errors": (
        "BackendNotFound BadAudio BadOption BadRecording BrokenPlugin ConcurrentIteration ConfigError MissingExtra "
        "NoFreeKey NoSoundDevice ReplayDiverged SessionClosed SessionFailed Unsupported VoiceBridgeError"
    ),
    "contract.events": (
        "BackendError CommandSettled Event InputTranscript Interruption Limit OutputAudio OutputHeard OutputText "
        "ProviderEvent ResponseEnded ResponseStarted SessionNotice SessionReady SessionRestarted ToolCall "
        "ToolCallCancelled UsageReported UserTurn"
    ),
    "contract.fault": "Category Fault",
    "contract.items": "Item MessageItem ToolCallItem ToolResultItem",
    "contract.lines": "dump load",
    "contract.message": "Message",
    "contract.session": "Backend VoiceSession",
    "contract.simulator": "Simulator SimulatorSettings",
    "contract.stages": (
        "DetectorTraits Flush GetsReady LanguageModel LanguageModelTraits Mark Progress Prompt ReadsAhead Speech "
        "SpeechToText SpeechToTextTraits Stage TextToSpeech TextToSpeechTraits ToolRequest Transcript TurnDetector "
        "TurnSignal Usage Word"
    ),
    "core.closing": "fault_of",
    "core.interruption_policy": "InterruptionPolicy Signals Verdict",
    "core.retry": "RetryPolicy",
    "pool.key_pool": "KeyPool",
    "registry.hookspecs": "hookimpl",
    "registry.registry": "simulator",
    "registry.rows": "About",
    "session.agent": "VoiceAgent",
    "session.call_setup": "ToolPolicy",
    "session.door": "connect connect_raw",
    "session.history_store": "HistoryStore MemoryHistoryStore open_store",
    "session.managed": "ManagedSession",
    "session.team": "Agent",
    "transport.delivery": "Delivery",
    "transport.link": "open_link",
}
"""Where each name lives. A test holds this, the imports above and `__all__` together."""
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def _find(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    else:
        # With `obj`, Python adds the nearest name by itself.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=import_module(__name__))
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a type checker that saw it would take any misspelt name for good
    __getattr__ = _find


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("voicebridge-sdk")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"
