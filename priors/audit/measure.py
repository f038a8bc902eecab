"""What is measured of one dataset: how learnable it is, its class balance, its columns.

R rows and F features of a dataset, K classes.
"""

import warnings
from math import nan, pi, sqrt
from typing import Any, NamedTuple

import numpy as np

from priors.blas_threads import one_blas_thread
from priors.dataset import varying_columns
from priors.sampling.column_treatments import REPEATED
from priors.streams import stream

AUDIT = 4
"""First key of the random streams of an audit; the keys before it are in `priors.streams`."""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that are reported."""

NUM_TREES = 50
MOST_Z = 1e6  # no training row can be as far out; it keeps wild test rows within float32

METRIC = {"classification": "ROC AUC", "regression": "R2"}
LINEAR = {"classification": "logistic regression", "regression": "ridge regression"}


class Measures(NamedTuple):
    """What is measured of one dataset.

    Examples:
        >>> x = np.arange(40.0).reshape(20, 2) % 7
        >>> found = measure(x, x[:, 0] > 3, num_train=10, is_classification=True, record=0)
        >>> found.num_datapoints, found.constant, found.missing
        (20, 0.0, 0.0)
    """

    record: int
    """Its number in the dump, or among the datasets of the prior and the seed."""
    num_datapoints: int
    num_features: int
    num_classes: int
    """0 in regression."""
    forest: float
    """Score of a random forest on the test rows, ROC AUC or R2; NaN if they all have the same target."""
    linear: float
    """Score of logistic regression (in regression, of ridge regression) on the same rows."""
    smallest_class: float
    """Share of the rows; 0 if there is only one class, NaN in regression."""
    correlation: float
    """Mean |Pearson correlation| over the pairs of features that vary; NaN if there are none."""
    constant: float
    """Share of the columns that hold one value, or none."""
    repeated: float
    """Share of the columns that repeat an earlier one (REPEATED)."""
    missing: float
    """Share of the cells that are missing."""


def measure(
    x: np.ndarray, y: np.ndarray, num_train: int, is_classification: bool, record: int, seed: int = 0
) -> Measures:
    """Measure one dataset.

    Args:
        x: (R, F), NaN where missing.
        y: (R,) labels of any values, or a real target.
        num_train: rows to train on, the first ones; the others are scored.
        record: its number; with `seed` it decides the random draws of the forest.

    Examples:
        >>> x = np.arange(40.0).reshape(20, 2) % 7
        >>> found = measure(x, x[:, 0] > 3, num_train=10, is_classification=True, record=0)
        >>> found.num_features, found.num_classes, found.smallest_class, found.missing
        (2, 2, 0.4, 0.0)
    """
    x = np.ascontiguousarray(x, np.float64)  # the order in memory would show in the last digits
    varies = varying_columns(x)  # (F,)
    with one_blas_thread():
        forest, linear = scores(x, y, num_train, is_classification, stream(seed, AUDIT, record))
        pairs = correlations(x[:, varies])
    return Measures(
        record=record,
        num_datapoints=len(x),
        num_features=x.shape[1],
        num_classes=len(np.unique(y)) if is_classification else 0,
        forest=forest,
        linear=linear,
        smallest_class=smallest_class(y) if is_classification else nan,
        correlation=mean_of_pairs(pairs),
        constant=float((~varies).mean()),
        repeated=int((np.triu(pairs, 1) > REPEATED).any(axis=0).sum()) / x.shape[1],
        missing=float(np.isnan(x).mean()),
    )


def correlations(x: np.ndarray) -> np.ndarray:
    """|Pearson correlation| (F, F) of columns (R, F) that all vary; a missing cell counts as their mean.

    Examples:
        >>> correlations(np.array([[1.0, -2.0], [2.0, -4.0], [3.0, -6.0]])).round(6).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    if not x.shape[1]:
        return np.empty((0, 0))
    return np.abs(np.atleast_2d(np.corrcoef(_filled_and_scaled(x, len(x)), rowvar=False)))


