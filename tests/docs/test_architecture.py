"""docs/architecture.md: it names what exists, all folders, and the order of imports that is tested."""

import re
from pathlib import Path

import pytest
from test_contracts import ORDER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = re.findall(r"`((?:priors|nanotabpfn|scripts|tests)/[\w/.*-]*)`", PAGE)


def test_it_names_only_files_and_folders_that_exist():
    assert len(PATHS) > 40
    for path in PATHS:
        assert (ROOT / path).exists(), path
        assert (ROOT / path).is_dir() == path.endswith("/"), path


def test_it_names_every_folder_and_every_file_at_the_top_of_a_package():
    for package in ORDER:
        for path in (ROOT / package).iterdir():
            if path.is_dir() and path.name != "__pycache__":
                assert f"{package}/{path.name}/" in PATHS, path
            elif path.suffix == ".py" and not path.stem.startswith("__"):
                assert f"{package}/{path.name}" in PATHS, path


@pytest.mark.parametrize("package", ORDER)
def test_its_order_of_imports_is_the_tested_one(package):
    shown = re.search(rf"^- `{package}`: (.*?)\.$", PAGE, re.MULTILINE | re.DOTALL)[1]
    assert [*re.split(r",\s+", shown), "__main__"] == ORDER[package]


def test_a_dict_that_it_names_is_in_the_file_that_it_names():
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and re.search("`[A-Z_]+`", line)]
    assert len(rows) > 8
    for row in rows:
        [path] = re.findall(r"`(\S+\.py)`", row)
        for name in re.findall(r"`([A-Z_]+)`", row):
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^{name}\b.* = ", text, re.MULTILINE), f"{name} in {path}"


def test_the_way_to_renew_fingerprints_is_the_one_that_contributing_shows():
    shown = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [script] = re.findall(r"^python (tests/\S+\.py)", shown, re.MULTILINE)
    assert "fingerprints.json" in (ROOT / script).read_text(encoding="utf-8")
