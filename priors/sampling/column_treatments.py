"""Treatments of columns, fitted on training rows: codes, warps, rounding, outliers, scaling.

The first `num_train` rows are the training rows, and all that a treatment depends on comes from them: what
happens in test rows never changes a training row. Axis letters: R rows, F features.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from priors.sampling.scm import all_finite

ColumnTreatment = Callable[[np.ndarray], np.ndarray]
"""A fitted treatment: (R,) -> (R,), row by row."""

REPEATED = 0.9999
"""Columns that correlate by more than this are one column, shifted, scaled or turned; below 1 because files
may hold half precision."""


def fit_codes(values: np.ndarray, num_train: int, rng: np.random.Generator) -> ColumnTreatment:
    """The categories of a column (R,) as codes 0, 1, ...: those of the training rows in random order.

    Categories that first occur in test rows, or in other rows that the treatment is applied to, get the next
    codes.

    >>> codes = fit_codes(np.array([5.0, 1.0, 5.0, 2.0]), 3, np.random.default_rng(0))
    >>> sorted(codes(np.array([5.0, 1.0, 2.0, 0.5])).tolist())
    [0.0, 1.0, 2.0, 3.0]
    """
    known = np.unique(values[:num_train])
    code_of = rng.permutation(len(known)).astype(np.float32)
    known, code_of = _with_new_categories(known, code_of, values)

    def apply(column: np.ndarray) -> np.ndarray:
        distinct, codes = _with_new_categories(known, code_of, column)
        return codes[distinct.searchsorted(column)]

    return apply


def _with_new_categories(
    known: np.ndarray, code_of: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted categories and their codes, after those among `values` that are not known got the next ones."""
    places = known.searchsorted(values)
    is_known = known.take(places, mode="clip") == values
    if is_known.all():
        return known, code_of
    new = np.unique(values[~is_known])
    codes = np.concatenate([code_of, np.arange(len(known), len(known) + len(new), dtype=np.float32)])
    categories = np.concatenate([known, new])
    order = categories.argsort()
    return categories[order], codes[order]


def fit_warp(values: np.ndarray, num_train: int, rng: np.random.Generator) -> ColumnTreatment:
    """A monotone warp: Kumaraswamy's distribution function, an exponential, or a signed power.

    References:
        Hollmann et al., Nature 2025 (Kumaraswamy warping of features); Kumaraswamy, J. of Hydrology 1980.

    Examples:
        >>> column = np.array([3.0, 1.0, 2.0])
        >>> warped = fit_warp(column, 3, np.random.default_rng(3))(column)
        >>> warped.argsort().tolist() in ([1, 2, 0], [0, 2, 1])  # the order of the rows, or the reverse
        True
    """
    kind, first, second = rng.random(3).tolist()
    train = values[:num_train]
    if kind < 1 / 3:
        low, high = train.min(), train.max()
        a, b = np.exp(1.5 * (2 * first - 1)), np.exp(1.5 * (2 * second - 1))
        return lambda column: 1 - (1 - np.clip((column - low) / max(high - low, 1e-6), 0, 1) ** a) ** b
    mean, scale = train.mean(), max(train.std(), 1e-6)
    if kind < 2 / 3:
        sign, rate = (1 if second < 0.5 else -1), 0.3 + 1.2 * first
        return lambda column: np.exp(np.clip(rate * ((column - mean) / scale), -10, 10)) * sign
    power = 0.4 + 2.1 * first
    return lambda column: np.sign(column - mean) * np.abs((column - mean) / scale) ** power


def fit_rounding(values: np.ndarray, num_train: int, rng: np.random.Generator) -> ColumnTreatment:
    """Rounding to 5 to 41 equal levels over the training rows' range, as counts and scores have them.

    Examples:
        >>> column = np.linspace(0, 1, 1000)
        >>> rounded = fit_rounding(column, 1000, np.random.default_rng(0))(column)
        >>> len(np.unique(rounded))
        28
    """
    low, high = values[:num_train].min(), values[:num_train].max()
    num_steps = 4 + int(rng.random() * 37)
    return lambda column: np.rint((column - low) * (num_steps / max(high - low, 1e-6)))


class Outliers(NamedTuple):
    """Cells that are moved far out, and the values that they get."""

    is_outlier: np.ndarray
    """(F, R)"""
    values: np.ndarray
    """(F, R)"""


def draw_outliers(
    columns: np.ndarray, is_real: Sequence[bool], fraction: float, num_train: int, rng: np.random.Generator
) -> Outliers:
    """Draw a share of the cells of the real columns, and move each 5 to 20 training standard deviations.

    Args:
        columns: (F, R).
        is_real: of each column; the cells of others, which are codes of categories, stay.

    Examples:
        >>> columns = np.random.default_rng(0).normal(size=(2, 1000))
        >>> outliers = draw_outliers(columns, [True, False], 0.1, 700, np.random.default_rng(1))
        >>> outliers.is_outlier.mean(axis=1).round(1).tolist()
        [0.1, 0.0]
    """
    train = columns[:, :num_train]
    mean, scale = train.mean(axis=1, keepdims=True), train.std(axis=1, keepdims=True)
    sizes, signs, chances = rng.random((3, columns.shape[1], len(columns))).swapaxes(1, 2)  # (F, R) each
    values = (mean + scale * (5 + 15 * sizes) * np.where(signs < 0.5, -1, 1)).astype(columns.dtype)
    return Outliers((chances < fraction) & np.asarray(is_real)[:, None], values)


