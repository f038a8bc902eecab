"""Mechanism families: parents (R, P), rng, parameters -> values (R,), all float32.

`rng` gives the mechanism its weights. A mechanism treats each row independently, and expects parents of about
zero mean and unit variance (`SCM` standardizes what its nodes compute); given the same generator it is
therefore the same function of a row, whatever other rows there are. The ranges from which a prior draws the
parameters are in its config (`PriorConfig.parameters`).
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np

from priors.registry import Domain, Named

Mechanism = Callable[..., np.ndarray]
Matrix = Literal["normal", "uniform", "signs", "decaying"]
Activation = Literal[
    "identity", "leaky_relu", "relu", "absolute", "tanh", "step", "gaussian", "square", "sine"
]


def linear(parents: np.ndarray, rng: np.random.Generator, matrix: Matrix = "normal") -> np.ndarray:
    """A weighted sum.

    Args:
        matrix: how the weights are drawn: `normal`; `uniform` in -1..1; `signs`, all of one size;
            `decaying`, normal times 1/rank, so that few parents count.

    Examples:
        >>> parents = np.eye(2, dtype=np.float32)
        >>> weights = linear(parents, np.random.default_rng(0))
        >>> np.allclose(linear(3 * parents, np.random.default_rng(0)), 3 * weights)
        True
    """
    return parents @ _weights(parents.shape[1], rng, matrix)


def _weights(num_parents: int, rng: np.random.Generator, matrix: Matrix) -> np.ndarray:
    """Weights (P,) of expected squared norm 1."""
    if matrix == "normal":
        return rng.standard_normal(num_parents, dtype=np.float32) * num_parents**-0.5
    if matrix == "uniform":
        return (2 * rng.random(num_parents, dtype=np.float32) - 1) * (3 / num_parents) ** 0.5
    if matrix == "signs":
        size = np.float32(num_parents**-0.5)
        return np.where(rng.random(num_parents, dtype=np.float32) < 0.5, -size, size)
    if matrix == "decaying":
        decay = 1 / np.arange(1, num_parents + 1, dtype=np.float32)
        weights = rng.standard_normal(num_parents, dtype=np.float32) * (decay / np.sqrt(decay @ decay))
        return rng.permutation(weights)
    raise ValueError(f"matrix must be normal, uniform, signs or decaying, got {matrix!r}")


def mlp(
    parents: np.ndarray,
    rng: np.random.Generator,
    num_layers: Annotated[int, Domain(1, 16)] = 1,
    width: Annotated[int, Domain(1, 1024)] = 8,
    gain: Annotated[float, Domain(0, 100)] = 1.5,
    activation: Activation = "tanh",
) -> np.ndarray:
    """A random perceptron.

    Args:
        num_layers: hidden layers.
        width: units of each.
        gain: standard deviation of the input of a unit; near 1.5 it leaves the activation's linear part.
        activation: a key of `ACTIVATIONS`.

    References:
        Hollmann et al., TabPFN, ICLR 2023 (random networks as mechanisms).

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> mlp(parents, np.random.default_rng(1), num_layers=2, activation="relu").shape
        (150,)
    """
    function = ACTIVATIONS[activation]
    hidden = parents.T  # (P, R): operations along the rows are faster than along a few units
    for _ in range(num_layers):
        fan_in = len(hidden)
        weights = rng.standard_normal((width, fan_in + 1), dtype=np.float32)
        weights[:, :fan_in] *= gain / fan_in**0.5
        hidden = weights[:, :fan_in].dot(hidden)  # (W, R)
        hidden += weights[:, fan_in:]
        hidden = function(hidden)
    return rng.standard_normal(width, dtype=np.float32).dot(hidden)


def oblivious_trees(
    parents: np.ndarray,
    rng: np.random.Generator,
    num_trees: Annotated[int, Domain(1, 100)] = 4,
    depth: Annotated[int, Domain(1, 20)] = 3,
) -> np.ndarray:
    """A sum of oblivious trees: all splits of one level share their feature and threshold.

    Thresholds and leaf values are standard normal.

    References:
        Popov et al., Neural oblivious decision ensembles, ICLR 2020.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> values = oblivious_trees(parents, np.random.default_rng(1), num_trees=1, depth=2)
        >>> len(np.unique(values)) <= 4
        True
    """
    num_datapoints, num_splits, num_leaves = len(parents), num_trees * depth, num_trees << depth
    features = (rng.random(num_splits) * parents.shape[1]).astype(np.intp)
    draws = rng.standard_normal(num_splits + num_leaves, dtype=np.float32)
    thresholds, leaf_values = draws[:num_splits, None], draws[num_splits:]
    # Indexed and not by `take`, which copies rows of 4 KB at a seventh of the speed (Zen 3, glibc 2.36).
    above = parents.T[features] > thresholds  # (DT, R), level after level: first all roots
    # What a row meets on its way down a tree are the binary digits of its leaf (exact below 2^24).
    digits = np.float32([1 << level for level in reversed(range(depth))])
    leaves = digits.dot(above.reshape(depth, num_trees * num_datapoints).astype(np.float32))
    leaves = leaves.astype(np.intp).reshape(num_trees, num_datapoints)
    leaves += np.arange(0, num_leaves, 1 << depth)[:, None]  # (T, R), those of all trees in one row
    return np.add.reduce(leaf_values.take(leaves), axis=0)


def decision_trees(
    parents: np.ndarray,
    rng: np.random.Generator,
    num_trees: Annotated[int, Domain(1, 100)] = 2,
    depth: Annotated[int, Domain(1, 20)] = 4,
) -> np.ndarray:
    """A sum of ordinary trees: every inner node has a feature and a threshold of its own.

    Deep ones are forests fitted to noise: each of 2^depth cells has its own independent value.

    References:
        Breejen et al., Why in-context learning transformers are tabular data classifiers, 2024.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> values = decision_trees(parents, np.random.default_rng(1), num_trees=1, depth=3)
        >>> len(np.unique(values)) <= 8
        True
    """
    num_datapoints, num_parents = parents.shape
    num_inner, num_leaves = (1 << depth) - 1, 1 << depth
    features = (rng.random((num_trees, num_inner)) * num_parents).astype(np.intp)
    draws = rng.standard_normal((num_trees, num_inner + num_leaves), dtype=np.float32)
    flat = np.ascontiguousarray(parents).ravel()
    first_cell = np.arange(0, flat.size, num_parents)  # of each row
    total = np.zeros(num_datapoints, np.float32)
    for features_of, values_of in zip(features, draws, strict=True):
        # Nodes in breadth-first order, inner ones before leaves: node i has the children 2 i + 1, 2 i + 2.
        node = np.zeros(num_datapoints, np.intp)
        for _ in range(depth):
            right = flat[first_cell + features_of[node]] > values_of[node]
            node = 2 * node + 1 + right
        total += values_of[node]
    return total


def random_fourier_features(
    parents: np.ndarray,
    rng: np.random.Generator,
    frequency: Annotated[float, Domain(0, 100)] = 0.7,
    spectrum: Literal["normal", "cauchy"] = "normal",
) -> np.ndarray:
    """A draw from a Gaussian process of unit variance, by 24 random frequencies, a sine and a cosine of each.

    Args:
        frequency: of the process along one parent, the inverse of its length scale (for P parents it is
            divided by sqrt(P)): 0.25 is nearly linear, 2 wiggly.
        spectrum: `normal` for the squared-exponential kernel; `cauchy` for the rougher Laplace kernel.

    References:
        Rahimi and Recht, Random features for large-scale kernel machines, NeurIPS 2007.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> random_fourier_features(parents, np.random.default_rng(1), frequency=0.5).shape
        (150,)
    """
    num_parents, num_frequencies = parents.shape[1], 24
    if spectrum == "normal":
        frequencies = rng.standard_normal((num_frequencies, num_parents), dtype=np.float32)
    elif spectrum == "cauchy":
        frequencies = rng.standard_cauchy((num_frequencies, num_parents)).astype(np.float32)
    else:
        raise ValueError(f"spectrum must be normal or cauchy, got {spectrum!r}")
    frequencies *= frequency / num_parents**0.5
    of_cosine, of_sine = rng.standard_normal((2, num_frequencies), dtype=np.float32) * num_frequencies**-0.5
    # a cos(t) + b sin(t) is one cosine, of amplitude |(a, b)| and with a phase.
    angles = frequencies.dot(parents.T)  # (24, R)
    angles -= np.arctan2(of_sine, of_cosine)[:, None]
    return np.hypot(of_cosine, of_sine).dot(np.cos(angles, out=angles))


def nearest_prototype(
    parents: np.ndarray, rng: np.random.Generator, num_prototypes: Annotated[int, Domain(1, 1000)] = 6
) -> np.ndarray:
    """The value of the nearest of some random points: constant in each cell of a Voronoi tessellation.

    References:
        Qu et al., TabICLv2, 2026 (discretization).

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> len(np.unique(nearest_prototype(parents, np.random.default_rng(1), num_prototypes=4))) <= 4
        True
    """
    prototypes = rng.standard_normal((parents.shape[1], num_prototypes), dtype=np.float32)
    # |x - p|^2 without |x|^2, which is the same for every prototype
    distances = (prototypes**2).sum(axis=0) - 2 * (parents @ prototypes)  # (R, K)
    return rng.standard_normal(num_prototypes, dtype=np.float32)[distances.argmin(axis=1)]


def product(
    parents: np.ndarray, rng: np.random.Generator, rank: Annotated[int, Domain(1, 64)] = 2
) -> np.ndarray:
    """A sum of products of two affine forms: quadratic, with interactions of every pair of parents.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> product(parents, np.random.default_rng(1), rank=1).shape
        (150,)
    """
    num_parents = parents.shape[1]
    weights = rng.standard_normal((num_parents + 1, 2 * rank), dtype=np.float32)
    weights[:num_parents] *= num_parents**-0.5
    forms = parents @ weights[:num_parents] + 0.5 * weights[num_parents]  # (R, 2 rank)
    return (forms[:, :rank] * forms[:, rank:]).sum(axis=1)


def piecewise(
    parents: np.ndarray,
    rng: np.random.Generator,
    num_knots: Annotated[int, Domain(1, 1000)] = 4,
    kind: Literal["linear", "step"] = "linear",
) -> np.ndarray:
    """A random function of one projection of the parents, by values at random knots.

    Args:
        num_knots: at least 1.
        kind: `step`, constant between knots; `linear`, by lines between the knots and one more (a single
            knot would give a constant), and constant outside of them.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> values = piecewise(parents, np.random.default_rng(1), num_knots=2, kind="step")
        >>> len(np.unique(values)) <= 3
        True
    """
    projection = parents @ _weights(parents.shape[1], rng, "normal")
    if kind == "linear":
        knots, heights = np.sort(rng.standard_normal(num_knots + 1)), rng.standard_normal(num_knots + 1)
        return np.interp(projection, knots, heights).astype(np.float32)
    if kind == "step":
        knots = np.sort(rng.standard_normal(num_knots))
        return rng.standard_normal(num_knots + 1, dtype=np.float32)[np.searchsorted(knots, projection)]
    raise ValueError(f"kind must be linear or step, got {kind!r}")


def periodic(
    parents: np.ndarray, rng: np.random.Generator, frequency: Annotated[float, Domain(0, 100)] = 2.0
) -> np.ndarray:
    """A sine of one projection of the parents, with its first overtone, of random phases.

    Args:
        frequency: angular, along the projection.

    Examples:
        >>> parents = np.random.default_rng(0).standard_normal((150, 3), dtype=np.float32)
        >>> bool(np.abs(periodic(parents, np.random.default_rng(1))).max() <= 2)
        True
    """
    projection = parents @ (frequency * _weights(parents.shape[1], rng, "normal"))
    phase, overtone_phase = rng.random(2, dtype=np.float32) * (2 * np.pi)
    overtone = rng.random(dtype=np.float32)
    return np.sin(projection + phase) + overtone * np.sin(2 * projection + overtone_phase)


def weighted_sum(weights: list[float], parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sum of the parents (R, P) times known weights (P,).

    Examples:
        >>> parents = np.array([[3, 1], [0, 1]], np.float32)
        >>> weighted_sum([1.0, -2.0], parents, np.random.default_rng(0)).tolist()
        [1.0, -2.0]
    """
    return parents @ np.array(weights, np.float32)


