"""Interventions that a prior draws: which nodes are set, and to what."""

from collections.abc import Collection, Hashable, Mapping

import numpy as np

from priors.sampling.scm import standardized


def sample_shift(
    values: Mapping[Hashable, np.ndarray],
    categorical: Collection[Hashable],
    num_nodes: int,
    size: float,
    rng: np.random.Generator,
) -> dict[Hashable, np.ndarray]:
    """Draw some nodes and set each to its own distribution, moved, whatever its causes are.

    Args:
        values: (R,) of each node that there is to draw, as observed.
        categorical: those whose values are categories.
        num_nodes: how many to set; all if there are fewer.
        size: how far to move them, see `moved`.

    Returns:
        What `SCM.sample` takes as `do`.

    Examples:
        >>> values = {"age": np.float32([-1, 0, 1]), "income": np.float32([5, 7, 9])}
        >>> do = sample_shift(values, categorical=(), num_nodes=1, size=2.0, rng=np.random.default_rng(0))
        >>> [node] = do
        >>> float(abs(do[node].mean() - values[node].mean()) / values[node].std())
        2.0
    """
    nodes = [*values]
    chosen = [nodes[place] for place in rng.permutation(len(nodes))[:num_nodes].tolist()]
    return {node: moved(values[node], node in categorical, size, rng) for node in chosen}


def moved(values: np.ndarray, is_category: bool, size: float, rng: np.random.Generator) -> np.ndarray:
    """Values (R,) drawn from the distribution of `values` (R,), moved by `size` deviations up or down.

    Real values come in another order, and all are moved alike. Categories stay what they are and change
    their shares: each is drawn in proportion to exp(size * z), z its standardized value, which moves a normal
    distribution by just as much.

    Examples:
        >>> values, rng = np.float32([0, 1, 2, 3]), np.random.default_rng(0)
        >>> moved(values, is_category=False, size=0.0, rng=rng).tolist()
        [3.0, 2.0, 0.0, 1.0]
        >>> set(moved(values, is_category=True, size=9.0, rng=rng).tolist())
        {3.0}
    """
    size = size if rng.random() < 0.5 else -size
    if not is_category:
        deviation = float(values.std(dtype=float))
        return values[rng.permutation(len(values))] + np.float32(size * deviation)
    logits = size * standardized(values).astype(float)
    shares = np.exp(logits - logits.max())
    return rng.choice(values, len(values), p=shares / shares.sum())
