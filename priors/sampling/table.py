"""What happens to columns on the way to a real table: codes, warps, rounding, outliers, scaling.

Whatever the treatment of a column depends on comes from the training rows, the first `num_train`.
Axis letters: R rows, F features.
"""

import numpy as np

from priors.sampling.scm import all_finite

REPEATED = 0.9999
"""Columns that correlate by more than this are one column, shifted, scaled or turned; below 1 because files
may hold half precision."""


def category_codes(values: np.ndarray, rng: np.random.Generator, num_rows: int | None = None) -> np.ndarray:
    """The categories (R,) behind the values of a categorical node, as codes 0, 1, ... in random order.

    Args:
        num_rows: how many of the first rows decide the codes, all by default; what is new after them has the
            next codes.
    """
    distinct, codes = np.unique(values[:num_rows], return_inverse=True)
    code_of = rng.permutation(len(distinct)).astype(np.float32)
    if len(codes) == len(values):
        return code_of[codes]
    more = np.setdiff1d(values, distinct)
    code_of = np.concatenate([code_of, np.arange(len(distinct), len(distinct) + len(more), dtype=np.float32)])
    distinct = np.concatenate([distinct, more])
    order = np.argsort(distinct)
    return code_of[order][np.searchsorted(distinct[order], values)]


def warp(column: np.ndarray, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Warp a column (R,) monotonely: Kumaraswamy's distribution function, an exponential, or a signed power.

    References:
        Hollmann et al., Nature 2025 (Kumaraswamy warping of features); Kumaraswamy, J. of Hydrology 1980.
    """
    kind, first, second = rng.random(3).tolist()
    train = column[:num_train]
    if kind < 1 / 3:
        low, high = train.min(), train.max()
        unit = np.clip((column - low) / max(high - low, 1e-6), 0, 1)
        a, b = np.exp(1.5 * (2 * first - 1)), np.exp(1.5 * (2 * second - 1))
        return 1 - (1 - unit**a) ** b
    z = (column - train.mean()) / max(train.std(), 1e-6)
    if kind < 2 / 3:
        return np.exp(np.clip((0.3 + 1.2 * first) * z, -10, 10)) * (1 if second < 0.5 else -1)
    return np.sign(z) * np.abs(z) ** (0.4 + 2.1 * first)


def quantize(column: np.ndarray, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Round a column (R,) to 4 to 40 equal steps over its training rows' range, as counts and scores are."""
    low, high = column[:num_train].min(), column[:num_train].max()
    num_steps = 4 + int(rng.random() * 37)
    return np.rint((column - low) * (num_steps / max(high - low, 1e-6)))


def add_outliers(x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Move a share of the cells of x (R, F) to 5 to 20 training deviations from their column's mean."""
    mean, deviation = x[:num_train].mean(axis=0), x[:num_train].std(axis=0)
    far = mean + deviation * rng.uniform(5, 20, x.shape) * np.sign(rng.random(x.shape) - 0.5)
    return np.where(rng.random(x.shape) < fraction, far, x)


def scale_columns(x: np.ndarray, num_train: int, num_rows: int | None = None) -> np.ndarray | None:
    """Bring columns (R, F) to mean 0 and variance 1 over the training rows.

    Args:
        num_rows: among how many of the first rows columns must differ, all by default.

    Returns:
        The scaled columns as float32; None if one does not vary among the training rows, is another one
        (as it is or mirrored, as two codings of one category are), or is not finite.
    """
    columns = np.array(x.T, np.float64, order="C")  # (F, R); in float32 a constant's mean is off by rounding
    training = columns[:, :num_train]
    columns -= np.add.reduce(training, axis=1, keepdims=True) / num_train
    deviations = np.sqrt(np.vecdot(training, training) / num_train)
    if not deviations.min() > 1e-6:
        return None
    columns /= deviations[:, None]
    columns = columns.astype(np.float32)
    own = columns[:, :num_rows]
    products = own @ own.T  # (F, F)
    lengths = np.sqrt(products.diagonal())
    alike = np.abs(products) > REPEATED * lengths * lengths[:, None]  # each is like itself
    return columns.T if np.count_nonzero(alike) == len(columns) and all_finite(columns) else None
