"""scripts/explore_page.py: a folder with the page and a wheel that needs no torch."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import explore_page as script
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# marimo asks uv for the graph of imports that ruff finds, for which uv may fetch ruff. The app's folder has
# no modules that it could find.
NO_LOCAL_MODULES = "#!/bin/sh\necho '{}'\n"


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """A `uv` that finds no modules beside the app, and needs no network for it."""
    path = tmp_path / "bin" / "uv"
    path.parent.mkdir()
    path.write_text(NO_LOCAL_MODULES)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV", str(path))
    return path


def test_the_folder_holds_the_app_and_the_wheel(uv, tmp_path):
    out = tmp_path / "made" / "page"
    result = CliRunner().invoke(script.main, ["--out", str(out)])
    assert result.exit_code == 0, result.output
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "def _(drawn, graph_a, graph_b" in text
    assert f"public/wheels/{script.WHEEL}" in text
    assert [path.name for path in out.rglob("*.whl")] == [script.WHEEL]
    assert list(out.parent.iterdir()) == [out]
    again = CliRunner().invoke(script.main, ["--out", str(out)])
    assert again.exit_code == 1
    assert f"{out} exists" in again.output


def test_what_fails_leaves_nothing(uv, tmp_path):
    uv.write_text("#!/bin/sh\nexit 1\n")
    result = CliRunner().invoke(script.main, ["--out", str(tmp_path / "made" / "page")])
    assert result.exit_code == 1
    assert "marimo could not export the page" in result.output
    assert list((tmp_path / "made").iterdir()) == []


def test_the_page_runs_from_the_wheel_with_what_it_asks_for(tmp_path):
    """In a process that finds no other copy of `priors`, and no package that the wheel does not ask for."""
    wheel = tmp_path / script.WHEEL
    script.write_wheel(wheel)
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
from priors.explore import app, sections, widgets
import priors
assert priors.__file__.startswith({str(tmp_path)!r}), priors.__file__
from priors.presets import PRESETS
chosen = {{"A": PRESETS["linear"]}}
assert "<img" in sections.pictures("datasets", chosen, 0, 1).text
assert "<img" in sections.properties(chosen, 0, 1, ("forest", "linear", "headroom"), "Few").text
assert not sys.modules.keys() & {{"h5py", "torch", "filelock", "tqdm"}}
print(*sys.modules)"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr


def test_the_wheel_asks_for_what_the_extra_and_the_core_have():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["explore"]]
    known = {Requirement(line).name for line in lines}
    assert set(script.NEEDS) <= known
    assert set(re.findall(r"Requires-Dist: (.*)", "\n".join(script.METADATA))) == set(script.NEEDS)
