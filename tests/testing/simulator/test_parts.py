"""The parts of the engine that any wire may use: stage times, the log, options, voices, ears."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.registry.rows import About, RegisterStage
from voicebridge.testing.simulator.bare_client import tone
from voicebridge.testing.simulator.ears import Ears, check_stage, installed_stage
from voicebridge.testing.simulator.option import described, read_options
from voicebridge.testing.simulator.profile import Profile, StageDraws, StageTime, profile_named
from voicebridge.testing.simulator.turn_log import TurnLog, TurnRecord
from voicebridge.testing.simulator.voice import StageVoice, ToneVoice, Voice, voice_named

MEASURED = Profile(name="measured", about="", stages={"answer": StageTime.of_percentiles(1000, 1500, "here")})
CLAIMED = Profile(
    name="claimed",
    about="",
    stages={"answer": StageTime.of_range(200, 350, "there"), "first_answer": StageTime(median_ms=400)},
)


def test_draws_have_the_percentiles_that_were_stated() -> None:
    draws = sorted(StageDraws(MEASURED, 1, 1).ms("answer", turn) for turn in range(4000))
    assert statistics.median(draws) == pytest.approx(1000, rel=0.03)
    assert draws[3800] == pytest.approx(1500, rel=0.05)
    claimed = sorted(StageDraws(CLAIMED, 1, 1).ms("answer", turn) for turn in range(2, 4002))
    assert (claimed[200], claimed[3800]) == (pytest.approx(200, rel=0.05), pytest.approx(350, rel=0.05))


def test_a_draw_depends_on_seed_connection_turn_and_stage_alone() -> None:
    one, same = StageDraws(MEASURED, 1, 1), StageDraws(MEASURED, 1, 1)
    later = one.ms("answer", 2)
    assert one.ms("answer", 1) == same.ms("answer", 1)
    assert later == same.ms("answer", 2) != one.ms("answer", 1)
    assert StageDraws(MEASURED, 2, 1).ms("answer", 1) != one.ms("answer", 1)
    assert StageDraws(MEASURED, 1, 2).ms("answer", 1) != one.ms("answer", 1)


def test_the_first_turn_may_have_times_of_its_own() -> None:
    draws = StageDraws(CLAIMED, 1, 1)
    assert draws.ms("answer", 1) == 400
    assert draws.ms("answer", 2) < 400
    assert draws.ms("nothing", 1) == 0


def test_profiles_by_name() -> None:
    assert profile_named("instant", {}).stages == {}
    assert profile_named("measured", {"measured": MEASURED}) is MEASURED
    with pytest.raises(BadOption, match="There are: instant, measured"):
        profile_named("other", {"measured": MEASURED})


def test_a_profile_may_be_written_in_place_of_its_name() -> None:
    [stage] = MEASURED.stages
    known = {"measured": MEASURED}
    written = profile_named(f"{stage}=350", known)
    assert {written.stages[stage].draw(random.Random(n)) for n in range(5)} == {350.0}
    ranged = profile_named(f" {stage}=200-500", known).stages[stage]
    draws = sorted(ranged.draw(random.Random(n)) for n in range(1000))
    assert 180 < draws[50] < 220
    assert 460 < draws[950] < 550
    for text, words in (
        ("other=5", f"It has: {stage}"),
        (f"{stage}=fast", "write ms"),
        (f"{stage}=0", "write ms"),
        (f"{stage}=9-2", "write ms"),
        (f"{stage}=1e999", "write ms"),
    ):
        with pytest.raises(BadOption, match=words):
            profile_named(text, known)


def test_the_log_keeps_turns_and_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    log = TurnLog(path)
    log.add(TurnRecord(connection=1, turn=2, cause="speech", stamps={"done": 1.5}))
    log.close()
    log.close()
    [line] = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["stamps"] == {"done": 1.5}
    assert log.turns[0].turn == 2
    TurnLog(path).close()
    assert path.read_text(encoding="utf-8").count("\n") == 1, "a second server adds to the file"


@dataclass(frozen=True)
class Options:
    """Of some wire."""

    pace: float = 1.0
    """How fast, in
    times."""
    names: tuple[str, ...] = ()
    key: str | None = None
    """A key."""
    anything: Any = 3
    table: Mapping[str, Any] | None = None


def test_options_are_read_and_checked() -> None:
    read = read_options(Options, {"pace": 2, "names": ["a"], "key": None, "table": {"x": 1}})
    assert read == Options(pace=2.0, names=("a",), table={"x": 1})
    for name, value in {"pace": "2", "names": "a", "key": 3, "table": []}.items():
        with pytest.raises(BadOption, match=name):
            read_options(Options, {name: value})
    with pytest.raises(BadOption, match="'pace' can't be True"):
        read_options(Options, {"pace": True})
    with pytest.raises(BadOption, match="Did you mean 'pace'"):
        read_options(Options, {"pice": 1})
    with pytest.raises(BadOption, match="There are: anything, key, names, pace, table"):
        read_options(Options, {"zzz": 1})


def test_options_are_described_by_their_docstrings() -> None:
    told = {option.name: (option.default, option.about) for option in described(Options)}
    assert told["pace"] == (1.0, "How fast, in times.")
    assert told["names"] == ((), "")
    assert told["key"] == (None, "A key.")


async def spoken(
    voice: Voice, text: str, target: AudioFormat = DOOR_FORMAT, speed: float = 1.0
) -> tuple[bytes, list[str]]:
    pieces = [piece async for piece in voice.speak(text, target, speed)]
    return b"".join(pcm for pcm, _ in pieces), [text for _, text in pieces]


@pytest.mark.parametrize("text", ["Hello there, friend.", " a  b ", "x", ""])
async def test_a_tone_speaks_word_by_word(text: str) -> None:
    pcm, words = await spoken(ToneVoice(ms_per_char=65), text)
    assert "".join(words) == text
    assert (pcm, words) == await spoken(ToneVoice(ms_per_char=65), text)


async def test_a_tone_is_as_long_as_its_text() -> None:
    text = "Hello there, friend."
    pcm, _ = await spoken(ToneVoice(ms_per_char=65), text)
    assert DOOR_FORMAT.ms(len(pcm)) == len(text) * 65
    fast, _ = await spoken(ToneVoice(ms_per_char=65), text, speed=2.0)
    assert DOOR_FORMAT.ms(len(fast)) == pytest.approx(len(text) * 65 / 2, abs=5)
    phone = AudioFormat(encoding="ulaw", rate=8000)
    small, _ = await spoken(ToneVoice(ms_per_char=65), text, phone)
    assert phone.ms(len(small)) == pytest.approx(len(text) * 65, abs=1)


class Clauses:
    """A voice that speaks whole texts, 10 ms a character."""

    traits = TextToSpeechTraits(format=AudioFormat(rate=16_000))
    closed = 0

    def configure(self, config: SessionConfig) -> None:
        if config.speed and config.speed > 1:
            raise ConfigError("too fast")

    async def warm(self) -> None: ...

    async def aclose(self) -> None:
        Clauses.closed += 1

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:
        async for piece in text:
            if isinstance(piece, str):
                yield Speech(bytes(self.traits.format.size(10 * len(piece))), piece)
        yield Usage({"characters": 1})


class Plugin:
    @hookimpl
    def register_stages(self, register: RegisterStage) -> None:
        register("tts", "clauses", lambda model: Clauses(), About(summary=""))  # type: ignore[arg-type, return-value]  # a stage


class Local:
    @hookimpl
    def register_stages(self, register: RegisterStage) -> None:
        register("tts", "local/clauses", lambda model: Clauses(), About(summary=""))  # type: ignore[arg-type, return-value]  # a stage


@pytest.fixture(autouse=True)
def stages() -> Iterator[None]:
    """A voice of these tests is installed."""
    mine = Registry()
    mine.join(Plugin(), "clauses")
    before = use_registry(mine)
    yield
    use_registry(before)


async def test_a_stage_that_speaks_clauses_is_cut_into_words() -> None:
    voice = voice_named("clauses", ms_per_char=65)
    assert isinstance(voice, StageVoice)
    pcm, words = await spoken(voice, "Hello there, friend.")
    assert [word for word in words if word] == ["Hello", " there,", " friend."]
    assert DOOR_FORMAT.ms(len(pcm)) == pytest.approx(200, abs=1)
    await voice.aclose()
    assert Clauses.closed == 1


async def test_a_speed_that_a_stage_refuses_is_its_own_error() -> None:
    with pytest.raises(ConfigError, match="too fast"):
        await spoken(voice_named("clauses", ms_per_char=65), "x", speed=1.5)


def test_installed_prefers_what_needs_nobody_else() -> None:
    assert installed_stage("tts", "any/name") == "any/name"
    empty = Registry(allow=())
    use_registry(empty)
    assert installed_stage("tts", "installed") is None
    assert isinstance(voice_named("installed", ms_per_char=65), ToneVoice)
    empty.join(Plugin(), "clauses")
    assert installed_stage("tts", "installed") == "clauses"
    empty.join(Local(), "here")
    assert installed_stage("tts", "installed") == "local/clauses"


def test_stages_are_looked_up_at_once() -> None:
    check_stage("tts", "clauses")
    with pytest.raises(ConfigError, match="nobody"):
        check_stage("tts", "nobody")


@pytest.mark.parametrize("source", [DOOR_FORMAT, AudioFormat(encoding="alaw", rate=8000)])
async def test_ears_tell_places_in_the_audio_that_came(source: AudioFormat) -> None:
    from voicebridge.audio.converter import Converter

    ears = Ears("energy", source)
    ears.configure(300, 0.5)
    converter = Converter(DOOR_FORMAT, source)
    audio = converter.convert(bytes(48 * 400) + tone(600) + bytes(48 * 600)) + converter.flush()
    found = []
    for start in range(0, len(audio), 161):
        found += await ears.push(audio[start : start + 161])
    assert [(s.phase, s.audio_ms) for s in found if s.phase in ("speech", "end")] == [("speech", 400), ("end", 1000)]
    await ears.aclose()
