"""Missing cells, outliers, warps, categories and the learnability filter, seen in whole datasets."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from scipy import stats

import priors.sampling.dataset
import priors.sampling.structure
from priors.config import PriorConfig
from priors.families.graphs import digraph_of
from priors.families.missingness import MISSING_KINDS
from priors.sampling.dataset import sample_dataset
from priors.streams import DATASET, stream


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


# Missing cells, outliers, warps and rounding


@pytest.mark.parametrize("kind", [*MISSING_KINDS, None])
def test_missing_cells_have_their_share_and_nothing_else_changes(kind):
    config = PriorConfig(missing_fraction=(0.2, 0.2))
    if kind:
        config = replace(config, missing_kinds={kind: 1})
    shares = []
    for index in range(60):
        whole = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        holed = sample_dataset(config, stream(0, DATASET, index), 75)
        missing = np.isnan(holed.x)
        for column, complete in zip(holed.x.T.astype(float), whole.x.T, strict=True):
            assert abs(np.nanmean(column[:75])) < 1e-3
            assert abs(np.nanstd(column[:75]) - 1) < 1e-3
            present = ~np.isnan(column)
            assert np.corrcoef(column[present], complete[present])[0, 1] > 0.99999
        np.testing.assert_array_equal(holed.y, whole.y)
        shares.append(missing.mean())
    assert abs(np.mean(shares) - 0.2) < 0.01


def test_missing_shares_are_drawn_per_dataset():
    config = PriorConfig(missing_fraction=(0, 0.5))
    shares = [np.isnan(sample_dataset(config, stream(0, DATASET, i)).x).mean() for i in range(100)]
    assert min(shares) < 0.05
    assert max(shares) > 0.42
    assert abs(np.mean(shares) - 0.25) < 4 * 0.15 / 10


def mean_of(config, statistic, num_datasets=60):
    return np.mean(
        [statistic(sample_dataset(config, stream(0, DATASET, i), 75)) for i in range(num_datasets)]
    )


def test_table_effects_are_seen_in_the_table():
    def num_levels(dataset):
        return np.mean([len(np.unique(column)) for column in dataset.x.T])

    def far_out(dataset):
        return (np.abs(dataset.x) > 3.5).mean()

    plain = PriorConfig(
        warp_fraction=(0, 0), quantized_fraction=(0, 0), categorical_fraction=(0, 0), roots={"normal": 1}
    )
    assert mean_of(plain, num_levels) > 140
    assert mean_of(replace(plain, quantized_fraction=(1, 1)), num_levels) < 35
    assert mean_of(replace(plain, categorical_fraction=(1, 1)), num_levels) < 10
    assert mean_of(plain, far_out) < 0.005
    assert mean_of(replace(plain, outlier_fraction=(0.02, 0.02)), far_out) > 0.012
    assert mean_of(replace(plain, warp_fraction=(1, 1)), far_out) > 1.5 * mean_of(plain, far_out)


def test_categorical_columns_are_codes_on_equal_steps():
    config = PriorConfig(categorical_fraction=(1, 1))
    for index in range(30):
        for column in sample_dataset(config, stream(0, DATASET, index)).x.T.astype(float):
            levels = np.unique(column)
            assert len(levels) <= 10
            assert np.ptp(np.diff(levels)) < 1e-4


# The target's place


def test_no_feature_is_an_effect_of_the_target_where_these_are_excluded(monkeypatch):
    calls = record(monkeypatch, priors.sampling.structure, "choose_columns")
    for position in ("any", "late"):
        config = PriorConfig(target_position=position, allow_descendants=False)
        for index in range(60):
            sample_dataset(config, stream(0, DATASET, index))
            (parents, *_), (features, target) = calls[-1]
            assert not set(features) & nx.descendants(digraph_of(parents), target)
            assert position == "any" or target >= len(parents) - -(-len(parents) // 3)


# Learnability


def test_the_filter_keeps_only_datasets_in_its_range(monkeypatch):
    calls, num_refused = record(monkeypatch, priors.sampling.dataset, "out_of_bag_score"), 0
    for problem_type, bounds in (("classification", (0.6, 0.9)), ("regression", (0.2, 0.8))):
        config = PriorConfig(problem_type=problem_type, learnability=bounds, num_datapoints=80)
        for index in range(3):
            calls.clear()
            dataset = sample_dataset(config, stream(0, DATASET, index))
            *refused, ((x, y, _), kept) = calls
            assert bounds[0] <= kept <= bounds[1]
            assert all(not bounds[0] <= score <= bounds[1] for _, score in refused)
            np.testing.assert_array_equal(x, dataset.x)
            np.testing.assert_array_equal(y, dataset.y)
            num_refused += len(refused)
    assert num_refused > 0


def test_difficulty_spreads_datasets_over_the_range_as_its_weights_say(monkeypatch):
    # Uniform scores in place of those of trees, which would take long.
    monkeypatch.setattr(priors.sampling.dataset, "out_of_bag_score", lambda x, y, rng: float(rng.random()))
    config = PriorConfig(learnability=(0.4, 1.0), difficulty=(1, 0, 2), num_datapoints=20)
    datasets = [sample_dataset(config, stream(0, DATASET, index)) for index in range(200)]
    scores = [dataset.properties["out_of_bag_score"] for dataset in datasets]
    hard, middle, easy = np.histogram(scores, bins=[0.4, 0.6, 0.8, 1.0])[0]
    assert middle == 0
    assert hard + easy == 200
    assert stats.binomtest(int(hard), 200, 1 / 3).pvalue > 0.001


def test_a_column_without_a_cell_in_the_training_rows_is_refused():
    config = PriorConfig(num_datapoints=12, train_fraction=(0.25, 0.25), missing_fraction=(0.6, 0.6))
    datasets = [sample_dataset(config, stream(0, DATASET, index)) for index in range(50)]
    assert all(not np.isnan(x[:num_train]).all(axis=0).any() for x, _, num_train, *_ in datasets)
    assert max(dataset.properties["attempts"] for dataset in datasets) > 3


def test_without_the_filter_nothing_is_scored(monkeypatch):
    monkeypatch.setattr(priors.sampling.dataset, "out_of_bag_score", None)
    sample_dataset(PriorConfig(), stream(0))


def test_a_filter_that_lets_all_through_changes_nothing():
    everything = PriorConfig(learnability=(0, 1))
    for index in range(3):
        first, second = (sample_dataset(c, stream(0, DATASET, index)) for c in (PriorConfig(), everything))
        assert 0 <= second.properties.pop("out_of_bag_score") <= 1
        assert second.properties.pop("redrawn_score") == 0
        assert_equal_datasets(first, second)
