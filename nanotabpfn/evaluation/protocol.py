"""The protocol: how well an estimator does on real tables, for classes and for real targets.

For classes it is nanoTabPFN's published protocol (https://github.com/automl/nanoTabPFN): at most 200 rows of
a table, stratified; five stratified shuffled folds; the out-of-fold probabilities of all folds pooled into
one ROC AUC; then the mean over tables. For real targets it is the same with random rows and folds, and the
out-of-fold predictions pooled into one R2. Every draw has seed 0.

It differs from the published one in the preprocessing: there it is fitted on all rows before the folds, puts
numeric columns first and drops constant ones; here it is fitted in each fold, on its training rows alone, and
keeps the columns as they are.

Axis letters: R rows, F features, T training rows, N test rows.

    scores = evaluate({name: make() for name, make in BASELINES.items()}, load_suite("builtin"))
    print(format_scores(scores))
"""

import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.preprocessing import OrdinalEncoder
from tqdm import tqdm

from nanotabpfn.estimators.base import OutsideTrainedRangeWarning
from nanotabpfn.evaluation.metrics import binary_roc_auc
from nanotabpfn.evaluation.scores import RegressionScore, Score
from nanotabpfn.evaluation.suites import Table

MAX_ROWS = 200
NUM_FOLDS = 5
SEED = 0


class Fold(NamedTuple):
    """One split of a task, encoded: T training rows, R - T test rows."""

    x_train: np.ndarray  # (T, F) float64
    y_train: np.ndarray  # (T,) labels, or float64 in regression
    x_test: np.ndarray  # (R - T, F) float64
    test_rows: np.ndarray  # (R - T,) their places in the task's y


class Task(NamedTuple):
    """A table prepared for the protocol: rows drawn, folds cut, cells encoded. Made once, scored often."""

    name: str
    y: np.ndarray  # (R,) of the rows drawn: labels, or float64 in regression
    classes: np.ndarray | None  # (2,) sorted; the second one is the positive class; None in regression
    folds: tuple[Fold, ...]
    num_features: int

    @property
    def problem_type(self) -> str:
        """`classification` or `regression`."""
        return "regression" if self.classes is None else "classification"


def prepare(table: Table | Task, problem_type: str = "classification") -> Task:
    """The rows, folds and encoded cells of `table` under the protocol; a Task is returned as it is.

    Numeric columns pass through as float64. All others are ordinal-encoded, a category that the training rows
    lack as -1. The order of the columns is kept.

    Args:
        table: of a suite.
        problem_type: `classification` or `regression`.

    Raises:
        ValueError: x is not two-dimensional or y not of its length. Of classes: not exactly two, or one with
            fewer rows than there are folds. Of real targets: one that is not a finite number, all the same,
            fewer rows than two for each fold.

    >>> task = prepare(Table("made", np.arange(20.0).reshape(10, 2), np.arange(10) % 2))
    >>> len(task.folds), task.folds[0].x_train.shape, task.classes.tolist()
    (5, (8, 2), [0, 1])
    """
    if isinstance(table, Task):
        return table
    x, y = table.x, np.asarray(table.y)
    if len(x.shape) != 2 or y.shape != (len(x),):
        raise ValueError(
            f"table {table.name!r}: x must be (rows, features) and y (rows,), got {x.shape} and {y.shape}"
        )
    draw = _draw_regression if problem_type == "regression" else _draw_classification
    rows, y, classes, splits = draw(table.name, y)
    x = take_rows(x, rows)
    folds = tuple(encode_fold(x, y, train_rows, test_rows) for train_rows, test_rows in splits)
    return Task(table.name, y, classes, folds, x.shape[1])


class _Drawn(NamedTuple):
    """The rows of a table that are scored, and their folds."""

    rows: np.ndarray  # (R,) indices of the table's rows
    y: np.ndarray  # (R,) their targets
    classes: np.ndarray | None
    splits: list[tuple[np.ndarray, np.ndarray]]  # training and test rows of each fold


