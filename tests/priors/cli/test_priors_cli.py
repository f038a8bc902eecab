"""The command `priors`: what it makes, and that bad input is one or two plain lines and exit code 2."""

import importlib
import json
import os
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from commands import assert_refused
from commands import run_priors as run

from priors.cli.main import main
from priors.config import PriorConfig
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.presets import PRESETS

# `priors.generate` is the public function; its module is imported by name.
generate_module = importlib.import_module("priors.generation.generate")

SMALL = ["--set", "num_datapoints=20", "--set", "num_features=[2, 3]", "--set", "train_fraction=[0.4, 0.6]"]


def test_generate_writes_a_dump_with_its_provenance(tmp_path):
    out = tmp_path / "mine.h5"
    result = run("generate", out, "--preset", "linear", "--num-datasets", 70, "--seed", 3, *SMALL)
    assert result.exit_code == 0, result.output
    assert "70 datasets" in result.output
    with open_dump(out) as dump:
        assert dump.num_datasets == 70
        config = PriorConfig.from_json(dump.attributes["config"])
        assert config.mechanisms == PRESETS["linear"].mechanisms
        assert config.num_datapoints == 20
        assert config.num_features == (2, 3)
        assert int(dump.attributes["seed"]) == 3
    assert list(tmp_path.iterdir()) == [out]


def test_workers_and_number_of_datasets_do_not_change_the_content(tmp_path):
    for name, count, workers in (("one", 70, 1), ("two", 70, 2), ("more", 90, 1)):
        result = run("generate", tmp_path / name, "--num-datasets", count, "--workers", workers, *SMALL)
        assert result.exit_code == 0, result.output
    assert content_hash(tmp_path / "one") == content_hash(tmp_path / "two")
    with open_dump(tmp_path / "one") as shorter, open_dump(tmp_path / "more") as longer:
        for left, right in zip(shorter.read(0, 70), longer.read(0, 70), strict=True):
            assert (left == right).all()


def test_a_printed_preset_is_taken_back_and_can_be_edited(tmp_path):
    result = run("presets", "tree-scm")
    assert result.exit_code == 0
    assert PriorConfig.from_json(result.output) == PRESETS["tree-scm"]
    config = json.loads(result.output) | {"num_datapoints": 30}
    (tmp_path / "mine.json").write_text(json.dumps(config))
    result = run("generate", tmp_path / "mine.h5", "--config", tmp_path / "mine.json", "--num-datasets", 3)
    assert result.exit_code == 0, result.output
    with open_dump(tmp_path / "mine.h5") as dump:
        assert dump.max_rows == 30


def test_presets_lists_all_with_their_purpose():
    result = run("presets")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(PRESETS)
    assert all(len(line.split()) > 4 for line in result.output.splitlines())


def test_inspect_shows_a_dump_and_the_published_layout(tiny_dump, published_like):
    result = run("inspect", tiny_dump)
    assert result.exit_code == 0
    assert "64 datasets" in result.output
    result = run("inspect", published_like)
    assert result.exit_code == 0
    assert "77" in result.output


def test_existing_output_is_kept_unless_told_otherwise(tmp_path):
    out = tmp_path / "mine.h5"
    out.write_text("precious")
    assert_refused(run("generate", out, "--num-datasets", 2, *SMALL), out, "--overwrite")
    assert out.read_text() == "precious"
    assert run("generate", out, "--num-datasets", 2, "--overwrite", *SMALL).exit_code == 0
    with open_dump(out) as dump:
        assert dump.num_datasets == 2


def test_an_interrupted_generation_is_one_line_and_the_same_command_goes_on(tmp_path, monkeypatch):
    def interrupted(config, seed, block, num_datasets):
        if block == 2:
            raise KeyboardInterrupt
        return sample_block(config, seed, block, num_datasets)

    sample_block = generate_module.sample_block
    out, arguments = tmp_path / "mine.h5", ["--num-datasets", 100, "--shard-size", 64, *SMALL]
    with monkeypatch.context() as patches:
        patches.setattr(generate_module, "sample_block", interrupted)
        result = run("generate", out, *arguments)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1] == "Error: stopped; the same command resumes it"
    assert not out.exists()
    assert run("generate", out, *arguments).exit_code == 0
    assert run("generate", tmp_path / "undisturbed.h5", *arguments).exit_code == 0
    assert content_hash(out) == content_hash(tmp_path / "undisturbed.h5")
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "undisturbed.h5"]


