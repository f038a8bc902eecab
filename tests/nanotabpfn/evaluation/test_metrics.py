"""Metrics: known answers, and scikit-learn's where it has the same one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER, METRICS, calibration_error, measure, roc_auc

SEEDS = st.integers(0, 2**32 - 1)


def sample(seed, num_classes):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, 30)])
    probabilities = rng.dirichlet(np.ones(num_classes), len(y)).round(2)  # with ties
    return y, probabilities / probabilities.sum(axis=1, keepdims=True)


@given(SEEDS, st.integers(2, 4))
def test_as_scikit_learn_has_them(seed, num_classes):
    y, p = sample(seed, num_classes)
    found = measure(y, p)
    score = p[:, 1] if num_classes == 2 else p
    assert found["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, score, multi_class="ovr"))
    assert found["accuracy"] == sklearn_metrics.accuracy_score(y, p.argmax(axis=1))
    assert found["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(y, p.argmax(axis=1))
    )
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(y, p))
    if num_classes == 2:
        assert found["brier_score"] == pytest.approx(sklearn_metrics.brier_score_loss(y, p[:, 1]))


def test_the_best_there_can_be():
    y = np.array([0, 1, 1, 0])
    perfect = np.eye(2)[y]
    assert measure(y, perfect) == {
        name: pytest.approx(float(name not in LOWER_IS_BETTER)) for name in METRICS
    }


def test_the_worst_there_can_be_is_finite():
    y = np.array([0, 1])
    found = measure(y, np.eye(2)[1 - y])
    assert found["roc_auc"] == found["accuracy"] == 0
    assert found["brier_score"] == found["calibration_error"] == 1
    assert found["log_loss"] == pytest.approx(36.04, abs=0.01)


def test_calibration_error_by_hand():
    # Confidences 0.75 (right and wrong: a gap of 0.25) and 0.95 (right: 0.05).
    p = np.array([[0.25, 0.75], [0.25, 0.75], [0.95, 0.05]])
    assert calibration_error(np.array([1, 0, 0]), p) == pytest.approx((2 * 0.25 + 0.05) / 3)


def test_test_rows_of_one_class_have_no_roc_auc():
    assert np.isnan(roc_auc(np.array([1, 1]), np.array([[0.5, 0.5], [0.2, 0.8]])))


@given(SEEDS)
def test_the_order_of_rows_does_not_matter(seed):
    y, p = sample(seed, 3)
    order = np.random.default_rng(seed).permutation(len(y))
    assert measure(y, p) == pytest.approx(measure(y[order], p[order]))
