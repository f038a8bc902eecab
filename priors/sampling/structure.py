"""The structure of a dataset: its causal graph, and which nodes are the features and the target."""

from collections.abc import Hashable
from math import ceil
from typing import NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.families.graphs import GRAPHS
from priors.registry import lookup
from priors.sampling.draws import from_range, sample_name


class Structure(NamedTuple):
    """The graph behind a dataset, and which of its nodes the table shows."""

    graph: nx.DiGraph
    features: list[Hashable]
    """The node behind each column of x."""
    target: Hashable
    family: str
    """Name of the graph's family; "own" for a graph that the config gives."""


def sample_structure(
    config: PriorConfig,
    num_nodes: int,
    num_features: int,
    graph_rng: np.random.Generator,
    column_rng: np.random.Generator,
) -> Structure | None:
    """Draw a graph and its observed nodes; None if no node can be the target (see `choose_columns`)."""
    own = config.graph
    if own is not None:
        return Structure(own.digraph, own.feature_names, own.target_name, "own")
    family = sample_name(config.graphs, graph_rng)
    ranges = config.parameters.get(family, {})
    parameters = {name: from_range(ranges[name], graph_rng.random()) for name in ranges}
    graph = lookup(GRAPHS, family)(num_nodes, graph_rng, **parameters)
    columns = choose_columns(
        graph,
        num_features,
        from_range(config.relevant_fraction, column_rng.random()),
        column_rng,
        config.target_position,
        config.allow_descendants,
    )
    return columns and Structure(graph, *columns, family)


def choose_columns(
    graph: nx.DiGraph,
    num_features: int,
    relevant_fraction: float,
    rng: np.random.Generator,
    target_position: str = "any",
    allow_descendants: bool = True,
) -> tuple[list[int], int] | None:
    """Draw the observed nodes of a graph whose edges go from low to high index.

    A feature carries information about the target only if the two share an ancestor (a node counts as its
    own). The graph decides that before any data is drawn: the target is a node with enough such relatives,
    and at least `relevant_fraction` of the features, rounded up, are drawn from them.

    Args:
        num_features: nodes to observe in addition to the target.
        relevant_fraction: in [0, 1].
        target_position: `any` node can be the target, or one of the first (`early`) or last (`late`) third.
        allow_descendants: whether the target's effects can be features.

    Returns:
        The features, in random order, and the target; None if no node has enough relatives.

    Raises:
        ValueError: the graph has fewer than `num_features` + 1 nodes.

    >>> chain = nx.path_graph(3, create_using=nx.DiGraph)
    >>> features, target = choose_columns(chain, 2, 1.0, np.random.default_rng(0))
    >>> sorted([*features, target])
    [0, 1, 2]
    """
    num_nodes = len(graph)
    if num_nodes < num_features + 1:
        raise ValueError(f"a graph of {num_nodes} nodes has no {num_features} features and a target")
    ancestors = _ancestor_bits(graph)
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


def _ancestor_bits(graph: nx.DiGraph) -> list[int]:
    """The ancestors of each node 0..V-1, itself included, as the bits of an integer."""
    ancestors = []
    for node in range(len(graph)):
        bits = 1 << node
        for parent in graph.pred[node]:
            bits |= ancestors[parent]
        ancestors.append(bits)
    return ancestors