def test_an_interrupt_before_the_first_shard_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(generate_module, "sample_block", interrupted)
    assert run("generate", tmp_path / "mine.h5", "--num-datasets", 64, *SMALL).exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "no-such"], ["no-such", "default", "linear"]),
        (["--set", 'graphs={"no_such": 1}'], ["graphs", "no_such", "erdos_renyi"]),
        (["--set", "num_features=[5, 2]"], ["num_features", "low must not exceed high", "5", "2"]),
        (["--set", "num_features=[2, 3"], ["num_features", "cannot read the value", "[2, 10]"]),
        (["--set", "num_featurs=[2, 3]"], ["unknown field", "num_featurs", "num_features"]),
        (["--set", "num_features"], ["FIELD=VALUE"]),
        (["--set", "num_datapoints=-5"], ["num_datapoints", "-5"]),
        (["--set", "num_datapoints=many"], ["num_datapoints", "many", "such as num_datapoints=150"]),
        (["--set", "mechanisms=mpl"], ["mechanisms", "did you mean mlp"]),
        (["--set", "parameters.mlp.widht=3"], ["parameters: mlp: widht is unknown", "width"]),
        (["--config", "missing.json"], ["missing.json"]),
        (["--preset", "linear", "--config", __file__], ["--preset", "--config"]),
        (["--config", __file__], [__file__]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", str(2**128)], ["--seed", str(2**128), "2**128 - 1"]),
        (["--seed", "1.5"], ["--seed", "1.5"]),
        (["--workers", "0"], ["--workers", "0"]),
        (["--num-datasets", "0"], ["--num-datasets", "0"]),
        (["--shard-size", "33"], ["shard_size", "multiple of block_size=32", "33"]),
        (["--backend", "spark"], ["--backend", "spark", "loky", "dask", "ray"]),
        (["--scheduler", "tcp://127.0.0.1:1"], ["--scheduler", "--backend dask"]),
        (["--no-such-option"], ["--no-such-option", "priors generate --help"]),
    ],
)
def test_bad_input_to_generate(tmp_path, arguments, words):
    assert_refused(run("generate", tmp_path / "out.h5", "--num-datasets", 4, *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_missing_arguments_are_named():
    assert_refused(run("generate"), "OUT")
    assert_refused(run("generate", "out.h5"), "--num-datasets")
    assert_refused(run("no-such-verb"), "no-such-verb")


def test_an_unwritable_output_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "run_tasks", lambda *_: pytest.fail("work was done"))
    assert_refused(run("generate", tmp_path / "no" / "folder.h5", "--num-datasets", 4), "folder.h5")
    assert_refused(run("generate", tmp_path, "--num-datasets", 4), tmp_path)
    assert_refused(run("generate", os.devnull + "/out.h5", "--num-datasets", 4), "out.h5")


def test_bad_files_to_inspect(tmp_path, tiny_dump):
    assert_refused(run("inspect", tmp_path / "missing.h5"), "missing.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    assert_refused(run("inspect", tmp_path / "text.h5"), "text.h5")
    whole = tiny_dump.read_bytes()
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    assert_refused(run("inspect", tmp_path / "short.h5"), "short.h5")
    (tmp_path / "keyless.h5").write_bytes(whole)
    with h5py.File(tmp_path / "keyless.h5", "r+") as file:
        del file["single_eval_pos"]
    assert_refused(run("inspect", tmp_path / "keyless.h5"), "keyless.h5", "single_eval_pos")


def test_unknown_preset_to_presets():
    assert_refused(run("presets", "no-such"), "no-such", "default")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["generate", "--help"], ["inspect", "--help"], ["presets", "--help"]]
)
def test_help_teaches_by_example(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert "--version" not in result.output or "priors generate" in result.output


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("priors, version ")


def test_a_regression_prior_makes_a_regression_dump(tmp_path):
    out = tmp_path / "mine.h5"
    result = run("generate", out, "--num-datasets", 5, "--set", 'problem_type="regression"', *SMALL)
    assert result.exit_code == 0, result.output
    with open_dump(out) as dump:
        assert dump.problem_type == "regression"
        assert dump.max_num_classes is None
        assert not dump.allow_missing
    assert run("inspect", out).exit_code == 0


def test_a_prior_with_missing_cells_makes_a_dump_that_allows_them(tmp_path):
    out = tmp_path / "mine.h5"
    result = run("generate", out, "--num-datasets", 5, "--set", "missing_fraction=[0.2, 0.4]", *SMALL)
    assert result.exit_code == 0, result.output
    with open_dump(out) as dump:
        assert dump.allow_missing
    assert run("inspect", out).exit_code == 0


def test_settings_are_merged_and_the_exact_difference_is_printed(tmp_path):
    out = tmp_path / "mine.h5"
    changes = ["mechanisms=mlp", "num_features=3", 'parameters={"mlp": {"width": [30, 40]}}']
    words = [word for change in changes for word in ("--set", change)]
    result = run("generate", out, "--num-datasets", 2, "--preset", "linear", *words)
    assert result.exit_code == 0, result.output
    differences = [
        "  num_features=3  (instead of 5)",
        "  mechanisms=mlp  (instead of linear)",
        "  parameters.mlp.width=[30, 40]  (instead of [3, 12])",
    ]
    assert result.stdout.splitlines()[1:] == ["prior: linear with", *differences]
    with open_dump(out) as dump:
        found = PriorConfig.from_json(dump.attributes["config"]).parameters
    expected = PRESETS["linear"].parameters
    assert found == {**expected, "mlp": {**expected["mlp"], "width": (30, 40)}}

    lines = run("inspect", out).stdout.splitlines()
    start = lines.index("Prior: the preset mlp-scm with")  # the nearest: it has the same mechanisms
    assert lines[start + 1 :] == [
        "  num_features=3  (instead of 5)",
        "  graphs=[erdos_renyi, barabasi_albert, growing_network_with_redirection, layered, random_tree]  "
        "(instead of layered)",
        "  parameters.mlp.width=[30, 40]  (instead of [3, 12])",
    ]

    result = run(
        "generate", out, "--num-datasets", 2, "--overwrite", "--set", "replace.parameters={}", *SMALL
    )
    assert result.exit_code == 0, result.output
    assert "  parameters.linear.matrix=null  (instead of [normal, uniform, signs, decaying])" in result.stdout
    with open_dump(out) as dump:
        assert PriorConfig.from_json(dump.attributes["config"]).parameters == {}


def test_a_preset_as_it_is_has_no_differences(tmp_path):
    result = run("generate", tmp_path / "mine.h5", "--num-datasets", 2, "--preset", "gp")
    assert result.stdout.splitlines()[1:] == ["prior: gp"]
    assert run("inspect", tmp_path / "mine.h5").stdout.splitlines()[-1] == "Prior: the preset gp"


STRANGE_CONFIGS = [
    "",
    "[]",
    "{",
    "[" * 10_000,
    '{"num_features": "\\u001b[31m"}',
    '{"graph": {"nodes": 5}}',
    '{"parameters": {"mlp": [1]}}',
    '{"parameters": {"mlp": "wide"}}',
    '{"difficulty": 3}',
    '{"parameters": {"mlp": {"width": {"nodes": 5}}}}',
    '{"mix": ' + "[" * 900 + "]" * 900 + "}",
]


@pytest.mark.parametrize("config", STRANGE_CONFIGS)
@pytest.mark.parametrize("command", [["inspect"], ["inspect", "--json"], ["diff", "default"]])
def test_any_text_for_a_config_can_be_shown(tiny_dump, tmp_path, command, config):
    path = tmp_path / "other.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = config
    result = CliRunner().invoke(main, [*command, str(path)], color=True)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_family_of_ones_own_is_one_line_with_its_name_and_place(tmp_path, monkeypatch, workers):
    monkeypatch.chdir(tmp_path)
    name = f"wrong_family_{workers}"
    Path(f"{name}.py").write_text("def halves(parents, rng):\n    return parents[:, 0] / None\n")
    words = ["--num-datasets", 64, "--workers", workers, "--set", f"mechanisms={name}:halves"]
    result = run("generate", "new.h5", *words)
    assert_refused(result, f"mechanism {name}:halves, called as (parents, rng), failed with TypeError")
    assert f"({name}.py, line 2)" in result.stderr
    assert not Path("new.h5").exists()
