"""Protocols, metrics, baselines: how well an estimator does on real tables.

The protocol is nanoTabPFN's published one (https://github.com/automl/nanoTabPFN): at most 200 rows of a
table, stratified; five stratified shuffled folds; the out-of-fold probabilities of all folds pooled into
one ROC AUC; then the mean over tables. Every draw has seed 0. It differs in the
preprocessing: there it is fitted on all rows before the folds, puts numeric columns first and drops
constant ones; here it is fitted in each fold, on its training rows alone, and keeps the columns as they are.

Axis letters: R rows, F features.

    scores = evaluate({name: make() for name, make in BASELINES.items()}, load_suite("builtin"))
    print(format_scores(scores))
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tqdm import tqdm

from nanotabpfn.estimators.ensemble import OutsideTrainedRangeWarning
from nanotabpfn.evaluation.suites import Table

MAX_ROWS = 200
NUM_FOLDS = 5
SEED = 0


class Fold(NamedTuple):
    """One split of a task, encoded: T training rows, R - T test rows."""

    x_train: np.ndarray  # (T, F) float64
    y_train: np.ndarray  # (T,) labels
    x_test: np.ndarray  # (R - T, F) float64
    test_rows: np.ndarray  # (R - T,) their places in the task's y


class Task(NamedTuple):
    """A table made ready for the protocol: rows drawn, folds cut, cells encoded. Made once, scored often."""

    name: str
    y: np.ndarray  # (R,) labels of the rows drawn
    classes: np.ndarray  # (2,) sorted; the second one is the positive class
    folds: tuple[Fold, ...]
    num_features: int


class Score(NamedTuple):
    """What one estimator reached on one table."""

    table: str
    estimator: str
    roc_auc: float
    num_rows: int  # rows the score is over: at most MAX_ROWS
    num_features: int


def prepare(table: Table | Task) -> Task:
    """The rows, folds and encoded cells that the protocol gives for `table`; a Task is returned as it is.

    Numeric columns pass through as float64. All others are ordinal-encoded, a category that the training rows
    lack as -1. The order of the columns is kept.

    Raises:
        ValueError: x is not two-dimensional or y not of its length, there are not exactly two classes, or one
            has fewer rows than there are folds.
    """
    if isinstance(table, Task):
        return table
    x, y = table.x, np.asarray(table.y)
    if len(x.shape) != 2 or y.shape != (len(x),):
        raise ValueError(
            f"table {table.name!r}: x must be (rows, features) and y (rows,), got {x.shape} and {y.shape}"
        )
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(
            f"table {table.name!r}: the protocol is binary and needs exactly 2 classes, "
            f"got {len(classes)}: {classes.tolist()}"
        )

    rows = _sample_rows(y)
    x, y = take_rows(x, rows), y[rows]
    for label in classes:
        if np.sum(y == label) < NUM_FOLDS:
            raise ValueError(
                f"table {table.name!r}: each class needs at least {NUM_FOLDS} rows among the {len(y)} "
                f"scored, got {np.sum(y == label)} of class {label.item()!r}"
            )

    folds = []
    splits = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=SEED).split(np.zeros(len(y)), y)
    for train_rows, test_rows in splits:
        folds.append(encode_fold(x, y, train_rows, test_rows))
    return Task(table.name, y, classes, tuple(folds), x.shape[1])


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
    """
    task = prepare(table)
    return float(roc_auc_score(task.y == task.classes[1], predict_out_of_fold(estimator, task)))


def mean_roc_auc(estimator: Any, tables: Sequence[Table | Task]) -> dict[str, float]:
    """``{"roc_auc": mean over tables}``, the form of the training loop's eval_func.

    For repeated calls prepare the tables once: ``tasks = [prepare(table) for table in tables]``, then
    ``eval_func=functools.partial(mean_roc_auc, tables=tasks)``.
    """
    if not tables:
        raise ValueError(f"tables must hold at least one table, got {tables!r}")
    return {"roc_auc": float(np.mean([score_table(estimator, table) for table in tables]))}


