"""A server that speaks the wires of ElevenLabs' voices and of Scribe, for tests, benchmarks and work without a key.

Facts come from the SDK elevenlabs 2.78, whose client also judges it, and from what users report of the live service;
wordings of errors are our own. It makes tones, or what an installed voice says, and writes down a script, or what an
installed recogniser hears.
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
    from .vendor import ElevenLabsVendor

    options = read_options(WireOptions, settings.options)
    return caller_server(
        settings,
        options,
        PROFILES,
        lambda callers: ElevenLabsVendor(options, callers),
        hints=(
            "voicebridge talk -b elevenlabs+<model>+elevenlabs -O stt.base_url={url} -O tts.base_url={url} "
            "-O stt.api_key=any -O tts.api_key=any",
            'elevenlabs SDK: ElevenLabs(api_key="any", base_url="{http}")',
        ),
    )
