"""Provenance: without git, and in somebody else's repository."""

import subprocess
from pathlib import Path

import pytest

from nanotabpfn.studies import provenance


@pytest.fixture(autouse=True)
def afresh():
    provenance.provenance.cache_clear()
    yield
    provenance.provenance.cache_clear()


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = provenance.provenance()
    assert "commit" not in found
    assert found["nanotabpfn-priors"]


def test_the_commit_of_a_repository_around_the_package_is_not_ours(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    package = tmp_path / "site-packages" / "nanotabpfn" / "studies"
    package.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **_: asked.append(arguments))
    assert "commit" not in provenance.provenance()
    assert not asked
    assert Path(provenance.__file__).parents[2].name == "site-packages"
