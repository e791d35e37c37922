"""The plugin that plugins/README.md tells to write works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "plugins" / "README.md"


def test_the_plugin_of_the_readme_works(tmp_path: Path) -> None:
    """Each code block goes to the file that its first line names; then the last one is run."""
    for name, text in re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", README.read_text(), re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    info = tmp_path / "voicebridge_echo-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (points,) = project["entry-points"].items()
    lines = "\n".join(f"{name} = {module}" for name, module in points[1].items())
    (info / "entry_points.txt").write_text(f"[{points[0]}]\n{lines}\n")
    done = subprocess.run(
        [sys.executable, "try_it.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "1000 ms came back\nA QUIET WORD "
