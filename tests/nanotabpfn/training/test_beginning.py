"""Whether training has begun: the rule on recorded and made-up histories, and the watchdog of the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_nanotabpfn, train_tiny

import nanotabpfn.cli.train_watch
from nanotabpfn.training import beginning
from nanotabpfn.training.beginning import (
    FIRST_VERDICT,
    LAST_VERDICT,
    WINDOW,
    begun_at,
    class_entropy,
    explain,
)

DOCS = Path(__file__).parents[3] / "docs"
ENTROPIES = json.loads(Path(__file__).with_name("race_entropies.json").read_text(encoding="utf-8"))
NEVER = "race-long/default-0"
CHANCE = [name for name in ENTROPIES if "mix-scm" in name]


def recorded(name):
    """Losses and entropies of a recorded training; of the entropies, the mean of each 50 steps is kept.

    Those of peers' files are of the same batches, read again in the order of the run's seed. Those of
    `default` are the mean over 4,000 datasets of the prior at that time.
    """
    lines = (DOCS / name / "history.jsonl").read_text(encoding="utf-8").splitlines()
    entropies = np.repeat(ENTROPIES[name], WINDOW).tolist()
    return [json.loads(line)["loss"] for line in lines][: len(entropies)], entropies


def not_begun(num_steps, seed, level=1.03):
    """A history like those that never begin: 3 % above the entropy, with its noise."""
    rng = np.random.default_rng(seed)
    entropies = rng.normal(0.54, 0.03, num_steps)
    return entropies * level + rng.normal(0, 0.017, num_steps), entropies


@pytest.mark.parametrize("name", [name for name in ENTROPIES if name not in [NEVER, *CHANCE]])
def test_recorded_runs_that_began_are_found_by_the_first_verdict(name):
    assert begun_at(*recorded(name)) <= FIRST_VERDICT


@pytest.mark.parametrize("name", CHANCE)
def test_a_prior_that_is_mostly_chance_is_not_given_up_before_it_begins(name):
    losses, entropies = recorded(name)
    if len(losses) >= LAST_VERDICT:
        assert begun_at(losses, entropies) == 700 < LAST_VERDICT
    else:  # recorded for 384 steps, before it begins
        assert begun_at(losses, entropies) is None


def test_the_recorded_run_that_never_began_is_found():
    assert begun_at(*recorded(NEVER)) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_not_taken_for_a_beginning(seed):
    assert begun_at(*not_begun(2500, seed)) is None
    assert begun_at(*not_begun(LAST_VERDICT, seed, level=1.01)) is None


@pytest.mark.parametrize(("start", "expected"), [(0, 50), (130, 150), (145, 200), (400, 450)])
def test_the_step_of_the_beginning_is_the_end_of_its_window(start, expected):
    losses, entropies = not_begun(600, 0)
    losses[start:] -= 0.1
    assert begun_at(losses, entropies) == expected


def test_histories_of_different_length_are_refused():
    with pytest.raises(ValueError, match="got 50 and 49"):
        begun_at([0.5] * 50, [0.5] * 49)


@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_entropy_is_that_of_the_test_rows(num_classes):
    rng = np.random.default_rng(num_classes)
    parts = [
        {
            "y": torch.tensor(rng.integers(0, num_classes, (b, r)).astype("float32")),
            "train_test_split_index": t,
        }
        for b, r, t in ((3, 20, 5), (1, 9, 8), (2, 7, 3))
    ]
    expected = []
    for part in parts:
        for y in part["y"][:, part["train_test_split_index"] :].numpy():
            shares = np.unique(y, return_counts=True)[1] / len(y)
            expected.append(-(shares * np.log(shares)).sum())
    assert class_entropy({"parts": parts}) == pytest.approx(np.mean(expected), abs=1e-6)
    assert class_entropy({"parts": parts, "num_datasets": 12}) == pytest.approx(
        np.mean(expected) / 2, abs=1e-6
    )
    assert class_entropy(parts[0]) == pytest.approx(np.mean(expected[:3]), abs=1e-6)


def test_the_explanation_follows_the_warm_up():
    assert "no warm-up: train again with --warm-up 100" in explain(250, 0, 4e-3)
    assert "a warm-up of 5 steps only" in explain(250, 5, 4e-3)
    assert "lower --lr" in explain(250, 100, 4e-3)


# ------------------------------------------------------------------------------------------------ command


@pytest.fixture
def soon(monkeypatch):
    """Windows of 2 steps, the first verdict after 4; no tiny training begins."""
    for module in (beginning, nanotabpfn.cli.train_watch):
        monkeypatch.setattr(module, "WINDOW", 2)
    monkeypatch.setattr(nanotabpfn.cli.train_watch, "FIRST_VERDICT", 4)
    monkeypatch.setattr(beginning, "MARGIN", 0.9)


def config(folder):
    return json.loads((folder / "config.json").read_text())


def test_a_run_that_has_not_begun_says_so_once_and_writes_it_down(tmp_path, tiny_dump, soon):
    result = train_tiny(tiny_dump, tmp_path / "run", "--eval-every", 0, "--recipe", "published")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("training has not begun so far: after 4 steps") == 1
    assert "--warm-up 100" in result.stderr
    assert config(tmp_path / "run")["begun"] is False
    assert config(tmp_path / "run")["begun_at"] is None


def test_a_run_that_begins_later_says_so(tmp_path, tiny_dump, soon, monkeypatch):
    found = train_tiny(tiny_dump, tmp_path / "run", "--eval-every", 0)
    assert found.exit_code == 0, found.output
    monkeypatch.setattr(beginning, "MARGIN", -9)
    more = run_nanotabpfn("train", "--resume", tmp_path / "run", "--steps", 8)
    assert more.exit_code == 0, more.output
    assert config(tmp_path / "run")["begun"] is True
    assert config(tmp_path / "run")["begun_at"] == 2  # of the whole history, not of what was resumed


def test_nothing_is_said_before_the_first_verdict(tmp_path, tiny_dump):
    result = train_tiny(tiny_dump, tmp_path / "run", "--eval-every", 0)
    assert "begun" not in result.output
    assert "begun" not in config(tmp_path / "run")


def test_stop_if_not_begun_ends_the_run_with_a_checkpoint(tmp_path, tiny_dump, soon, monkeypatch):
    out = tmp_path / "run"
    stop = ["--stop-if-not-begun", 50]
    monkeypatch.setattr(nanotabpfn.cli.train_watch, "WINDOW", 50)
    monkeypatch.setattr(beginning, "WINDOW", 50)
    result = train_tiny(tiny_dump, out, "--eval-every", 0, "--steps", 60, *stop)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "training has not begun so far: after 50 steps" in result.stderr
    assert [file.name for file in (out / "checkpoints").iterdir()] == ["step-00000050.safetensors"]
    more = run_nanotabpfn("train", "--resume", out, "--stop-if-not-begun", 100)
    assert more.exit_code == 0, more.output
    assert len((out / "history.jsonl").read_text().splitlines()) == 60


def test_regression_has_no_entropy(tmp_path):
    prior = ["--set", "num_datapoints=20", "--set", "num_features=2", "--set", "num_nodes=[5,5]"]
    sizes = [
        "--embedding-size",
        8,
        "--heads",
        2,
        "--hidden",
        8,
        "--layers",
        1,
        "--batch-size",
        4,
        "--steps",
        2,
    ]
    more = ["--problem", "regression", "--eval-every", 0, "--device", "cpu", "--workers", 0]
    result = run_nanotabpfn("train", "--prior", "linear", *prior, *sizes, *more, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    records = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert all("class_entropy" not in json.loads(record) for record in records)
