"""Contracts that cross modules: who may import whom, the public names, what importing costs."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import those of its own package that stand before it.
ORDER = {
    "priors": [
        "streams", "families", "graphs", "mechanisms", "noise", "categories", "classes", "coherence",
        "learnability", "scm", "interventions", "table", "own_graph", "graph_files", "config", "presets",
        "prior", "dump", "engines", "shards", "generate", "inspect", "derive", "arrange", "convert",
        "validate", "download", "console", "audit", "plot", "gallery", "cli",
    ],
    "nanotabpfn": [
        "precision", "model", "reference", "checkpoint", "run", "tracking", "distributed", "data", "bins",
        "encoding", "ensemble", "classifier", "regressor", "optimizer", "train", "recipes", "held_out",
        "openml_tables", "suites", "evaluate", "evaluate_regression", "report", "properties", "metrics",
        "study", "cells", "statistics", "study_figures", "study_report", "study_cli", "predict_cli", "cli",
    ],
}  # fmt: skip
# The few places where nanotabpfn meets priors: batches of its datasets; the commands; the arms of a study,
# which are priors, and the engines that run its cells; the measures of datasets that priors' audits have too.
BRIDGES = {"data", "cli", "study", "cells", "study_cli", "properties", "predict_cli"}


def imported_modules(path):
    """(package, module) of each import of our own packages, those for type checking alone left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ORDER:
            package, _, module = node.module.partition(".")
            yield package, module


@pytest.mark.parametrize("package", ORDER)
def test_every_module_has_its_place(package):
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert modules == set(ORDER[package])


@pytest.mark.parametrize(
    ("package", "module"), [(package, module) for package in ORDER for module in ORDER[package]]
)
def test_imports_go_one_way(package, module):
    order = ORDER[package]
    for other_package, other in imported_modules(ROOT / package / f"{module}.py"):
        if other_package == package:
            assert order.index(other) < order.index(module), f"{module} imports {other}"
        else:
            assert package == "nanotabpfn", "priors must not know nanotabpfn"
            assert module in BRIDGES, f"{module} imports priors.{other}"


def test_every_file_says_in_its_first_line_what_it_is():
    for path in [*ROOT.glob("priors/*.py"), *ROOT.glob("nanotabpfn/*.py"), *ROOT.glob("tests/*.py")]:
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        assert first_line.startswith('"""'), path
        assert len(first_line) > 20, path


def test_what_is_no_module_is_packed_too():
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for package in packed["packages"]:
        files = {path for path in (ROOT / package).rglob("*") if path.is_file()}
        data = {path for path in files if path.suffix not in (".py", ".pyc")}
        patterns = packed["package-data"].get(package, [])
        assert data == {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    names = {path.name for path in data}
    assert names >= {"classifier.safetensors", "classifier.md", "regressor.safetensors", "regressor.md"}


def test_priors_leaves_torch_unloaded_even_in_its_command():
    code = "import sys, priors, priors.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names():
    import nanotabpfn
    import priors

    assert set(priors.__all__) >= {
        "PriorConfig", "PRESETS", "GRAPHS", "MECHANISMS", "SCM", "Dataset",
        "sample_dataset", "stream", "generate",
    }  # fmt: skip
    assert set(nanotabpfn.__all__) >= {
        "NanoTabPFNModel", "NanoTabPFNClassifier", "PriorDumpDataLoader", "PriorDataLoader", "train",
        "get_default_device",
    }  # fmt: skip
    for package in (priors, nanotabpfn):
        assert all(hasattr(package, name) for name in package.__all__)
