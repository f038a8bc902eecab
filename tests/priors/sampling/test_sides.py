"""Sides kept apart: label noise, scaling, clipping; what a dataset is drawn from is what its config says."""

from dataclasses import replace

import numpy as np
import pytest

from priors.config import PriorConfig
from priors.presets import PRESETS
from priors.sampling.dataset import sample_dataset
from priors.sampling.features_and_target import fit_features, fit_target
from priors.streams import DATASET, stream

REGRESSION = PriorConfig(problem_type="regression")


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_label_noise_of_regression_is_its_share_of_the_variance(share):
    """Where random rows exchange their targets, a share of .1 is .19 of the variance, .3 .51 and .5 .75."""
    values = stream(0).standard_normal(20_000, dtype=np.float32)
    y = fit_target(replace(REGRESSION, label_noise=(share, share)), values, None, 10_000, stream(1)).y
    for side in (slice(0, 10_000), slice(10_000, None)):
        assert abs(np.corrcoef(y[side], values[side])[0, 1] ** 2 - (1 - share)) < 0.03
    assert abs(y[:10_000].std(dtype=float) - 1) < 1e-3


@pytest.mark.parametrize("problem_type", ["classification", "regression"])
def test_noisy_labels_come_from_rows_of_the_same_side(problem_type):
    """Test targets that are moved away never show up among the training rows."""
    config = PriorConfig(problem_type=problem_type, label_noise=(0.5, 0.5))
    values = np.repeat(np.float32([-1, 1]), 100)[stream(2).permutation(200)]
    other = values.copy()
    other[100:] = other[100:][::-1]
    first, second = (fit_target(config, v, np.float32([-1, 1]), 100, stream(1)).y for v in (values, other))
    np.testing.assert_array_equal(first[:100], second[:100])
    assert (first[100:] != second[100:]).any()
    if problem_type == "classification":
        assert np.bincount(first[:100]).tolist() == [(values[:100] < 0).sum(), (values[:100] > 0).sum()]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"categorical_fraction": (1, 1)},
        {"warp_fraction": (1, 1), "quantized_fraction": (1, 1)},
        {"outlier_fraction": (0.3, 0.3)},
        {"missing_fraction": (0.3, 0.3)},
    ],
    ids=str,
)
def test_values_of_test_rows_never_change_training_rows(fields):
    config, is_categorical = PriorConfig(**fields), [bool(fields.get("categorical_fraction"))] * 3
    for index in range(10):
        values = np.floor(3 * stream(0, index).standard_normal((3, 100), dtype=np.float32))
        other = np.concatenate([values[:, :60], 5 * values[:, 60:] + 1], axis=1)
        first, second = (
            fit_features(config, columns, is_categorical, 60, stream(1, index)).x
            for columns in (values, other)
        )
        np.testing.assert_array_equal(first[:60], second[:60])
        assert not np.array_equal(first[60:], second[60:], equal_nan=True)


def test_columns_are_scaled_after_cells_are_missing():
    config = PriorConfig(missing_fraction=(0.6, 0.6))
    for index in range(30):
        x, _, num_train, *_ = sample_dataset(config, stream(0, DATASET, index))
        assert np.abs(np.nanmean(x[:num_train], axis=0, dtype=float)).max() < 1e-3
        assert np.abs(np.nanstd(x[:num_train], axis=0, dtype=float) - 1).max() < 1e-3


def test_no_cell_is_beyond_the_clip():
    for config in (
        replace(PRESETS["mixed"], clip=2),
        replace(REGRESSION, clip=2, train_fraction=(0.1, 0.1), missing_fraction=(0, 0.3)),
    ):
        largest = 0
        for index in range(30):
            x, y, *_ = sample_dataset(config, stream(0, DATASET, index))
            largest = max(largest, np.nanmax(np.abs(x)), np.abs(y).max())
        assert largest == 2


def test_every_preset_has_a_clip_like_those_of_real_pipelines():
    assert {config.clip for config in PRESETS.values()} == {100}
    values = np.append(stream(0).standard_normal((1, 50)), [[1e6]], axis=1).astype(np.float32)
    [[cell]] = fit_features(PriorConfig(), values, [False], 50, stream(0)).x[50:]
    assert cell == 100
