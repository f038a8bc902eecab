"""From a target's real values to its classes: (values (R,), num_classes, training (T,), rng) -> codes (R,).

Whatever the cuts depend on comes from `training`, the values of the training rows. A class may be
empty: callers check it (`has_every_class`).
"""

from collections.abc import Callable
from itertools import accumulate

import numpy as np

ClassMethod = Callable[[np.ndarray, int, np.ndarray, np.random.Generator], np.ndarray]


def quantile_cuts(
    values: np.ndarray, num_classes: int, training: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Ordered classes, whose shares of the training rows are drawn uniformly: from balanced to skewed.

    Each class gets a floor, and what is left is a flat Dirichlet draw. The floor is 2 of the rows of the
    smaller side, at most half of a balanced share, so that a class is seldom missing among the training or
    the test rows. Skewed classes are what a model learns to use first (docs/log.md).

    Examples:
        >>> values = np.arange(100.0)
        >>> quantile_cuts(values, 2, values[:50], np.random.default_rng(0))[[0, 49]].tolist()
        [0, 1]
    """
    floor = min(2 / min(len(training), len(values) - len(training)), 0.5 / num_classes)
    weights = rng.standard_exponential(num_classes)
    shares = floor + (1 - num_classes * floor) / weights.sum() * weights
    return cut_at_shares(values, shares, training)


def balanced_cuts(
    values: np.ndarray, num_classes: int, training: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Ordered classes of equal shares of the training rows.

    Examples:
        >>> values = np.arange(6.0)
        >>> balanced_cuts(values, 3, values, np.random.default_rng(0)).tolist()
        [0, 0, 1, 1, 2, 2]
    """
    return cut_at_shares(values, np.full(num_classes, 1 / num_classes), training)


def random_cuts(
    values: np.ndarray, num_classes: int, training: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Ordered classes, cut uniformly along the middle nine tenths of the training rows' values.

    Examples:
        >>> values = np.arange(6.0)
        >>> codes = random_cuts(values, 2, values, np.random.default_rng(0))
        >>> codes.tolist() == sorted(codes)
        True
    """
    low, high = np.quantile(training, [0.05, 0.95])
    return np.searchsorted(np.sort(rng.uniform(low, high, num_classes - 1)), values, side="right")


def scattered_intervals(
    values: np.ndarray, num_classes: int, training: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Each class is several intervals, so that a class is no longer one side of a threshold.

    The training rows' values are cut into K + 1 to 3 K parts of random shares, dealt out to the classes so
    that each gets at least one.

    Examples:
        >>> values = np.arange(12.0)
        >>> codes = scattered_intervals(values, 2, values, np.random.default_rng(0))
        >>> sorted(set(codes.tolist()))
        [0, 1]
    """
    num_parts = num_classes + 1 + int(rng.random() * 2 * num_classes)
    shares = rng.dirichlet(np.full(num_parts, 2.0))
    part = cut_at_shares(values, shares, training)
    dealt = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, num_parts - num_classes)])
    return rng.permutation(dealt)[part]


def softmax_draw(
    values: np.ndarray, num_classes: int, training: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The class is drawn from a softmax of random affine functions of the value: noise of its own.

    Examples:
        >>> values = np.arange(100.0)
        >>> softmax_draw(values, 3, values, np.random.default_rng(0)).shape
        (100,)
    """
    z = (values - training.mean()) / (training.std() + 1e-6)
    slopes, offsets = rng.standard_normal((2, num_classes))
    logits = z[:, None] * (6 * slopes) + offsets  # (R, K)
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def cut_at_shares(values: np.ndarray, shares: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Cut values (R,) into ordered classes, class k with about ``shares[k]`` of the training rows (T,).

    Examples:
        >>> values = np.array([3.0, 1.0, 4.0, 2.0])
        >>> cut_at_shares(values, np.array([0.25, 0.75]), values).tolist()
        [1, 0, 1, 1]
    """
    training, num_train = np.sort(training), len(training)
    cuts = [min(max(1, round(end * num_train)), num_train - 1) for end in accumulate(shares[:-1].tolist())]
    borders = [(training[cut - 1] + training[cut]) / 2 for cut in cuts]
    return np.array(borders, values.dtype).searchsorted(values, side="right")


def has_every_class(y: np.ndarray, num_classes: int, num_train: int) -> bool:
    """Whether all classes 0..K-1 occur among the training rows, and among the test rows.

    Examples:
        >>> y = np.array([0, 1, 1, 0])
        >>> has_every_class(y, 2, num_train=2), has_every_class(np.sort(y), 2, num_train=2)
        (True, False)
    """
    training = np.bincount(y[:num_train], minlength=num_classes)
    test = np.bincount(y[num_train:], minlength=num_classes)
    return 0 not in training.tolist() and 0 not in test.tolist()


# To add a method: write the function, add it here.
CLASS_METHODS: dict[str, ClassMethod] = {
    "quantile_cuts": quantile_cuts,
    "balanced_cuts": balanced_cuts,
    "random_cuts": random_cuts,
    "scattered_intervals": scattered_intervals,
    "softmax_draw": softmax_draw,
}
