"""A server that speaks the REST wires of Google Speech-to-Text v2 and Text-to-Speech, for work without an account.

It makes tones, or what an installed voice says, and writes down a script, or what an installed recogniser hears.
Wordings of errors are our own.
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
    from voicebridge.testing.simulator.callers import Callers
    from voicebridge.testing.simulator.ears import check_stage
    from voicebridge.testing.simulator.engine import SimulatedServer
    from voicebridge.testing.simulator.option import read_options
    from voicebridge.testing.simulator.profile import profile_named

    from .options import WireOptions
    from .profiles import PROFILES
    from .vendor import GoogleVendor

    options = read_options(WireOptions, settings.options)
    callers = Callers(profile_named(settings.profile, PROFILES), settings.seed)
    if options.voice not in ("tone", "installed"):
        check_stage("tts", options.voice)
    if options.recogniser is not None:
        check_stage("stt", options.recogniser)
    return SimulatedServer(
        settings,
        lambda log: GoogleVendor(options, callers),
        options=options,
        callers=callers,
        hints=(
            "voicebridge talk -b google+<model>+google -O stt.base_url={http} -O tts.base_url={http} "
            "-O stt.project=demo -O stt.api_key=any -O tts.api_key=any",
        ),
    )
