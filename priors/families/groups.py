"""Groups of rows (patients, sites, days) and noise that all rows of a group share."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from priors.families.noise import Noise
from priors.streams import generator_of


class Groups(NamedTuple):
    """A random group for each row of a table.

    Examples:
        >>> from priors.streams import draw_states, stream
        >>> groups = Groups([1.0, 1.0], *draw_states(stream(0), 1))
        >>> len(np.unique(groups.first_rows(100)))
        2
    """

    sizes: Sequence[float]
    """Of each group, in proportion to the expected number of its rows."""
    state: np.ndarray
    """(4,) uint64, from which each row draws its group; see `priors.streams.draw_states`."""

    def first_rows(self, num_datapoints: int) -> np.ndarray:
        """For each row (R,) the first row of its group, which may be itself.

        It depends on earlier rows alone: how many test rows there are changes no training row.
        """
        *ends, total = accumulate(self.sizes)
        groups = np.searchsorted(ends, generator_of(self.state).random(num_datapoints) * total, side="right")
        _, first_rows, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
        return first_rows[group_of_row]


def grouped(noise: Noise, groups: Groups, num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (R,) of which each row has that of the first row of its group: the groups have its distribution.

    In the node of a mechanism it is what statistics calls a random intercept; a root is the same for all rows
    of a group.

    References:
        Laird and Ware, Random-effects models for longitudinal data, Biometrics 1982.

    Examples:
        >>> from priors.families.noise import normal
        >>> from priors.streams import draw_states, stream
        >>> groups = Groups([3.0, 2.0, 1.0], *draw_states(stream(0), 1))
        >>> len(np.unique(grouped(normal, groups, 100, stream(1))))
        3
    """
    return noise(num_datapoints, rng)[groups.first_rows(num_datapoints)]
