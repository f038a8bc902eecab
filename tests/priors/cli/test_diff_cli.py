"""`priors diff`: presets, configs and dumps, as text and as JSON."""

import json
from dataclasses import replace

import h5py
from commands import assert_refused
from commands import run_priors as run
from tiny_prior import TINY

from priors.generation.generate import generate_dump
from priors.presets import PRESETS


def found_by(*arguments):
    result = run("diff", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_two_presets_differ_by_setting_with_both_values():
    settings = found_by("default", "linear")["settings"]
    assert settings["mechanisms"] == {"a": dict(PRESETS["default"].mechanisms), "b": {"linear": 1.0}}
    text = run("diff", "default", "linear").stdout
    assert f"Settings: {len(settings)} differ." in text
    assert "  A  mechanisms=[linear, mlp, oblivious_trees, random_fourier_features]\n" in text
    assert "  B  mechanisms=linear\n" in text


def test_a_parameter_has_its_path(tmp_path):
    changed = {"parameters.mlp.width": [30, 40], "num_features": 3, "label_noise": [0, 0.3]}
    (tmp_path / "mine.json").write_text(json.dumps(changed))
    assert found_by("default", tmp_path / "mine.json")["settings"] == {
        "num_features": {"a": [5, 5], "b": [3, 3]},
        "parameters.mlp.width": {"a": [3, 12], "b": [30, 40]},
    }


def test_a_prior_is_as_itself():
    found = found_by("gp", "gp")
    assert found["settings"] == {}
    assert found["properties"] is None
    assert "Settings: the same." in run("diff", "gp", "gp").stdout


def test_two_dumps_differ_in_settings_and_properties(tmp_path, tiny_dump):
    generate_dump(tmp_path / "more.h5", replace(TINY, num_nodes=(9, 16)), 64, seed=3)
    found = found_by(tiny_dump, tmp_path / "more.h5")
    assert found["settings"] == {"num_nodes": {"a": [5, 8], "b": [9, 16]}}
    assert found["b"] == {
        "source": str(tmp_path / "more.h5"),
        "has_config": True,
        "num_datasets": 64,
        "seed": "3",
        "prior_version": 2,
    }
    tests = {test["name"]: test for test in found["properties"]}
    assert tests["num_nodes"]["adjusted"] < 0.05
    assert tests["num_nodes"]["distance"] == 1
    text = run("diff", tiny_dump, tmp_path / "more.h5").stdout
    assert "num_nodes" in text.partition("Properties: ")[2].partition("not shown")[0]


def test_a_dump_has_the_settings_that_it_was_made_with(tiny_dump, published_like):
    assert "num_datapoints" in found_by(tiny_dump, "default")["settings"]
    found = found_by(tiny_dump, published_like)
    assert found["settings"] is None
    assert found["properties"]
    assert "does not say with which it was made" in run("diff", tiny_dump, published_like).stdout


def test_a_dump_from_elsewhere_cannot_steer_the_terminal(tmp_path, tiny_dump):
    (tmp_path / "theirs.h5").write_bytes(tiny_dump.read_bytes())
    with h5py.File(tmp_path / "theirs.h5", "r+") as file:
        file.attrs["config"] = json.dumps({"mix": "\x1b[31mred"})
        file.attrs["seed"] = "\x1b[31m"
    result = run("diff", tmp_path / "theirs.h5", tiny_dump)
    assert result.exit_code == 0
    assert "\x1b" not in result.output


def test_what_is_nothing_is_refused(tmp_path):
    assert_refused(
        run("diff", "default", "linaer"), "linaer", "no such file, and no preset; did you mean linear?"
    )
    (tmp_path / "mine.json").write_text('{"num_feature": 3}')
    assert_refused(run("diff", "default", tmp_path / "mine.json"), "mine.json", "num_feature")
    (tmp_path / "mine.txt").write_text("no dump")
    assert_refused(run("diff", "default", tmp_path / "mine.txt"), "mine.txt")
