"""A server that speaks the OpenAI Realtime wire (GA), for tests, benchmarks and work without a key.

Facts come from the types of the `openai` SDK 3.54 and from recorded frames of 2026 (pydantic-ai's cassettes, MIT);
error codes that appear in neither are named in `protocol_error`. What it says is scripted or echoed: there is no model
in it.
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
    from voicebridge.testing.simulator.engine import SimulatedServer
    from voicebridge.testing.simulator.named_stages import check_stages
    from voicebridge.testing.simulator.option import read_options
    from voicebridge.testing.simulator.profile import profile_named

    from .dialects import DIALECTS
    from .options import WireOptions
    from .profiles import PROFILES
    from .vendor import RealtimeVendor

    options = read_options(WireOptions, settings.options)
    dialect = DIALECTS[options.dialect]
    profile = profile_named(settings.profile, PROFILES)
    check_stages(options)
    hints = [f"voicebridge talk -b {dialect.spec} -O base_url={{url}} -O api_key=any"]
    if "authorization" in dialect.key_headers:
        hints.append('openai SDK: AsyncOpenAI(api_key="any", base_url="{http}", websocket_base_url="{url}")')
    return SimulatedServer(
        settings,
        lambda log: RealtimeVendor(options, profile, settings.seed, log),
        options=options,
        base_path=dialect.base_path,
        hints=tuple(hints),
    )
