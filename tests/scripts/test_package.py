"""What a release needs: explained dependencies, a recipe for conda, extras that scripts list alike."""

import re
import tomllib
from pathlib import Path

import conda_recipe
import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_contributing_says_what_each_core_dependency_is_for():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", section, re.MULTILINE)
    names = [name for cell in explained for name in re.findall(r"`(.*?)`", cell)]
    assert sorted(names) == sorted(Requirement(line).name for line in PROJECT["dependencies"])


def test_the_recipe_for_conda_has_the_version_and_the_dependencies(tmp_path):
    sdist = tmp_path / f"nanotabpfn_priors-{PROJECT['version']}.tar.gz"
    sdist.write_bytes(b"an sdist")
    url = f"https://example.org/{sdist.name}"
    result = CliRunner().invoke(conda_recipe.main, [str(sdist), "--url", url])
    assert result.exit_code == 0, result.output
    found = yaml.safe_load(result.output)
    assert found["context"]["version"] == PROJECT["version"]
    assert found["source"] == {
        "url": "https://example.org/nanotabpfn_priors-${{ version }}.tar.gz",
        "sha256": "95cd0724dde50450781624283eab9a65260e994122e53e7523cf5c081920341f",
    }
    run = found["requirements"]["run"]
    assert {"python >=3.11", "pytorch >=2.9", "click >=8.2"} <= set(run)
    assert len(run) == 1 + len(PROJECT["dependencies"])
    assert found["build"]["python"]["entry_points"] == [
        "priors = priors.cli.main:main",
        "nanotabpfn = nanotabpfn.cli.main:main",
    ]


@pytest.mark.parametrize("script", ["package.sh", "lowest.sh"])
def test_scripts_install_all_extras_that_commands_need(script):
    text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
    [listed] = re.findall(r'^extras="(.*)"$', text, re.MULTILINE)
    others = {
        "ray",
        "logging",
        "docs",
        "notebooks",
        "test",
    }  # ray and wandb take too much to download; no command needs the rest
    assert set(listed.split(",")) == PROJECT["optional-dependencies"].keys() - others


def test_each_supported_version_of_python_is_a_classifier():
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert named == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize("package", ["priors", "nanotabpfn"])
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
