"""scripts/lowest.sh installs the lower bounds of pyproject.toml; scripts/smoke.py runs every command."""

import re
import tomllib
from pathlib import Path

import pytest
import smoke
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NO_COMMANDS = {"docs", "notebooks", "test"}  # extras that no command needs
NOT_TESTED = {"torch", "ray", "wandb"}  # each takes too much to download once more


def lower_bounds():
    extras = PROJECT["optional-dependencies"]
    lines = [
        *PROJECT["dependencies"],
        *(line for name in extras if name not in NO_COMMANDS for line in extras[name]),
    ]
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if name not in NOT_TESTED and name != PROJECT["name"]:
            [specifier] = requirement.specifier
            yield name, Version(specifier.version)


def test_the_lowest_versions_are_the_lower_bounds():
    text = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8")
    lowest = {
        canonicalize_name(name): Version(version)
        for name, version in re.findall(r"^([^#=\n]+)==(\S+)$", text, re.MULTILINE)
    }
    bounds = dict(lower_bounds())
    assert len(bounds) > 20
    assert {name: lowest.get(name) for name in bounds} == bounds


def test_the_smoke_test_runs_every_command():
    commands = set().union(*(smoke.leaves(group, (name,)) for name, group in smoke.GROUPS.items()))
    assert len(commands) > 20
    words = [tuple(line.split()) for line in smoke.COMMANDS.strip().splitlines()]
    assert commands <= {line[:length] for line in words for length in (2, 3)}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("priors presets", "^not tried: nanotabpfn card, nanotabpfn convert, nanotabpfn evaluate, "),
        ("priors inspect no-such.h5", r"^failed with exit code 2: priors inspect no-such\.h5$"),
    ],
)
def test_a_command_that_is_missing_or_fails_ends_the_smoke_test(lines, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(smoke, "COMMANDS", lines)
    with pytest.raises(SystemExit, match=message):
        smoke.run_all(tmp_path)
