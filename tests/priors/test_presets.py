"""Presets: none degenerate, each with something to learn (but the control), and the same datasets as ever.

`python tests/priors/test_presets.py` renews tests/data/fingerprints.json after a change that is meant to
change what presets draw. Say so in the changelog: dumps made before and after it differ.
"""

import hashlib
import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_info

from priors.config import PriorConfig
from priors.families.mechanisms import MECHANISMS
from priors.presets import PRESETS, PURPOSES
from priors.sampling.dataset import sample_dataset
from priors.streams import DATASET, stream

FINGERPRINTS = Path(__file__).parents[1] / "data" / "fingerprints.json"


def drawn(name, num_datasets):
    return [sample_dataset(PRESETS[name], stream(0, DATASET, index)) for index in range(num_datasets)]


# What a preset is


def test_every_preset_says_what_it_is_for():
    assert PURPOSES.keys() == PRESETS.keys()
    assert all(len(purpose) > 20 for purpose in PURPOSES.values())


def test_the_default_is_the_config_s_own_but_for_noisy_labels():
    assert replace(PRESETS["default"], label_noise=(0, 0)) == PriorConfig()


def test_presets_differ():
    assert len({config.to_json() for config in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_hundred_datasets_are_not_degenerate(name):
    config, datasets = PRESETS[name], drawn(name, 100)
    for x, y, split, properties, _ in datasets:
        assert x.shape == (150, 5)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert np.isfinite(x).all()
        assert set(y[:split].tolist()) == set(y[split:].tolist()) == {0, 1}
        assert np.abs(x[:split].std(axis=0, dtype=float) - 1).max() < 1e-3
        assert np.unique(x, axis=1).shape == x.shape
        assert 15 <= split <= 135
        assert properties["graph"] in config.graphs
        assert config.num_nodes[0] <= properties["num_nodes"] <= config.num_nodes[1]
    assert np.mean([dataset.properties["attempts"] for dataset in datasets]) < 1.3
    assert len({dataset.x.tobytes() for dataset in datasets}) == 100
    assert {dataset.properties["graph"] for dataset in datasets} == set(config.graphs)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_teach_and_the_control_does_not(name):
    """A small tree on half of the rows, against the larger class of the other half."""
    gains = []
    for index in range(60):
        x, y, split, *_ = sample_dataset(PRESETS[name], stream(0, DATASET, index), 75)
        tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=4, random_state=0).fit(
            x[:split], y[:split]
        )
        largest = np.bincount(y[split:]).max() / len(y[split:])
        gains.append(tree.score(x[split:], y[split:]) - largest)
    if name == "label-noise":
        assert np.mean(gains) < 0
    else:
        assert np.mean(gains) > 0.03


def test_presets_with_few_families_use_only_these():
    for name, mechanisms in {
        "mlp-scm": {"mlp"},
        "tree-scm": {"oblivious_trees", "decision_trees"},
        "gp": {"random_fourier_features"},
        "linear": {"linear"},
        "published-like": {"mlp", "decision_trees"},
        "mixed": set(MECHANISMS),
    }.items():
        assert {key for key, weight in PRESETS[name].mechanisms.items() if weight} == mechanisms


# Fingerprints


def fingerprint(name):
    """The hash of ten datasets, and of each a summary of rounded numbers."""
    content, summary = hashlib.sha256(), []
    for x, y, split, properties, _ in drawn(name, 10):
        for array in (x, y):
            content.update(f"{array.dtype.str} {array.shape} ".encode())
            content.update(np.ascontiguousarray(array).tobytes())
        content.update(f"{split} ".encode())
        correlations = np.corrcoef(x.T, y)[-1, :-1]
        numbers = [y.mean(), np.abs(x).mean(), *np.abs(x).mean(axis=0), *correlations]
        summary.append(
            {
                "shape": [*x.shape, split, properties["num_nodes"], properties["num_edges"]],
                "graph": properties["graph"],
                "means": [round(float(number), 3) for number in numbers],
            }
        )
    return {"sha256": content.hexdigest(), "datasets": summary}


def arithmetic():
    """What the last bit of a float may depend on: numpy, the processor's instructions, the matrix product."""
    return {
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "instructions": sorted(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),
        "blas": sorted(
            f"{pool['internal_api']} {pool['version']} {pool.get('architecture')}"
            for pool in threadpool_info()
            if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
        ),
    }


def renew():
    fingerprints = {"made_with": arithmetic(), "presets": {name: fingerprint(name) for name in PRESETS}}
    text = json.dumps(fingerprints, indent=1)
    FINGERPRINTS.write_text(text + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def recorded():
    return json.loads(FINGERPRINTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_draw_the_datasets_that_they_always_drew(name, recorded):
    """Bit for bit where the arithmetic is the recorded one; elsewhere a row may fall on the other side of a
    threshold."""
    found, expected = fingerprint(name), recorded["presets"][name]
    for dataset, before in zip(found["datasets"], expected["datasets"], strict=True):
        assert dataset["shape"] == before["shape"]
        assert dataset["graph"] == before["graph"]
        np.testing.assert_allclose(dataset["means"], before["means"], atol=0.02)
    if arithmetic() == recorded["made_with"]:
        assert found["sha256"] == expected["sha256"], (
            "the same config and seed give other bits: if that is meant, raise PRIOR_VERSION in "
            "priors/streams.py and renew the fingerprints (python tests/priors/test_presets.py)"
        )


def test_all_presets_have_a_fingerprint_and_these_differ(recorded):
    assert recorded["presets"].keys() == PRESETS.keys()
    assert len({preset["sha256"] for preset in recorded["presets"].values()}) == len(PRESETS)


if __name__ == "__main__":
    renew()
