"""Properties of one dataset, sampled or real: how well it can be learned, its classes, its columns.

Axis letters: R rows, T training rows, F features, P properties.
"""

import numpy as np

from priors.audit.measure import correlations, mean_of_pairs, measure, smallest_class
from priors.dataset import varying_columns

PROPERTIES = {
    "forest": "ROC AUC of a random forest",
    "linear": "ROC AUC of logistic regression",
    "headroom": "forest minus logistic regression",
    "smallest_class": "share of the smallest class",
    "correlation": "mean |correlation| of features",
    "effective_dimension": "effective dimension / features",
    "distinct": "share of distinct values",
    "skewness": "mean |skewness| of features",
}
"""The properties of one dataset. Sizes are left out: a study sets them, and they alone would separate priors
from real tables. Models learn on half of the rows and are scored on the others, whatever the split."""


def properties_of(
    x: np.ndarray, y: np.ndarray, num_train: int, number: int, is_classification: bool = True
) -> np.ndarray:
    """The PROPERTIES (P,) of one dataset; NaN if one is undefined, such as the correlation of one feature.

    Args:
        x: (R, F).
        y: (R,) labels, or real values.
        num_train: T, the first rows, on which the forest and the linear model learn.
        number: of the dataset, for the forest's draws.
        is_classification: whether y has labels; otherwise the scores are R2, of ridge regression too.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(40, 2))
        >>> found = properties_of(x, (x[:, 0] > 0).astype(int), num_train=20, number=0)
        >>> dict(zip(PROPERTIES, found.round(1).tolist()))["forest"] > 0.8
        True
    """
    found = measure(x, y, num_train, is_classification, number)
    models = {"forest": found.forest, "linear": found.linear, "headroom": found.forest - found.linear}
    values = models | table_properties(x, y if is_classification else None)
    return np.array([values[name] for name in PROPERTIES])


def table_properties(x: np.ndarray, y: np.ndarray | None) -> dict[str, float]:
    """Those of the PROPERTIES that need no model, by name: about a millisecond.

    Args:
        x: (R, F).
        y: (R,) labels; None in regression, where the share of the smallest class is NaN.

    Examples:
        >>> x = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [3.0, 6.0]])
        >>> found = table_properties(x, np.array([0, 0, 0, 1]))
        >>> found["smallest_class"], round(found["correlation"], 6), found["distinct"]
        (0.25, 1.0, 0.75)
    """
    varying = x[:, varying_columns(x)].astype(np.float64)
    return {
        "smallest_class": np.nan if y is None else smallest_class(y),
        "correlation": mean_of_pairs(correlations(varying)),
        "effective_dimension": effective_dimension(varying),
        "distinct": float(np.mean([len(np.unique(column)) for column in x.T]) / len(x)),
        "skewness": _mean_skewness(varying),
    }


def effective_dimension(x: np.ndarray) -> float:
    """Participation ratio of the eigenvalues of the features' correlations, over F: 1 where they are
    uncorrelated, 1 / F where all are equal; NaN with fewer than two.

    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(effective_dimension(x), 6), round(effective_dimension(x[:, [0, 0]]), 6)
    (1.0, 0.5)

    Args:
        x: (R, F) columns that vary.

    References:
        Gao et al., A theory of multineuronal dimensionality, dynamics and measurement, bioRxiv 2017.
    """
    num_features = x.shape[1]
    if num_features < 2:
        return np.nan
    # (sum of eigenvalues)^2 / sum of their squares; of correlations, F^2 / sum of all squared.
    return float(num_features / np.square(correlations(x)).sum())


def _mean_skewness(x: np.ndarray) -> float:
    if not x.shape[1]:
        return np.nan
    z = (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)
    return float(np.abs(np.nanmean(z**3, axis=0)).mean())
