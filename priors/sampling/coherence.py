"""Draws of one dataset under one name: how the values of its nodes depend on each other.

The marginal distribution of every value is the declared one, whatever the coherence: uniform numbers are
joined by a Gaussian copula whose correlation is drawn per dataset and name, and the weights of names are the
means of a Dirichlet distribution. The idea that a dataset draws the distribution of its nodes' settings is
TabICL's (Qu et al., TabICL: a tabular foundation model for in-context learning on large data, 2025).
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate, islice

import numpy as np
from scipy.special import ndtr

from priors.sampling.ranges_and_weights import choice_of
from priors.streams import draw_states, generator_of

MOST_NAMES = 24
"""Names of equal weight whose flat Dirichlet draw is part of one draw for all choices."""
BELOW_1 = 1 - 2**-53


def coherent_uniforms(
    coherence: str, num_nodes: int, num_names: int, rng: np.random.Generator, free: Sequence[int] = ()
) -> np.ndarray:
    """Uniform numbers in [0, 1) for each node and name, (V, N).

    `independent`: for all nodes. `shared`: all nodes have the same number. `meta`: a Gaussian copula with one
    common factor, whose correlation between nodes is drawn uniformly in [0, 1] for each name. All three draw
    the same random numbers.

    Args:
        free: names whose numbers are independent in `meta` too.

    References:
        Nelsen, An introduction to copulas, 2006.

    >>> coherent_uniforms("shared", 3, 1, np.random.default_rng(0)).std(axis=0).tolist()
    [0.0]
    """
    # Name after name, so that further names leave the draws of those before them.
    normals = rng.standard_normal((num_names, num_nodes + 2))
    common, own = normals[:, 1:2], normals[:, 2:]
    if coherence == "shared":
        own = np.broadcast_to(common, own.shape)
    elif coherence == "meta":
        correlation = ndtr(normals[:, :1])
        correlation[list(free)] = 0
        own = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return np.minimum(ndtr(own), BELOW_1).T


def coherent_ends(coherence: str, nums_choices: Sequence[int], rng: np.random.Generator) -> list[list[float]]:
    """For each of some lists of equal choices, their cumulated shares in one dataset, but for the last.

    The shares are a flat Dirichlet draw in `meta`, and else equal.

    >>> coherent_ends("independent", [4, 2], np.random.default_rng(0))
    [[0.25, 0.5, 0.75], [0.5]]
    """
    if coherence != "meta":
        return [[place / number for place in range(1, number)] for number in nums_choices]
    draws, all_ends = iter(rng.standard_exponential(sum(nums_choices)).tolist()), []
    for number in nums_choices:
        *ends, total = accumulate(islice(draws, number))
        all_ends.append([end / total for end in ends])
    return all_ends


def coherent_names(
    choices: list[dict[str, float]], coherence: str, mix: str, num_nodes: int, rng: np.random.Generator
) -> list[list[str]]:
    """For each of some choices among weighted names, the name that each node draws.

    A node draws each name with its share of the weights. Other names for one choice leave what the others
    draw: each draws its shares from a stream of its own.

    Args:
        choices: name -> weight; the order of the names does not matter, nor do names of weight 0.
        coherence: in `meta`, nodes of one dataset draw from shares that the dataset draws from a Dirichlet
            distribution with the weights as means; for equal weights it is flat.
        mix: `dataset` gives all nodes the same name; so does `coherence` `shared`.

    Returns:
        One list of V names per choice.

    >>> coherent_names([{"linear": 1}, {"a": 0, "b": 2}], "meta", "node", 2, np.random.default_rng(0))
    [['linear', 'linear'], ['b', 'b']]
    """
    one_for_all = mix == "dataset" or coherence == "shared"
    states = draw_states(rng, len(choices))
    all_uniforms = rng.random((len(choices), num_nodes))
    all_factors = rng.standard_exponential((len(choices), MOST_NAMES)) if coherence == "meta" else []
    drawn = []
    for place, weights in enumerate(choices):
        choice = choice_of(weights)
        names = choice.names
        if len(names) == 1:
            drawn.append([*names] * num_nodes)
            continue
        uniforms = all_uniforms[place].tolist()
        if one_for_all:
            drawn.append([choice.at(uniforms[0])] * num_nodes)
        elif coherence == "independent":
            drawn.append([*map(choice.at, uniforms)])
        else:
            if choice.are_equal and len(names) <= MOST_NAMES:
                factors = all_factors[place, : len(names)].tolist()
            else:
                factors = _dirichlet(choice.shares, generator_of(states[place]))
            *ends, total = accumulate(factors)
            drawn.append([names[bisect(ends, uniform * total)] for uniform in uniforms])
    return drawn


def _dirichlet(means: Sequence[float], rng: np.random.Generator) -> Sequence[float]:
    """A draw in proportion to a Dirichlet distribution of these means; its parameters sum to their number."""
    gammas = [rng.standard_gamma(len(means) * mean) for mean in means]
    return gammas if sum(gammas) > 0 else means  # tiny weights can all underflow