def _draw_classification(name: str, y: np.ndarray) -> _Drawn:
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(
            f"table {name!r}: the protocol is binary and needs exactly 2 classes, "
            f"got {len(classes)}: {classes.tolist()}"
        )
    rows = _stratified_rows(y)
    y = y[rows]
    for label in classes:
        if np.sum(y == label) < NUM_FOLDS:
            raise ValueError(
                f"table {name!r}: each class needs at least {NUM_FOLDS} rows among the {len(y)} "
                f"scored, got {np.sum(y == label)} of class {label.item()!r}"
            )
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=SEED)
    return _Drawn(rows, y, classes, list(folds.split(np.zeros(len(y)), y)))


def _draw_regression(name: str, y: np.ndarray) -> _Drawn:
    if y.dtype.kind not in "biuf" or not np.isfinite(y).all():
        raise ValueError(f"table {name!r}: y must hold finite numbers, got {y.dtype} {y[:3].tolist()} ...")
    if len(y) < 2 * NUM_FOLDS:
        raise ValueError(f"table {name!r}: needs at least {2 * NUM_FOLDS} rows, got {len(y)}")
    rows = np.arange(len(y))
    if len(y) > MAX_ROWS:
        rows = train_test_split(rows, test_size=MAX_ROWS, random_state=SEED)[1]
    y = y[rows].astype(np.float64)
    if np.ptp(y) == 0:
        raise ValueError(f"table {name!r}: y must vary, got {y[0]} in each row scored")
    folds = KFold(NUM_FOLDS, shuffle=True, random_state=SEED)
    return _Drawn(rows, y, None, list(folds.split(y)))


def _stratified_rows(y: np.ndarray) -> np.ndarray:
    """Which rows to score: all, or MAX_ROWS of them, stratified."""
    rows = np.arange(len(y))
    if len(y) <= MAX_ROWS:
        return rows
    if len(y) == MAX_ROWS + 1:
        # train_test_split cannot stratify a rest of one row. The last row of the larger class is left out.
        labels, counts = np.unique(y, return_counts=True)
        return np.delete(rows, np.flatnonzero(y == labels[counts.argmax()])[-1])
    # The published code takes the test side of the split; the training side would be other rows.
    return train_test_split(rows, test_size=MAX_ROWS, stratify=y, random_state=SEED)[1]


def encode_fold(x: Any, y: np.ndarray, train_rows: np.ndarray, test_rows: np.ndarray) -> Fold:
    """A split of a table x (R, F), y (R,), encoded as `prepare` says."""
    encoder = _encoder(x)
    x_train = encoder.fit_transform(take_rows(x, train_rows)).astype(np.float64)
    x_test = encoder.transform(take_rows(x, test_rows)).astype(np.float64)
    return Fold(x_train, y[train_rows], x_test, test_rows)


def predict_out_of_fold(estimator: Any, task: Task) -> np.ndarray:
    """Each row's probability (R,) of the positive class, `task.classes[1]`, learned on the other folds.

    `estimator` is refitted in each fold (fit resets all that was learned) and is left fitted on the last one.
    """
    probabilities = np.empty(len(task.y))
    for fold in task.folds:
        with without_range_warnings():
            estimator.fit(fold.x_train, fold.y_train)
        positive = list(estimator.classes_).index(task.classes[1])
        probabilities[fold.test_rows] = estimator.predict_proba(fold.x_test)[:, positive]
    return probabilities


def score_table(estimator: Any, table: Table | Task) -> float:
    """ROC AUC of the pooled out-of-fold probabilities of `estimator` (refitted in place) on one binary table.

    Raises:
        ValueError: the table does not fit the protocol (see `prepare`), or a probability is NaN.

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> table = Table("made", np.arange(40.0)[:, None], np.arange(40) >= 20)
    >>> score_table(KNeighborsClassifier(1), table)
    0.95
    """
    task = prepare(table)
    return binary_roc_auc(task.y == task.classes[1], predict_out_of_fold(estimator, task))


def score_classification(name: str, estimator: Any, table: Table | Task) -> Score:
    """What `estimator`, called `name` and refitted in each fold, reaches on one binary table."""
    task = prepare(table)
    return Score(task.name, name, score_table(estimator, task), len(task.y), task.num_features)


