"""The protocol for real targets: against a plain recomputation, and known answers."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from nanotabpfn.evaluation.baselines import REGRESSION_BASELINES
from nanotabpfn.evaluation.protocol import evaluate, mean_score, prepare, score_regression
from nanotabpfn.evaluation.scores import format_scores
from nanotabpfn.evaluation.suites import Table, load_suite


class Column(RegressorMixin, BaseEstimator):
    """Predicts the first column, and a normal of deviation 1 around it."""

    def fit(self, x, y):
        return self

    def predict(self, x):
        return x[:, 0]

    def log_density(self, x, y):
        return -0.5 * np.log(2 * np.pi) - (y - x[:, 0]) ** 2 / 2


def make_table(num_rows=120, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, 3))
    return Table("made", x, x[:, 0] + noise * rng.normal(size=num_rows))


def test_at_most_200_rows_each_in_one_fold():
    for num_rows, scored in [(120, 120), (200, 200), (201, 200), (900, 200)]:
        task = prepare(make_table(num_rows), "regression")
        assert len(task.y) == scored
        rows = np.concatenate([fold.test_rows for fold in task.folds])
        assert sorted(rows.tolist()) == list(range(scored))
        for fold in task.folds:
            np.testing.assert_array_equal(fold.x_test[:, 0], task.y[fold.test_rows])
            np.testing.assert_array_equal(fold.x_train[:, 0], fold.y_train)


def test_known_answers():
    exact = score_regression("exact", Column(), make_table())
    assert (exact.r2, exact.rmse) == (1.0, 0.0)
    table = make_table(noise=0.5)
    score = score_regression("noisy", Column(), table)
    errors = table.y - table.x[:, 0]
    assert score.r2 == pytest.approx(1 - (errors**2).sum() / ((table.y - table.y.mean()) ** 2).sum())
    assert score.rmse == pytest.approx(np.sqrt((errors**2).mean()))
    deviations = np.empty(120)
    for train_rows, test_rows in KFold(5, shuffle=True, random_state=0).split(table.y):
        deviations[test_rows] = table.y[train_rows].std()
    densities = -0.5 * np.log(2 * np.pi) - errors**2 / 2 + np.log(deviations)
    assert score.log_density == pytest.approx(densities.mean())
    assert score_regression("mean", DummyRegressor(), table).r2 <= 0
    assert score_regression("mean", DummyRegressor(), table).log_density is None


def test_it_is_scikit_learns_cross_validation():
    [table] = load_suite("builtin-regression")
    small = Table("small", table.x[:150], table.y[:150])
    folds = KFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(Ridge(), small.x, small.y, cv=folds)
    expected = 1 - ((small.y - predicted) ** 2).sum() / ((small.y - small.y.mean()) ** 2).sum()
    assert score_regression("ridge", Ridge(), small).r2 == pytest.approx(expected)
    assert mean_score(Ridge(), [small, small], "regression") == {"r2": pytest.approx(expected)}


def test_scores_make_a_table_and_errors_say_where():
    estimators = {"first": Column(), "mean": DummyRegressor()}
    scores = evaluate(estimators, [make_table(), make_table(seed=1)._replace(name="other")], "regression")
    assert [(score.table, score.estimator) for score in scores] == [
        ("made", "first"), ("made", "mean"), ("other", "first"), ("other", "mean"),
    ]  # fmt: skip
    text = format_scores(scores, "r2")
    assert text.splitlines()[-1].split("|")[4].strip() == "**1.000**"
    with pytest.raises(ValueError, match="must not be empty"):
        evaluate({}, [make_table()], "regression")
    missing = make_table()
    missing.x[0, 1] = np.nan
    with pytest.raises(ValueError, match="NaN") as caught:
        evaluate({"ridge": Ridge()}, [missing], "regression")
    assert caught.value.__notes__ == ["while scoring estimator 'ridge' on table 'made'"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Table("t", np.zeros((20, 2)), np.arange(19.0)), r"\(rows, features\) and y \(rows,\)"),
        (Table("t", np.zeros((20, 2)), np.array(["a"] * 20)), "finite numbers"),
        (Table("t", np.zeros((20, 2)), np.full(20, np.inf)), "finite numbers"),
        (Table("t", np.zeros((20, 2)), np.ones(20)), "y must vary, got 1.0"),
        (Table("t", np.zeros((9, 2)), np.arange(9.0)), "at least 10 rows, got 9"),
    ],
)
def test_tables_that_do_not_fit(table, message):
    with pytest.raises(ValueError, match=message):
        prepare(table, "regression")


def test_the_baselines_are_ridge_forest_and_boosting_and_learn_a_line():
    table = make_table(noise=0.1)
    assert list(REGRESSION_BASELINES) == ["ridge", "random_forest", "hist_gradient_boosting"]
    for name, make in REGRESSION_BASELINES.items():
        assert score_regression(name, make(), table).r2 > 0.8