def mean_of_pairs(pairs: np.ndarray) -> float:
    """Mean over the pairs of features of a symmetric (F, F); NaN if there are none.

    Examples:
        >>> mean_of_pairs(np.array([[1.0, 0.25], [0.25, 1.0]])), mean_of_pairs(np.array([[1.0]]))
        (0.25, nan)
    """
    return float(pairs[np.triu_indices_from(pairs, 1)].mean()) if len(pairs) > 1 else nan


def smallest_class(y: np.ndarray) -> float:
    """Share of the rows in the smallest class; 0 if there is only one class.

    Examples:
        >>> smallest_class(np.array([0, 1, 1, 1])), smallest_class(np.array([1, 1]))
        (0.25, 0.0)
    """
    counts = np.unique(y, return_counts=True)[1]
    return float(counts.min()) / len(y) if len(counts) > 1 else 0.0


def chance_correlation(num_datapoints: int) -> float:
    """The mean |correlation| that independent normal columns of so many rows show by chance.

    Examples:
        >>> round(chance_correlation(150), 3)
        0.065
    """
    return sqrt(2 / (pi * max(1, num_datapoints - 1)))


def scores(
    x: np.ndarray, y: np.ndarray, num_train: int, is_classification: bool, rng: np.random.Generator
) -> tuple[float, float]:
    """Scores of a random forest of 50 trees and of a linear model, trained on the first rows, on the others.

    Columns are scaled by the training rows; missing cells get their mean there. Everything else is
    scikit-learn's default, so the linear models have its penalty.

    Returns:
        The forest's and the linear model's ROC AUC; for more than two classes, the mean over the classes of
        one against the rest; in regression R2. If the training rows have a single class, both are 0.5. If the
        test rows all have the same target, both are NaN.

    Examples:
        >>> x = np.arange(20.0)[:, None]
        >>> forest, linear = scores(x, x[:, 0] % 2, 10, False, stream(0))
        >>> forest < 1, linear < 1
        (True, True)
    """
    # scikit-learn takes half a second to import, and most commands do not need it.
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    targets = np.unique(y, return_inverse=True)[1] if is_classification else _scaled_target(y, num_train)
    train, test = slice(0, num_train), slice(num_train, None)
    if (targets[test] == targets[num_train]).all():
        return nan, nan
    if is_classification and (targets[train] == targets[0]).all():
        return 0.5, 0.5
    x = _filled_and_scaled(x, num_train)
    random_state = int(rng.integers(2**31))
    if is_classification:
        models = [
            RandomForestClassifier(NUM_TREES, random_state=random_state),
            LogisticRegression(max_iter=1000),
        ]
    else:
        models = [RandomForestRegressor(NUM_TREES, random_state=random_state), Ridge()]
    score = _roc_auc if is_classification else _r2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1,000 steps are near enough to the optimum
        forest, linear = (
            score(model.fit(x[train], targets[train]), x[test], targets[test]) for model in models
        )
    return forest, linear


def _filled_and_scaled(x: np.ndarray, num_train: int) -> np.ndarray:
    """Columns (R, F) with mean 0 and variance 1 over the training rows, and 0 where a cell is missing."""
    known = ~np.isnan(x)
    counts = np.maximum(1, known[:num_train].sum(axis=0))
    centred = np.where(known, x, 0)
    centred = np.where(known, x - centred[:num_train].sum(axis=0) / counts, 0)
    scales = np.sqrt((centred[:num_train] ** 2).sum(axis=0) / counts)
    # A column that does not vary here, except for rounding, is left as it is.
    scales[scales <= 1e-9 * np.abs(np.nan_to_num(x[:num_train])).max(axis=0)] = 1
    return np.clip(centred / scales, -MOST_Z, MOST_Z)


def _scaled_target(y: np.ndarray, num_train: int) -> np.ndarray:
    return _filled_and_scaled(np.asarray(y, np.float64)[:, None], num_train)[:, 0]


def _roc_auc(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    probabilities = dict(zip(model.classes_.tolist(), model.predict_proba(x).T, strict=True))
    classes = np.unique(y).tolist()
    if len(classes) == 2 and len(probabilities) == 2:
        classes = classes[1:]  # the ROC AUC of the other class is the same
    never = np.zeros(len(y))  # the probability of a class without training rows
    return float(np.mean([roc_auc_score(y == k, probabilities.get(k, never)) for k in classes]))


def _r2(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, model.predict(x)))
