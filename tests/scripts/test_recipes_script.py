"""scripts/recipes.py: how it counts steps, what it prints, what it does not train again."""

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from small_study import make_studies_small

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "recipes.py"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_studies_small(monkeypatch)
    monkeypatch.setitem(SCRIPT["SMALL"], "suites", ["toy"])
    monkeypatch.setitem(SCRIPT["SMALL"], "held_out", 4)


def run(work, *arguments):
    words = ["--work", work, "--steps", 2, "--eval-every", 1, "--recipe", "muon", "--seed", 0, *arguments]
    return CliRunner().invoke(SCRIPT["main"], [str(word) for word in words])


def test_steps_are_counted_to_the_first_loss_that_is_not_above_the_target():
    steps_to, losses = SCRIPT["steps_to"], pd.Series([0.7, 0.5, 0.6, 0.4], index=[20, 40, 60, 80])
    assert steps_to(0.5, losses) == 40
    assert steps_to(0.3, losses) == float("inf")


def test_the_target_is_the_last_loss_of_the_published_recipe(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    published, muon = (SCRIPT["held_out_losses"](tmp_path / name)[0] for name in ("published-2", "muon-2"))
    assert list(muon.index) == [1, 2]
    assert f"Target {published[2]:.4f}" in result.output
    rows = [line.split(" | ") for line in result.output.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["| published, 2 steps", "| muon, 2 steps"]
    assert rows[2][3] == f"{muon[2]:.4f}"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert run(tmp_path).exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}


def test_a_longer_training_of_another_recipe_can_be_the_target(tmp_path):
    result = run(tmp_path, "--target", "warm-up", "--target-steps", 4, "--target-seed", 1)
    assert result.exit_code == 0, result.output
    [target] = SCRIPT["held_out_losses"](tmp_path / "warm-up-4")
    assert list(target.index) == [2, 4]
    assert f"Target {target[4]:.4f}: held-out loss of `warm-up, 4 steps`" in result.output


def test_the_scale_of_many_classes_trains_on_two_to_ten(tmp_path, monkeypatch):
    monkeypatch.setitem(SCRIPT["CLASSES"], "suites", ["toy"])
    monkeypatch.setitem(SCRIPT["CLASSES"], "held_out", 4)
    result = run(tmp_path, "--scale", "classes")
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "muon-2" / "study.json").read_text())
    [arm] = study["arms"]
    assert arm["config"]["num_classes"] == [2, 10]


def test_an_unknown_recipe_is_refused(tmp_path):
    result = run(tmp_path, "--recipe", "magic")
    assert result.exit_code == 2
    assert "magic" in result.output
