"""From nodes to a table: which nodes are columns, and what happens to columns on the way to a real table.

Whatever a column's treatment depends on comes from the training rows, the first `num_train`.
Axis letters: R rows, F features.
"""

from math import ceil

import networkx as nx
import numpy as np

from priors.sampling.scm import all_finite

REPEATED = 0.9999
"""Columns that correlate by more than this are one column, shifted, scaled or turned; below 1 because files
may hold half precision."""


def choose_columns(
    graph: nx.DiGraph,
    num_features: int,
    relevant_fraction: float,
    rng: np.random.Generator,
    target_position: str = "any",
    allow_descendants: bool = True,
) -> tuple[list[int], int] | None:
    """Draw the observed nodes of a graph whose edges go from low to high index.

    A feature can tell something of the target only if the two share an ancestor (a node counts as its own).
    That is read off the graph before any data is drawn: the target is a node that has enough such relatives,
    and at least `relevant_fraction` of the features, rounded up, are drawn from them.

    Args:
        num_features: nodes to observe beside the target.
        relevant_fraction: in [0, 1].
        target_position: `any` node can be the target, or one of the first (`early`) or last (`late`) third.
        allow_descendants: whether the target's effects can be features.

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
        for parent in graph.predecessors(node):
            bits |= ancestors[parent]
        ancestors.append(bits)
    num_relevant = ceil(relevant_fraction * num_features)
    nodes = rng.permutation(num_nodes).tolist()
    third = -(-num_nodes // 3)
    candidates = {"any": range(num_nodes), "early": range(third), "late": range(num_nodes - third, num_nodes)}
    for target in nodes:
        if target not in candidates[target_position]:
            continue
        others = [node for node in nodes if node != target]
        if not allow_descendants:
            others = [node for node in others if not ancestors[node] >> target & 1]
        relatives = [node for node in others if ancestors[node] & ancestors[target]]
        if len(relatives) >= num_relevant and len(others) >= num_features:
            required = relatives[:num_relevant]
            features = (required + [node for node in others if node not in required])[:num_features]
            return [features[place] for place in rng.permutation(num_features).tolist()], target
    return None


def category_codes(values: np.ndarray, rng: np.random.Generator, num_rows: int | None = None) -> np.ndarray:
    """The categories (R,) behind the values of a categorical node, as codes 0, 1, ... in random order.

    Args:
        num_rows: how many of the first rows decide the codes, all by default; what is new after them has the
            next codes.
    """
    distinct, codes = np.unique(values[:num_rows], return_inverse=True)
    code_of = rng.permutation(len(distinct)).astype(np.float32)
    if len(codes) == len(values):
        return code_of[codes]
    more = np.setdiff1d(values, distinct)
    code_of = np.concatenate([code_of, np.arange(len(distinct), len(distinct) + len(more), dtype=np.float32)])
    distinct = np.concatenate([distinct, more])
    order = np.argsort(distinct)
    return code_of[order][np.searchsorted(distinct[order], values)]


def warp(column: np.ndarray, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Warp a column (R,) monotonely: Kumaraswamy's distribution function, an exponential, or a signed power.

    References:
        Hollmann et al., Nature 2025 (Kumaraswamy warping of features); Kumaraswamy, J. of Hydrology 1980.
    """
    kind, first, second = rng.random(3).tolist()
    train = column[:num_train]
    if kind < 1 / 3:
        low, high = train.min(), train.max()
        unit = np.clip((column - low) / max(high - low, 1e-6), 0, 1)
        a, b = np.exp(1.5 * (2 * first - 1)), np.exp(1.5 * (2 * second - 1))
        return 1 - (1 - unit**a) ** b
    z = (column - train.mean()) / max(train.std(), 1e-6)
    if kind < 2 / 3:
        return np.exp(np.clip((0.3 + 1.2 * first) * z, -10, 10)) * (1 if second < 0.5 else -1)
    return np.sign(z) * np.abs(z) ** (0.4 + 2.1 * first)


def quantize(column: np.ndarray, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Round a column (R,) to 4 to 40 equal steps over its training rows' range, as counts and scores are."""
    low, high = column[:num_train].min(), column[:num_train].max()
    num_steps = 4 + int(rng.random() * 37)
    return np.rint((column - low) * (num_steps / max(high - low, 1e-6)))


def add_outliers(x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Move a share of the cells of x (R, F) to 5 to 20 training deviations from their column's mean."""
    mean, deviation = x[:num_train].mean(axis=0), x[:num_train].std(axis=0)
    far = mean + deviation * rng.uniform(5, 20, x.shape) * np.sign(rng.random(x.shape) - 0.5)
    return np.where(rng.random(x.shape) < fraction, far, x)


def scale_columns(x: np.ndarray, num_train: int, num_rows: int | None = None) -> np.ndarray | None:
    """Bring columns (R, F) to mean 0 and variance 1 over the training rows.

    Args:
        num_rows: among how many of the first rows columns must differ, all by default.

    Returns:
        The scaled columns as float32; None if one does not vary among the training rows, is another one
        (as it is or mirrored, as two codings of one category are), or is not finite.
    """
    columns = np.array(x.T, np.float64, order="C")  # (F, R); in float32 a constant's mean is off by rounding
    training = columns[:, :num_train]
    columns -= np.add.reduce(training, axis=1, keepdims=True) / num_train
    deviations = np.sqrt(np.vecdot(training, training) / num_train)
    if not deviations.min() > 1e-6:
        return None
    columns /= deviations[:, None]
    columns = columns.astype(np.float32)
    own = columns[:, :num_rows]
    products = own @ own.T  # (F, F)
    lengths = np.sqrt(products.diagonal())
    alike = np.abs(products) > REPEATED * lengths * lengths[:, None]  # each is like itself
    return columns.T if np.count_nonzero(alike) == len(columns) and all_finite(columns) else None
