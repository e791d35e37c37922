import re

import pytest
from rich.console import Console

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.corpus.manifest import load
from voicebridge_bench.corpus.speech import facts
from voicebridge_bench.environment import describe
from voicebridge_bench.measures import TurnMeasures
from voicebridge_bench.report import BEGIN, END, markdown, rich_report, table, write_between_markers
from voicebridge_bench.rows import TurnRow
from voicebridge_bench.summary import summarise
from voicebridge_bench.word_errors import score


def _turn(silence_ms, v2v_ms, kind="later", **measures):
    return TurnRow(
        backend="local",
        silence_ms=silence_ms,
        session="1",
        kind=kind,
        conversation="c",
        turn="t",
        index=1,
        longest_pause_ms=0,
        reference="ten of clubs",
        speaker="1",
        measures=TurnMeasures(outcome="answered" if v2v_ms else "silent", v2v_ms=v2v_ms, **measures),
        word_errors=score("ten of clubs", "ten clubs"),
        lateness_ms=None,
    )


@pytest.fixture
def columns():
    rows = [_turn(200, 300.0 + n, eou_ms=200.0, commit_to_byte_ms=90.0) for n in range(40)]
    return summarise([*rows, _turn(200, 2000.0, "cold"), _turn(500, 612.0), _turn(500, None)], 1)


def _cells(columns):
    return dict(table(columns))


def test_figures_come_with_their_interval_and_number(columns):
    cells = _cells(columns)
    assert re.fullmatch(r"320 ms \[3\d\d–3\d\d\], n 40", cells["later replies: median"][0])
    assert cells["later replies: p90"][0].startswith("335 ms [")
    assert cells["word error rate"][0] == "33.3%, 120 words"
    assert cells["medians after end of speech"][0] == "turn end 200, audible 320"


def test_too_few_measurements_are_shown_as_they_are(columns):
    cells = _cells(columns)
    assert cells["first reply, cold start"] == ["2000–2000 ms (all), n 1", "not measured"]
    assert cells["later replies: p90"][1] == "612–612 ms (all), n 1"
    assert cells["turns without a reply"][1] == "1 of 2 (1 silent)"
    assert cells["memory of the process, peak"] == ["not measured"] * 2


def test_cold_starts_that_failed_are_counted_and_explained():
    failed = _turn(200, None, "cold", fault="The model is gone.")
    some = summarise([_turn(200, 2000.0, "cold"), failed, failed], 1)
    assert _cells(some)["first reply, cold start"] == ["2000–2000 ms (all), n 1 of 3"]
    none = summarise([failed, failed], 1)
    assert _cells(none)["first reply, cold start"] == ["no reply, n 0 of 2"]
    text = markdown(none, facts(load("default")[0]), describe(), "voicebridge bench")
    assert "Fault (local, 200 ms silence): The model is gone." in text


def test_cuts_stand_beside_the_pauses_that_ask_for_them():
    rows = [_turn(200, 300.0, cut_off=True).model_copy(update={"longest_pause_ms": 340}), _turn(200, 300.0)]
    assert _cells(summarise(rows, 1))["turns cut off too early"] == ["1 of 2 (50%); 1 of 2 pause that long"]
    own = [row.model_copy(update={"silence_ms": None}) for row in rows]
    assert _cells(summarise(own, 1))["turns cut off too early"] == ["1 of 2 (50%)"]


def test_later_replies_have_median_p90_and_spread(columns):
    cells = _cells(columns)
    assert cells["later replies: p25 to p75"] == ["310–329 ms", "too few"]
    assert cells["all warm replies: p90"][0].startswith("335 ms [")
    assert cells["gaps in warm replies, from late audio"][0] == "0"


def test_the_markdown_names_command_machine_corpus_and_definition(columns):
    corpus = facts(load("default")[0])
    text = markdown(columns, corpus, describe(), "voicebridge bench --seed 1", interrupted=True)
    lines = text.splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == 4
    for part in ("`voicebridge bench --seed 1`", "cores", "last speech sample", "A Tale of Two Cities", "interrupted"):
        assert part in text
    assert "whisper-normalizer" in text
    assert "independent" in text
    ticked = markdown(columns, corpus, describe(), "voicebridge bench --instructions 'Say `a`.\n\nAlways.'")
    assert "Written by `` voicebridge bench --instructions 'Say `a`. Always.' `` on" in ticked


def test_the_terminal_shows_the_same_cells(columns):
    console = Console(width=160, record=True, file=None)
    with console.capture() as captured:
        console.print(rich_report(columns, facts(load("default")[0])))
    for _, cells in table(columns):
        assert cells[0][:12] in captured.get()


def test_the_table_is_written_between_its_markers(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_markers(path, "new\ntable")
    write_between_markers(path, "new\ntable")
    assert path.read_text() == f"before\n{BEGIN}\nnew\ntable\n{END}\nafter\n"


@pytest.mark.parametrize("content", ["", f"{BEGIN}", f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_file_without_markers_is_left_alone(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_text(content)
    with pytest.raises(ConfigError, match="needs the lines"):
        write_between_markers(path, "new")
    assert path.read_text() == content
    with pytest.raises(ConfigError, match="There is no"):
        write_between_markers(tmp_path / "nowhere.md", "new")
