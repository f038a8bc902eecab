"""Mechanism families: parents (R, P), rng -> values (R,), all float32.

`rng` gives the mechanism its parameters. A mechanism looks at each row by itself, and expects parents of
about zero mean and unit variance (`SCM` standardizes what its nodes compute); given the same generator it is
therefore the same function of a row, whatever other rows there are.
"""

from collections.abc import Callable

import numpy as np

Mechanism = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def linear(parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A weighted sum with standard normal weights, scaled by 1/sqrt(P)."""
    num_parents = parents.shape[1]
    return parents @ (rng.standard_normal(num_parents, dtype=np.float32) / np.float32(num_parents**0.5))


def mlp(parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random perceptron of one or two hidden layers, its activations drawn from `ACTIVATIONS`.

    References:
        Hollmann et al., TabPFN, ICLR 2023 (random networks as mechanisms).
    """
    hidden = parents
    for _ in range(int(rng.integers(1, 3))):
        width = int(rng.integers(4, 17))
        fan_in = hidden.shape[1]
        weights = rng.standard_normal((fan_in, width), dtype=np.float32)
        # Gains around 1.5 move units out of the linear part of their activation.
        weights *= np.float32(rng.uniform(0.8, 2.2) / fan_in**0.5)
        activation = ACTIVATION_LIST[int(rng.random() * len(ACTIVATION_LIST))]
        hidden = activation(hidden @ weights + rng.standard_normal(width, dtype=np.float32))
    return hidden @ (rng.standard_normal(width, dtype=np.float32) / np.float32(width**0.5))


def oblivious_trees(parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sum of up to 8 oblivious trees: all splits of one level share their feature and threshold.

    Thresholds and leaf values are standard normal.

    References:
        Popov et al., Neural oblivious decision ensembles, ICLR 2020; trees as mechanisms: Breejen et al.,
        Why in-context learning transformers are tabular data classifiers (TabForestPFN), 2024.
    """
    num_parents = parents.shape[1]
    num_trees, depth = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    split_features = rng.integers(0, num_parents, size=num_trees * depth)
    thresholds = rng.standard_normal(num_trees * depth, dtype=np.float32)
    above = (parents[:, split_features] > thresholds).reshape(len(parents), num_trees, depth)
    leaves = above @ (1 << np.arange(depth))  # (R, T) which leaf of each tree
    leaf_values = rng.standard_normal((num_trees, 1 << depth), dtype=np.float32)
    return leaf_values[np.arange(num_trees), leaves].sum(axis=1) / np.float32(num_trees**0.5)


def random_fourier_features(parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A draw from a Gaussian process with squared-exponential kernel, by 64 random Fourier features.

    The length scale is log-uniform in 0.5 to 4, per parent times sqrt(P): from wiggly to nearly linear.

    References:
        Rahimi and Recht, Random features for large-scale kernel machines, NeurIPS 2007.
    """
    num_parents, num_features = parents.shape[1], 64
    length_scale = np.exp(rng.uniform(np.log(0.5), np.log(4))) * num_parents**0.5
    frequencies = rng.standard_normal((num_parents, num_features), dtype=np.float32) / np.float32(
        length_scale
    )
    phases = rng.random(num_features, dtype=np.float32) * np.float32(2 * np.pi)
    weights = rng.standard_normal(num_features, dtype=np.float32) * np.float32((2 / num_features) ** 0.5)
    return np.cos(parents @ frequencies + phases) @ weights


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.maximum(x, np.float32(0.1) * x),
    "absolute": np.abs,
    "sine": np.sin,
    "gaussian": lambda x: np.exp(-x * x),
    "step": lambda x: (x > 0).astype(np.float32),
    "square": lambda x: x * x,
}
ACTIVATION_LIST = list(ACTIVATIONS.values())

# To add a family: write the function, add it here.
MECHANISMS: dict[str, Mechanism] = {
    "linear": linear,
    "mlp": mlp,
    "oblivious_trees": oblivious_trees,
    "random_fourier_features": random_fourier_features,
}
