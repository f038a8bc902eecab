"""Draws from the ranges, lists and weighted names of a config, each by one uniform number."""

from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from priors.distributions import Range
from priors.frozen import FrozenDict


def from_range(
    values: Range | tuple[str, ...], uniform: float, ends: list[float] | None = None
) -> int | float | str:
    """The element of a range, or of some choices, at `uniform` in [0, 1).

    Args:
        ends: cumulated shares of the choices but for the last; equal ones by default.

    >>> from priors.distributions import integers
    >>> from_range(integers(2, 5), 0.5), from_range(("relu", "tanh"), 0.5)
    (4, 'tanh')
    """
    if isinstance(values[0], str):
        place = int(uniform * len(values)) if ends is None else bisect(ends, uniform)
        return values[place]
    return values.at(uniform)


class WeightedNames(NamedTuple):
    """Names with weights above 0, in alphabetical order."""

    names: tuple[str, ...]
    shares: tuple[float, ...]
    """They sum to one."""
    ends: tuple[float, ...]
    """Cumulated shares of all names but the last: a number past the last end stands for the last name."""
    are_equal: bool
    """Whether all names have the same share."""

    def at(self, uniform: float) -> str:
        """The name at a number in [0, 1)."""
        return self.names[bisect(self.ends, uniform)]


def choice_of(weights: dict[str, float]) -> WeightedNames:
    """The choice among weighted names; those of a config are prepared once.

    >>> choice_of({"b": 3, "a": 1, "never": 0})
    WeightedNames(names=('a', 'b'), shares=(0.25, 0.75), ends=(0.25,), are_equal=False)
    """
    return _prepared(weights if isinstance(weights, FrozenDict) else FrozenDict(weights))


@lru_cache(maxsize=1000)
def _prepared(weights: FrozenDict) -> WeightedNames:
    names = tuple(sorted(name for name, weight in weights.items() if weight > 0))
    total = sum(weights[name] for name in names)
    shares = tuple(weights[name] / total for name in names)
    return WeightedNames(names, shares, tuple(accumulate(shares[:-1])), len(set(shares)) == 1)


def sample_name(weights: dict[str, float], rng: np.random.Generator) -> str:
    """Draw a name by weight, with one uniform number, whatever the weights and their order.

    Examples:
        >>> sample_name({"linear": 1, "mlp": 3, "tree": 0}, np.random.default_rng(0))
        'mlp'
    """
    return choice_of(weights).at(rng.random())
