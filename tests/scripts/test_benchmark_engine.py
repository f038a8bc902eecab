"""`benchmark.py train` and `predict`: what they measure is the models they name, and their tables say so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark import main
from benchmarks import engine, measure
from click.testing import CliRunner

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.reference import PlainNanoTabPFNModel


def table(output):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines() if "|" in line]


def invoke(*words):
    result = CliRunner().invoke(main, [*words, "--threads", "1"])
    assert result.exit_code == 0, result.output
    return result.output


def test_each_step_runs_the_model_and_the_precision_of_its_row(monkeypatch):
    seen = []
    for model in (NanoTabPFNModel, PlainNanoTabPFNModel):

        def forward(self, data, train_test_split_index, forward=model.forward, name=model.__name__):
            logits = forward(self, data, train_test_split_index)
            seen.append((name, torch.is_autocast_enabled("cpu"), train_test_split_index))
            return logits

        monkeypatch.setattr(model, "forward", forward)
    output = invoke("train", "--shape", "2x12x2", "--repeats", "3", "--no-compile")
    kinds = [("PlainNanoTabPFNModel", False), ("NanoTabPFNModel", False), ("NanoTabPFNModel", True)]
    counted = [(*kind, 6) for kind in kinds[:2]]
    rounds = [(*kind, split) for split in (4, 6, 8) for kind in kinds]
    assert seen == [*rounds, *rounds, *counted, *rounds]
    rows = table(output)[2:]
    assert [row[:3] for row in rows] == [
        ["plain", "float32", "no"],
        ["fast", "float32", "no"],
        ["fast", "bfloat16", "no"],
    ]
    assert rows[0][5] == rows[0][7] == "1 [1, 1]"
    assert float(rows[0][3]) > 1.5 * float(rows[1][3])
    assert output.startswith("2 x 12 x 2, cpu, 1 threads, median [quartiles] of 3:")


def test_a_step_trains():
    torch.manual_seed(0)
    made = []
    original = NanoTabPFNModel.__init__

    def remember(self, *sizes):
        made.append(self)
        original(self, *sizes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NanoTabPFNModel, "__init__", remember)
        step = engine._training_step("fast", "float32", False, (2, 12, 2), "cpu")
    before = made[0].decoder.linear1.weight.detach().clone()
    step(6)
    assert not torch.equal(made[0].decoder.linear1.weight, before)


def test_predict_compares_equal_probabilities_and_shows_the_memory():
    words = ["predict", "--shape", "30x3x2", "--large", "40x3x5", "--repeats", "2", "--threads", "1"]
    # A process of its own: a worker of the tests may be large, and the peak that is shown is no less.
    script = Path(__file__).parents[2] / "scripts" / "benchmark.py"
    output = subprocess.run(
        [sys.executable, str(script), *words], check=True, capture_output=True, text=True
    ).stdout
    assert output.startswith(
        "30 training rows x 3 features, 2 test rows, 1 threads, median [quartiles] of 2;"
    )
    assert float(output.split("differ by at most ")[1].split(":")[0]) < 1e-5
    # 8 bytes x 96 x (2 layers of 4 columns and one of the target alone) for each of 30 rows.
    assert f"{30 * 8 * 96 * 9 / 1e6:.1f} MB of keys and values" in output
    assert "of the 8 members of the default ensemble" in output
    parts = ["fit", "predict_proba"]
    assert [row[0] for row in table(output)[2:]] == [
        "plain, all rows",
        *(f"one member: {part}" for part in parts),
        *(f"default ensemble: {part}" for part in parts),
    ]
    peak = output.splitlines()[-1]
    assert "MB at its peak" in peak
    assert 100 < float(peak.split(", ")[-1].split(" MB")[0].replace(",", "")) < 2000


def test_a_spread_is_the_median_and_the_quartiles():
    assert measure.spread(np.array([4.0, 1, 2, 3, 5])) == "3 [2, 4]"


def test_a_shape_must_be_three_numbers():
    result = CliRunner().invoke(main, ["train", "--shape", "32x150"])
    assert result.exit_code == 2
    assert "must be datasets, rows and features as in 32x150x5, got '32x150'" in result.output