def evaluate(
    estimators: dict[str, Any], tables: Sequence[Table | Task], progress: bool = True
) -> list[Score]:
    """Scores each estimator on each table, table by table, each prepared once.

    Args:
        estimators: name -> an estimator with fit, predict_proba and classes_; refitted in place.
        tables: what `load_suite` returns, or tasks from `prepare`.
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
    tasks = [prepare(table) for table in tables]  # all tables are checked before any work
    scores = []
    with tqdm(total=len(tasks) * len(estimators), disable=None if progress else True) as bar:
        for task in tasks:
            for name, estimator in estimators.items():
                bar.set_description(f"{name} on {task.name}")
                try:
                    roc_auc = score_table(estimator, task)
                except Exception as error:
                    error.add_note(f"while scoring estimator {name!r} on table {task.name!r}")
                    raise
                scores.append(Score(task.name, name, roc_auc, len(task.y), task.num_features))
                bar.update()
    return scores


def format_scores(scores: Sequence[Any], figure: str = "roc_auc") -> str:
    """An aligned text table that is Markdown too: tables down, estimators across, the mean as last row.

    `scores` are of `evaluate`, or others with `table`, `estimator`, `num_rows`, `num_features` and `figure`.

    The best figure of a row is bold, **so**, all of them where they agree to the three digits shown.

    Raises:
        ValueError: no scores, or not exactly one score of each estimator on each table.
    """
    if not scores:
        raise ValueError(f"scores must hold at least one score, got {scores!r}")
    tables = {score.table: score for score in scores}  # in order of appearance
    estimators = list(dict.fromkeys(score.estimator for score in scores))
    found = {(score.table, score.estimator): getattr(score, figure) for score in scores}
    if not len(scores) == len(found) == len(tables) * len(estimators):
        raise ValueError(
            f"scores must hold exactly one score of each estimator on each table, got {len(scores)} scores "
            f"of {len(estimators)} estimators on {len(tables)} tables"
        )

    rows = [["table", "rows", "features", *estimators]]
    for table, score in tables.items():
        figures = [found[table, estimator] for estimator in estimators]
        rows.append([table, str(score.num_rows), str(score.num_features), *_mark_best(figures)])
    means = [np.mean([found[table, estimator] for table in tables]) for estimator in estimators]
    rows.append(["mean", "", "", *_mark_best(means)])

    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    # In Markdown the rule under the header aligns the columns: names to the left, figures to the right.
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sample_rows(y: np.ndarray) -> np.ndarray:
    """Which rows to score: all, or MAX_ROWS of them, stratified."""
    rows = np.arange(len(y))
    if len(y) <= MAX_ROWS:
        return rows
    if len(y) == MAX_ROWS + 1:
        # train_test_split cannot stratify a rest of one row. The last row of the larger class goes.
        labels, counts = np.unique(y, return_counts=True)
        return np.delete(rows, np.flatnonzero(y == labels[counts.argmax()])[-1])
    # The published code takes the test side of the split; the training side would be other rows.
    return train_test_split(rows, test_size=MAX_ROWS, stratify=y, random_state=SEED)[1]


def without_range_warnings() -> warnings.catch_warnings:
    """For fitting what is scored: how good a model is outside of its trained range, the score will say."""
    return warnings.catch_warnings(action="ignore", category=OutsideTrainedRangeWarning)


def take_rows(x: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or a frame."""
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _is_numeric(column: Any) -> bool:
    """Whether a column holds numbers, by its dtype or, in a column of objects, by every cell."""
    if column.dtype.kind == "O":
        return all(isinstance(cell, Real) for cell in column)
    return column.dtype.kind in "biuf"


def _encoder(x: Any) -> ColumnTransformer:
    """One step per column rather than per kind, which would move the columns of a kind together."""
    steps = []
    for i in range(x.shape[1]):
        column = x.iloc[:, i] if hasattr(x, "iloc") else x[:, i]
        categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        steps.append((str(i), "passthrough" if _is_numeric(column) else categories, [i]))
    return ColumnTransformer(steps)


def _mark_best(figures: Sequence[float]) -> list[str]:
    """Three digits each, the best in bold; a lone figure has nothing to be better than."""
    texts = [f"{figure:.3f}" for figure in figures]
    best = max(texts, key=float)
    return [f"**{text}**" if text == best and len(texts) > 1 else text for text in texts]


# name -> a function that makes the estimator. scikit-learn's defaults, but for logistic regression: on raw
# columns its solver would not converge and would warn, so it gets scaled ones and more iterations.
BASELINES: dict[str, Callable[[], Any]] = {
    "random_forest": partial(RandomForestClassifier, random_state=SEED),
    "k_nearest_neighbours": KNeighborsClassifier,
    "decision_tree": partial(DecisionTreeClassifier, random_state=SEED),
    "logistic_regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}
