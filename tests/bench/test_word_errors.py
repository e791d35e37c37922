import pytest

from voicebridge_bench.word_errors import WordErrors, normaliser_name, pool, score


def test_case_punctuation_and_spelled_numbers_are_no_errors():
    assert (
        score(
            "It was the best of times, it was the worst of times,", "it was the best of times it was the worst of times"
        ).errors
        == 0
    )
    assert score("two nine three four zero", "2-9-3-4-0").errors >= 0
    assert score("go forward ten meters", "Go forward 10 meters.").errors == 0
    assert score("Mr. Dashwood", "Mister Dashwood").errors == 0


def test_each_kind_of_error_is_counted():
    assert score("ten of clubs", "ten of clothes") == WordErrors(1, 0, 0, 3)
    assert score("ten of clubs", "ten clubs") == WordErrors(0, 1, 0, 3)
    assert score("ten of clubs", "you ten of clubs") == WordErrors(0, 0, 1, 3)


def test_a_missing_transcript_deletes_every_word():
    assert score("ten of clubs", "") == WordErrors(0, 3, 0, 3)
    assert score("ten of clubs", " ... ") == WordErrors(0, 3, 0, 3)


def test_the_headline_is_pooled_over_words_not_averaged_over_turns():
    scored = [
        ("short", "ten clubs", score("ten of clubs", "ten clubs")),
        ("long", "it was the age of wisdom", score("it was the age of wisdom", "it was the age of wisdom")),
    ]
    found = pool(scored, seed=1)
    assert found.pooled.value == pytest.approx(1 / 9)
    assert found.mean_of_turns == pytest.approx(1 / 6)
    assert found.perfect == 0.5
    assert (found.substituted, found.deleted, found.inserted) == (0, 1, 0)


def test_repetitions_of_one_utterance_are_one_cluster():
    errors = score("ten of clubs", "ten clubs")
    found = pool([("same", "ten clubs", errors)] * 40, seed=1)
    assert found.pooled.clusters == 1
    assert found.pooled.low is None


def test_untranscribed_turns_are_counted_and_stay_in():
    found = pool([("a", "", score("ten of clubs", "")), ("b", "five", score("five", "five"))], seed=1)
    assert found.untranscribed == 1
    assert found.pooled.value == pytest.approx(3 / 4)


def test_an_empty_reference_has_no_rate_of_its_own():
    found = pool([("a", "you", score("...", "you")), ("b", "five", score("five", "five"))], seed=1)
    assert found.inserted_in_empty == 1
    assert found.pooled.value == 0
    assert pool([("a", "you", score("", "you"))], seed=1) is None


def test_the_normaliser_is_named_with_its_version():
    assert "whisper-normalizer 0." in normaliser_name()
    assert "jiwer" in normaliser_name()
