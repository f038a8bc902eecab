"""The protocol: how well an estimator does on real tables, for classes and for real targets.

For classes it is nanoTabPFN's published protocol (https://github.com/automl/nanoTabPFN): at most 200 rows of
a table, stratified; five stratified shuffled folds; the out-of-fold probabilities of all folds pooled into
one ROC AUC, and one log loss; then the mean over tables. With more than two classes the ROC AUC is the mean
over them of each against the rest. For real targets it is the same with random rows and folds, and the
out-of-fold predictions pooled into one R2. Every draw has seed 0.

Much of the spread of a table's score comes from which 200 rows are drawn. With `row_samples` above 1, rows
and folds are drawn that many times, with seeds 0, 1, ..., and a table's score is the mean over its samples; a
table of at most 200 rows has other folds each time.

It differs from the published one in the preprocessing: there it is fitted on all rows before the folds, puts
numeric columns first and drops constant ones; here it is fitted in each fold, on its training rows alone, and
keeps the columns as they are.

Axis letters: R rows, F features, T training rows, N test rows, K classes.

    scores = evaluate({name: make() for name, make in BASELINES.items()}, load_suite("builtin"))
    print(format_scores(scores))
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils.multiclass import type_of_target
from tqdm import tqdm

from nanotabpfn.estimators.base import OutsideTrainedRangeWarning
from nanotabpfn.estimators.cell_parsing import text_of_cell
from nanotabpfn.estimators.columns import read_table
from nanotabpfn.evaluation.metrics import log_loss, roc_auc
from nanotabpfn.evaluation.scores import RegressionScore, Score, mean_over_samples
from nanotabpfn.evaluation.suites import Table

MAX_ROWS = 200
NUM_FOLDS = 5


class Fold(NamedTuple):
    """One split of a task, encoded: T training rows, R - T test rows."""

    x_train: np.ndarray  # (T, F) float64
    y_train: np.ndarray  # (T,) labels, or float64 in regression
    x_test: np.ndarray  # (R - T, F) float64
    test_rows: np.ndarray  # (R - T,) their places in the task's y


class Task(NamedTuple):
    """A table prepared for the protocol: rows drawn, folds cut, cells encoded. Made once, scored often.

    Examples:
        >>> from nanotabpfn.evaluation.suites import load_suite
        >>> task = prepare(load_suite("builtin")[1])
        >>> task.name, task.y.shape, len(task.folds), task.problem_type
        ('iris_versicolor', (150,), 5, 'classification')
    """

    name: str
    y: np.ndarray  # (R,) of the rows drawn: labels, or float64 in regression
    classes: np.ndarray | None  # (K,) sorted; None in regression
    folds: tuple[Fold, ...]
    num_features: int

    @property
    def problem_type(self) -> str:
        """`classification` or `regression`."""
        return "regression" if self.classes is None else "classification"

    @property
    def x(self) -> np.ndarray:
        """The cells (R, F) of all rows, in the order of `y`, as the first fold encodes them."""
        fold = self.folds[0]
        x = np.empty((len(self.y), self.num_features))
        x[fold.test_rows] = fold.x_test
        x[np.setdiff1d(np.arange(len(x)), fold.test_rows)] = fold.x_train
        return x


def prepare(table: Table | Task, problem_type: str = "classification", sample: int = 0) -> Task:
    """The rows, folds and encoded cells of `table` under the protocol; a Task is returned as it is.

    Columns of numbers, of booleans and of a date type (in days) pass through as float64, a missing cell
    (None, NaN, pandas' NA and NaT) as NaN. All others are ordinal-encoded, what the training rows lack as
    -1: a category, or a missing cell, which is NaN where they have one. The order of the columns is kept.

    Args:
        table: of a suite.
        problem_type: `classification` or `regression`.
        sample: number of the draw of rows and folds, from 0; the seed of both.

    Raises:
        ValueError: x is not two-dimensional or y not of its length. Of classes: fewer than two, or one with
            fewer rows than there are folds. Of real targets: one that is not a finite number, all the same,
            fewer rows than two for each fold.

    >>> task = prepare(Table("made", np.arange(20.0).reshape(10, 2), np.arange(10) % 2))
    >>> len(task.folds), task.folds[0].x_train.shape, task.classes.tolist()
    (5, (8, 2), [0, 1])
    """
    if isinstance(table, Task):
        return table
    check_problem_type(problem_type)
    y = np.asarray(table.y)
    if len(table.x.shape) != 2 or y.shape != (len(table.x),):
        raise ValueError(
            f"table {table.name!r}: x must be (rows, features) and y (rows,), "
            f"got {table.x.shape} and {y.shape}"
        )
    draw = _draw_regression if problem_type == "regression" else _draw_classification
    rows, y, classes, splits = draw(table.name, y, sample)
    x = _read_cells(table.name, table.x.iloc[rows] if hasattr(table.x, "iloc") else table.x[rows])
    folds = tuple(encode_fold(x, y, train_rows, test_rows) for train_rows, test_rows in splits)
    return Task(table.name, y, classes, folds, x.shape[1])


def check_problem_type(problem_type: str) -> None:
    """Refuse an unknown type of problem.

    >>> check_problem_type("regresion")
    Traceback (most recent call last):
    ValueError: problem_type must be classification or regression, got 'regresion'
    """
    if problem_type not in SCORERS:
        raise ValueError(f"problem_type must be {' or '.join(SCORERS)}, got {problem_type!r}")


def prepare_samples(
    table: Table, problem_type: str = "classification", row_samples: int = 1
) -> tuple[Task, ...]:
    """The first `row_samples` draws of a table's rows and folds; the first one is `prepare`'s.

    Raises:
        ValueError: `row_samples` below 1, or a table that does not fit the protocol (see `prepare`).

    >>> table = Table("made", np.arange(300.0)[:, None], np.arange(300) % 2)
    >>> [task.y.shape for task in prepare_samples(table, row_samples=3)]
    [(200,), (200,), (200,)]
    """
    if row_samples < 1:
        raise ValueError(f"row_samples must be at least 1, got {row_samples}")
    return tuple(prepare(table, problem_type, sample) for sample in range(row_samples))


class _Drawn(NamedTuple):
    """The rows of a table that are scored, and their folds."""

    rows: np.ndarray  # (R,) indices of the table's rows
    y: np.ndarray  # (R,) their targets
    classes: np.ndarray | None
    splits: list[tuple[np.ndarray, np.ndarray]]  # training and test rows of each fold


def _draw_classification(name: str, y: np.ndarray, sample: int) -> _Drawn:
    missing = sum(map(_is_missing, y.tolist()))
    if missing:
        raise ValueError(f"table {name!r}: {missing} of {len(y)} labels are missing; leave such rows out")
    if type_of_target(y) == "continuous":
        raise ValueError(f"table {name!r}: y holds real numbers; problem_type='regression' scores such")
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"table {name!r}: the protocol needs at least 2 classes, got {len(classes)}: {classes.tolist()}"
        )
    _check_class_sizes(name, y, f"the {len(y)}")
    rows = _stratified_rows(y, sample)
    y = y[rows]
    _check_class_sizes(name, y, f"the {len(y)} scored")
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=sample)
    return _Drawn(rows, y, classes, list(folds.split(np.zeros(len(y)), y)))


def _check_class_sizes(name: str, y: np.ndarray, among: str) -> None:
    for label, size in zip(*np.unique(y, return_counts=True), strict=True):
        if size < NUM_FOLDS:
            label = label.item() if isinstance(label, np.generic) else label
            raise ValueError(
                f"table {name!r}: each class needs at least {NUM_FOLDS} rows among {among}, "
                f"got {size} of class {label!r}"
            )


def _draw_regression(name: str, y: np.ndarray, sample: int) -> _Drawn:
    if y.dtype.kind not in "biuf" or not np.isfinite(y).all():
        raise ValueError(f"table {name!r}: y must hold finite numbers, got {y.dtype} {y[:3].tolist()} ...")
    if len(y) < 2 * NUM_FOLDS:
        raise ValueError(f"table {name!r}: needs at least {2 * NUM_FOLDS} rows, got {len(y)}")
    rows = np.arange(len(y))
    if len(y) > MAX_ROWS:
        rows = train_test_split(rows, test_size=MAX_ROWS, random_state=sample)[1]
    y = y[rows].astype(np.float64)
    if np.ptp(y) == 0:
        raise ValueError(f"table {name!r}: y must vary, got {y[0]} in each row scored")
    folds = KFold(NUM_FOLDS, shuffle=True, random_state=sample)
    return _Drawn(rows, y, None, list(folds.split(y)))


def _stratified_rows(y: np.ndarray, sample: int) -> np.ndarray:
    """Which rows to score: all, or MAX_ROWS of them, stratified."""
    rows = np.arange(len(y))
    if len(y) <= MAX_ROWS:
        return rows
    labels, counts = np.unique(y, return_counts=True)
    if len(y) < MAX_ROWS + len(labels):
        # train_test_split cannot stratify a rest of fewer rows than classes. The last rows of the largest
        # classes are left out, one by one.
        kept = np.ones(len(y), dtype=bool)
        for _ in range(len(y) - MAX_ROWS):
            largest = counts.argmax()
            kept[np.flatnonzero(kept & (y == labels[largest]))[-1]] = False
            counts[largest] -= 1
        return rows[kept]
    # The published code takes the test side of the split; the training side would be other rows.
    return train_test_split(rows, test_size=MAX_ROWS, stratify=y, random_state=sample)[1]


def encode_fold(x: np.ndarray, y: np.ndarray, train_rows: np.ndarray, test_rows: np.ndarray) -> Fold:
    """A split of x (R, F), numbers or objects with NaN where missing, and y (R,), encoded as `prepare` says.

    Examples:
        >>> x = np.array([["a"], ["b"], ["c"]], object)
        >>> fold = encode_fold(x, np.arange(3), train_rows=np.array([0, 1]), test_rows=np.array([2]))
        >>> fold.x_train.tolist(), fold.x_test.tolist()
        ([[0.0], [1.0]], [[-1.0]])
    """
    encoder = _encoder(x)
    x_train = encoder.fit_transform(x[train_rows]).astype(np.float64)
    x_test = encoder.transform(x[test_rows]).astype(np.float64)
    return Fold(x_train, y[train_rows], x_test, test_rows)


def predict_out_of_fold(estimator: Any, task: Task) -> np.ndarray:
    """Each row's probabilities (R, K) of `task.classes`, learned on the other folds.

    `estimator` is refitted in each fold (fit resets all that was learned) and is left fitted on the last one.

    Examples:
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> task = prepare(Table("made", np.arange(40.0)[:, None], np.arange(40) >= 20))
        >>> predict_out_of_fold(KNeighborsClassifier(1), task).shape
        (40, 2)
    """
    probabilities = np.empty((len(task.y), len(task.classes)))
    for fold in task.folds:
        with without_range_warnings():
            estimator.fit(fold.x_train, fold.y_train)
        order = [list(estimator.classes_).index(label) for label in task.classes]
        probabilities[fold.test_rows] = estimator.predict_proba(fold.x_test)[:, order]
    if len(task.classes) == 2:
        probabilities[:, 0] = 1 - probabilities[:, 1]  # an estimator may round the two separately
    return probabilities


def score_table(estimator: Any, table: Table | Task) -> float:
    """ROC AUC of the pooled out-of-fold probabilities of `estimator` (refitted in place) on one table.

    With more than two classes, the mean over them of each against the rest.

    Raises:
        ValueError: the table does not fit the protocol (see `prepare`), or a probability is NaN.

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> table = Table("made", np.arange(40.0)[:, None], np.arange(40) >= 20)
    >>> score_table(KNeighborsClassifier(1), table)
    0.95
    """
    return score_classification("", estimator, table).roc_auc


def score_classification(name: str, estimator: Any, table: Table | Task) -> Score:
    """What `estimator`, called `name` and refitted in each fold, reaches on one table with classes.

    Examples:
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> table = Table("made", np.arange(40.0)[:, None], np.arange(40) >= 20)
        >>> score_classification("neighbour", KNeighborsClassifier(1), table).roc_auc
        0.95
    """
    task = prepare(table)
    y, probabilities = np.searchsorted(task.classes, task.y), predict_out_of_fold(estimator, task)
    return Score(
        task.name,
        name,
        roc_auc=roc_auc(y, probabilities),
        log_loss=log_loss(y, probabilities),
        num_rows=len(task.y),
        num_features=task.num_features,
    )


def score_regression(name: str, estimator: Any, table: Table | Task) -> RegressionScore:
    """What `estimator`, called `name` and refitted in each fold, reaches on one table with a real target.

    Raises:
        ValueError: the table does not fit the protocol (see `prepare`), or a prediction is NaN.

    Examples:
        >>> from sklearn.linear_model import LinearRegression
        >>> table = Table("made", np.arange(40.0)[:, None], np.arange(40.0))
        >>> round(score_regression("line", LinearRegression(), table).r2, 3)
        1.0
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

    Examples:
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> table = Table("made", np.arange(40.0)[:, None], np.arange(40) >= 20)
        >>> mean_score(KNeighborsClassifier(1), [table])
        {'roc_auc': 0.95}
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
    row_samples: int = 1,
) -> list[Score] | list[RegressionScore]:
    """Scores each estimator on each table, table by table, each prepared once.

    Args:
        estimators: name -> an estimator with fit and, for classes, predict_proba and classes_, or, for real
            targets, predict; refitted in place. One with `log_density(X, y)` (`NanoTabPFNRegressor`) is
            scored by its distribution too.
        tables: what `load_suite` returns, or tasks from `prepare`.
        problem_type: `classification` or `regression`.
        progress: show a bar on stderr when that is a terminal.
        row_samples: draws of rows and folds of each table, over which its score is the mean; a Task that is
            given is one draw.

    Raises:
        ValueError: nothing to score, an unknown `problem_type`, `row_samples` below 1, two tables of one
            name, or a table that does not fit the protocol (see `prepare`). An error from an estimator
            carries a note that names it and the table.
        TypeError: something else in the place of estimators or tables.

    Examples:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from nanotabpfn.evaluation.suites import load_suite
        >>> tables = load_suite("builtin")[1:2]
        >>> [score] = evaluate({"tree": DecisionTreeClassifier(random_state=0)}, tables, progress=False)
        >>> score.table, score.estimator, score.roc_auc
        ('iris_versicolor', 'tree', 0.93)
    """
    if not isinstance(estimators, dict) or isinstance(tables, str | Table | Task):
        raise TypeError(
            "estimators must be a dict of names and estimators, and tables a list, such as "
            f"load_suite('open'), got a {type(estimators).__name__} and a {type(tables).__name__}"
        )
    for name, estimator in estimators.items():
        if not hasattr(estimator, "fit"):
            raise TypeError(
                f"estimators: {name!r} must have fit, as NanoTabPFNClassifier(model) has, got a "
                f"{type(estimator).__name__}"
            )
    check_problem_type(problem_type)
    if not estimators or not tables:
        raise ValueError(
            "estimators and tables must not be empty, "
            f"got {len(estimators)} estimators and {len(tables)} tables"
        )
    twice = [name for name, count in Counter(table.name for table in tables).items() if count > 1]
    if twice:
        raise ValueError(f"tables must have different names, got more than one called {twice[0]!r}")
    # All tables are checked before any work.
    samples = [
        (table,) if isinstance(table, Task) else prepare_samples(table, problem_type, row_samples)
        for table in tables
    ]
    scores = []
    with tqdm(total=len(samples) * len(estimators), disable=None if progress else True) as bar:
        for tasks in samples:
            for name, estimator in estimators.items():
                bar.set_description(f"{name} on {tasks[0].name}")
                try:
                    found = [SCORERS[problem_type](name, estimator, task) for task in tasks]
                except Exception as error:
                    error.add_note(f"while scoring estimator {name!r} on table {tasks[0].name!r}")
                    raise
                scores.append(mean_over_samples(found))
                bar.update()
    return scores


