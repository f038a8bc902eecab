"""The prior: datasets are whole, the generator alone decides them, no stage moves another."""

import pickle
import random
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

import priors.sampling.dataset
import priors.sampling.structure
from priors.config import PriorConfig
from priors.families.classes import CLASS_METHODS, balanced_cuts
from priors.presets import PRESETS
from priors.sampling.dataset import sample_dataset
from priors.streams import DATASET, stream

WIDE = PriorConfig(num_classes=(2, 10), num_features=(1, 12))
REGRESSION = PriorConfig(problem_type="regression")
SETTINGS = {
    "default": PriorConfig(),
    "wide": WIDE,
    "regression": REGRESSION,
    "categories": PriorConfig(categorical_fraction=(1, 1)),
    "all columns warped and rounded": PriorConfig(warp_fraction=(1, 1), quantized_fraction=(1, 1)),
    "outliers": PriorConfig(outlier_fraction=(0, 0.2)),
    "independent": PriorConfig(coherence="independent"),
    "shared": PriorConfig(coherence="shared"),
    "dataset": PriorConfig(mix="dataset"),
    "early, no descendants": PriorConfig(
        target_position="early", allow_descendants=False, num_nodes=(15, 20)
    ),
    "late": PriorConfig(target_position="late"),
    "noisy labels": PriorConfig(label_noise=(0, 1), ordered_labels=0.5),
    **{method: PriorConfig(class_methods={method: 1}, num_classes=(2, 4)) for method in CLASS_METHODS},
}


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def assert_whole(dataset, config):
    x, y, single_eval_pos, properties, _ = dataset
    num_classes = properties["num_classes"]
    assert x.dtype == np.float32
    assert y.dtype == (np.int64 if config.problem_type == "classification" else np.float32)
    assert len(x) == len(y) == config.num_datapoints
    assert config.num_features[0] <= x.shape[1] <= config.num_features[1]
    least, most = config.num_classes if config.problem_type == "classification" else (0, 0)
    assert least <= num_classes <= most
    assert config.split_range[0] <= single_eval_pos <= config.split_range[1]
    assert np.isfinite(x).all()
    if config.problem_type == "classification":
        assert set(y[:single_eval_pos].tolist()) == set(range(num_classes))
        assert set(y[single_eval_pos:].tolist()) == set(range(num_classes))
    else:
        assert np.isfinite(y).all()
        assert abs(y[:single_eval_pos].mean(dtype=float)) < 1e-3
        assert abs(y[:single_eval_pos].std(dtype=float) - 1) < 1e-3
    assert np.abs(x[:single_eval_pos].mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(x[:single_eval_pos].std(axis=0, dtype=float) - 1).max() < 1e-3
    assert np.unique(x, axis=1).shape == x.shape
    assert properties["graph"] in config.graphs
    assert properties["num_nodes"] > x.shape[1]
    assert config.noise_scale[0] * 0.999 < properties["noise_scale"] < config.noise_scale[1] * 1.001


def assert_equal_datasets(first, second):
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)
    assert (first.single_eval_pos, first.properties) == (second.single_eval_pos, second.properties)


def record(monkeypatch, module, name):
    """The arguments and results of each call of `name` in `module` while datasets are sampled."""
    calls, original = [], getattr(module, name)

    def recorder(*args):
        result = original(*args)
        calls.append((args, result))
        return result

    monkeypatch.setattr(module, name, recorder)
    return calls


# What every dataset is


@pytest.mark.parametrize("config", SETTINGS.values(), ids=list(SETTINGS))
def test_datasets_are_whole(config):
    attempts = []
    for index in range(40):
        dataset = sample_dataset(config, stream(0, DATASET, index))
        assert_whole(dataset, config)
        attempts.append(dataset.properties["attempts"])
    # A family that allows no such target is replaced after 100 graphs.
    assert np.mean(attempts) < (60 if config.target_position == "early" else 4)


def test_datasets_of_a_wide_prior_cover_its_ranges():
    datasets = [sample_dataset(WIDE, stream(0, DATASET, index)) for index in range(200)]
    assert {dataset.x.shape[1] for dataset in datasets} == set(range(1, 13))
    assert {dataset.properties["num_classes"] for dataset in datasets} == set(range(2, 11))
    assert {dataset.properties["graph"] for dataset in datasets} == set(WIDE.graphs)
    assert min(dataset.single_eval_pos for dataset in datasets) < 20
    assert max(dataset.single_eval_pos for dataset in datasets) > 130


