import pytest

from voicebridge_bench.playout import Playout


def test_a_piece_plays_when_it_arrives_or_when_the_one_before_ends():
    player = Playout()
    assert player.add("r", 100, now=1.0).start == 1.0
    assert player.add("r", 100, now=1.02).start == pytest.approx(1.1)
    assert player.add("r", 100, now=2.0).start == 2.0
    assert player.ends_at() == pytest.approx(2.1)


def test_another_response_waits_for_the_first():
    player = Playout()
    player.add("a", 500, now=0.0)
    assert player.add("b", 100, now=0.1).start == pytest.approx(0.5)


def test_played_ms_counts_what_left_the_speaker_and_no_pause():
    player = Playout()
    player.add("r", 100, now=1.0)
    player.add("r", 100, now=2.0)
    assert player.played_ms("r", 0.5) == 0
    assert player.played_ms("r", 1.05) == pytest.approx(50)
    assert player.played_ms("r", 1.9) == pytest.approx(100)
    assert player.played_ms("r", 9.0) == pytest.approx(200)


def test_stopping_cuts_what_plays_drops_what_waits_and_moves_the_next_up():
    player = Playout()
    player.add("a", 1000, now=0.0)
    player.add("a", 1000, now=0.0)
    other = player.add("b", 100, now=0.2)
    assert other.start == pytest.approx(2.0)
    player.stop("a", now=0.3)
    assert player.played_ms("a", 9.0) == pytest.approx(300)
    assert (other.start, other.end) == (pytest.approx(0.3), pytest.approx(0.4))
    assert player.sounding(0.35) == ["b"]
    assert player.add("c", 100, now=0.3).start == pytest.approx(0.4), "and what comes next waits for that one alone"


def test_stopping_one_that_waits_leaves_the_one_that_plays():
    player = Playout()
    player.add("a", 1000, now=0.0)
    player.add("b", 1000, now=0.0)
    player.stop("b", now=0.5)
    assert player.ends_at() == pytest.approx(1.0)
    assert player.add("c", 100, now=0.6).start == pytest.approx(1.0)


def test_where_a_millisecond_sounds():
    player = Playout()
    player.add("r", 100, now=1.0)
    player.add("r", 100, now=2.0)
    assert player.sounds_at("r", 50) == pytest.approx(1.05)
    assert player.sounds_at("r", 150) == pytest.approx(2.05)
    assert player.sounds_at("r", 250) is None
    player.stop("r", now=2.01)
    assert player.sounds_at("r", 150) is None


def test_an_underrun_is_a_gap_that_late_audio_made():
    player = Playout()
    player.add("r", 100, now=1.0)
    player.add("r", 100, now=1.05)
    player.add("r", 100, now=1.5)
    assert player.underruns_ms("r") == [pytest.approx(300)]