def without_range_warnings() -> warnings.catch_warnings:
    """For fits that are scored: the score shows how good a model is outside of its trained range."""
    return warnings.catch_warnings(action="ignore", category=OutsideTrainedRangeWarning)


def _read_cells(name: str, x: Any) -> np.ndarray:
    """Cells (R, F) as float64, or as objects where there are categories: text, and NaN where missing."""
    try:
        columns = read_table(BaseEstimator(), x, reset=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"table {name!r}: {error}") from error
    return np.column_stack([_read_column(column.cells) for column in columns])


def _read_column(cells: np.ndarray) -> np.ndarray:
    if cells.dtype != object:
        return cells
    is_present = [not _is_missing(cell) for cell in cells]
    is_number = all(isinstance(cell, Real | Decimal) for cell in cells[is_present])
    read = np.full(len(cells), math.nan, dtype=np.float64 if is_number else object)
    read[is_present] = [float(cell) if is_number else text_of_cell(cell) for cell in cells[is_present]]
    return read


def _is_missing(cell: Any) -> bool:
    return cell is None or type(cell).__name__ == "NAType" or bool(cell != cell)


def _encoder(x: np.ndarray) -> ColumnTransformer:
    """One step for each column; a step for each kind would move the columns of a kind together."""
    steps = []
    for i, column in enumerate(x.T):
        categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        has_text = any(isinstance(cell, str) for cell in column)
        steps.append((str(i), categories if has_text else "passthrough", [i]))
    return ColumnTransformer(steps)
