"""Who is let in, ephemeral keys, the end of a session."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.bare_client import bare_client
from voicebridge_openai.simulator import simulator

MODEL = "realtime?model=gpt-realtime-2"
KEY = {"Authorization": "Bearer sk-test"}


async def refused(url: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as raised:
        async with connect(url, additional_headers=headers):
            pass
    response = raised.value.response
    return response.status_code, response


def served(**options: Any) -> Any:
    return simulator(SimulatorSettings(options=options)).serve()


def test_it_is_registered() -> None:
    assert registry().simulator("openai-realtime", SimulatorSettings()).serve is not None


async def test_a_key_is_required() -> None:
    async with served() as url:
        status, response = await refused(f"{url}/{MODEL}")
        assert status == 401
        assert b"bearer" in response.body
        async with bare_client(f"{url}/{MODEL}", {"api-key": "as Azure does it"}) as client:
            await client.until("session.created")
    async with served(require_key=False) as url, bare_client(f"{url}/{MODEL}") as client:
        await client.until("session.created")


async def test_keys_that_are_wrong_or_have_no_access() -> None:
    async with served(keys=["sk-test", "sk-no"], forbidden_keys=["sk-no"]) as url:
        assert (await refused(f"{url}/{MODEL}", {"Authorization": "Bearer sk-wrong"}))[0] == 401
        assert (await refused(f"{url}/{MODEL}", {"Authorization": "Bearer sk-no"}))[0] == 403
        async with bare_client(f"{url}/{MODEL}", KEY) as client:
            await client.until("session.created")


async def test_a_browser_shows_its_key_in_the_subprotocols() -> None:
    async with served(keys=["ek"]) as url:
        names: Any = ["realtime", "openai-insecure-api-key.ek"]
        async with connect(f"{url}/{MODEL}", subprotocols=names) as socket:
            assert socket.subprotocol == "realtime"


async def test_models_and_paths_that_do_not_exist() -> None:
    async with served(models=["gpt-realtime-2"]) as url:
        status, response = await refused(f"{url}/realtime?model=gpt-9", KEY)
        assert status == 404
        assert b"model_not_found" in response.body
        assert (await refused(f"{url}/realtime", KEY))[0] == 400
        assert (await refused(f"{url}/chat?model=gpt-realtime-2", KEY))[0] == 404


async def test_too_many_at_once() -> None:
    async with served(max_connections=1, retry_after_s=3) as url:
        async with bare_client(f"{url}/{MODEL}", KEY) as client:
            await client.until("session.created")
            status, response = await refused(f"{url}/{MODEL}", KEY)
            assert status == 429
            assert response.headers["Retry-After"] == "3"
        async with bare_client(f"{url}/{MODEL}", KEY) as client:
            await client.until("session.created")


async def test_the_beta_protocol_is_gone() -> None:
    headers = KEY | {"OpenAI-Beta": "realtime=v1"}
    async with served() as url, bare_client(f"{url}/{MODEL}", headers) as client:
        assert await client.ended() == (4000, "beta_api_shape_disabled")
        assert [frame["error"]["code"] for frame in client.frames] == ["beta_api_shape_disabled"]


async def test_an_ephemeral_key_opens_a_session_with_its_settings() -> None:
    async with served(keys=["sk-test"]) as url, httpx.AsyncClient(base_url=url.replace("ws", "http", 1)) as http:
        body = {"session": {"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be kind."}}
        answer = await http.post("/realtime/client_secrets", json=body, headers=KEY)
        secret = answer.json()
        assert answer.status_code == 200
        assert secret["value"].startswith("ek_")
        assert secret["session"]["instructions"] == "Be kind."
        async with bare_client(f"{url}/realtime", {"Authorization": f"Bearer {secret['value']}"}) as client:
            session = (await client.until("session.created"))["session"]
            assert (session["model"], session["instructions"]) == ("gpt-realtime-mini", "Be kind.")
        assert (await refused(f"{url}/{MODEL}", {"Authorization": "Bearer ek_other"}))[0] == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ('{"session": {"type": "realtime", "temperature": 1}}', 400),
        ('{"expires_after": {"anchor": "created_at", "seconds": 1}}', 400),
        ('{"expires_after": {"seconds": true}}', 400),
        ('{"expires_after": [1]}', 400),
        ('{"expires_after": "x"}', 400),
        ('{"expires_after": 0}', 400),
        ('{"session": []}', 400),
        ('{"session": {"type": "realtime", "model": 5}}', 400),
        ('{"session": {"type": "realtime", "output_modalities": []}}', 400),
        ('{"expires_after": null, "session": null}', 200),
        ("", 200),
    ],
)
async def test_a_request_for_a_key_is_checked(body: str, status: int) -> None:
    async with served() as url, httpx.AsyncClient(base_url=url.replace("ws", "http", 1)) as http:
        answer = await http.post("/realtime/client_secrets", content=body, headers=KEY)
        assert answer.status_code == status
        assert ("error" in answer.json()) == (status != 200)
        assert (await http.post("/realtime/client_secrets", content=body)).status_code == 401
        assert (await http.get("/realtime/client_secrets", headers=KEY)).status_code == 404


async def test_a_session_ends_after_its_time(simulate: Any) -> None:
    async with simulate(session_s=0.1) as (_, client):
        code, reason = await client.ended()
        assert code == 1001
        assert "maximum duration" in reason
    async with simulate(session_s=0.1, session_end="error") as (_, client):
        await client.ended()
        assert client.frames[-1]["error"]["code"] == "session_expired"


@pytest.mark.parametrize(
    "options",
    [
        {"pice": 3},
        {"pace": -1},
        {"pace": "fast"},
        {"replies": [{"shout": 1}]},
        {"session_end": "bang"},
        {"voice": 3},
        {"require_key": 1},
    ],
)
def test_an_option_that_does_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        simulator(SimulatorSettings(options=options))


def test_a_profile_that_does_not_exist() -> None:
    with pytest.raises(BadOption, match="instant, claimed, published"):
        simulator(SimulatorSettings(profile="fast"))


@pytest.mark.parametrize("option", ["voice", "detector", "recogniser"])
def test_a_stage_that_does_not_exist(option: str) -> None:
    with pytest.raises(ConfigError, match="nobody/at-all"):
        simulator(SimulatorSettings(options={option: "nobody/at-all"}))
