"""The protocol beyond the published one: several samples of rows, more than two classes, missing cells."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nanotabpfn.evaluation.baselines import BASELINES, REGRESSION_BASELINES
from nanotabpfn.evaluation.protocol import (
    evaluate,
    predict_out_of_fold,
    prepare,
    prepare_samples,
    score_table,
)
from nanotabpfn.evaluation.suites import Table


def wide_table(rows=500):
    rng = np.random.default_rng(7)
    y = rng.integers(2, size=rows)
    return Table("wide", rng.normal(size=(rows, 3)) + 0.5 * y[:, None], y)


def test_the_first_sample_is_the_published_one_and_others_differ():
    table = wide_table()
    first, second, third = prepare_samples(table, row_samples=3)
    published = prepare(table)
    for own, expected in zip(first.folds, published.folds, strict=True):
        assert np.array_equal(own.x_train, expected.x_train)
    rows = [{tuple(row) for fold in task.folds for row in fold.x_test} for task in (first, second, third)]
    assert all(len(own) == 200 for own in rows)
    assert rows[0] != rows[1] != rows[2] != rows[0]
    assert all(np.sum(task.y) == np.sum(first.y) for task in (second, third))  # stratified


def test_a_table_of_few_rows_has_other_folds_in_each_sample():
    table = wide_table(120)
    first, second = prepare_samples(table, row_samples=2)
    assert len(first.y) == len(second.y) == 120
    assert not np.array_equal(first.folds[0].test_rows, second.folds[0].test_rows)


def test_a_score_is_the_mean_over_samples():
    table, estimator = wide_table(), BASELINES["logistic_regression"]()
    [one] = evaluate({"lr": estimator}, [table])
    [mean] = evaluate({"lr": estimator}, [table], row_samples=3)
    singles = [score_table(estimator, task) for task in prepare_samples(table, row_samples=3)]
    assert one.roc_auc == singles[0]
    assert mean.roc_auc == np.mean(singles)
    assert len(set(singles)) == 3
    [regression] = evaluate(
        {"ridge": REGRESSION_BASELINES["ridge"]()}, [Table("r", table.x, table.x[:, 0])], "regression",
        row_samples=2,
    )  # fmt: skip
    assert regression.r2 > 0.99
    assert regression.log_density is None


def test_row_samples_below_one_are_refused():
    with pytest.raises(ValueError, match="row_samples must be at least 1, got 0"):
        evaluate({"lr": BASELINES["logistic_regression"]()}, [wide_table()], row_samples=0)


def test_more_classes_are_scored_each_against_the_rest():
    y = np.repeat(["a", "b", "c"], 40)
    x = np.random.default_rng(3).normal(size=(120, 2)) + np.unique(y, return_inverse=True)[1][:, None]
    table, estimator = Table("three", x, y), BASELINES["logistic_regression"]()
    probabilities = predict_out_of_fold(estimator, prepare(table))
    assert probabilities.shape == (120, 3)
    assert np.allclose(probabilities.sum(axis=1), 1)
    expected = roc_auc_score(y, probabilities, multi_class="ovr")
    assert score_table(estimator, table) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_take_missing_cells(name):
    table = wide_table(150)
    table.x[::3, 1] = np.nan
    assert 0.5 < score_table(BASELINES[name](), table) < 1


@pytest.mark.parametrize("name", REGRESSION_BASELINES)
def test_regression_baselines_take_missing_cells(name):
    table = wide_table(150)
    y = table.x[:, 0].copy()
    table.x[::3, 1] = np.nan
    [score] = evaluate({name: REGRESSION_BASELINES[name]()}, [table._replace(y=y)], "regression")
    assert score.r2 > 0.5
