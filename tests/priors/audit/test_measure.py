"""What is measured of one dataset, against known answers and plain scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from priors.audit.measure import AUDIT, NUM_TREES, chance_correlation, correlations, measure, scores
from priors.streams import stream


def measured(x, y, num_train=None, is_classification=True):
    x = np.asarray(x, np.float32)
    return measure(x, np.asarray(y), num_train or len(x) // 2, is_classification, record=0)


def test_scores_are_those_of_plain_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * [1, 100, 0.01] + [0, 5, 1]
    x[rng.random(x.shape) < 0.1] = np.nan
    signal = np.nan_to_num(x[:, 0]) + rng.normal(size=90)
    random_state = int(stream(0, AUDIT, 7).integers(2**31))
    train, test = slice(0, 50), slice(50, None)

    def plain(model, y):
        return make_pipeline(StandardScaler(), SimpleImputer(), model).fit(x[train], y[train])

    for num_classes in (2, 3):
        y = np.digitize(signal, [-0.5, 0.8][: num_classes - 1])
        expected = []
        for model in (RandomForestClassifier(NUM_TREES, random_state=random_state), LogisticRegression()):
            probabilities = plain(model, y).predict_proba(x[test])
            probabilities = probabilities[:, 1] if num_classes == 2 else probabilities
            expected.append(roc_auc_score(y[test], probabilities, multi_class="ovr"))
        found = scores(x, y, 50, True, stream(0, AUDIT, 7))
        assert found == pytest.approx(expected, abs=0.005)  # rounding may turn a pair of rows

    signal = (signal - signal[train].mean()) / signal[train].std()
    expected = [
        r2_score(signal[test], plain(model, signal).predict(x[test]))
        for model in (RandomForestRegressor(NUM_TREES, random_state=random_state), Ridge())
    ]
    found = scores(x, 1000 + 10 * signal, 50, False, stream(0, AUDIT, 7))
    assert found == pytest.approx(expected, abs=0.01)  # rounding may turn a split of a tree


def test_a_line_is_trivial_and_a_checkerboard_is_for_the_forest_alone():
    x = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    line = measured(x, x[:, 0] > 0)
    assert line.forest > 0.99
    assert line.linear > 0.99
    board = measured(x, (x[:, 0] > 0) ^ (x[:, 1] > 0))
    assert board.forest > 0.95
    assert board.linear < 0.65


def test_labels_may_have_any_values():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)
    assert measured(x, y) == measured(x, np.array([-100.0, 7.5])[y])


def test_targets_that_do_not_vary():
    x = np.random.default_rng(0).normal(size=(8, 2))
    no_test = measured(x, [0, 1, 0, 1, 1, 1, 1, 1])
    assert math.isnan(no_test.forest)
    assert math.isnan(no_test.linear)
    no_train = measured(x, [1, 1, 1, 1, 0, 1, 0, 1])
    assert (no_train.forest, no_train.linear) == (0.5, 0.5)
    unseen = measured(x, [0, 1, 0, 1, 2, 0, 1, 2])  # the third class has no training row
    assert 0 <= unseen.forest <= 1
    assert math.isnan(measured(x, [0.5] * 8, is_classification=False).forest)
    assert (measured(x, [3] * 8).num_classes, measured(x, [3] * 8).smallest_class) == (1, 0)


def test_smallest_class_sizes_and_flaws_of_columns():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20))
    c = a.copy()
    b[:3] = np.nan
    x = np.stack([a, b, np.full(20, 2.5), -3 * c + 1, np.full(20, np.nan)], axis=1)
    found = measured(x, [0] * 5 + [1] * 4 + [2] * 11)
    assert (found.num_datapoints, found.num_features, found.num_classes) == (20, 5, 3)
    assert found.smallest_class == pytest.approx(0.2)
    assert found.constant == pytest.approx(2 / 5)
    assert found.repeated == pytest.approx(1 / 5)
    assert found.missing == pytest.approx(23 / 100)
    filled = np.where(np.isnan(b), np.nanmean(b), b)
    expected = (1 + 2 * abs(np.corrcoef(a, filled)[0, 1])) / 3
    assert found.correlation == pytest.approx(expected, abs=1e-5)
    assert math.isnan(measured(x[:, :1], found.record + np.arange(20) % 2).correlation)
    assert math.isnan(measured(x[:, 2:3], np.arange(20) % 2).correlation)


def test_correlations_are_pearsons_whatever_shift_and_scale():
    x = np.random.default_rng(0).normal(size=(40, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
    assert correlations(x) == pytest.approx(np.abs(np.corrcoef(x, rowvar=False)))
    assert correlations(x * [1e-20, -1, 1e20, 1] + [0, 9, 0, -1]) == pytest.approx(correlations(x))


def test_independent_columns_correlate_as_much_as_chance_says():
    found = [
        correlations(np.random.default_rng(i).normal(size=(75, 6)))[np.triu_indices(6, 1)].mean()
        for i in range(200)
    ]
    assert np.mean(found) == pytest.approx(chance_correlation(75), rel=0.03)


def test_extreme_cells_and_the_smallest_dataset_are_measured():
    limit = np.finfo(np.float32).max
    x = np.array([[0, 1e-30], [1e-30, 0], [1e-30, 1], [limit, -limit], [-limit, limit], [0, 0]], np.float32)
    for is_classification in (True, False):
        found = measured(x, [0, 1, 0, 1, 0, 1], 3, is_classification)
        assert np.isfinite([found.forest, found.linear, found.correlation]).all()
    assert math.isnan(measured([[0], [1]], [0, 1]).forest)


def test_the_seed_and_the_record_decide_the_forest_and_nothing_else():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.arange(60) % 2
    one, again, other, another = (
        measure(x, y, 30, True, record, seed) for record, seed in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert one == again
    assert len({one.forest, other.forest, another.forest}) == 3
    assert one.linear == other.linear == another.linear
