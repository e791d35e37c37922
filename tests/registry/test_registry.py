"""Lookup: which row answers, what is made of it, and what is said when there is none."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from voicebridge import About, BackendNotFound, BrokenPlugin, ConfigError, MissingExtra, hookimpl
from voicebridge.registry.registry import Registry, registry, use_registry


class Zoo:
    """A plugin with some of everything."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def backend(self, name: str) -> Callable[[str | None], Any]:
        def make(model: str | None) -> Any:
            self.asked.append((name, model))
            return SimpleNamespace(connect=print, name=name, model=model)

        return make

    @hookimpl
    def register_backends(self, register: Any) -> None:
        about = About(summary="")
        for name in ("vendor", "vendor/special", "lone/one", "lone/two"):
            register(name, self.backend(name), about)
        for name, error in (("faulty", ZeroDivisionError("oh")), ("picky", ConfigError("No such model."))):
            register(name, _raiser(error), about)
        register("empty", lambda model: None, about)
        register("heavy", self.backend("heavy"), About(summary="", requires=("not_here", "nor_this"), extra="local"))
        register("light", self.backend("light"), About(summary="", requires=("json", "wave")))
        register("alien", self.backend("alien"), About(summary="", requires=("not_here",)))

    @hookimpl
    def register_stages(self, register: Any) -> None:
        about = About(summary="")
        register("stt", "vendor/ears", lambda model: _stage("ears"), about)
        register("tts", "vendor/voice", lambda model: _stage("voice"), about)
        register("stt", "both/ways", lambda model: _stage("heard"), about)
        register("tts", "both/ways", lambda model: _stage("spoken"), about)
        register("tts", "picky/voice", lambda model: _stage("voice"), about)
        register("tts", "vendor/mute", lambda model: print, about)
        register("llm", "vendor/faulty", _raiser(OSError("no weights")), about)
        register("tts", "faulty/voice", lambda model: _stage("voice"), about)
        heavy = About(summary="", requires=("not_here",), extra="local")
        register("llm", "heavy/mind", lambda model: _stage("mind"), heavy)
        register("llm", "brain", lambda model: _stage(f"mind {model}"), about)
        register("llm", "brain/special", lambda model: _stage(f"special mind {model}"), about)
        register("llm", "picky", _raiser(ConfigError("No such mind.")), about)

    @hookimpl
    def register_commands(self, register: Any) -> None:
        register("feed", lambda: "app", About(summary=""))


def _stage(name: str) -> Any:
    return SimpleNamespace(name=name, listen=print, respond=print, speak=print)


def _raiser(error: Exception) -> Callable[..., Any]:
    def make(*_: object) -> Any:
        raise error

    return make


@pytest.fixture
def zoo(site: Path) -> Registry:
    registry = Registry()
    registry.join(Zoo(), "zoo")
    return registry


@pytest.mark.parametrize(
    ("asked", "answers", "model"),
    [
        (("vendor", None), "vendor", None),
        (("vendor", "any"), "vendor", "any"),
        (("vendor", "family/any"), "vendor", "family/any"),
        (("vendor", "special"), "vendor/special", None),
        (("lone", "two"), "lone/two", None),
    ],
)
def test_the_exact_row_first_then_the_vendors(
    zoo: Registry, asked: tuple[str, str | None], answers: str, model: str | None
) -> None:
    backend: Any = zoo.backend(*asked)
    assert (backend.name, backend.model) == (answers, model)
    assert zoo.backend_row(*asked).name == answers


def test_each_stage_is_made_anew_by_seat_and_name(zoo: Registry) -> None:
    made: list[Any] = [zoo.stage("stt", "both/ways"), zoo.stage("tts", "both/ways"), zoo.stage("stt", "vendor/ears")]
    assert [stage.name for stage in made] == ["heard", "spoken", "ears"]
    assert zoo.stage("stt", "both/ways") is not made[0]
    assert zoo.stage_row("tts", "both/ways").seat == "tts"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("brain", "mind None"),
        ("brain/x", "mind x"),
        ("brain/x/y", "mind x/y"),
        ("brain/special", "special mind None"),
        ("brain/special/x", "mind special/x"),
    ],
)
def test_a_vendor_s_stage_gets_the_model(zoo: Registry, name: str, made: str) -> None:
    stage: Any = zoo.stage("llm", name)
    assert stage.name == made


def test_a_stage_s_factory_that_refuses_a_model_speaks_for_itself(zoo: Registry) -> None:
    with pytest.raises(ConfigError, match=r"No such mind\."):
        zoo.stage("llm", "picky/other")
    with pytest.raises(BackendNotFound, match="'picky/voice' is a text-to-speech stage, not a language model stage"):
        zoo.stage("llm", "picky/voice")


