"""MISSING_KINDS: which cells of a table are missing, given its values.

Letters: R rows, F features.
"""

from collections.abc import Callable

import numpy as np


def missing_completely_at_random(
    x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator
) -> np.ndarray:
    """Every cell with the same probability (MCAR).

    Examples:
        >>> x = np.zeros((1000, 2))
        >>> round(float(missing_completely_at_random(x, 0.2, 500, np.random.default_rng(0)).mean()), 1)
        0.2
    """
    return rng.random(x.shape) < fraction


def missing_at_random(x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Likelier where another, complete column is high (MAR); one column of at least two stays complete.

    A single column has no other one: its cells are missing completely at random.

    Examples:
        >>> x = np.random.default_rng(0).standard_normal((1000, 3))
        >>> missing = missing_at_random(x, 0.2, 500, np.random.default_rng(1))
        >>> sorted(missing.any(axis=0).tolist()), round(float(missing.mean()), 1)
        ([False, True, True], 0.2)
    """
    num_features = x.shape[1]
    if num_features == 1:
        return missing_completely_at_random(x, fraction, num_train, rng)
    guide = int(rng.random() * num_features)
    # The others make up for the complete one, as far as they can.
    fraction = min(1.0, fraction * num_features / (num_features - 1))
    missing = rng.random(x.shape) < _rising_probability(x[:, [guide]], fraction, num_train)
    missing[:, guide] = False
    return missing


def missing_not_at_random(
    x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator
) -> np.ndarray:
    """Likelier where the value that is missing is high (MNAR).

    Examples:
        >>> x = np.arange(1000.0)[:, None]
        >>> missing = missing_not_at_random(x, 0.2, 1000, np.random.default_rng(0))
        >>> bool(missing[500:].mean() > missing[:500].mean())
        True
    """
    return rng.random(x.shape) < _rising_probability(x, fraction, num_train)


def _rising_probability(x: np.ndarray, fraction: float, num_train: int) -> np.ndarray:
    """Probabilities of about `fraction` in the mean, rising with the rank of a cell in its column."""
    train = np.sort(x[:num_train], axis=0)
    # Equal cells share the middle of their ranks, so that the mean is 1/2 in columns of few values too.
    sides = [
        [np.searchsorted(train[:, f], x[:, f], side) for f in range(x.shape[1])] for side in ("left", "right")
    ]
    rank = np.mean(sides, axis=0).T / num_train  # (R, F), from 0 to 1
    # p(rank) = fraction * (1 + slope (2 rank - 1)) has mean `fraction`, and stays within [0, 1].
    return fraction * (1 + min(1, 1 / fraction - 1 if fraction else 1) * (2 * rank - 1))


# To add a kind: write the function, add it here.
MISSING_KINDS: dict[str, Callable[[np.ndarray, float, int, np.random.Generator], np.ndarray]] = {
    "completely_at_random": missing_completely_at_random,
    "at_random": missing_at_random,
    "not_at_random": missing_not_at_random,
}
