"""Whose requests they are: where keys and the region come from, and that they are shown nowhere."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge_aws.account import Account, Keys
from voicebridge_aws.options import AccountOptions
from voicebridge_aws.signing import presigned_query, signed_headers

LOCAL = "http://127.0.0.1:9"
SECRET = "wJalrXUtnFEMI/K7MDENG/CANARY"
TOKEN = "FwoGZXIvYXdzEBYaDCANARY=="


def account(*, region: str | None = "eu-west-1", profile: str | None = None, **config: Any) -> Account:
    return Account.of(SessionConfig.model_validate(config), AccountOptions(region=region, profile=profile))


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_keys_are_given_in_one_setting(token: str | None) -> None:
    given = f"AKIDEXAMPLE:{SECRET}" + (f":{token}" if token else "")
    keys = await account(api_key=given).keys()
    assert keys == Keys("AKIDEXAMPLE", SECRET, token)
    assert SECRET not in repr(keys)
    assert TOKEN not in repr(keys)


@pytest.mark.parametrize("key", ["sk-proj-0123456789", "id:", ":secret", "id:sec ret", "id:sé"])
def test_a_key_of_another_vendor_is_none(key: str) -> None:
    with pytest.raises(ConfigError, match="ACCESS_KEY_ID:SECRET_ACCESS_KEY") as caught:
        account(api_key=key)
    assert key.strip(":") not in str(caught.value)


async def test_a_simulator_takes_any_key() -> None:
    assert await account(base_url=LOCAL, api_key="caller-7").keys() == Keys("caller-7", "simulated")


async def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    assert await account().keys() == Keys("AKIDENV", SECRET, TOKEN)


async def test_a_server_on_this_machine_is_not_shown_the_keys_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert (await account(base_url=LOCAL).keys()).access_key == "anybody"


async def test_keys_and_region_come_from_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile clinic]\nregion = ca-central-1\n")
    (tmp_path / "credentials").write_text(f"[clinic]\naws_access_key_id = AKIDFILE\naws_secret_access_key = {SECRET}\n")
    named = account(region=None, profile="clinic")
    assert named.region == "ca-central-1"
    assert await named.keys() == Keys("AKIDFILE", SECRET)
    monkeypatch.setenv("AWS_PROFILE", "clinic")
    assert account(region=None).region == "ca-central-1"
    assert (await account(region=None).keys()).access_key == "AKIDFILE"


PROGRAM = """
import datetime, json, pathlib, sys
counter = pathlib.Path(sys.argv[0]).with_suffix(".n")
number = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(number))
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=float(sys.argv[1]))
keys = {"Version": 1, "AccessKeyId": f"AKID{number}", "SecretAccessKey": "s", "SessionToken": "t"}
print(json.dumps(keys | {"Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}))
"""
"""Gives keys as single sign-on and roles do: they hold for as many minutes as it is told."""


@pytest.mark.parametrize(("minutes", "renewed"), [(120, False), (5, True)])
async def test_keys_that_expire_soon_are_asked_for_anew(tmp_path: Path, minutes: float, renewed: bool) -> None:
    (tmp_path / "keys.py").write_text(PROGRAM)
    command = f"{sys.executable} {tmp_path / 'keys.py'} {minutes}"
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = {command}\n")
    who = account(profile="role")
    first, second = await who.keys(), await who.keys()
    assert (first.access_key != second.access_key) is renewed
    assert second.token == "t"


@pytest.mark.parametrize("arguments", ["-5", "none"])
async def test_a_program_that_gives_no_good_keys_is_told(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "keys.py").write_text(PROGRAM)
    command = f"{sys.executable} {tmp_path / 'keys.py'} {arguments}"
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = {command}\n")
    with pytest.raises(VoiceBridgeError) as caught:
        await account(profile="role").keys()
    assert caught.value.fault.category == "auth"


async def test_no_keys_at_all_are_told_with_what_to_do() -> None:
    with pytest.raises(VoiceBridgeError, match="AWS_ACCESS_KEY_ID") as caught:
        await account().keys()
    assert caught.value.fault.category == "auth"


async def test_a_profile_that_is_none_is_told() -> None:
    with pytest.raises(VoiceBridgeError, match="nobody"):
        await account(profile="nobody").keys()
    with pytest.raises(ConfigError, match="nobody"):
        account(region=None, profile="nobody")


def test_the_region_is_an_option_or_stands_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="AWS_REGION"):
        account(region=None)
    assert account(region=None, base_url=LOCAL).region == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert account(region=None).region == "us-west-2"
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    assert account(region=None).region == "us-east-2"
    assert account().region == "eu-west-1"


def test_a_signed_request_leaves_this_machine_encrypted_only() -> None:
    with pytest.raises(ConfigError, match="encrypted"):
        account(base_url="http://192.0.2.1")


def test_signatures_are_written_to_no_log(caplog: pytest.LogCaptureFixture) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    caplog.set_level(logging.DEBUG, "botocore")
    keys = Keys("AKIDEXAMPLE", SECRET, TOKEN)
    headers = signed_headers(keys, service="polly", region="r", method="POST", url="https://h/v1/speech", content=b"{}")
    query = presigned_query(keys, service="transcribe", region="r", url="wss://h:8443/x?language-code=en-US")
    assert headers["X-Amz-Security-Token"] == TOKEN
    assert query.startswith("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F")
    assert "X-Amz-Signature=" in query
    assert not caplog.records
    SigV4Auth(Credentials("a", "b"), "s3", "r").add_auth(AWSRequest("GET", "https://h"))
    assert caplog.records, "the logs of others are theirs"