def drifting(mechanism: Mechanism, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A function that changes gradually into another along the rows (R,): rows in the order of time.

    Row by row cos(angle) times one draw of `mechanism` plus sin(angle) times a second, the angle growing
    evenly from 0 in the first row to a quarter turn in the last: two independent draws of one variance give
    that variance in every row, and two linear functions the linear one of the turned weights.

    Examples:
        >>> parents = np.ones((5, 1), np.float32)
        >>> values = drifting(linear, parents, np.random.default_rng(0))
        >>> len(np.unique(values))
        5
    """
    first, last = mechanism(parents, rng), mechanism(parents, rng)
    angle = np.linspace(0, np.pi / 2, len(parents), dtype=np.float32)
    return np.cos(angle) * first + np.sin(angle) * last


def aggregate(kind: str, mechanism: Mechanism, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One function of each parent, joined: no interactions in a `sum`, nothing but in a `product`.

    Args:
        kind: `sum`, `product` (of the squashed values: a product of many would be a few outliers) or
            `maximum`.
        mechanism: draws each function.

    Examples:
        >>> parents = np.array([[1, 2], [4, 3]], np.float32)
        >>> triple = lambda parents, rng: 3 * parents[:, 0]
        >>> aggregate("maximum", triple, parents, np.random.default_rng(0)).tolist()
        [6.0, 12.0]
    """
    values = np.stack([mechanism(parents[:, [p]], rng) for p in range(parents.shape[1])])  # (P, R)
    if kind == "sum":
        return values.sum(axis=0)
    if kind == "product":
        return np.tanh(values).prod(axis=0)
    if kind == "maximum":
        return values.max(axis=0)
    raise ValueError(f"kind must be sum, product or maximum, got {kind!r}")


# From nearly linear to wild: a prior that prefers one of them for a dataset draws its neighbours too.
ACTIVATIONS: dict[Activation, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "leaky_relu": lambda x: np.maximum(x, 0.1 * x),
    "relu": lambda x: np.maximum(x, 0),
    "absolute": np.abs,
    "tanh": np.tanh,
    "step": lambda x: (x > 0).astype(np.float32),
    "gaussian": lambda x: np.exp(-x * x),
    "square": lambda x: x * x,
    "sine": lambda x: np.sin(2 * x),
}

# To add a family: write the function, add it here.
MECHANISMS: dict[str, Mechanism] = Named(
    "mechanism",
    {
        "linear": linear,
        "mlp": mlp,
        "oblivious_trees": oblivious_trees,
        "decision_trees": decision_trees,
        "random_fourier_features": random_fourier_features,
        "nearest_prototype": nearest_prototype,
        "product": product,
        "piecewise": piecewise,
        "periodic": periodic,
    },
)
