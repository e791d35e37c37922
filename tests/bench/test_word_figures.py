import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge_bench.words.difference import gap, paired
from voicebridge_bench.words.figures import differences, figures
from voicebridge_bench.words.four_numbers import four, heard_row
from voicebridge_bench.words.rows import scored
from voicebridge_bench.words.table import difference_lines, table
from voicebridge_bench.words.utterances import Slot, Utterance

SENTENCE = "it was the age of wisdom it was the age of foolishness it was"
"""14 words"""


def _utterance(number, speaker="s", accent=None, text=SENTENCE, slots=()):
    return Utterance(id=f"u{number}", speaker=speaker, text=text, pcm=bytes(48_000), accent=accent, slots=slots)


def _rows(name, utterances, wrong=0):
    """Rows with the first `wrong` words of each transcript misheard."""
    return [scored(name, one, " ".join(["zzz"] * wrong + one.text.split()[wrong:]), 0.1, None) for one in utterances]


def _crowd(accent, speakers, each, first=0):
    return [
        _utterance(f"{first + speaker}-{number}", f"{accent}-{speaker}", accent)
        for speaker in range(speakers)
        for number in range(each)
    ]


def test_a_failed_transcript_has_all_its_words_deleted():
    rows = [scored("a", _utterance(1), SENTENCE, 0.1, None), scored("a", _utterance(2), "", 0.0, "Broken.")]
    found = figures(rows, 1)[0]
    assert found.words.pooled.value == pytest.approx(0.5)
    assert found.words.deleted == 14
    assert (found.failed, found.faults) == (1, ("Broken.",))


def test_an_accent_of_few_speakers_or_words_is_not_measured():
    few_speakers, few_words = _crowd("scots", 4, 10), _crowd("irish", 5, 1, 10)
    found = figures(_rows("a", few_speakers + few_words), 1)[0]
    assert [one.rate for one in found.accents] == [None, None]
    assert "70 of at least 300 words" in found.accents[0].refused
    assert "4 of at least 5 speakers" in found.accents[1].refused
    assert found.accent_gap is None
    cells = dict(table([found]))
    assert cells["accent: scots"][0].startswith("not measured: 4 of")


def test_accents_are_compared_from_worst_to_best():
    good, bad = _crowd("scots", 6, 5), _crowd("irish", 6, 5, 10)
    rows = _rows("a", good, 1) + _rows("a", bad, 3)
    found = figures(rows, 1)[0]
    assert found.drawn_by == "speaker"
    assert [(one.name, one.words, one.speakers) for one in found.accents] == [("irish", 420, 6), ("scots", 420, 6)]
    assert found.worst_to_best == pytest.approx(3)
    assert found.accent_gap.value == pytest.approx(2 / 14)
    assert "3.0 times, 14.3 points" in dict(table([found]))["accents: worst to best"][0]


def test_few_speakers_are_not_drawn_from():
    assert figures(_rows("a", _crowd("scots", 4, 2)), 1)[0].drawn_by == "utterance"


def test_slots_are_counted_by_kind():
    told = _utterance(1, text="call 555-0132", slots=(Slot("phone", "5550132"),))
    wrong = _utterance(2, text="it costs $5", slots=(Slot("amount", "$5"),))
    rows = [scored("a", told, "call five five five 0132", 0.1, None), scored("a", wrong, "it costs $9", 0.1, None)]
    found = figures(rows, 1)[0]
    assert found.slots["phone"].value == 1
    assert found.slots["amount"].value == 0
    assert found.all_slots.count == 1
    assert found.entities.pooled.value == pytest.approx(1 / 12)
    assert "voicebridge entity words" in found.entities.normaliser
    assert "whisper-normalizer" in found.words.normaliser
    assert dict(table([found]))["slots: phone"] == ["1 of 1 (100%)"]


def test_two_recognisers_are_compared_pair_by_pair():
    crowd = _crowd("scots", 6, 4)
    rows = _rows("good", crowd, 1) + _rows("bad", crowd, 2)
    (found,) = differences(rows, 1)
    assert found.value == pytest.approx(-1 / 14)
    assert found.apart  # every speaker says the same
    assert found.drawn_by == "speaker"
    assert "can be told apart" in difference_lines([found])[0]
    (same,) = differences(_rows("one", crowd, 1) + _rows("other", crowd, 1), 1)
    assert (same.value, same.apart) == (0, False)


def test_a_difference_of_one_speaker_has_no_interval_to_be_sure_of():
    found = paired({"only": (1.0, 2.0, 10.0)}, 1)
    assert (found.value, found.low, found.high) == (-0.1, None, None)
    assert paired({"only": (0.0, 0.0, 0.0)}, 1) is None
    assert gap({"a": (1.0, 2.0)}, {"b": (0.0, 0.0)}, 1) is None


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 20)), min_size=2, max_size=8),
    st.integers(0, 3),
)
def test_a_difference_turned_round_changes_its_sign(counts, seed):
    one = paired({str(n): (float(a), float(b), float(w)) for n, (a, b, w) in enumerate(counts)}, seed)
    other = paired({str(n): (float(b), float(a), float(w)) for n, (a, b, w) in enumerate(counts)}, seed)
    assert one.value == pytest.approx(-other.value)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert one.low - 1e-9 <= one.high


def test_speakers_that_differ_widen_the_interval_and_the_seed_decides():
    alike = {str(n): (2.0, 1.0, 10.0) for n in range(8)}
    unlike = {str(n): (4.0 if n % 2 else 0.0, 1.0, 10.0) for n in range(8)}
    narrow, wide = paired(alike, 1), paired(unlike, 1)
    assert narrow.value == pytest.approx(wide.value)
    assert wide.high - wide.low > narrow.high - narrow.low
    assert dataclasses.astuple(paired(unlike, 1)) == dataclasses.astuple(wide)


def _shared(**fields):
    told = {"backend": "b", "utterance": "u1", "speaker": "s", "synthetic": None, "mode": "local", "model": "m"}
    return told | {"judge": "j", "blank": None, "fault": None} | fields


def test_the_floor_stands_beside_what_the_judge_heard():
    rows = [heard_row(_shared(), "W4", "ten of clubs", "ten of clothes", "ten of clubs")]
    (found,) = four(rows, 1)
    assert found.words.pooled.value == pytest.approx(1 / 3)
    assert found.floor.pooled.value == 0


def test_silence_is_all_wrong_and_what_can_not_be_had_is_blank():
    silent = heard_row(_shared(), "W2", "ten of clubs", "")
    blank = heard_row(_shared(blank="simulated: a tone, no voice"), "W4", "ten of clubs", "ten of clubs", "ten")
    echo, tone = four([silent, blank], 1)
    assert echo.words.pooled.value == 1
    assert (tone.words, tone.floor, tone.blank) == (None, None, "simulated: a tone, no voice")