def test_a_command_is_loaded(zoo: Registry) -> None:
    app: Any = zoo.command("feed")
    assert app == "app"
    with pytest.raises(BackendNotFound, match=r"no command 'fed'.*'feed'"):
        zoo.command("fed")


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("vendr", None, "There is no backend 'vendr'. Did you mean 'vendor'"),
        ("VENDOR", None, "Did you mean 'vendor'"),
        ("vendro", "anything-at-all", "Did you mean 'vendor'"),
        ("lone", None, "Did you mean 'lone/one' or 'lone/two'?"),
        ("xyzzy", None, "There are: alien, "),
        ("both", "ways", "'both/ways' is a speech-to-text stage and a text-to-speech stage, not a backend."),
        ("picky", "voice", "'picky/voice' is a text-to-speech stage, not a backend. A cascade is written stt+llm+tts."),
    ],
)
def test_an_unknown_backend_answers_with_what_may_be_meant(
    zoo: Registry, name: str, model: str | None, said: str
) -> None:
    with pytest.raises(BackendNotFound) as caught:
        zoo.backend(name, model)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("seat", "name", "said"),
    [
        ("stt", "vendor/ear", "There is no speech-to-text stage 'vendor/ear'. Did you mean 'vendor/ears'?"),
        ("stt", "vendor/voice", "'vendor/voice' is a text-to-speech stage, not a speech-to-text stage."),
        (
            "tts",
            "vendor",
            "'vendor' is a backend, not a text-to-speech stage. Use it alone: 'vendor' is the whole spec.",
        ),
        ("detector", "vendor/voice", "is a text-to-speech stage, not a turn detector"),
        ("detector", "xyzzy", "There is no turn detector 'xyzzy'. None is installed"),
    ],
)
def test_an_unknown_stage_answers_with_the_right_kind(zoo: Registry, seat: Any, name: str, said: str) -> None:
    with pytest.raises(BackendNotFound) as caught:
        zoo.stage(seat, name)
    assert said in str(caught.value)


def test_a_seat_that_does_not_exist(zoo: Registry) -> None:
    seat: Any = "mouth"
    with pytest.raises(ConfigError, match="no seat 'mouth': the seats are stt, detector, llm, tts"):
        zoo.stage(seat, "vendor/voice")


def test_with_no_plugin_at_all_it_says_so(site: Path) -> None:
    with pytest.raises(BackendNotFound, match=r"None is installed.*`pip install \.`"):
        Registry().backend("local")


def test_a_missing_package_names_the_extra_and_asks_no_stranger(zoo: Registry) -> None:
    for ask in (lambda: zoo.backend("heavy"), lambda: zoo.stage("llm", "heavy/mind")):
        with pytest.raises(MissingExtra) as caught:
            ask()
        assert "pip install '.[local]'" in str(caught.value)
        assert "not_here" in str(caught.value)
        assert "pip install voicebridge" not in str(caught.value)
    assert zoo.rows().backends[3].about.missing() == ("not_here", "nor_this")


def test_without_an_extra_no_command_is_guessed(zoo: Registry) -> None:
    with pytest.raises(MissingExtra, match="'alien' needs not_here, not installed here") as caught:
        zoo.backend("alien")
    assert "pip" not in str(caught.value)


def test_a_package_that_is_there_is_not_imported_to_find_out(zoo: Registry, site: Path) -> None:
    (site / "explosive.py").write_text("raise SystemExit", encoding="utf-8")
    assert About(summary="", requires=("explosive",)).missing() == ()
    assert zoo.backend("light")


def test_a_factory_that_fails_is_told_with_its_cause(zoo: Registry) -> None:
    with pytest.raises(BrokenPlugin, match=r"'faulty' can't be made.*ZeroDivisionError: oh") as caught:
        zoo.backend("faulty")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(BrokenPlugin, match="OSError: no weights"):
        zoo.stage("llm", "vendor/faulty")
    with pytest.raises(BrokenPlugin, match="NoneType has no method connect"):
        zoo.backend("empty")
    with pytest.raises(BrokenPlugin, match="has no method speak"):
        zoo.stage("tts", "vendor/mute")


def test_a_factory_that_refuses_a_model_speaks_for_itself(zoo: Registry) -> None:
    with pytest.raises(ConfigError, match="No such model"):
        zoo.backend("picky", "other")


def test_a_stage_of_the_same_name_hides_no_failure(zoo: Registry) -> None:
    with pytest.raises(MissingExtra):
        zoo.backend("heavy", "mind")
    with pytest.raises(BrokenPlugin, match="'faulty' can't be made"):
        zoo.backend("faulty", "voice")


def test_the_listing_is_sorted_by_name_and_seat(zoo: Registry) -> None:
    listing = zoo.rows()
    assert [row.name for row in listing.backends] == sorted(row.name for row in listing.backends)
    assert [row.seat for row in listing.stages] == ["stt", "stt", *["llm"] * 5, *["tts"] * 5]
    assert [row.name for row in listing.commands] == ["feed"]


def test_the_process_has_one_registry_and_it_can_be_replaced(site: Path) -> None:
    before = use_registry(None)
    try:
        first = registry()
        assert registry() is first
        mine = Registry(allow=())
        assert use_registry(mine) is first
        assert registry() is mine
        assert use_registry(None) is mine
        assert registry() not in (first, mine)
    finally:
        use_registry(before)


def test_many_threads_that_ask_at_once_load_each_plugin_once(install: Any, site: Path) -> None:
    source = """
        import time
        from voicebridge import About, hookimpl
        from types import SimpleNamespace

        calls = []

        @hookimpl
        def register_backends(register):
            calls.append(1)
            time.sleep(0.05)
            register("finch", lambda model: SimpleNamespace(connect=print), About(summary=""))
    """
    install("finch", source)
    before = use_registry(None)
    together = threading.Barrier(8)
    got: list[object] = []

    def ask() -> None:
        together.wait()
        got.append(registry().backend("finch"))

    try:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        use_registry(before)
    assert len(got) == 8
    assert sys.modules["voicebridge_finch"].calls == [1]
