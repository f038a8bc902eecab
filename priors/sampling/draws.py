"""Draws from what a config declares, each by one uniform number: a range, a list, or names with weights."""

from bisect import bisect
from itertools import accumulate

import numpy as np


def from_range(values: tuple[float, float] | list[str], uniform: float) -> int | float | str:
    """The element of a range of integers or reals, or of a list of choices, at `uniform` in [0, 1).

    >>> from_range((2, 5), 0.5), from_range((2.0, 5.0), 0.5), from_range(["relu", "tanh"], 0.5)
    (4, 3.5, 'tanh')
    """
    if isinstance(values, list):
        return values[int(uniform * len(values))]
    low, high = values
    if isinstance(low, int):
        return low + int(uniform * (high - low + 1))
    return low + uniform * (high - low)


def sample_integer(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw from (low, high), inclusive, with one uniform number, whatever the bounds.

    `rng.integers` draws nothing where low equals high: a wider range would then move all later draws.
    """
    return from_range(bounds, rng.random())


def sample_name(weights: dict[str, float], rng: np.random.Generator) -> str:
    """Draw a name by weight, with one uniform number, whatever the weights and their order."""
    names = sorted(weights)
    ends = list(accumulate(weights[name] for name in names))
    return names[min(bisect(ends, rng.random() * ends[-1]), len(names) - 1)]
