"""When each piece is sent, in virtual time."""

from __future__ import annotations

import asyncio
import json

import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.profile import INSTANT, profile_named
from voicebridge.testing.simulator.turn_log import TurnLog
from voicebridge.testing.simulator.wire import HttpRequest
from voicebridge_openai.http_simulator.options import HttpOptions
from voicebridge_openai.http_simulator.profiles import PROFILES
from voicebridge_openai.http_simulator.vendor import ApiVendor

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi there"}]}
SPEECH = {"model": "tts-1", "voice": "nova", "input": "Hello there.", "response_format": "pcm"}


class Sent:
    """A reply that notes when what was sent."""

    number = 1

    def __init__(self):
        self.status = 0
        self.pieces = []

    async def start(self, status=200, headers=None, *, kind="response"):
        self.status = status
        self.pieces.append((asyncio.get_running_loop().time(), kind))

    async def send(self, kind, data):
        self.pieces.append((asyncio.get_running_loop().time(), kind))

    async def end(self):
        """Nothing to note."""

    def times(self, kind):
        return [when for when, what in self.pieces if what == kind]


def _callers(profile):
    callers = Callers(profile_named(profile, PROFILES), 0)
    callers.serve(TurnLog())
    return callers


def _asked(vendor, path, body, *, at=0.0):
    async def ask():
        sent = Sent()
        request = HttpRequest(
            method="POST",
            path=f"/v1{path}",
            headers={"authorization": "Bearer k"},
            body=json.dumps(body).encode(),
            at=at,
        )
        await vendor.converse(request, sent)
        return sent

    return run_in_virtual_time(ask())


def _vendor(profile, **options):
    return ApiVendor(HttpOptions(**options), _callers(profile), 0)


def test_tokens_come_at_their_pace_behind_the_first():
    sent = _asked(_vendor("first_token=300", tokens_per_second=10), "/chat/completions", {**CHAT, "stream": True})
    # The role comes with the first of five tokens; the end when the last one had its time.
    assert sent.times("chat.completion.chunk") == pytest.approx([0.3, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert sent.times("response") == pytest.approx([0.3])


def test_responses_keep_the_same_pace():
    body = {"model": "gpt-4o", "input": "Hi there", "stream": True}
    sent = _asked(_vendor("first_token=300", tokens_per_second=10), "/responses", body)
    assert sent.times("response.output_text.delta") == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])
    assert sent.times("response.completed") == pytest.approx([0.8])


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
def test_calls_keep_the_pace_behind_what_is_said(path):
    vendor = _vendor("first_token=300", tokens_per_second=10, replies=(["One.", {"call": "noop", "arguments": "{}"}],))
    body = {**CHAT, "stream": True} if "chat" in path else {"model": "gpt-4o", "input": "Hi", "stream": True}
    sent = _asked(vendor, path, body)
    # Two tokens are said, two are written into the call: the end comes when the fourth had its time.
    assert sorted({round(when, 3) for when, _ in sent.pieces}) == [0.3, 0.4, 0.5, 0.6, 0.7]


def test_what_is_not_streamed_waits_for_all_tokens():
    sent = _asked(_vendor("first_token=300", tokens_per_second=10), "/chat/completions", CHAT)
    assert sent.times("body") == pytest.approx([0.8])


def test_speech_comes_faster_than_it_plays():
    vendor = _vendor("speech=200", audio_speed=4, delta_ms=100, ms_per_char=50)
    sent = _asked(vendor, "/audio/speech", SPEECH)
    assert sent.times("audio") == pytest.approx([0.2, 0.225, 0.25, 0.275, 0.3, 0.325])


def test_speech_comes_at_once_unless_told_otherwise():
    sent = _asked(_vendor("speech=200"), "/audio/speech", SPEECH)
    assert set(sent.times("audio")) == {0.2}


def test_a_failure_takes_its_time_too():
    sent = _asked(_vendor("first_token=300", replies=({"fail": "server_error"},)), "/chat/completions", CHAT)
    assert sent.status == 500
    assert sent.times("error") == pytest.approx([0.3, 0.3])


def test_times_run_from_the_last_byte_of_the_request():
    sent = _asked(_vendor("first_token=300"), "/chat/completions", CHAT, at=-0.1)
    assert sent.times("response") == pytest.approx([0.2])


def test_a_turn_that_is_asked_twice_draws_and_says_the_same():
    callers = _callers("published")
    vendor = ApiVendor(HttpOptions(replies=("One.", "Two.")), callers, 0)
    callers.set_turn("k", 2)
    first, again = [_asked(vendor, "/chat/completions", {**CHAT, "stream": True}) for _ in range(2)]
    assert first.pieces == again.pieces
    turns = callers.log.turns
    assert [turn.turn for turn in turns] == [2, 2]
    callers.set_turn("k", 3)
    assert _asked(vendor, "/chat/completions", CHAT).times("body") != first.times("response")


@pytest.mark.parametrize("profile", [INSTANT.name, *PROFILES])
def test_every_profile_answers(profile):
    vendor = _vendor(profile)
    sent = _asked(vendor, "/chat/completions", {**CHAT, "stream": True})
    waited = sent.times("done")[0]
    if profile == INSTANT.name:
        assert waited == 0
    else:
        assert waited == pytest.approx(sent.times("response")[0] + 5 / 80)
