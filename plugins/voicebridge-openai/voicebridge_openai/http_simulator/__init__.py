"""A server that speaks the HTTP API of OpenAI, for tests, benchmarks and work without a key.

Chat, responses, transcriptions, speech and models, streamed and not. Facts come from the types of the `openai` SDK 3.54
and from public reports of what the vendor answers; each module says what is a guess. Compatible servers are dialects:
rows of data in `dialects`. What it says is scripted or echoed, unless a recogniser or a voice of this machine is named.

admission           keys, models, how many at once
*_request           a body, read and checked: what is asked
ask                 what is asked of the model, and the answer before it becomes bytes
*_output            the answer as bytes, whole or piece by piece
*_endpoints         the two, put together and timed

The log's records name the endpoint as `cause`: `chat`, `responses`, `transcription`, `speech`. Their stamps are
`requested`, then `first_token`, `first_text` or `first_audio`, then `done`. A streamed transcript comes all at once
when its time has come: no source tells how the vendor spreads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicebridge.contract.simulator import SimulatorSettings
    from voicebridge.testing.simulator.engine import SimulatedServer

__all__ = ["simulator"]


def simulator(settings: SimulatorSettings) -> SimulatedServer:
    """The simulator with these settings; its options are those of `options.HttpOptions`.

    Raises:
        BadOption: an option, the profile or a line of the fault script does not fit.
        ConfigError: a stage that an option names can't be had.
    """
    from voicebridge.testing.simulator.caller_server import caller_server
    from voicebridge.testing.simulator.option import read_options

    from .dialects import DIALECTS
    from .options import HttpOptions
    from .profiles import PROFILES
    from .vendor import ApiVendor

    options = read_options(HttpOptions, settings.options)
    return caller_server(
        settings,
        options,
        PROFILES,
        lambda callers: ApiVendor(options, callers, settings.seed),
        base_path=DIALECTS[options.dialect].prefix,
        hints=('openai SDK: AsyncOpenAI(api_key="any", base_url="{url}")',),
        scheme="http",
    )
