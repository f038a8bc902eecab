"""lookup: registered families, dotted paths, and what is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from priors.config import ConfigError
from priors.dumps.read import open_dump
from priors.families.graphs import GRAPHS, random_tree
from priors.registry import lookup

ROOT = Path(__file__).parents[2]


def test_lookup_finds_registered_families_and_dotted_paths(monkeypatch):
    assert lookup(GRAPHS, "random_tree") is random_tree
    assert lookup(GRAPHS, "priors.families.graphs:random_tree") is random_tree
    monkeypatch.setitem(GRAPHS, "mine", len)
    assert lookup(GRAPHS, "mine") is len


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "random_trees",
            r"unknown family 'random_trees'; did you mean random_tree\? \(one of your own: ",
        ),
        ("priors.families.graphs.random_tree", "unknown family 'priors.families.graphs.random_tree'"),
        ("", "unknown family ''"),
        ("nowhere_at_all:f", "'nowhere_at_all:f' cannot be imported: No module named 'nowhere_at_all'"),
        ("priors.nowhere:f", "'priors.nowhere:f' cannot be imported"),
        (
            "priors.families.graphs:nothing",
            "'priors.families.graphs:nothing' cannot be imported: .*no attribute 'nothing'",
        ),
        ("priors.families.graphs:", "'priors.families.graphs:' cannot be imported"),
        (":random_tree", "':random_tree' cannot be imported"),
        (".graphs:random_tree", r"'\.graphs:random_tree' cannot be imported"),
        ("priors.families.graphs:GRAPHS", "'priors.families.graphs:GRAPHS' must be callable, got Named"),
    ],
)
def test_lookup_refuses_what_it_cannot_find(name, message):
    with pytest.raises(ConfigError, match=message):
        lookup(GRAPHS, name)


def test_a_module_that_is_broken_is_refused_by_name(monkeypatch, tmp_path):
    (tmp_path / "broken_family.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="'broken_family:f' cannot be imported"):
        lookup(GRAPHS, "broken_family:f")


def test_a_module_of_the_current_folder_is_found_and_the_path_stays_as_it_is(monkeypatch, tmp_path):
    package = tmp_path / "families_of_mine"
    package.mkdir()
    (package / "sums.py").write_text("from families_of_mine.parts import half\n")
    (package / "parts.py").write_text("def half(parents, rng):\n    return parents[:, 0] / 2\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert lookup({}, "families_of_mine.sums:half").__name__ == "half"
    assert sys.path == before
    with pytest.raises(ConfigError, match=re.escape(f"searched were Python's path and {tmp_path}")):
        lookup({}, "families_of_others:half")
    (package / "broken.py").write_text("import not_installed_here\n")
    with pytest.raises(ConfigError, match=r"No module named 'not_installed_here'$"):
        lookup({}, "families_of_mine.broken:half")


def test_workers_find_a_module_of_the_current_folder(monkeypatch, tmp_path):
    """By the command, whose path does not have the current folder."""
    (tmp_path / "waves_of_mine.py").write_text("def wave(parents, rng):\n    return parents[:, 0] ** 2\n")
    arguments = ["--num-datasets", "8", "--set", "mechanisms=waves_of_mine:wave", "--set", "block_size=4"]
    code = "import sys; sys.path = [p for p in sys.path if p]; from priors.cli.main import main; main()"
    for workers in (1, 2):
        command = [sys.executable, "-c", code, "generate", f"{workers}.h5", *arguments]
        command += ["--workers", str(workers), "--shard-size", "4"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    with open_dump(tmp_path / "1.h5") as one, open_dump(tmp_path / "2.h5") as two:
        assert one.attributes["content_hash"] == two.attributes["content_hash"]