def score_regression(name: str, estimator: Any, table: Table | Task) -> RegressionScore:
    """What `estimator`, called `name` and refitted in each fold, reaches on one table with a real target.

    Raises:
        ValueError: the table does not fit the protocol (see `prepare`), or a prediction is NaN.
    """
    task = prepare(table, "regression")
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


SCORERS: dict[str, Callable[[str, Any, Table | Task], Score | RegressionScore]] = {
    "classification": score_classification,
    "regression": score_regression,
}
"""Problem type -> function of the estimator's name, the estimator and a table."""

FIGURES = {"classification": "roc_auc", "regression": "r2"}
"""Problem type -> the figure of its scores by which estimators are compared."""


def mean_score(
    estimator: Any, tables: Sequence[Table | Task], problem_type: str = "classification"
) -> dict[str, float]:
    """``{"roc_auc": mean over tables}``, or ``{"r2": ...}`` in regression: an eval_func of the training loop.

    For repeated calls prepare the tables once: ``tasks = [prepare(table) for table in tables]``, then
    ``eval_func=functools.partial(mean_score, tables=tasks)``.

    Raises:
        ValueError: no tables, or one that does not fit the protocol (see `prepare`).
    """
    if not tables:
        raise ValueError(f"tables must hold at least one table, got {tables!r}")
    figure = FIGURES[problem_type]
    scores = [SCORERS[problem_type]("", estimator, table) for table in tables]
    return {figure: float(np.mean([getattr(score, figure) for score in scores]))}


def evaluate(
    estimators: dict[str, Any],
    tables: Sequence[Table | Task],
    problem_type: str = "classification",
    progress: bool = True,
) -> list[Score] | list[RegressionScore]:
    """Scores each estimator on each table, table by table, each prepared once.

    Args:
        estimators: name -> an estimator with fit and, for classes, predict_proba and classes_, or, for real
            targets, predict; refitted in place. One with `log_density(X, y)` (`NanoTabPFNRegressor`) is
            scored by its distribution too.
        tables: what `load_suite` returns, or tasks from `prepare`.
        problem_type: `classification` or `regression`.
        progress: show a bar on stderr when that is a terminal.

    Raises:
        ValueError: nothing to score, or a table that does not fit the protocol (see `prepare`). An error from
            an estimator carries a note that names it and the table.
    """
    if not estimators or not tables:
        raise ValueError(
            "estimators and tables must not be empty, "
            f"got {len(estimators)} estimators and {len(tables)} tables"
        )
    tasks = [prepare(table, problem_type) for table in tables]  # all tables are checked before any work
    scores = []
    with tqdm(total=len(tasks) * len(estimators), disable=None if progress else True) as bar:
        for task in tasks:
            for name, estimator in estimators.items():
                bar.set_description(f"{name} on {task.name}")
                try:
                    scores.append(SCORERS[problem_type](name, estimator, task))
                except Exception as error:
                    error.add_note(f"while scoring estimator {name!r} on table {task.name!r}")
                    raise
                bar.update()
    return scores


def without_range_warnings() -> warnings.catch_warnings:
    """For fits that are scored: the score shows how good a model is outside of its trained range."""
    return warnings.catch_warnings(action="ignore", category=OutsideTrainedRangeWarning)


def take_rows(x: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or a frame.

    >>> take_rows(np.array([[1], [2], [3]]), [2, 0]).tolist()
    [[3], [1]]
    """
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _is_numeric(column: Any) -> bool:
    """Whether a column holds numbers, by its dtype or, in a column of objects, by every cell."""
    if column.dtype.kind == "O":
        return all(isinstance(cell, Real) for cell in column)
    return column.dtype.kind in "biuf"


def _encoder(x: Any) -> ColumnTransformer:
    """One step for each column; a step for each kind would move the columns of a kind together."""
    steps = []
    for i in range(x.shape[1]):
        column = x.iloc[:, i] if hasattr(x, "iloc") else x[:, i]
        categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        steps.append((str(i), "passthrough" if _is_numeric(column) else categories, [i]))
    return ColumnTransformer(steps)
