"""From nodes to a table: which nodes are features and which is the target, and classes from its values."""

import networkx as nx
import numpy as np


def choose_columns(
    graph: nx.DiGraph, num_features: int, relevant_fraction: float, rng: np.random.Generator
) -> tuple[list[int], int] | None:
    """Draw the observed nodes of a graph whose edges go from low to high index.

    A feature can tell something of the target only if the two share an ancestor (a node counts as its own).
    That is read off the graph before any data is drawn: the target is a node that has enough such relatives,
    and at least `relevant_fraction` of the features, rounded up, are drawn from them. Any node can be the
    target, so features are its causes, its effects and its siblings.

    Args:
        num_features: nodes to observe beside the target.
        relevant_fraction: in [0, 1].

    Returns:
        The features, in random order, and the target; None if no node has enough relatives.

    Raises:
        ValueError: the graph has fewer than `num_features` + 1 nodes.
    """
    num_nodes = len(graph)
    if num_nodes < num_features + 1:
        raise ValueError(f"a graph of {num_nodes} nodes has no {num_features} features and a target")
    ancestors = []  # of each node, itself included, as a set of bits
    for node in range(num_nodes):
        bits = 1 << node
        for parent in graph.pred[node]:
            bits |= ancestors[parent]
        ancestors.append(bits)
    num_relevant = int(np.ceil(relevant_fraction * num_features))
    nodes = rng.permutation(num_nodes).tolist()
    for target in nodes:
        others = [node for node in nodes if node != target]
        relatives = [node for node in others if ancestors[node] & ancestors[target]]
        if len(relatives) >= num_relevant:
            required = relatives[:num_relevant]
            features = required + [node for node in others if node not in required]
            features = features[:num_features]
            rng.shuffle(features)
            return features, target
    return None


def sample_class_shares(num_classes: int, smallest_side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the share of each class (K,) uniformly among all shares, from balanced to skewed.

    Each class gets a floor, and what is left is a flat Dirichlet draw. The floor is 2 of the rows of the
    smaller side, at most half of a balanced share, so that a class is seldom missing among the training or
    the test rows. Skewed classes are what a model learns to use first (docs/log.md).

    Args:
        smallest_side: training rows or test rows, whichever are fewer.
    """
    floor = min(2 / smallest_side, 0.5 / num_classes)
    return floor + (1 - num_classes * floor) * rng.dirichlet(np.ones(num_classes))


def cut_into_classes(values: np.ndarray, shares: np.ndarray, single_eval_pos: int) -> np.ndarray:
    """Cut real values (R,) into ordered classes 0..K-1 at the quantiles of the training rows.

    Class k gets about ``shares[k]`` of the training rows; the test rows fall where they fall.
    """
    training = np.sort(values[:single_eval_pos])
    cuts = np.clip(np.rint(np.cumsum(shares[:-1]) * single_eval_pos), 1, single_eval_pos - 1).astype(int)
    return np.searchsorted((training[cuts - 1] + training[cuts]) / 2, values, side="right")


def has_every_class(y: np.ndarray, num_classes: int, single_eval_pos: int) -> bool:
    """Whether all classes 0..K-1 occur among the training rows, and among the test rows."""
    return all(
        np.count_nonzero(np.bincount(side, minlength=num_classes)) == num_classes
        for side in (y[:single_eval_pos], y[single_eval_pos:])
    )


def scale_columns(x: np.ndarray, single_eval_pos: int) -> np.ndarray | None:
    """Bring columns (R, F) to mean 0 and variance 1 over the training rows.

    Returns:
        The scaled columns as float32; None if one does not vary among the training rows, is a copy of
        another, or is not finite.
    """
    training = x[:single_eval_pos]
    deviation = training.std(axis=0, dtype=np.float64)  # in float32 a constant's mean is off by rounding
    if not deviation.min() > 1e-6:
        return None
    x = ((x - training.mean(axis=0, dtype=np.float64)) / deviation).astype(np.float32)
    if not np.isfinite(x).all() or len({column.tobytes() for column in x.T}) < x.shape[1]:
        return None
    return x
