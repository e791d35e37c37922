"""Who asks: tokens that were given, and those that google-auth really fetches, from a token server on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, MissingExtra, VoiceBridgeError
from voicebridge_google import credentials
from voicebridge_google.credentials import DefaultCredentials, GivenToken, credentials_for

LIVE = "https://speech.googleapis.com"
LOCAL = "http://127.0.0.1:9"


@dataclass
class Tokens:
    """A server that gives tokens."""

    url: str = ""
    given: list[str] = field(default_factory=list)
    status: int = 200


@asynccontextmanager
async def token_server() -> AsyncIterator[Tokens]:
    tokens = Tokens()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        tokens.given.append(f"token-{len(tokens.given) + 1}")
        told: dict[str, Any] = {"error": "invalid_grant", "error_description": "no such account"}
        if tokens.status == 200:
            told = {
                "access_token": tokens.given[-1],
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        body = json.dumps(told).encode()
        answer = f"HTTP/1.1 {tokens.status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(answer.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    tokens.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    async with server:
        yield tokens


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the file of an account that gets its tokens from a server, and names it in the environment."""

    def written(url: str) -> None:
        (tmp_path / "subject").write_text("who I am")
        file = tmp_path / "credentials.json"
        file.write_text(
            json.dumps(
                {
                    "type": "external_account",
                    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    "token_url": url,
                    "credential_source": {"file": str(tmp_path / "subject")},
                    "quota_project_id": "pays-1",
                }
            )
        )
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")

    return written


@dataclass
class Clock:
    """A time that is set."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def test_tokens_and_keys_go_in_headers_of_their_own() -> None:
    assert await GivenToken("ya29.x").headers() == {"Authorization": "Bearer ya29.x"}
    assert await GivenToken("AIzaX").headers() == {"X-Goog-Api-Key": "AIzaX"}
    assert await GivenToken("").headers() == {}


async def test_what_is_given_comes_first_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "env")
    given = credentials_for(SessionConfig.model_validate({"api_key": "mine"}), LIVE)
    assert await given.headers() == {"Authorization": "Bearer mine"}
    assert await credentials_for(SessionConfig(), LIVE).headers() == {"Authorization": "Bearer env"}
    assert await credentials_for(SessionConfig(), LOCAL).headers() == {}  # whatever listens there is not shown it


def test_without_google_auth_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_has_google_auth", lambda: False)
    with pytest.raises(MissingExtra, match="api_key"):
        credentials_for(SessionConfig(), LIVE)


def test_a_token_never_crosses_the_network_unencrypted() -> None:
    with pytest.raises(ConfigError):
        credentials_for(SessionConfig.model_validate({"api_key": "mine"}), "http://speech.example.com")


class TestDefault:
    """Those that google-auth finds."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("google.auth", reason="the extra `google` is not installed")
        pytest.importorskip("requests", reason="the extra `google` is not installed")

    def test_they_are_used_where_nothing_is_given(self) -> None:
        assert isinstance(credentials_for(SessionConfig(), LIVE), DefaultCredentials)

    async def test_a_token_is_fetched_once_and_again_before_it_ends(self, account: Any) -> None:
        clock = Clock()
        async with token_server() as server:
            account(server.url)
            found = DefaultCredentials(clock)
            headers = [await found.headers() for _ in range(3)]
            assert headers == [{"authorization": "Bearer token-1", "x-goog-user-project": "pays-1"}] * 3
            assert await found.project() == "of-the-environment"
            clock.ahead = timedelta(seconds=3600 - 200)
            assert (await found.headers())["authorization"] == "Bearer token-1"  # the next one is on its way
            async with asyncio.timeout(5):
                while (await found.headers())["authorization"] != "Bearer token-2":  # noqa: ASYNC110 - a thread fetches it
                    await asyncio.sleep(0.01)
            assert len(server.given) == 2

    async def test_many_at_once_fetch_one(self, account: Any) -> None:
        async with token_server() as server:
            account(server.url)
            found = DefaultCredentials()
            await asyncio.gather(*(found.headers() for _ in range(5)))
            assert server.given == ["token-1"]

    async def test_one_that_has_ended_is_not_used(self, account: Any) -> None:
        clock = Clock()
        async with token_server() as server:
            account(server.url)
            found = DefaultCredentials(clock)
            await found.headers()
            clock.ahead = timedelta(seconds=3600)
            assert (await found.headers())["authorization"] == "Bearer token-2"

    async def test_a_refused_account_is_told(self, account: Any) -> None:
        async with token_server() as server:
            server.status = 400
            account(server.url)
            with pytest.raises(VoiceBridgeError, match="no such account") as error:
                await DefaultCredentials().headers()
            assert (error.value.fault.category, error.value.fault.retryable) == ("auth", False)

    async def test_no_file_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        with pytest.raises(ConfigError, match="GOOGLE_APPLICATION_CREDENTIALS"):
            await DefaultCredentials().headers()
