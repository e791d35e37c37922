"""A server that speaks the wires of Amazon Polly and Transcribe, for tests, benchmarks and work without an account.

Facts: the service model of botocore 1.44.8, whose own client (boto3) judges the voices, and the developer guide of
Transcribe; wordings of errors are our own but for the few that clients look for. Signatures are recomputed by botocore
where it is installed. It makes tones, or what an installed voice says, and writes down a script, or what an installed
recogniser hears.
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
    from .vendor import AmazonVendor

    options = read_options(WireOptions, settings.options)
    callers = Callers(profile_named(settings.profile, PROFILES), settings.seed)
    if options.voice not in ("tone", "installed"):
        check_stage("tts", options.voice)
    if options.recogniser is not None:
        check_stage("stt", options.recogniser)
    return SimulatedServer(
        settings,
        lambda log: AmazonVendor(options, callers),
        options=options,
        callers=callers,
        hints=(
            "voicebridge talk -b aws/transcribe+<model>+aws/polly -O stt.base_url={url} -O tts.base_url={url} "
            f"-O stt.api_key=any:{options.secret} -O tts.api_key=any:{options.secret}",
            'boto3: client("polly", endpoint_url="{http}", region_name="us-east-1", aws_access_key_id="any", '
            f'aws_secret_access_key="{options.secret}")',
        ),
    )
