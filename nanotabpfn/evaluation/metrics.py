"""METRICS: how good probabilities of classes are, measured on the rows of one table or fold.

Axis letters: N rows, K classes.

References:
    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78 (1950) 1-3
    Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, ICML 2017
"""

from collections.abc import Callable

import numpy as np

NUM_BINS = 10
"""Bins of the calibration error: of equal width, over the confidences from 0 to 1."""


def roc_auc(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over the classes that occur of the ROC AUC of each against the rest; NaN if only one occurs.

    Raises:
        ValueError: a probability is NaN.

    >>> roc_auc(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    1.0
    """
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    if probabilities.shape[1] == 2:  # both classes have the same
        return binary_roc_auc(y == 1, probabilities[:, 1])
    return float(np.mean([binary_roc_auc(y == k, probabilities[:, k]) for k in present]))


def binary_roc_auc(is_positive: np.ndarray, scores: np.ndarray) -> float:
    """Share of the pairs (positive, negative) that the scores (N,) order correctly, ties half.

    Raises:
        ValueError: a score is NaN.

    References:
        Mann and Whitney, On a test of whether one of two random variables is stochastically larger than the
        other, Annals of Mathematical Statistics 18 (1947) 50-60

    >>> binary_roc_auc(np.array([False, True, True]), np.array([0.1, 0.8, 0.1]))
    0.75
    """
    from scipy.stats import rankdata  # slow to import, and a study file is checked with METRICS

    if np.isnan(scores).any():
        raise ValueError(f"scores contain NaN: {int(np.isnan(scores).sum())} of {len(scores)}")
    positives = int(is_positive.sum())
    rank_sum = rankdata(scores)[is_positive].sum()
    pairs = positives * (len(scores) - positives)
    return float((rank_sum - positives * (positives + 1) / 2) / pairs)


def accuracy(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of the rows whose most probable class is theirs.

    >>> accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]))
    0.5
    """
    return float((probabilities.argmax(axis=1) == y).mean())


def balanced_accuracy(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over the classes that occur of the accuracy on their rows.

    Examples:
        >>> y, probabilities = np.array([0, 0, 0, 1]), np.array([[0.9, 0.1]] * 4)
        >>> balanced_accuracy(y, probabilities), accuracy(y, probabilities)
        (0.5, 0.75)
    """
    right = probabilities.argmax(axis=1) == y
    return float(np.mean([right[y == k].mean() for k in np.unique(y)]))


def log_loss(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -log of the probability of a row's class, which is taken to be 2.2e-16 at least.

    >>> round(log_loss(np.array([1]), np.array([[0.5, 0.5]])), 3)
    0.693
    """
    right = probabilities[np.arange(len(y)), y]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).eps)).mean())


def brier_score(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Half the mean squared distance from the truth, 0 to 1: with two classes (p - y)^2 of the second.

    >>> brier_score(np.array([1]), np.array([[0.5, 0.5]]))
    0.25
    """
    truth = np.eye(probabilities.shape[1])[y]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean() / 2)


def calibration_error(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: the mean over rows of |accuracy - confidence| of their bin.

    The confidence of a row is the probability of its most probable class; NUM_BINS bins of equal width. With
    few rows it is biased upwards, so compare it on equal numbers of rows only.

    Examples:
        >>> round(calibration_error(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])), 3)
        0.4
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(y))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "roc_auc": roc_auc,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "brier_score": brier_score,
    "calibration_error": calibration_error,
}
"""name -> function of the rows' classes (N,), integers from 0, and their probabilities (N, K)."""

LOWER_IS_BETTER = frozenset({"log_loss", "brier_score", "calibration_error"})


def measure(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All metrics of some rows' classes (N,) and probabilities (N, K).

    >>> measure(np.array([0, 1]), np.array([[1.0, 0.0], [0.0, 1.0]]))["accuracy"]
    1.0
    """
    return {name: metric(y, probabilities) for name, metric in METRICS.items()}