class Scale(NamedTuple):
    """How columns are brought to mean 0 and variance 1 over their training rows, (F, 1) float32 each."""

    origin: np.ndarray
    """The first value of each column: with it subtracted, columns that do not vary are zeros exactly."""
    mean: np.ndarray
    """Of the training rows, from the origin."""
    std: np.ndarray

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """The columns (F, R) float32, with mean 0 and variance 1 over the rows that were fitted."""
        centred = columns - self.origin
        centred -= self.mean
        centred *= 1 / self.std
        return centred


def fit_scale(columns: np.ndarray, num_train: int, is_missing: np.ndarray | None = None) -> Scale | None:
    """The scale of columns (F, R) float32 on their training rows; None if one of them does not vary there.

    Args:
        is_missing: (F, R), cells that do not count.

    >>> scale = fit_scale(np.float32([[1, 3, 5]]), 2)
    >>> scale.apply(np.float32([[1, 3, 5]])).tolist()
    [[-1.0, 1.0, 3.0]]
    """
    if is_missing is None:
        fitted = _scaled_columns(columns, num_train)
        return fitted and fitted[0]
    origin = columns[:, :1].copy()
    train = columns[:, :num_train] - origin
    is_present = ~is_missing[:, :num_train]
    count = np.maximum(is_present.sum(axis=1), 1).astype(np.float32)
    mean = np.add.reduce(train * is_present, axis=1, keepdims=True) / count[:, None]
    train = (train - mean) * is_present
    std = np.sqrt(np.vecdot(train, train) / count)
    return Scale(origin, mean, std[:, None]) if std.min() > 1e-6 else None


def _scaled_columns(columns: np.ndarray, num_train: int) -> tuple[Scale, np.ndarray] | None:
    """`fit_scale` and what its scale makes of the columns (F, R), in one pass."""
    origin = columns[:, :1].copy()
    scaled = columns - origin
    train, count = scaled[:, :num_train], np.float32(num_train)
    mean = np.add.reduce(train, axis=1, keepdims=True) / count
    scaled -= mean  # `train` is part of it
    std = np.sqrt(np.vecdot(train, train) / count)
    if not std.min() > 1e-6:
        return None
    scale = Scale(origin, mean, std[:, None])
    scaled *= 1 / scale.std
    return scale, scaled


def _are_distinct(columns: np.ndarray) -> bool:
    """Whether no column (F, R) of about mean 0 is another one, as it is, scaled or mirrored."""
    products = columns @ columns.T  # (F, F)
    lengths = np.sqrt(products.diagonal())
    alike = np.abs(products) > REPEATED * lengths * lengths[:, None]  # each is like itself
    return np.count_nonzero(alike) == len(columns)


def clipped(values: np.ndarray, bound: float) -> np.ndarray:
    """Values, of any shape, brought into -bound..bound; those that are missing (NaN) stay.

    Examples:
        >>> clipped(np.array([-50.0, 0.5, np.nan]), 10.0).tolist()
        [-10.0, 0.5, nan]
    """
    return values.clip(-bound, bound, out=values)


def with_noise_share(values: np.ndarray, noise: np.ndarray, share: float) -> np.ndarray:
    """Values (R,) of variance 1, of which a share is replaced by independent noise (R,) of variance 1.

    The correlation of the result with `values` has the square ``1 - share``.

    Examples:
        >>> values, noise = np.random.default_rng(0).normal(size=(2, 10_000))
        >>> float(np.corrcoef(values, with_noise_share(values, noise, share=0.36))[0, 1].round(1))
        0.8
    """
    return sqrt(1 - share) * values + sqrt(share) * noise


def fitted_columns(columns: np.ndarray, num_train: int) -> tuple[Scale, np.ndarray] | None:
    """The scale of columns (F, R) that a table can show, and the scaled columns.

    Returns:
        None if a column is not finite, does not vary among the training rows, or is another column.

    Examples:
        >>> fitted_columns(np.float32([[1, 2, 3], [-2, -4, -6]]), num_train=2)  # mirrored
        >>> scale, scaled = fitted_columns(np.float32([[1, 2, 3]]), num_train=2)
        >>> scaled.tolist()
        [[-1.0, 1.0, 3.0]]
    """
    if not all_finite(columns):
        return None
    fitted = _scaled_columns(columns, num_train)
    return fitted if fitted and _are_distinct(fitted[1]) else None
