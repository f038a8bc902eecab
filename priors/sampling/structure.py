"""The structure of a dataset: its causal graph, and which nodes are the features and the target."""

from collections.abc import Hashable, Iterator
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.families.graphs import BUILT_IN_GRAPHS, GRAPHS, GraphFamily
from priors.registry import lookup
from priors.sampling.draws import from_range, sample_name

KEPT = 100
"""Graphs that are drawn of the same family with the same parameters."""
OWN = "own"
"""In the place of a family's name, for a graph that the config gives."""


class Structure(NamedTuple):
    """The graph behind a dataset, and which of its nodes the table shows."""

    graph: nx.DiGraph
    features: list[Hashable]
    """The node behind each column of x."""
    target: Hashable
    family: str
    """Name of the graph's family; `OWN` for a graph that the config gives."""


def sample_structures(
    config: PriorConfig,
    family: str,
    num_nodes: int,
    num_features: int,
    graph_rng: np.random.Generator,
    column_rng: np.random.Generator,
) -> Iterator[Structure | None]:
    """Draw graphs and their observed nodes; None where no node can be the target.

    `KEPT` graphs in a row have the same family, parameters of the family and share of relevant features, so
    that refused graphs favour none of them; those that allow no target in all of these are drawn again.
    """
    own = config.graph
    while own is not None:
        yield Structure(own.digraph, own.feature_names, own.target_name, OWN)
    while True:
        ranges, function = config.parameters.get(family, {}), graph_family(family)
        parameters = {name: from_range(ranges[name], graph_rng.random()) for name in ranges}
        relevant_fraction = from_range(config.relevant_fraction, column_rng.random())
        for _ in range(KEPT):
            graph = function(num_nodes, graph_rng, **parameters)
            columns = choose_columns(
                graph,
                num_features,
                relevant_fraction,
                column_rng,
                config.target_position,
                config.allow_descendants,
            )
            yield columns and Structure(graph, *columns, family)
        family = sample_name(config.graphs, graph_rng)


def graph_family(name: str) -> GraphFamily:
    """The graph family of a name; one that is not the library's own is checked each time that it is called.

    The check raises a ValueError that names the family and the rule: it must return a networkx.DiGraph on the
    nodes 0..num_nodes-1 whose edges go from low to high numbers.

    >>> graph_family("random_tree") is GRAPHS["random_tree"]
    True
    """
    family = lookup(GRAPHS, name)
    return family if family in BUILT_IN_GRAPHS else partial(_checked_graph, name, family)


def _checked_graph(
    name: str, family: GraphFamily, num_nodes: int, rng: np.random.Generator, **parameters: Any
) -> nx.DiGraph:
    graph = family(num_nodes, rng, **parameters)
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise ValueError(f"graph family {name} must return a networkx.DiGraph, got {type(graph).__name__}")
    if set(graph) != set(range(num_nodes)):
        shown = ", ".join(map(repr, list(graph)[:10]))
        raise ValueError(
            f"graph family {name} must return a graph on the nodes 0..{num_nodes - 1} "
            f"(num_nodes={num_nodes}), got {len(graph)} nodes: {shown}"
        )
    for cause, effect in graph.edges:
        if cause >= effect:
            raise ValueError(
                f"graph family {name} must return edges from low to high numbers, got {cause} -> {effect}"
            )
    if list(graph) != list(range(num_nodes)):
        ordered = nx.DiGraph()
        ordered.add_nodes_from(range(num_nodes))
        ordered.add_edges_from(graph.edges)
        return ordered
    return graph


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
        for parent in graph.predecessors(node):
            bits |= ancestors[parent]
        ancestors.append(bits)
    return ancestors
