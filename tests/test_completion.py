"""Shells complete commands, options, presets and files, without loading what is slow."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

PACKAGES = ["priors", "nanotabpfn"]


def completions(package, *words):
    """What a shell offers for the last of the words."""
    group = import_module(f"{package}.cli.main").main
    complete = BashComplete(group, {}, package, f"_{package.upper()}_COMPLETE")
    return complete.get_completions(list(words[:-1]), words[-1])


def values(package, *words):
    return [item.value for item in completions(package, *words)]


@pytest.mark.parametrize("package", PACKAGES)
def test_commands_with_the_first_line_of_their_help(package):
    group = import_module(f"{package}.cli.main").main
    found = completions(package, "")
    assert [item.value for item in found] == list(group.lazy)
    assert all(group.lazy[item.value].help.startswith(item.help.rstrip(".")) for item in found)


def test_commands_of_a_group_and_options():
    assert values("priors", "pl") == ["plot"]
    assert values("priors", "plot", "d") == ["datasets", "dump"]
    assert values("nanotabpfn", "study", "r") == ["report", "run"]
    assert values("priors", "generate", "out.h5", "--num") == ["--num-datasets"]
    assert "--version" in values("priors", "--")


def test_presets_and_files():
    assert values("priors", "generate", "--preset", "tr") == ["tree-scm"]
    assert values("priors", "presets", "m") == ["mixed", "mlp-scm"]
    found = completions("priors", "diff", "default", "mi")
    assert [(item.value, item.type) for item in found] == [("mixed", "plain"), ("mi", "file")]
    assert [item.type for item in completions("priors", "inspect", "")] == ["file"]


@pytest.mark.parametrize("package", PACKAGES)
def test_completing_a_command_loads_nothing_heavy(package):
    code = (
        f"import sys; from click.shell_completion import BashComplete\n"
        f"from {package}.cli.main import main\n"
        f"assert BashComplete(main, {{}}, '{package}', 'C').get_completions([], '')\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pandas', 'pydantic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("shell", "begins"), [("zsh", "#compdef priors"), ("fish", "function _priors_completion")]
)
def test_the_other_shells_get_a_script(shell, begins):
    environment = os.environ | {"_PRIORS_COMPLETE": f"{shell}_source"}
    result = subprocess.run(
        [Path(sys.executable).parent / "priors"], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith(begins)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_line_for_bash_works(package):
    script = (
        f'eval "$(_{package.upper()}_COMPLETE=bash_source {package})"\n'
        f"COMP_WORDS=({package} pl) COMP_CWORD=1; _{package}_completion {package}\n"
        'echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert result.stdout == "plot\n"
