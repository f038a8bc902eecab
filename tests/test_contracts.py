"""Contracts that cross modules: who may import whom, the public names, what importing costs."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]

# What stands at the top of a package, modules and folders: each may import itself and those before it.
ORDER = {
    "priors": [
        "arguments", "streams", "blas_threads", "frozen", "registry", "distributions", "settings",
        "graph_layout",
        "notebook", "dataset", "families", "own_graph", "graph_files", "field_types",
        "parameter_ranges", "config", "presets", "field_reference", "json_schema", "sampling", "dumps",
        "generation", "console", "audit", "plots", "explore", "cli", "__main__",
    ],
    "nanotabpfn": [
        "model", "data", "estimators", "training", "hub", "evaluation", "studies", "cli", "__main__",
    ],
}  # fmt: skip
# The few places where nanotabpfn meets priors: batches of its datasets; cards, which name priors as those of
# dumps do; the arms of a study (priors), the engines that run its cells and the measures of datasets that
# audits have too; the commands.
BRIDGES = {"data", "hub", "studies", "cli"}


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


def test_no_file_has_more_than_500_lines():
    folders = ["priors", "nanotabpfn", "scripts", "tests"]
    sizes = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in ROOT.glob(f"{folder}/**/*.py")
    }
    assert {path: size for path, size in sizes.items() if size > 500} == {}


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


def loaded_by(code):
    """The top-level packages that a fresh interpreter has loaded after `code`, and scipy's and sklearn's."""
    code += "\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


HEAVY = {
    "torch",
    "sklearn",
    "sklearn.ensemble",
    "scipy",
    "scipy.stats",
    "matplotlib",
    "pandas",
    "networkx",
    "pydantic",
}
RUN = "from click.testing import CliRunner\nfrom {0}.cli.main import main\nCliRunner().invoke(main, {1})"


@pytest.mark.parametrize("package", ORDER)
def test_importing_a_package_and_its_help_load_nothing_heavy(package):
    assert not HEAVY & loaded_by(f"import {package}")
    assert not HEAVY & loaded_by(RUN.format(package, ["--help"]))


def help_pages(group, *path):
    """The words of each command and group below `group`."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield [*path, name]
        if isinstance(command, click.Group):
            yield from help_pages(command, *path, name)


PRIORS_NEEDS = {"networkx", "pydantic"}  # for the presets, which the help lists


@pytest.mark.parametrize(("package", "needed"), [("priors", PRIORS_NEEDS), ("nanotabpfn", set())])
def test_no_help_page_loads_anything_heavy(package, needed):
    pages = list(help_pages(import_module(f"{package}.cli.main").main))
    assert len(pages) > 8
    code = f"""
from click.testing import CliRunner
from {package}.cli.main import main
for words in {pages}:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0 and "Usage: " in result.output, words"""
    assert not (HEAVY - needed) & loaded_by(code)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 5}, "unknown field 'stepz'; did you mean steps?"),
        ({"steps": 0}, "steps: "),
        ({"arms": {"a": {"preset": "defualt"}}}, "unknown preset 'defualt'"),
        ({"arms": {"a": {"preset": "default", "set": {"mechanism": "mlp"}}}}, "mechanism"),
        ({"suites": ["opne"]}, "unknown suite 'opne'"),
        ({"baselines": ["forest"]}, "unknown baseline 'forest'"),
    ],
)
def test_a_mistake_in_a_study_file_is_said_before_anything_heavy_is_loaded(tmp_path, change, message):
    study = {"arms": {"a": {"preset": "default"}}, **change}
    (tmp_path / "study.json").write_text(json.dumps(study))
    words = ["study", "run", str(tmp_path / "study.json")]
    code = f"""
from click.testing import CliRunner
from nanotabpfn.cli.main import main
result = CliRunner().invoke(main, {words})
assert result.exit_code == 2 and {message!r} in result.output, result.output"""
    assert not loaded_by(code) & {"torch", "sklearn", "scipy", "pandas", "matplotlib"}


