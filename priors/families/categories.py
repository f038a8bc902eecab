"""From real values to categories, inside the graph: a category can cause things.

A converter is (values (R,), rng, num_categories) -> (R,) float32: each row's value is replaced by the value
of its category, a real number of its own, which the node's children read. A table shows codes in its place.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from priors.registry import Domain

Converter = Callable[..., np.ndarray]


def ordered_cuts(
    values: np.ndarray, rng: np.random.Generator, num_categories: Annotated[int, Domain(2, 1000)] = 4
) -> np.ndarray:
    """Categories are intervals, their values in the same order: sizes, grades, age groups.

    Examples:
        >>> values = np.linspace(-2, 2, 9, dtype=np.float32)
        >>> of_rows = ordered_cuts(values, np.random.default_rng(0), num_categories=3)
        >>> len(np.unique(of_rows)) <= 3, bool((np.diff(of_rows) >= 0).all())
        (True, True)
    """
    cuts = np.sort(rng.standard_normal(num_categories - 1, dtype=np.float32))
    of_category = np.sort(rng.standard_normal(num_categories, dtype=np.float32))
    return of_category[np.searchsorted(cuts, values)]


def prototypes(
    values: np.ndarray, rng: np.random.Generator, num_categories: Annotated[int, Domain(2, 1000)] = 4
) -> np.ndarray:
    """Each category is the neighbourhood of two random points, so its intervals are scattered.

    References:
        Qu et al., TabICLv2, 2026 (a converter that writes the category's value back into its node).

    Examples:
        >>> values = np.linspace(-2, 2, 9, dtype=np.float32)
        >>> len(np.unique(prototypes(values, np.random.default_rng(0), num_categories=3))) <= 3
        True
    """
    points = np.sort(rng.standard_normal(2 * num_categories, dtype=np.float32))
    borders = (points[1:] + points[:-1]) / 2
    of_category = rng.standard_normal(num_categories, dtype=np.float32)
    of_point = np.concatenate([of_category, of_category])[rng.permutation(2 * num_categories)]
    return of_point[np.searchsorted(borders, values)]


def softmax_draw(
    values: np.ndarray, rng: np.random.Generator, num_categories: Annotated[int, Domain(2, 1000)] = 4
) -> np.ndarray:
    """The category is drawn with the softmax of random affine functions of the value as probabilities.

    Examples:
        >>> values = np.zeros(1000, np.float32)
        >>> len(np.unique(softmax_draw(values, np.random.default_rng(0), num_categories=3)))
        3
    """
    slopes, offsets, of_category = rng.standard_normal((3, num_categories), dtype=np.float32)
    logits = values[:, None] * (2 * slopes) + offsets  # (R, K)
    gumbel = -np.log(rng.standard_exponential((len(values), num_categories), dtype=np.float32) + 1e-30)
    return of_category[(logits + gumbel).argmax(axis=1)]


# To add a converter: write the function, add it here.
CONVERTERS: dict[str, Converter] = {
    "ordered_cuts": ordered_cuts,
    "prototypes": prototypes,
    "softmax_draw": softmax_draw,
}
