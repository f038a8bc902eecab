"""The README: its Python runs as shown, its commands parse, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

import nanotabpfn.cli.main
import priors.cli.main
from nanotabpfn.studies.arms import resolve_arms
from nanotabpfn.studies.study_file import load_study

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GROUPS = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shell_commands():
    lines = [line.partition("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    lines += re.findall(r"`((?:priors|nanotabpfn) [^`]*)`", README)
    return [line for line in lines if line]


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
    assert (tmp_path / "mine.h5").exists()


def test_every_command_of_the_readme_exists_with_its_options():
    commands = [shlex.split(line.partition(">")[0]) for line in shell_commands()]
    ours = [words for words in commands if words[0] in GROUPS]
    assert len(ours) >= 8
    for group, verb, *words in ours:
        path = [verb]
        if words and isinstance(GROUPS[group].get_command(None, verb), click.Group):
            path.append(words.pop(0))
        help_text = CliRunner().invoke(GROUPS[group], [*path, "--help"]).output
        assert help_text.startswith("Usage: "), path
        for word in words:
            if word.startswith("--"):
                assert word in help_text, f"{group} {' '.join(path)} {word}"


def test_the_study_of_the_readme_is_one(tmp_path):
    [text] = blocks("yaml")
    (tmp_path / "trees.yaml").write_text(text)
    study = load_study(tmp_path / "trees.yaml")
    arms = {arm.name: arm for arm in resolve_arms(study)}
    assert list(arms) == ["linear", "trees", "untrained", "scrambled", "repeated"]
    assert arms["trees"].config.mechanisms == {"oblivious_trees": 1, "decision_trees": 1}


def test_every_link_into_the_repository_leads_to_a_file():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in [*links, *re.findall(r"^scripts/\S+", README, re.MULTILINE)]:
        assert (ROOT / link).exists(), link
