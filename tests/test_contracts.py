"""Contracts that cross modules: who may import whom, the public names, what importing costs."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]

# What stands at the top of a package, modules and folders: each may import itself and those before it.
ORDER = {
    "priors": [
        "streams", "registry", "families", "graph_files", "own_graph", "config", "presets", "sampling",
        "dumps", "generation", "console", "audit", "plots", "cli", "__main__",
    ],
    "nanotabpfn": [
        "model", "data", "estimators", "training", "evaluation", "studies", "cli", "__main__",
    ],
}  # fmt: skip
# The few places where nanotabpfn meets priors: batches of its datasets; the arms of a study (priors), the
# engines that run its cells and the measures of datasets that audits have too; the commands.
BRIDGES = {"data", "studies", "cli"}


def imported_modules(path):
    """The modules of our own packages that a file imports, as dotted names; not those for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = []
        yield from (name for name in names if name.split(".")[0] in ORDER)


def modules_of(package):
    """Dotted name -> file of each module of a package."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in ROOT.glob(f"{package}/**/*.py")
    }


@pytest.mark.parametrize("package", ORDER)
def test_every_module_and_folder_has_its_place(package):
    found = {name.split(".")[1] for name in modules_of(package)} - {"__init__"}
    assert found == set(ORDER[package])


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_one_way(package):
    order = ORDER[package]
    for name, path in modules_of(package).items():
        room = name.split(".")[1]
        if room == "__init__":  # the public names
            continue
        for imported in imported_modules(path):
            other_package, *rest = imported.split(".")
            if other_package != package:
                assert package == "nanotabpfn", f"{name} imports {imported}: priors must not know nanotabpfn"
                assert room in BRIDGES, f"{name} imports {imported}"
            else:
                assert rest, f"{name} imports the public names; import the module that defines them"
                assert order.index(rest[0]) <= order.index(room), f"{name} imports {imported}"


@pytest.mark.parametrize("package", ORDER)
def test_no_module_imports_itself_through_others(package):
    modules = modules_of(package)
    graph = nx.DiGraph(
        (name, imported)
        for name, path in modules.items()
        for imported in imported_modules(path)
        if imported in modules
    )
    assert nx.is_directed_acyclic_graph(graph), nx.find_cycle(graph)


def test_every_file_says_in_its_first_line_what_it_is():
    for path in [*ROOT.glob("priors/**/*.py"), *ROOT.glob("nanotabpfn/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        assert first_line.startswith('"""'), path
        assert len(first_line) > 20, path


def test_what_is_no_module_is_packed_too():
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert packed["packages"]["find"]["include"] == ["priors*", "nanotabpfn*"]
    files = {path for package in ORDER for path in (ROOT / package).rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix not in (".py", ".pyc")}
    folders = {package: ROOT / package.replace(".", "/") for package in packed["package-data"]}
    assert data == {
        path
        for package, patterns in packed["package-data"].items()
        for pattern in patterns
        for path in folders[package].glob(pattern)
    }
    names = {path.name for path in data}
    assert names >= {"classifier.safetensors", "classifier.md", "regressor.safetensors", "regressor.md"}
    for folder in {path.parent for path in files if path.suffix == ".py"}:
        assert (folder / "__init__.py").exists(), f"{folder} would not be packed"


def test_priors_leaves_torch_unloaded_even_in_its_command():
    code = "import sys, priors, priors.cli.main; sys.exit('torch' in sys.modules)"
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
