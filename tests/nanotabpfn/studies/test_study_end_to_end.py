"""A study from training to words: what is the same is found the same, and a broken prior worse."""

import re

import numpy as np

from nanotabpfn.evaluation.suites import SUITES
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import Study

PRIOR = {
    "num_datapoints": 40,
    "num_features": [3, 3],
    "num_nodes": [5, 6],
    "train_fraction": [0.5, 0.5],
    "noise_scale": [0.05, 0.2],
    "label_noise": [0, 0],
    "block_size": 8,
}
BROKEN = {"label_noise": [1, 1]}


def table(number):
    """40 rows x 3 features; the class is what side of a plane a row is on, but for noise."""
    rng = np.random.default_rng(number)
    x = rng.normal(size=(40, 3))
    return x, x @ rng.normal(size=3) + 0.3 * rng.normal(size=40) > 0


def test_the_same_prior_is_found_the_same_and_a_broken_one_worse(tmp_path, monkeypatch):
    monkeypatch.setitem(SUITES, "planes", {str(n): lambda n=n: table(n) for n in range(8)})
    study = Study(
        name="real training",
        arms={
            "sound": {"preset": "linear", "set": PRIOR},
            "same": {"preset": "linear", "set": PRIOR},
            "broken": {"preset": "linear", "set": PRIOR | BROKEN},
        },
        controls=["repeated"],
        steps=60,
        eval_every=60,
        batch_size=8,
        held_out=6,
        lr=0.02,
        recipe="mean-pooling",
        model={"embedding_size": 16, "num_attention_heads": 2, "mlp_hidden_size": 16, "num_layers": 1},
        suites=["planes"],
        baselines=[],
    )
    outcomes = run_study(study, tmp_path)
    assert not [outcome.error for outcome in outcomes if outcome.error]
    said = write_report(tmp_path)[1].read_text()
    first = said.split("## What was compared")[0]
    assert "same and sound: no difference was shown" in first
    assert float(re.search(r"broken is worse than sound: -(\d\.\d+)", first)[1]) > 0.1
    assert "repeated and sound: no difference was shown" in said
