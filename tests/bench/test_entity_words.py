import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge_bench.words.entity_set import entity_data, entity_sentences
from voicebridge_bench.words.entity_text import entity_words
from voicebridge_bench.words.slots import KINDS, canonical, holds

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("five five five one two three four", "5 5 5 1 2 3 4"),
        ("555-1234", "5 5 5 1 2 3 4"),
        ("(415) 555-0132", "4 1 5 5 5 5 0 1 3 2"),
        ("double five, oh one", "5 5 0 1"),
        ("triple seven", "7 7 7"),
        ("one hundred and twenty three", "1 2 3"),
        ("a thousand two hundred and five", "1 2 0 5"),
        ("1,205", "1 2 0 5"),
        ("5 thousand", "5 0 0 0"),
        ("twenty twenty six", "2 0 2 6"),
        ("nineteen oh five", "1 9 0 5"),
        ("two thousand twenty six", "2 0 2 6"),
        ("one hundred and then some", "1 0 0 and then some"),
        ("twelve point five", "1 2 point 5"),
        ("12.5", "1 2 point 5"),
        ("ABC123", "a b c 1 2 3"),
        ("A-B-C 1 2 3", "a b c 1 2 3"),
        ("B as in Bravo, M for Mike", "b m"),
        ("a for effort", "a for effort"),
        ("oh k a f o r", "o k a f o r"),
        ("Oh dear", "oh dear"),
        ("john.smith@example.com", "john dot smith at example dot com"),
        ("j-s_1@example.org.", "j dash s underscore 1 at example dot org"),
        ("www.example.com/help", "www dot example dot com slash help"),
        ("$12.50", "1 2 dollars 5 0 cents"),
        ("12.50 dollars", "1 2 dollars 5 0 cents"),
        ("twelve dollars and fifty cents", "1 2 dollars 5 0 cents"),
        ("one dollar and a tip", "1 dollars and a tip"),
        ("£3.05", "3 pounds 5 pence"),
        ("$1,000,000", "1 0 0 0 0 0 0 dollars"),
        ("March 3rd, 2026", "march 3 2 0 2 6"),
        ("the third of March twenty twenty six", "march 3 2 0 2 6"),
        ("March the twenty first", "march 2 1"),
        ("the fifteenth of March", "march 1 5"),
        ("3/15/2026", "march 1 5 2 0 2 6"),
        ("2026-03-15", "march 1 5 2 0 2 6"),
        ("Sept 5", "september 5"),
        ("I may march", "i may march"),
        ("THE WHOLE TEXT", "the whole text"),
        ("", ""),
        (" ... ", ""),
    ],
)
def test_what_was_said_is_the_same_however_it_is_written(written, words):
    assert entity_words(written) == words


@given(st.text(alphabet="0123456789", min_size=1, max_size=12), st.data())
def test_digits_survive_every_way_to_write_them(digits, data):
    parts = [data.draw(st.sampled_from([digit, ONES[int(digit)]])) for digit in digits]
    assert entity_words(" ".join(parts)) == " ".join(digits)
    assert entity_words("-".join(digits)) == " ".join(digits)


@given(st.integers(0, 999_999), st.integers(0, 99))
def test_an_amount_is_the_same_with_its_sign_and_in_units(whole, part):
    said = f"{whole} dollars" + (f" and {part} cents" if part else "")
    assert entity_words(f"${whole:,}.{part:02d}") == entity_words(said)


@given(st.text(max_size=80))
def test_any_text_becomes_lower_case_words_with_digits_apart(text):
    for word in entity_words(text).split():
        assert word == word.lower()
        assert not any(sign in "0123456789" for sign in word) or len(word) == 1


@pytest.mark.parametrize(
    ("transcript", "kind", "value", "right"),
    [
        ("Call (415) 555-0132 now", "phone", "4155550132", True),
        ("Call four one five, 555 0132", "phone", "4155550132", True),
        ("Call 415 555 0133", "phone", "4155550132", False),
        ("Call 415 555 01322", "phone", "4155550132", False),
        ("Call 1 415 555 0132", "phone", "4155550132", False),
        ("It is K7-QM4.", "code", "K7QM4", True),
        ("It is k seven q m four", "code", "K7QM4", True),
        ("It is K7QM4X", "code", "K7QM4", False),
        ("It is a K7QM4", "code", "K7QM4", True),
        ("Mail jo dot li at example dot com please", "email", "jo.li@example.com", True),
        ("Mail jo.lee@example.com", "email", "jo.li@example.com", False),
        ("Mail jo.li@example.com.au", "email", "jo.li@example.com", False),
        ("twelve dollars fifty cents", "amount", "$12.50", True),
        ("twelve dollars", "amount", "$12.50", False),
        ("$12.50", "amount", "$12", False),
        ("112 dollars", "amount", "$12", False),
        ("on the 15th of March", "date", "March 15", True),
        ("on March 15, 2026", "date", "2026-03-15", True),
        ("on March 16, 2026", "date", "2026-03-15", False),
        ("that is S-M-I-T-H", "spelling", "S M I T H", True),
        ("that is Smith", "spelling", "S M I T H", True),
        ("that is S-M-I-T-H-E", "spelling", "S M I T H", False),
        ("", "phone", "4155550132", False),
    ],
)
def test_a_slot_is_right_only_if_all_of_it_is(transcript, kind, value, right):
    assert holds(transcript, kind, value) is right


def test_a_canonical_value_has_no_way_to_write_it_left():
    assert canonical("phone", "(415) 555-0132") == canonical("phone", "415 5550132") == "4155550132"
    assert canonical("email", "jo dot li at example dot com") == "jo.li@example.com"


def test_generated_sentences_hold_their_slots_and_the_seed_decides():
    data = entity_data()
    for seed in range(50):
        for sentence in entity_sentences(data, seed, 8):
            assert holds(sentence.text, sentence.slot.kind, sentence.slot.value), sentence
    assert entity_sentences(data, 7) == entity_sentences(data, 7)
    assert entity_sentences(data, 7) != entity_sentences(data, 8)
    assert {sentence.slot.kind for sentence in entity_sentences(data, 7)} == set(KINDS)


def test_one_wrong_digit_of_a_generated_number_is_noticed():
    draw = random.Random(3)
    for sentence in entity_sentences(entity_data(), 3, 8):
        if sentence.slot.kind == "phone":
            place = draw.randrange(10)
            wrong = str((int(sentence.slot.value[place]) + 1) % 10)
            spoiled = sentence.slot.value[:place] + wrong + sentence.slot.value[place + 1 :]
            assert not holds(sentence.text, "phone", spoiled)
