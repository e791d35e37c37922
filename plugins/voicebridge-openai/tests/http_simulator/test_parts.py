"""The pure parts, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.testing.simulator.pacing import text_tokens
from voicebridge.testing.simulator.profile import INSTANT
from voicebridge_openai.http_simulator.admission import shown_key
from voicebridge_openai.http_simulator.api_error import ApiError
from voicebridge_openai.http_simulator.ask import Ask, draft
from voicebridge_openai.http_simulator.known_models import LISTED, family_of
from voicebridge_openai.http_simulator.profiles import PROFILES, TOKENS_PER_SECOND
from voicebridge_openai.http_simulator.tokens import stopped_at
from voicebridge_openai.http_simulator.upload_rules import LARGEST_FILE, checked_upload
from voicebridge_openai.simulator.replies import read_reply


@given(st.text(), st.integers(0, 30))
def test_a_draft_writes_no_more_tokens_than_it_may(text, most):
    made = draft(Ask(model="m", most_tokens=most), read_reply(text))
    assert made.tokens == min(most, len(text_tokens(text)))
    assert text.startswith(made.text)
    assert made.finish == ("stop" if most >= len(text_tokens(text)) else "length")


def test_the_most_tokens_are_those_of_all_parts():
    made = draft(Ask(model="m", most_tokens=3), read_reply(["One.", {"call": "noop", "arguments": '{"a": 1}'}, "Two."]))
    assert made.text == "One."
    assert [call.arguments for call in made.calls] == ["{"]
    assert (made.tokens, made.finish) == (3, "length")


def test_the_first_word_that_ends_it_counts():
    assert stopped_at("a b c", ("c", "b")) == "a "
    assert stopped_at("a b c", ("", "x")) == "a b c"


@given(st.binary(max_size=200))
def test_what_is_no_audio_is_refused(content):
    for head in (b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"):
        with pytest.raises(ApiError):
            checked_upload("a.wav", head + content)


def test_a_file_that_is_too_large():
    with pytest.raises(ApiError) as refused:
        checked_upload("a.wav", bytes(LARGEST_FILE + 1))
    assert refused.value.status == 413


@pytest.mark.parametrize("model", [*LISTED, "gpt-6.2-sol", "o4-mini", "ft:gpt-4o:acme::1", "gpt-4o-audio-preview"])
def test_models_that_exist(model):
    assert family_of(model) is not None


def test_families():
    assert family_of("no-such-model") is None
    assert family_of("gpt-5.4-mini").reasons
    assert not family_of("gpt-5.2-chat-latest").reasons
    assert not family_of("gpt-4.1-mini").reasons
    assert not family_of("whisper-1").streams
    assert family_of("gpt-4o-transcribe-diarize").formats[-1] == "diarized_json"


def test_a_key_is_shown_by_its_ends():
    assert shown_key("short") == "*****"
    assert shown_key("sk-proj-0123456789abcdef") == "sk-proj-************cdef"


def test_profiles_time_the_same_stages_and_tell_their_sources():
    for profile in PROFILES.values():
        assert set(profile.stages) == {"transcription", "first_token", "speech"}
        assert all(stage.source for stage in profile.stages.values())
        assert TOKENS_PER_SECOND[profile.name] > 0
    assert INSTANT.name not in TOKENS_PER_SECOND
