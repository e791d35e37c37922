"""The door: light to open, complete, and the same for people, type checkers and Python."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import voicebridge
import voicebridge.contract

CONTRACT = [f"contract.{module.name}" for module in pkgutil.iter_modules(voicebridge.contract.__path__)]
BESIDE = {
    "cascade.backend": ["CascadeBackend"],
    "cascade.stage_choice": ["StageChoice", "stage"],
    "core.closing": ["fault_of"],
    "core.interruption_policy": ["InterruptionPolicy", "Signals", "Verdict"],
    "core.retry": ["RetryPolicy"],
    "pool.key_pool": ["KeyPool"],
    "registry.hookspecs": ["hookimpl"],
    "registry.registry": ["simulator"],
    "registry.rows": ["About"],
    "session.agent": ["VoiceAgent"],
    "session.call_setup": ["ToolPolicy"],
    "session.door": ["connect", "connect_raw"],
    "session.history_store": ["HistoryStore", "MemoryHistoryStore", "open_store"],
    "session.managed": ["ManagedSession"],
    "session.team": ["Agent"],
    "transport.delivery": ["Delivery"],
    "transport.link": ["open_link"],
}
"""What the door gives that the contract does not have."""
HEAVY = ["httpx", "numpy", "onnxruntime", "pluggy", "pydantic", "rich", "soundfile", "soxr", "typer", "websockets"]


def test_the_door_gives_every_word_of_the_contract() -> None:
    words = [name for module in CONTRACT for name in importlib.import_module(f"voicebridge.{module}").__all__]
    assert len(words) == len(set(words)), "two modules of the contract use one name"
    beside = [name for names in BESIDE.values() for name in names]
    assert sorted(voicebridge.__all__) == sorted([*words, *beside, "__version__"])


def test_type_checkers_see_what_python_sees() -> None:
    tree = ast.parse(Path(voicebridge.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {
        str(node.module): [alias.name for alias in node.names]
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert {module: sorted(names) for module, names in seen.items()} == {
        module: sorted(names.split()) for module, names in voicebridge._HOMES.items()
    }


@pytest.mark.parametrize("name", voicebridge.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(voicebridge, name) is not None
    assert name in dir(voicebridge)
    assert not (Path(voicebridge.__file__).parent / name).is_dir(), "a name may not hide a package"


def test_a_name_that_is_not_there() -> None:
    name = "SendAudoi"
    with pytest.raises(AttributeError, match=r"has no attribute 'SendAudoi'"):
        getattr(voicebridge, name)


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after running this."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_opening_the_door_loads_nothing_heavy() -> None:
    bare = loaded_by("pass")
    added = {name for name in loaded_by("import voicebridge") - bare if name not in sys.stdlib_module_names}
    assert added == {"voicebridge"}


def test_commands_and_events_are_light_too() -> None:
    loaded = loaded_by("from voicebridge import Capabilities, ConfigError, Fault, OutputAudio, SendAudio")
    assert not loaded & set(HEAVY)
    assert "asyncio" not in loaded


def test_asking_for_the_registry_loads_no_backend() -> None:
    loaded = loaded_by("from voicebridge.registry.registry import registry; registry()")
    assert loaded & set(HEAVY) <= {"pluggy"}