def test_small_tables_are_possible():
    config = PriorConfig(num_datapoints=4, train_fraction=(0.5, 0.5), num_features=(1, 1), num_nodes=(2, 2))
    for index in range(50):
        assert_whole(sample_dataset(config, stream(0, DATASET, index)), config)


def test_a_graph_is_enlarged_to_hold_the_features_and_the_target():
    config = PriorConfig(num_features=(30, 30), num_nodes=(2, 3), hidden_fraction=(0, 0))
    assert sample_dataset(config, stream(0)).properties["num_nodes"] == 31


@pytest.mark.parametrize("num_features", [2, 5, 15, 100])
def test_a_share_of_the_nodes_is_hidden_at_every_number_of_features(num_features):
    config = PriorConfig(num_features=(num_features, num_features))
    for index in range(10):
        num_nodes = sample_dataset(config, stream(0, DATASET, index)).properties["num_nodes"]
        assert num_nodes >= (num_features + 1) / (1 - config.hidden_fraction[0])
    half = replace(config, hidden_fraction=(0.5, 0.5), num_nodes=(2, 2))
    assert sample_dataset(half, stream(0)).properties["num_nodes"] == 2 * (num_features + 1)


def test_labels_keep_the_order_of_their_classes_as_often_as_asked(monkeypatch):
    """Otherwise each of the six orders of three classes comes as often."""
    codes = []

    def recorded(*arguments):
        codes.append(balanced_cuts(*arguments))
        return codes[-1]

    monkeypatch.setitem(CLASS_METHODS, "recorded", recorded)
    for ordered, share in ((1, 1), (0, 1 / 6), (0.5, 0.5 + 1 / 12)):
        config = PriorConfig(num_classes=(3, 3), class_methods={"recorded": 1}, ordered_labels=ordered)
        orders = []
        for index in range(240):
            y = sample_dataset(config, stream(0, DATASET, index)).y
            orders.append(tuple(int(y[codes[-1] == label][0]) for label in range(3)))
            np.testing.assert_array_equal(y, np.array(orders[-1])[codes[-1]])
        shares = {order: orders.count(order) / 240 for order in permutations(range(3))}
        assert abs(shares.pop((0, 1, 2)) - share) <= 4 * (share * (1 - share) / 240) ** 0.5
        rest = (1 - share) / 5
        assert max(abs(found - rest) for found in shares.values()) <= 4 * (rest * (1 - rest) / 240) ** 0.5


def gain_of_least_squares(config, num_datasets=100):
    """Test accuracy of least squares on the training rows, minus that of the largest test class."""
    gains = []
    for index in range(num_datasets):
        x, y, split, *_ = sample_dataset(config, stream(0, DATASET, index), 100)
        design = np.column_stack([x, np.ones(len(x))])
        weights = np.linalg.lstsq(design[:split], y[:split], rcond=None)[0]
        share = y[split:].mean()
        gains.append(np.mean((design[split:] @ weights > 0.5) == y[split:]) - max(share, 1 - share))
    return np.mean(gains)


def test_features_tell_something_of_the_target_unless_labels_are_noise():
    gains = [
        gain_of_least_squares(replace(PRESETS["linear"], label_noise=(noise, noise))) for noise in (0, 0.5, 1)
    ]
    assert gains[0] > 0.1
    assert gains[0] - 0.05 > gains[1] > gains[2] + 0.05
    assert gains[2] < 0


def test_full_label_noise_makes_targets_independent_of_features():
    """Largest correlation of a feature with the target, in 150 rows: what chance gives, and not more."""

    def strongest(config):
        return [
            np.abs(np.corrcoef(x.T, y)[-1, :-1]).max()
            for x, y, *_ in (sample_dataset(config, stream(0, DATASET, i), 75) for i in range(60))
        ]

    for config in (PriorConfig(), REGRESSION):
        assert np.mean(strongest(config)) > 0.3
        assert np.mean(strongest(replace(config, label_noise=(1, 1)))) < 0.16


