"""scripts/ensembles.py: the gain is paired with one member, symmetry is measured as it says."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.protocol import prepare, score_table
from nanotabpfn.evaluation.suites import Table
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import save_model

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "ensembles.py"))


@pytest.fixture
def tables(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 40, 2))
    tables = [Table(f"t{i}", x[i], np.where(x[i, :, 0] > 0, "a", "b")) for i in range(2)]
    for command in ("gain", "symmetry"):
        monkeypatch.setitem(
            SCRIPT["main"].commands[command].callback.__globals__, "load_suite", lambda name: tables
        )
    return tables


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    return save_model(NanoTabPFNModel(16, 2, 16, 2, 2), tmp_path)


def run(command, model, *members):
    words = [command, "--model", str(model), *(word for m in members for word in ("--members", str(m)))]
    result = CliRunner().invoke(SCRIPT["main"], words)
    assert result.exit_code == 0, result.output
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.output.splitlines()[2:]]


def test_the_gain_of_members(tables, model):
    rows = run("gain", model, 2)
    scores = {
        n: [score_table(NanoTabPFNClassifier(model, "cpu", n_estimators=n), t) for t in tables]
        for n in (1, 2)
    }
    assert [row[:2] for row in rows] == [[str(n), f"{np.mean(scores[n]):.4f}"] for n in (1, 2)]
    gains = np.subtract(scores[2], scores[1])
    assert rows[1][2] == f"{gains.mean():+.4f}"
    assert rows[1][4] == str((gains > 0).sum())


def test_eight_members_are_symmetric_in_the_classes_and_one_is_not(tables, model):
    one, eight = run("symmetry", model, 1, 8)
    assert float(one[1]) >= float(one[2]) > 0.001
    assert eight[1:3] == ["0.000", "0.000"]
    fold = prepare(tables[0]).folds[0]
    swapped, flipped = SCRIPT["distances"](
        NanoTabPFNClassifier(model, "cpu", n_estimators=1), prepare(tables[0])
    )
    assert swapped.shape == (len(fold.test_rows),)
    assert flipped.shape == (2, len(fold.test_rows))
    assert (flipped.max(axis=1) > 1e-3).all()
