"""Strangers' plugins: found, listed and usable; and what is broken in one stays in that one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from voicebridge import About, BackendNotFound, BrokenPlugin, ConfigError, hookimpl
from voicebridge.registry.registry import Registry

BROKEN = "import a_module_that_nobody_has"


def test_a_strangers_backend_is_found_listed_and_made(install: Any) -> None:
    install("finch")
    registry = Registry()
    backend: Any = registry.backend("finch", "red")
    assert backend.model == "red"
    [row] = registry.rows().backends
    assert (row.name, row.plugin, row.distribution) == ("finch", "finch", "voicebridge-finch")
    [plugin] = registry.rows().plugins
    assert (plugin.status, plugin.version, plugin.names) == ("loaded", "1.0", ("finch",))


def test_nothing_is_imported_before_the_first_question(install: Any) -> None:
    install("finch")
    registry = Registry()
    assert "voicebridge_finch" not in sys.modules
    registry.rows()
    assert "voicebridge_finch" in sys.modules


def test_a_broken_plugin_is_told_only_to_who_asks_for_it(install: Any) -> None:
    install("finch")
    install("dodo", BROKEN)
    registry = Registry()
    assert registry.backend("finch")
    for ask in (
        lambda: registry.backend("dodo"),
        lambda: registry.backend("dodo", "old"),
        lambda: registry.stage("tts", "dodo/song"),
        lambda: registry.command("dodo"),
    ):
        with pytest.raises(BrokenPlugin) as caught:
            ask()
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
        for said in ("'dodo' of voicebridge-dodo", "a_module_that_nobody_has", "pip uninstall voicebridge-dodo"):
            assert said in str(caught.value)
        assert "pip install" not in str(caught.value)
    assert [plugin.name for plugin in registry.rows().broken] == ["dodo"]


def test_an_unknown_name_also_tells_of_plugins_that_failed_to_load(install: Any) -> None:
    install("dodo", BROKEN)
    with pytest.raises(BackendNotFound, match=r"may belong to the plugin 'dodo' of voicebridge-dodo"):
        Registry().backend("moa")


@pytest.mark.parametrize(
    ("source", "cause", "said"),
    [
        ("def x(:", SyntaxError, "invalid syntax"),
        ("import sys; sys.exit(3)", SystemExit, "3"),
        ("raise RuntimeError('no\\nGPU')", RuntimeError, "no GPU"),
        ("1 / 0", ZeroDivisionError, "division by zero"),
        ("x = 1", ConfigError, "Is `@hookimpl` missing"),
        (
            "from voicebridge import hookimpl\n@hookimpl\ndef register_backend(register): ...",
            ConfigError,
            "Is `register_b",
        ),
        (
            "from voicebridge import hookimpl\n@hookimpl\ndef fly(register): ...",
            ConfigError,
            "The hooks are command_s",
        ),
        ("from voicebridge import hookimpl\n@hookimpl\ndef register_backends(nest): ...", Exception, "nest"),
    ],
)
def test_each_way_to_break_is_told(install: Any, source: str, cause: type[BaseException], said: str) -> None:
    install("dodo", source)
    install("finch")
    with pytest.raises(BrokenPlugin) as caught:
        Registry().backend("dodo")
    assert isinstance(caught.value.__cause__, cause)
    assert said in str(caught.value)
    assert Registry().backend("finch")


@pytest.mark.parametrize("value", ["no_such_module", "voicebridge_dodo:no_such_name", "not a value!"])
def test_an_entry_point_that_points_at_nothing(install: Any, value: str) -> None:
    install("dodo", value=value)
    install("finch")
    registry = Registry()
    assert registry.backend("finch")
    with pytest.raises(BrokenPlugin, match="voicebridge-dodo"):
        registry.backend("dodo")


def test_an_entry_point_may_name_an_object_in_a_module(install: Any) -> None:
    source = """
        from voicebridge import About, hookimpl

        class Nest:
            @hookimpl
            def register_backends(self, register):
                register("finch", lambda model: self, About(summary=""))
            def connect(self, config, history=(), resume=None): ...

        nest = Nest()
    """
    install("finch", source, value="voicebridge_finch:nest")
    assert Registry().backend("finch")


@pytest.mark.parametrize("text", ["[voicebridge]\na line without a sign\n", "[voicebridge]\ndodo\n"])
def test_a_list_of_entry_points_that_cant_be_read_harms_nobody_else(install: Any, site: Path, text: str) -> None:
    install("dodo")
    (site / "voicebridge_dodo-1.0.dist-info" / "entry_points.txt").write_text(text, encoding="utf-8")
    install("finch")
    assert Registry().backend("finch")


def test_a_distribution_of_others_that_cant_be_read_is_none_of_our_business(install: Any, site: Path) -> None:
    install("finch")
    info = site / "other-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"\xff\xfe\x00[console_scripts]\nx\n")
    assert [plugin.name for plugin in Registry().rows().plugins] == ["finch"]


def test_a_distribution_without_metadata_still_works(install: Any, site: Path) -> None:
    install("finch")
    (site / "voicebridge_finch-1.0.dist-info" / "METADATA").unlink()
    assert Registry().backend("finch")


def test_of_a_hook_that_fails_halfway_nothing_counts(install: Any) -> None:
    source = """
        from voicebridge import About, hookimpl

        @hookimpl
        def register_backends(register):
            register("heron", lambda model: None, About(summary=""))
            register("stork", lambda model: None, About(summary=""))

        @hookimpl
        def register_stages(register):
            register("llm", "heron/think", lambda model: None, About(summary=""))
            raise RuntimeError("halfway")
    """
    install("waders", source)
    install("finch")
    registry = Registry()
    listing = registry.rows()
    assert [row.name for row in listing.backends] == ["finch"]
    assert listing.stages == ()
    # Its names are known by now, so each of them tells what happened.
    for name in ("waders", "heron", "stork"):
        with pytest.raises(BrokenPlugin, match="halfway"):
            registry.backend(name)
    with pytest.raises(BrokenPlugin, match="halfway"):
        registry.stage("llm", "heron/think")


@pytest.mark.parametrize(
    "call",
    [
        'register("", make, about)',
        'register("a b", make, about)',
        'register("a+b", make, about)',
        'register("a|b", make, about)',
        'register("a/", make, about)',
        "register(7, make, about)",
        'register("a", None, about)',
        'register("a", make, "about")',
        'register("a", make, about); register("a", make, about)',
        'register("a", make, About(summary="", requires="numpy"))',
        'register("a", make, About(summary="", requires=("google.genai",)))',
    ],
)
def test_a_row_that_makes_no_sense_is_refused_at_once(install: Any, call: str) -> None:
    source = f"""
        from voicebridge import About, hookimpl
        make, about = (lambda model: None), About(summary="")

        @hookimpl
        def register_backends(register):
            {call}
    """
    install("dodo", source)
    registry = Registry()
    assert registry.rows().backends == ()
    with pytest.raises(BrokenPlugin) as caught:
        registry.backend("dodo")
    assert isinstance(caught.value.__cause__, ConfigError)


def test_the_first_of_two_keeps_a_name_and_the_clash_is_shown(install: Any) -> None:
    install("finch", distribution="voicebridge-zebra")
    install("finch", distribution="voicebridge-amber")
    listing = Registry().rows()
    [row] = listing.backends
    assert row.distribution == "voicebridge-amber"
    [clash] = listing.clashes
    assert (clash.kind, clash.name) == ("backend", "finch")
    assert "voicebridge-amber" in clash.kept
    assert "voicebridge-zebra" in clash.dropped


def test_no_stranger_takes_a_bundled_name(install: Any) -> None:
    install("local", distribution="aaa")
    install("local", distribution="voicebridge-sdk")
    [row] = Registry().rows().backends
    assert row.distribution == "voicebridge-sdk"


def test_one_module_brought_by_two_distributions_is_one_plugin(install: Any) -> None:
    install("finch")
    install("finch", distribution="voicebridge-sdk", value="voicebridge_finch")
    listing = Registry().rows()
    assert [plugin.distribution for plugin in listing.plugins] == ["voicebridge-sdk"]
    assert listing.clashes == ()


@pytest.mark.parametrize(
    ("arguments", "allowed", "blocked", "loaded"),
    [
        ({}, None, None, {"finch", "robin"}),
        ({"allow": ["finch"]}, None, None, {"finch"}),
        ({"allow": []}, None, None, set()),
        ({"block": ["finch"]}, None, None, {"robin"}),
        ({}, "finch", None, {"finch"}),
        ({}, " finch , robin,", None, {"finch", "robin"}),
        ({}, "", None, set()),
        ({}, None, "finch", {"robin"}),
        ({}, None, "", {"finch", "robin"}),
        ({"allow": ["finch"]}, "robin", None, set()),
        ({"block": ["finch"]}, None, "robin", set()),
        ({"allow": ["finch", "robin"], "block": ["robin"]}, None, None, {"finch"}),
    ],
)
def test_every_list_must_let_a_plugin_in(
    install: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    allowed: str | None,
    blocked: str | None,
    loaded: set[str],
) -> None:
    install("finch")
    install("robin")
    for variable, value in (("VOICEBRIDGE_PLUGINS", allowed), ("VOICEBRIDGE_BLOCK_PLUGINS", blocked)):
        if value is not None:
            monkeypatch.setenv(variable, value)
    registry = Registry(**arguments)
    assert {row.name for row in registry.rows().backends} == loaded
    assert {plugin.name for plugin in registry.rows().plugins if plugin.status == "blocked"} == {
        "finch",
        "robin",
    } - loaded
    for name in ("finch", "robin"):
        assert (f"voicebridge_{name}" in sys.modules) == (name in loaded)


def test_a_blocked_name_says_which_list_holds_it(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install("finch")
    with pytest.raises(BackendNotFound, match=r"'finch/red' .* kept from loading by the argument `block`"):
        Registry(block=["finch"]).backend("finch", "red")
    monkeypatch.setenv("VOICEBRIDGE_PLUGINS", "")
    with pytest.raises(BackendNotFound, match="VOICEBRIDGE_PLUGINS"):
        Registry().stage("tts", "finch/song")


@pytest.mark.parametrize("argument", ["allow", "block"])
def test_a_list_of_plugins_is_no_string(argument: str) -> None:
    with pytest.raises(ConfigError, match=r"as in \['finch'\]"):
        Registry(**{argument: "finch"})


class Nest:
    """A plugin that is an object."""

    @hookimpl
    def register_backends(self, register: Any) -> None:
        self.register = register
        register("finch", lambda model: SimpleNamespace(connect=print), About(summary=""))


def test_an_application_adds_a_plugin_of_its_own(site: Path) -> None:
    registry = Registry(allow=())
    registry.join(Nest())
    assert registry.backend("finch")
    assert [plugin.name for plugin in registry.rows().plugins] == ["Nest"]


def test_its_names_must_be_free(install: Any) -> None:
    install("finch")
    registry = Registry()
    with pytest.raises(ConfigError, match="registered already, by the plugin 'finch'"):
        registry.join(Nest())
    assert len(registry.rows().plugins) == 1


def test_registering_after_the_hook_has_returned_is_refused(site: Path) -> None:
    nest = Nest()
    registry = Registry()
    registry.join(nest)
    with pytest.raises(ConfigError, match="too late"):
        nest.register("robin", lambda model: None, About(summary=""))


def test_a_plugin_that_asks_while_it_is_loaded_gets_an_answer_not_a_deadlock(install: Any) -> None:
    source = """
        from voicebridge.registry.registry import registry
        registry().backend("finch")
    """
    install("dodo", source)
    from voicebridge.registry.registry import registry, use_registry

    before = use_registry(Registry())
    try:
        with pytest.raises(BrokenPlugin, match="inside a factory"):
            registry().backend("dodo")
    finally:
        use_registry(before)
