"""A server that speaks Cartesia's wires (Sonic and Ink), for tests, benchmarks and work without a key.

Facts come from the types of `cartesia` 4.2 and Cartesia's public pages. What it hears is scripted unless a recogniser
listens; what it says is a tone unless a voice speaks.
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
    from .vendor import CartesiaVendor

    options = read_options(WireOptions, settings.options)
    return caller_server(
        settings,
        options,
        PROFILES,
        lambda callers: CartesiaVendor(options, callers),
        hints=(
            "voicebridge talk -b cartesia/ink-2+local/gemma-3-270m+cartesia/sonic-3 "
            "-O stt.base_url={url} -O stt.api_key=any -O tts.base_url={url} -O tts.api_key=any",
            'cartesia SDK: AsyncCartesia(api_key="any", base_url="{http}", websocket_base_url="{url}")',
        ),
    )
