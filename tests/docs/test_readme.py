"""The README: its Python runs as shown, and its study file is valid."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from nanotabpfn.studies.arms import resolve_arms
from nanotabpfn.studies.study_file import load_study

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.filterwarnings("default")
def test_the_python_of_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        namespace = {}
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), namespace)
    output = capsys.readouterr().out
    assert "(150, 5) (150,)" in output
    assert float(output.split("accuracy")[1].split()[0]) > 0.8
    assert 0 <= float(output.split("ROC AUC")[1]) <= 1
    assert (tmp_path / "small.h5").exists()


def test_the_entry_for_citing_is_that_of_the_package():
    [entry] = blocks("bibtex")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", entry, flags=re.MULTILINE))
    assert fields["version"] == project["version"]
    for field in ("author", "title"):
        assert fields[field].replace("{", "").replace("}", "") in citation


def test_the_study_of_the_readme_is_one(tmp_path):
    [text] = blocks("yaml")
    (tmp_path / "trees.yaml").write_text(text)
    study = load_study(tmp_path / "trees.yaml")
    arms = {arm.name: arm for arm in resolve_arms(study)}
    assert list(arms) == ["linear", "trees", "untrained", "scrambled", "repeated"]
    assert arms["trees"].config.mechanisms == {"oblivious_trees": 1, "decision_trees": 1}
