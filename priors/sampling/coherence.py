"""Draws of one dataset under one name: how the values of its nodes belong together.

TabICL draws, per dataset, the distribution from which the layers of its networks draw their settings (Qu et
al., TabICL: a tabular foundation model for in-context learning on large data, 2025). Here that is a centre
and a width for each named quantity, and new weights for each choice among families.
"""

from bisect import bisect
from itertools import accumulate, cycle
from operator import mul

import numpy as np

MOST_NAMES = 24
"""Names of one choice that have random weights of their own; more repeat them."""


def coherent_uniforms(coherence: str, num_nodes: int, num_names: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers in [0, 1) for each node and name, (V, N).

    `independent`: uniform. `shared`: all nodes have the same uniform number. `meta`: uniform in an interval
    whose width and place are drawn per name. All three draw the same random numbers.
    """
    draws = rng.random((num_nodes + 2, num_names))
    centre, width, uniform = draws[0], draws[1], draws[2:]
    if coherence == "independent":
        return uniform
    if coherence == "shared":
        return np.broadcast_to(centre, uniform.shape)
    return centre + width * (uniform - centre)


def coherent_names(
    choices: list[dict[str, float]], coherence: str, mix: str, num_nodes: int, rng: np.random.Generator
) -> list[list[str]]:
    """For each of some choices among weighted names, the name that each node draws.

    Other names for one choice leave what the others draw: all draw as many random numbers.

    Args:
        choices: name -> weight; the order of the names does not matter.
        coherence: `meta` multiplies the weights, once per dataset, by standard exponentials (for equal
            weights that is a flat Dirichlet draw); `shared` and `independent` leave them.
        mix: `dataset` gives all nodes the same name; so does `coherence` `shared`.

    Returns:
        One list of V names per choice.
    """
    one_for_all = mix == "dataset" or coherence == "shared"
    all_uniforms = rng.random((len(choices), num_nodes))
    all_factors = rng.standard_exponential((len(choices), MOST_NAMES))
    drawn = []
    for weights, uniforms, factors in zip(choices, all_uniforms, all_factors, strict=True):
        if len(weights) == 1:
            drawn.append([*weights] * num_nodes)
            continue
        names = sorted(weights)
        shares = map(weights.__getitem__, names)
        if coherence == "meta":
            shares = map(mul, shares, cycle(factors.tolist()))
        *ends, total = accumulate(shares)  # whatever lies past the last of `ends` has the last name
        if one_for_all:
            drawn.append([names[bisect(ends, float(uniforms[0]) * total)]] * num_nodes)
        else:
            drawn.append([names[bisect(ends, uniform)] for uniform in (uniforms * total).tolist()])
    return drawn
