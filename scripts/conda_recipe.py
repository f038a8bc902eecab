"""Writes the recipe of a release for conda-forge from pyproject.toml: version, dependencies, commands.

python scripts/conda_recipe.py dist/nanotabpfn_priors-0.1.0.tar.gz --url URL > recipe.yaml
"""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).resolve().parent.parent
OTHER_NAMES = {"torch": "pytorch"}
"""Names of packages that conda-forge calls otherwise."""


def recipe(project: dict[str, Any], build_requires: list[str], url: str, sha256: str) -> dict[str, Any]:
    """The recipe as plain values, in version 1 of conda's format.

    Args:
        project: the table `project` of pyproject.toml.
        build_requires: what building needs.
        url: of the sdist.
        sha256: of the sdist.
    """
    commands = project["scripts"]
    python = project["requires-python"]
    return {
        "schema_version": 1,
        "context": {"version": project["version"]},
        "package": {"name": project["name"], "version": "${{ version }}"},
        "source": {"url": url.replace(project["version"], "${{ version }}"), "sha256": sha256},
        "build": {
            "number": 0,
            "noarch": "python",
            "script": "${{ PYTHON }} -m pip install . -vv --no-deps --no-build-isolation",
            "python": {"entry_points": [f"{name} = {place}" for name, place in commands.items()]},
        },
        "requirements": {
            "host": ["python ${{ python_min }}.*", "pip", *map(conda_name, build_requires)],
            "run": [f"python {python}", *map(conda_name, project["dependencies"])],
        },
        "tests": [
            {"python": {"imports": ["priors", "nanotabpfn"], "python_version": "${{ python_min }}.*"}},
            {"script": [f"{name} --help" for name in commands]},
        ],
        "about": {
            "summary": project["description"],
            "license": project["license"],
            "license_file": project["license-files"],
        },
    }


def conda_name(requirement: str) -> str:
    """A requirement as conda writes it.

    >>> conda_name("torch>=2.9"), conda_name("click>=8.2")
    ('pytorch >=2.9', 'click >=8.2')
    """
    name, version = re.fullmatch(r"([\w.-]+?)([<>=!~].*)?", requirement.replace(" ", "")).groups()
    return f"{OTHER_NAMES.get(name.lower(), name.lower())} {version or ''}".strip()


@click.command()
@click.argument("sdist", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", required=True, help="Where the sdist can be fetched.")
def main(sdist: Path, url: str) -> None:
    """Print the recipe for SDIST."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sha256 = hashlib.sha256(sdist.read_bytes()).hexdigest()
    found = recipe(described["project"], described["build-system"]["requires"], url, sha256)
    click.echo(yaml.safe_dump(found, sort_keys=False, width=110), nl=False)


if __name__ == "__main__":
    main()