def test_the_names_of_nanotabpfn_load_torch_and_little_else():
    code = "import nanotabpfn\nnanotabpfn.NanoTabPFNModel, nanotabpfn.load_model, nanotabpfn.RECIPES"
    loaded = loaded_by(code)
    assert "torch" in loaded
    assert not loaded & {"sklearn.ensemble", "scipy.stats", "matplotlib", "pandas"}


def test_priors_leaves_torch_unloaded_whatever_is_used_of_it():
    modules = [name for name in modules_of("priors") if not name.endswith("__")]
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    loaded = loaded_by(code)
    assert set(modules) <= loaded
    assert not loaded & {"torch", "sklearn.ensemble", "matplotlib", "pandas"}


@pytest.mark.parametrize("package", ORDER)
def test_each_command_begins_its_help_as_its_group_does(package):
    group = import_module(f"{package}.cli.main").main
    assert list(group.lazy) == group.list_commands(None)
    for name, lazy in group.lazy.items():
        command = group.get_command(None, name)
        assert command.name == name
        assert command.get_short_help_str(limit=300).startswith(lazy.help.rstrip("."))


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
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'none'"):
            package.none  # noqa: B018


@pytest.mark.parametrize("package", ORDER)
def test_public_names_are_those_that_editors_see_and_no_module_shadows_one(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {node.module: [alias.name for alias in node.names] for node in block.body}
    module = import_module(package)
    assert seen == module._MODULES
    assert not set(module.__all__) & set(ORDER[package]), "importing the module would replace the name"
    assert set(module._FOLDERS) <= set(ORDER[package])
    for folder in module._FOLDERS:
        assert getattr(module, folder).__name__ == f"{package}.{folder}"


@pytest.mark.parametrize("package", ORDER)
def test_every_public_name_has_an_example(package):
    """In its docstring, where `--doctest-modules` runs it. Dicts of families have no docstring."""
    module = import_module(package)
    values = {name: getattr(module, name) for name in module.__all__}
    described = {name: value.__doc__ for name, value in values.items() if callable(value)}
    assert len(described) > 10
    assert [name for name, text in described.items() if ">>>" not in (text or "")] == []


def examples_in(path):
    """(name, whether its docstring has an example) of a module's public functions and classes with methods.

    Commands have examples in their help. Records and exceptions are in the examples of what uses them.
    Overloads have their docstring at the last definition."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_function = isinstance(node, ast.FunctionDef)
        has_methods = any(isinstance(part, ast.FunctionDef) for part in getattr(node, "body", ()))
        if not is_function and not (isinstance(node, ast.ClassDef) and has_methods):
            continue
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        is_left_out = any(".command" in decorator or decorator == "overload" for decorator in decorators)
        if not is_left_out and node.name != "main" and not node.name.startswith("_"):
            yield node.name, ">>>" in (ast.get_docstring(node) or "")


def imported_from_other_folders():
    """(module, name) of all that a module of the packages imports from a module in another folder."""
    for package in ORDER:
        for user, path in modules_of(package).items():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                if module and user.rpartition(".")[0] != module.rpartition(".")[0]:
                    yield from ((module, alias.name) for alias in node.names)


def named_on_pages():
    """The words on the pages that are names of code: `like_this`, `LikeThis` or `this()`."""
    pages = [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for name, arguments in re.findall(r"`(?:\w+\.)*(\w+)(\([^`]*\))?`", text):
        if arguments or "_" in name or name != name.lower():
            yield name


def test_what_another_folder_or_a_page_uses_has_an_example():
    """In its docstring, where `--doctest-modules` runs it."""
    imported, named = set(imported_from_other_folders()), set(named_on_pages())
    assert ("priors.streams", "stream") in imported
    assert "begun_at" in named
    missing = {
        f"{module}.{name}"
        for package in ORDER
        for module, path in modules_of(package).items()
        for name, has_example in examples_in(path)
        if not has_example and ((module, name) in imported or name in named)
    }
    assert missing == {"nanotabpfn.training.distributed.exit_rank"}  # ends the process


def test_no_test_imports_from_a_conftest():
    """Folders have conftest.py files of their own: which one the name means depends on what is collected."""
    for path in ROOT.glob("tests/**/*.py"):
        assert not re.search(
            r"^\s*(from|import) conftest\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ), path
