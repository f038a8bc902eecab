"""The protocol of `evaluate` for real targets: R2 and RMSE of regressors on real tables.

At most 200 rows of a table, drawn at random; five shuffled folds; preprocessing fitted inside each; the
out-of-fold predictions of all folds pooled into one R2. Every draw has seed 0.

Axis letters: R rows, N test rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from nanotabpfn.evaluation.evaluate import (
    MAX_ROWS,
    NUM_FOLDS,
    SEED,
    Fold,
    encode_fold,
    take_rows,
    without_range_warnings,
)
from nanotabpfn.evaluation.suites import Table


class RegressionTask(NamedTuple):
    """A table made ready for the protocol."""

    name: str
    y: np.ndarray  # (R,) targets of the rows drawn
    folds: tuple[Fold, ...]
    num_features: int


class RegressionScore(NamedTuple):
    """What one estimator reached on one table."""

    table: str
    estimator: str
    r2: float
    rmse: float  # in the target's units
    log_density: float | None
    """Mean log density of the targets, in units of the training rows' deviation; None of an estimator that
    predicts no distribution."""
    num_rows: int  # rows the score is over: at most MAX_ROWS
    num_features: int


def prepare_regression(table: Table | RegressionTask) -> RegressionTask:
    """The rows, folds and encoded cells that the protocol gives for `table`; a task is returned as it is.

    Raises:
        ValueError: x is not two-dimensional or y not of its length, a target that is no finite number, all
            targets the same, fewer rows than two for each fold.
    """
    if isinstance(table, RegressionTask):
        return table
    x, y = table.x, np.asarray(table.y)
    if len(x.shape) != 2 or y.shape != (len(x),):
        raise ValueError(
            f"table {table.name!r}: x must be (rows, features) and y (rows,), got {x.shape} and {y.shape}"
        )
    if y.dtype.kind not in "biuf" or not np.isfinite(y).all():
        raise ValueError(
            f"table {table.name!r}: y must hold finite numbers, got {y.dtype} {y[:3].tolist()} ..."
        )
    if len(y) < 2 * NUM_FOLDS:
        raise ValueError(f"table {table.name!r}: needs at least {2 * NUM_FOLDS} rows, got {len(y)}")
    if len(y) > MAX_ROWS:
        rows = train_test_split(np.arange(len(y)), test_size=MAX_ROWS, random_state=SEED)[1]
        x, y = take_rows(x, rows), y[rows]
    y = y.astype(np.float64)
    if np.ptp(y) == 0:
        raise ValueError(f"table {table.name!r}: y must vary, got {y[0]} in each row scored")
    splits = KFold(NUM_FOLDS, shuffle=True, random_state=SEED).split(y)
    folds = tuple(encode_fold(x, y, train_rows, test_rows) for train_rows, test_rows in splits)
    return RegressionTask(table.name, y, folds, x.shape[1])


def score_regression(name: str, estimator: Any, table: Table | RegressionTask) -> RegressionScore:
    """What `estimator`, refitted in each fold, reaches on one table.

    Raises:
        ValueError: the table does not fit the protocol (see `prepare_regression`), or a prediction is NaN.
    """
    task = prepare_regression(table)
    predictions, log_densities = np.empty(len(task.y)), np.full(len(task.y), np.nan)
    has_density = hasattr(estimator, "log_density")
    for fold in task.folds:
        with without_range_warnings():
            estimator.fit(fold.x_train, fold.y_train)
        predictions[fold.test_rows] = estimator.predict(fold.x_test)
        if has_density:
            deviation = fold.y_train.std() or 1.0
            found = estimator.log_density(fold.x_test, task.y[fold.test_rows])  # (N,)
            log_densities[fold.test_rows] = found + np.log(deviation)
    return RegressionScore(
        task.name,
        name,
        r2=float(r2_score(task.y, predictions)),
        rmse=float(root_mean_squared_error(task.y, predictions)),
        log_density=float(log_densities.mean()) if has_density else None,
        num_rows=len(task.y),
        num_features=task.num_features,
    )


def mean_r2(estimator: Any, tables: Sequence[Table | RegressionTask]) -> dict[str, float]:
    """``{"r2": mean over tables}``, the form of the training loop's eval_func; prepare the tables once."""
    if not tables:
        raise ValueError(f"tables must hold at least one table, got {tables!r}")
    return {"r2": float(np.mean([score_regression("", estimator, table).r2 for table in tables]))}


def evaluate_regression(
    estimators: dict[str, Any], tables: Sequence[Table | RegressionTask], progress: bool = True
) -> list[RegressionScore]:
    """Scores each estimator on each table, table by table, each prepared once.

    Args:
        estimators: name -> an estimator with fit and predict; refitted in place. One with `log_density(X, y)`
            (`NanoTabPFNRegressor`) is scored by its distribution too.
        tables: what `load_suite` returns for a regression suite, or tasks from `prepare_regression`.
        progress: show a bar on stderr when that is a terminal.

    Raises:
        ValueError: nothing to score, or a table that does not fit the protocol. An error from an estimator
            carries a note that names it and the table.
    """
    if not estimators or not tables:
        raise ValueError(
            "estimators and tables must not be empty, "
            f"got {len(estimators)} estimators and {len(tables)} tables"
        )
    tasks = [prepare_regression(table) for table in tables]  # all tables are checked before any work
    scores = []
    with tqdm(total=len(tasks) * len(estimators), disable=None if progress else True) as bar:
        for task in tasks:
            for name, estimator in estimators.items():
                bar.set_description(f"{name} on {task.name}")
                try:
                    scores.append(score_regression(name, estimator, task))
                except Exception as error:
                    error.add_note(f"while scoring estimator {name!r} on table {task.name!r}")
                    raise
                bar.update()
    return scores


# name -> a function that makes the estimator: scikit-learn's defaults, ridge on scaled columns, whose
# penalty would mean something else for each column otherwise.
REGRESSION_BASELINES: dict[str, Callable[[], Any]] = {
    "ridge": lambda: make_pipeline(StandardScaler(), Ridge()),
    "random_forest": partial(RandomForestRegressor, random_state=SEED),
    "hist_gradient_boosting": partial(HistGradientBoostingRegressor, random_state=SEED),
}
