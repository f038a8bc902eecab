"""A study that trains in a second, for the tests of studies: its settings, its run, what it left."""

import hashlib
import json
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from nanotabpfn.evaluation.suites import SUITES
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.studies import properties
from nanotabpfn.studies.arms import resolve_arms
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import Study
from priors.audit import measure
from priors.generation.generate import generate_dump

TINY = {"num_datapoints": 24, "num_features": [3, 3], "num_nodes": [5, 8], "block_size": 4}
MODEL = {"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1}
SMALL = {
    "name": "small",
    "controls": [],
    "seed_design": "crossed",
    "data_seeds": [0],
    "model_seeds": [0],
    "steps": 5,
    "eval_every": 2,
    "batch_size": 4,
    "held_out": 4,
    "model": MODEL,
    "suites": ["toy"],
    "baselines": [],
}

LOGISTIC = ["logistic_regression"]
WHOLE_FORESTS = {measure: measure.NUM_TREES, properties: properties.NUM_TREES}
"""The modules that grow forests, and of how many trees."""


def prior(**changes):
    return {"preset": "linear", "set": TINY | changes}


def study_of(arms, **changes) -> Study:
    return Study(**{**SMALL, "arms": arms, **changes})


def make_studies_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite `toy`: a table that its first column decides, and one of noise. The suite `many` of six.
    Forests that measure datasets have 5 trees, so they take a tenth of the time or less."""
    set_forests(monkeypatch, dict.fromkeys(WHOLE_FORESTS, 5))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    tables = {"easy": (x, x[:, 0] > 0), "noise": (x, rng.permutation(40) > 19)}
    monkeypatch.setitem(SUITES, "toy", {name: lambda table=table: table for name, table in tables.items()})
    many = {str(n): lambda n=n: (x[:, : 2 + n % 2] ** n, x[:, 0] > 0.1 * n) for n in range(2, 8)}
    monkeypatch.setitem(SUITES, "many", many)


def set_forests(monkeypatch: pytest.MonkeyPatch, num_trees: dict[ModuleType, int]) -> None:
    for module, number in num_trees.items():
        monkeypatch.setattr(module, "NUM_TREES", number)


def run(arms, folder, **changes):
    outcomes = run_study(study_of(arms, **changes), folder)
    assert not [outcome for outcome in outcomes if outcome.error]
    return pd.read_parquet(folder / "records.parquet")


def digests(folder, pattern="cells/*/*/*"):
    """The contents of files below a folder, with the times at which they were written."""
    return {
        str(file.relative_to(folder)): (
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in folder.glob(pattern)
        if file.is_file()
    }


def sorted_records(folder):
    records = pd.read_parquet(folder / "records.parquet")
    return records.sort_values(list(records.columns)).reset_index(drop=True)


def damaged_dump(path: Path) -> Path:
    """A dump in which one block has labels out of range, so that training on it fails on the way."""
    arm = resolve_arms(study_of({"a": prior()}))[0]
    generate_dump(path, arm.config, 24, seed=0)
    with h5py.File(path, "r+") as file:
        file["y"][12:16, 0] = 7
    return path


def write_study(path, **changes):
    path.write_text(json.dumps({**SMALL, "arms": {"a": prior(), "b": prior(num_nodes=[4, 5])}, **changes}))
    return path


def assert_untrained(folder):
    """The untrained model of a study has the initial weights of model seed 0."""
    [untrained] = folder.glob("cells/*/models/step-00000000.safetensors")
    torch.manual_seed(0)
    expected = NanoTabPFNModel(**MODEL, num_outputs=2)
    for weights, own in zip(expected.parameters(), load_model(untrained).parameters(), strict=True):
        assert torch.equal(weights, own)
