"""The command `priors audit`: report, table, JSON and figure, and what it refuses."""

import builtins
import json
import shutil

import h5py
import pytest
from click.testing import CliRunner
from commands import assert_refused
from commands import run_priors as run

from priors.cli.main import main
from priors.generation.generate import generate_dump
from priors.presets import PRESETS

SMALL = ["--set", "num_datapoints=20", "--set", "train_fraction=[0.4, 0.6]", "--num-datasets", "2"]


def test_help_teaches_by_example():
    result = run("audit", "--help")
    assert result.exit_code == 0
    assert "\n  priors audit mine.h5\n" in result.output
    assert max(map(len, result.output.splitlines())) < 110


def test_report_json_and_figure_of_the_published_file(published_like, tmp_path):
    figure = tmp_path / "audit.png"
    options = ["--figure", figure]
    result = run("audit", published_like, "--num-datasets", 6, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{published_like}\n640 datasets, classification; 150 rows, 5 features")
    assert "record 77" in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) < 115
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [figure]
    assert_refused(run("audit", published_like, *options), "exists; --overwrite replaces it")
    again = run("audit", published_like, "--num-datasets", 6, *options, "--overwrite", "--json")
    assert again.exit_code == 0
    [found] = json.loads(again.stdout)
    assert found["damaged"] == [77]
    assert len(found["datasets"]["forest"]) == 6


def test_presets_configs_and_dumps_in_one_table(tiny_dump, tmp_path):
    config = tmp_path / "mine.json"
    config.write_text(PRESETS["gp"].to_json())
    result = run(
        "audit", tiny_dump, "--preset", "linear", "--preset", "linear", "--config", config, "--markdown",
        "--figure", tmp_path / "all.svg", "--workers", 2, *SMALL
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| tiny.h5",
        "| linear with num_datapoints=20, train_fraction=[0.4, 0.6]",
        "| mine.json with num_datapoints=20, train_fraction=[0.4, 0.6]",
    ]
    assert (tmp_path / "all.svg").read_text().startswith("<?xml")


def test_all_presets():
    result = run("audit", "--preset", "all", "--markdown", *SMALL)
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()[2:]] == list(PRESETS)


def test_a_hostile_name_does_not_steer_the_terminal(tiny_dump, tmp_path):
    path = shutil.copy(tiny_dump, tmp_path / "\x1b[31m.h5")
    result = CliRunner().invoke(main, ["audit", str(path), "--num-datasets", "2"], color=True)
    assert result.exit_code == 0
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["needs a DUMP, a --preset or a --config"]),
        (["missing.h5"], ["missing.h5", "does not exist"]),
        (["TEXT"], ["is not a whole HDF5 file"]),
        (["DUMP", "--set", "num_nodes=[4, 5]"], ["--set changes a --preset or a --config"]),
        (["--preset", "linear", "--set", "nodes=4"], ["unknown field 'nodes'"]),
        (["--preset", "none"], ["none", "default"]),
        (["DUMP", "--num-datasets", "0"], ["0"]),
        (["DUMP", "--split", "third"], ["third"]),
        (["DUMP", "--figure", "new.jpg"], ["new.jpg: a figure must end in one of .png, .svg, .pdf"]),
        (["DUMP", "--figure", "nowhere/new.png"], ["there is no folder"]),
        (["DUMP", "--figure", "TEXT"], ["exists; --overwrite"]),
        (["DUMP", "--json", "--markdown"], ["--markdown and --json exclude each other"]),
        (
            ["DUMP", "REGRESSION", "--figure", "new.png"],
            ["--figure draws either classification or regression, got both"],
        ),
    ],
)
def test_bad_input_is_refused_in_plain_lines(tiny_dump, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.h5").write_text("no dump")
    with h5py.File(tiny_dump) as dump, h5py.File("regression.h5", "w") as regression:
        for name in ("X", "y", "num_features", "num_datapoints", "single_eval_pos"):
            dump.copy(name, regression)
    before = sorted(tmp_path.iterdir())
    names = {"DUMP": tiny_dump, "TEXT": "text.h5", "REGRESSION": "regression.h5"}
    assert_refused(run("audit", *[names.get(word, word) for word in arguments]), *words)
    assert sorted(tmp_path.iterdir()) == before


def test_without_matplotlib_the_extra_is_named_before_any_work(tiny_dump, tmp_path, monkeypatch):
    plain_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    monkeypatch.setattr("priors.audit.audit.audit_dump", lambda *_: pytest.fail("worked for nothing"))
    result = run("audit", tiny_dump, "--figure", tmp_path / "new.png")
    assert_refused(result, 'pip install "nanotabpfn-priors[plots]"')


def test_regression(tmp_path):
    path = tmp_path / "reals.h5"
    generate_dump(path, PRESETS["default"].__class__(problem_type="regression", num_datapoints=20), 3, seed=0)
    result = run("audit", path, "--figure", tmp_path / "reals.pdf")
    assert result.exit_code == 0, result.output
    assert "3 datasets, regression; 20 rows, 5 features\n" in result.stdout
    assert "ridge regression" in result.stdout
    assert "R2" in result.stdout
    assert (tmp_path / "reals.pdf").read_bytes().startswith(b"%PDF")
