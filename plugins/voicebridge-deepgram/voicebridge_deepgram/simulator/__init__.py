"""A server that speaks Deepgram's wires (listen v1 and v2, speak v1), for tests, benchmarks and work without a key.

Facts come from the types of `deepgram-sdk` 7.17 and Deepgram's public pages. What it hears is scripted unless a
recogniser listens; what it says is a tone unless a voice speaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicebridge.contract.simulator import SimulatorSettings
    from voicebridge.testing.simulator.engine import SimulatedServer

__all__ = ["simulator"]


def simulator(settings: SimulatorSettings) -> SimulatedServer:
    """The simulator with these settings; its options are those of `options.WireOptions`.

    Raises:
        BadOption: an option, the profile or a line of the fault script does not fit.
        ConfigError: a stage that an option names can't be had.
    """
    from voicebridge.testing.simulator.caller_server import caller_server
    from voicebridge.testing.simulator.option import read_options

    from .options import WireOptions
    from .profiles import PROFILES
    from .vendor import DeepgramVendor

    options = read_options(WireOptions, settings.options)
    return caller_server(
        settings,
        options,
        PROFILES,
        lambda callers: DeepgramVendor(options, callers),
        hints=(
            "voicebridge talk -b deepgram/flux-general-en+local/gemma-3-270m+deepgram/aura-2 "
            "-O stt.base_url={url} -O stt.api_key=any -O tts.base_url={url} -O tts.api_key=any",
            'deepgram SDK: DeepgramClientEnvironment(base="{http}", production="{url}", agent="{url}", '
            'agent_rest="{http}")',
        ),
    )
