"""Views: the forms in which an ensemble shows the features of a table to its model.

A model reads a table column by column. The same rows with powered columns, or on their principal axes, are
other tables to it, and it gives other predictions for them, whose mean is better than each.

Axis letters: M members, N rows, T training rows, f features of a member, P features that are powered.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import boxcox1p
from sklearn.decomposition import PCA
from sklearn.preprocessing import PowerTransformer, StandardScaler

from nanotabpfn.estimators.encoding import FARTHEST

LEAST_VARIANCE = 1e-10
"""Of an axis, relative to the first axis: rounding of float32 cells leaves less in columns that are
dependent."""


class View(NamedTuple):
    """What is done to the features before the model reads them.

    Attributes:
        power: each column is made nearly normal by a power (Yeo-Johnson), so that outliers count little; else
            it is left as it is, and the model standardizes it.
        components: the columns are rotated onto their principal axes.

    Examples:
        >>> VIEWS["power components"]
        View(power=True, components=True)
    """

    power: bool
    components: bool


VIEWS = {
    "columns": View(power=False, components=False),
    "components": View(power=False, components=True),
    "power": View(power=True, components=False),
    "power components": View(power=True, components=True),
}


def cut(table: np.ndarray) -> np.ndarray:
    """`table` within +-FARTHEST; a power can carry a cell far from the training rows to infinity.

    >>> cut(np.array([1.0, np.inf, np.nan])).tolist() == [1.0, FARTHEST, 0.0]
    True
    """
    return np.nan_to_num(table, nan=0.0, posinf=FARTHEST, neginf=-FARTHEST).clip(-FARTHEST, FARTHEST)


class Standardization(NamedTuple):
    """Mean and standard deviation of columns, as scikit-learn's StandardScaler finds them.

    Its `transform` checks its input each time, which takes longer than the model does for one row.

    >>> Standardization(np.array([5.0]), np.array([2.0])).transform(np.array([[9.0]])).tolist()
    [[2.0]]
    """

    mean: np.ndarray  # (f,)
    deviation: np.ndarray  # (f,), 1 where a column does not vary

    def transform(self, table: np.ndarray) -> np.ndarray:
        """Z-scores of (N, f), in float64."""
        return (table.astype(np.float64) - self.mean) / self.deviation


def fit_standardization(table: np.ndarray) -> Standardization:
    """Mean and standard deviation of the columns of (T, f).

    >>> fit_standardization(np.array([[1.0], [3.0]])).transform(np.array([[3.0]])).tolist()
    [[1.0]]
    """
    scaler = StandardScaler().fit(table.astype(np.float64))
    return Standardization(scaler.mean_, scaler.scale_)


class Components(NamedTuple):
    """Standardized columns rotated onto their principal axes: as many columns as before.

    The directions in which the rows differ most become columns, which a model that reads column by column
    finds at once. Axes along which the training rows vary by rounding alone are set to 0: the model would
    treat them as features like the others.

    References:
        Rodríguez, Kuncheva, Alonso, Rotation Forest, IEEE TPAMI 28, 2006 (rotated features for trees)

    >>> table = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    >>> fit_components(table).transform(table)[:, 1].tolist()  # the columns are equal: one axis is left
    [0.0, 0.0, 0.0]
    """

    standardization: Standardization
    axes: np.ndarray  # (f, f), one in each column

    def transform(self, table: np.ndarray) -> np.ndarray:
        """Rows (N, f) on these axes (N, f)."""
        return self.standardization.transform(table) @ self.axes


def fit_components(table: np.ndarray) -> Components:
    """The principal axes of the training rows (T, f), T at least 2.

    >>> fit_components(np.array([[1.0], [3.0]])).axes.round(6).tolist() in ([[1.0]], [[-1.0]])
    True
    """
    standardization = fit_standardization(table)
    with np.errstate(invalid="ignore"):  # shares of a variance of 0
        pca = PCA(svd_solver="full").fit(standardization.transform(table))
    kept = pca.explained_variance_ > LEAST_VARIANCE * pca.explained_variance_[0]
    axes = np.zeros((table.shape[1], table.shape[1]))
    axes[:, : kept.sum()] = pca.components_[kept].T
    return Components(standardization, axes)


class Normalizer(NamedTuple):
    """Powers of columns, fitted once for all the members whose view has powers.

    >>> x = np.exp(np.arange(8.0))[:, None]
    >>> fit_normalizer(x, features=np.array([0])).powers.round(1).tolist()
    [-1.3]
    """

    features: np.ndarray  # (P,) that such a member reads
    before: Standardization  # of these features
    powers: np.ndarray  # (P,) of Yeo and Johnson
    after: Standardization  # of the powered features

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Rows (N, F) with these features made nearly normal, (N, F)."""
        normal = x.astype(np.float64)
        with np.errstate(over="ignore"):
            powered = yeo_johnson(self.before.transform(normal[:, self.features]), self.powers)
            normal[:, self.features] = self.after.transform(powered)
        return cut(normal)


def yeo_johnson(z: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The power transform of Yeo and Johnson (Biometrika 87, 2000): z (N, P), powers (P,) -> (N, P).

    >>> yeo_johnson(np.array([[-3.0, 3.0]]), np.array([1.0, 2.0])).round(6).tolist()
    [[-3.0, 7.5]]
    """
    return boxcox1p(np.maximum(z, 0), powers) - boxcox1p(np.maximum(-z, 0), 2 - powers)


def fit_normalizer(x: np.ndarray, features: np.ndarray) -> Normalizer:
    """Powers for some features (P,) of the training rows (T, F).

    Examples:
        >>> x = np.exp(np.arange(8.0))[:, None]
        >>> normalizer = fit_normalizer(x, features=np.array([0]))
        >>> bool(np.abs(normalizer.transform(x)).max() < 3)
        True
    """
    # Standardized first: the search for the power overflows far from 0.
    before = fit_standardization(x[:, features])
    z = before.transform(x[:, features])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of powers that are tried
        powers = PowerTransformer(standardize=False).fit(z).lambdas_
        after = fit_standardization(yeo_johnson(z, powers))
    return Normalizer(features, before, powers, after)


def rotate(tables: Sequence[np.ndarray], components: Sequence[Components | None]) -> np.ndarray:
    """The tables (N, f) of all members, rotated where a member has components: (M, N, f) float32.

    Examples:
        >>> rotate([np.zeros((4, 2)), np.ones((4, 2))], [None, None]).shape
        (2, 4, 2)
    """
    rotated = [
        table if axes is None else cut(axes.transform(table))
        for table, axes in zip(tables, components, strict=True)
    ]
    return np.stack(rotated).astype(np.float32)