@pytest.mark.parametrize("noise", [0.2, 0.6])
def test_label_noise_moves_its_share_of_labels_and_keeps_the_classes(noise):
    """Of the rows that exchange labels, 1 - sum of squared shares get another one."""
    moved, expected = [], []
    for index in range(60):
        clean = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        noisy = sample_dataset(PriorConfig(label_noise=(noise, noise)), stream(0, DATASET, index), 75)
        if clean.properties["attempts"] == noisy.properties["attempts"] == 1:
            shares = np.bincount(clean.y) / 150
            assert np.bincount(noisy.y).tolist() == np.bincount(clean.y).tolist()
            np.testing.assert_array_equal(noisy.x, clean.x)
            moved.append(np.mean(noisy.y != clean.y))
            expected.append(noise * (1 - (shares**2).sum()))
    assert len(moved) > 40
    assert abs(np.mean(moved) - np.mean(expected)) < 0.015


def test_regression_has_the_target_s_own_values(monkeypatch):
    calls = record(monkeypatch, priors.sampling.dataset, "fit_target")
    for index in range(20):
        dataset = sample_dataset(REGRESSION, stream(0, DATASET, index), 75)
        values = calls[-1][0][1].astype(float)
        expected = (values - values[:75].mean()) / values[:75].std()
        np.testing.assert_allclose(dataset.y, expected, atol=1e-4)
        assert len(np.unique(dataset.y)) > 1


def test_the_same_table_whether_regression_or_classification_where_the_target_is_no_cause():
    """Only the target's descendants see its class."""
    config = PriorConfig(allow_descendants=False)
    num_equal = 0
    for index in range(40):
        first = sample_dataset(config, stream(0, DATASET, index), 75)
        second = sample_dataset(replace(config, problem_type="regression"), stream(0, DATASET, index), 75)
        if first.properties["attempts"] == second.properties["attempts"] == 1:
            np.testing.assert_array_equal(first.x, second.x)
            num_equal += 1
    assert num_equal > 10


# The generator decides, and nothing else


@pytest.mark.parametrize("config", SETTINGS.values(), ids=list(SETTINGS))
def test_the_generator_determines_the_dataset(config):
    for index in range(5):
        first, second = (sample_dataset(config, stream(7, DATASET, index)) for _ in range(2))
        assert_equal_datasets(first, second)


def test_other_generators_give_other_datasets():
    assert len({sample_dataset(PriorConfig(), stream(seed)).x.tobytes() for seed in range(50)}) == 50


def test_successive_datasets_of_one_generator_differ():
    rng = stream(0)
    assert (sample_dataset(PriorConfig(), rng).x != sample_dataset(PriorConfig(), rng).x).any()


def test_global_random_state_is_left_alone():
    before = global_state()
    for config in [*SETTINGS.values(), replace(WIDE, learnability=(0, 1), missing_fraction=(0.1, 0.2))]:
        for index in range(3):
            sample_dataset(config, stream(0, DATASET, index))
    assert global_state() == before


# The split as an argument


@pytest.mark.parametrize("single_eval_pos", [20, 75, 130])
def test_the_split_can_be_given(single_eval_pos):
    for index in range(20):
        dataset = sample_dataset(PriorConfig(), stream(0, DATASET, index), single_eval_pos)
        assert dataset.single_eval_pos == single_eval_pos
        assert (
            set(dataset.y[:single_eval_pos].tolist()) == set(dataset.y[single_eval_pos:].tolist()) == {0, 1}
        )


def test_a_given_split_leaves_the_graph():
    for index in range(20):
        drawn = sample_dataset(PriorConfig(), stream(0, DATASET, index))
        given = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        for name in ("graph", "num_nodes", "num_edges", "num_classes", "redrawn_graph"):
            assert drawn.properties[name] == given.properties[name]


@pytest.mark.parametrize("single_eval_pos", [0, -1, 1, 149, 150, 151])
def test_a_split_that_cannot_show_every_class_on_both_sides_is_refused(single_eval_pos):
    rule = "single_eval_pos must leave 2 rows, one for each class, on both sides of num_datapoints=150"
    with pytest.raises(ValueError, match=f"{rule}, got {single_eval_pos}"):
        sample_dataset(PriorConfig(), stream(0), single_eval_pos)


@pytest.mark.parametrize("single_eval_pos", [0, 1, 149])
def test_regression_needs_two_rows_on_both_sides(single_eval_pos):
    rule = "single_eval_pos must leave 2 rows on both sides of num_datapoints=150"
    with pytest.raises(ValueError, match=f"{rule}, got {single_eval_pos}"):
        sample_dataset(REGRESSION, stream(0), single_eval_pos)
    for smallest in (2, 148):
        assert_whole(
            sample_dataset(REGRESSION, stream(0), smallest), replace(REGRESSION, train_fraction=(0.01, 0.99))
        )
