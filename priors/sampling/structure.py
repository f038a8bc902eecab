"""The structure of a dataset: its causal graph, and which nodes are the features and the target."""

from collections.abc import Hashable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.families.graphs import GRAPHS, Parents, digraph_of
from priors.sampling.own_families import find_family
from priors.sampling.ranges_and_weights import from_range, sample_name

KEPT = 100
"""Graphs that are drawn of the same family with the same parameters."""
OWN = "own"
"""In the place of a family's name, for a graph that the config gives."""


class Structure(NamedTuple):
    """The graph behind a dataset, and which of its nodes the table shows.

    Examples:
        >>> structure = Structure(causes=[[], [0], [0, 1]], features=[2, 0], target=1, family="random_tree")
        >>> list(structure.graph.edges)
        [(0, 1), (0, 2), (1, 2)]
    """

    causes: Parents | nx.DiGraph
    """The parents of each node 0..V-1, or a graph that the config gives."""
    features: list[Hashable]
    """The node behind each column of x."""
    target: Hashable
    family: str
    """Name of the graph's family; `OWN` for a graph that the config gives."""

    @property
    def graph(self) -> nx.DiGraph:
        """The causal graph; made at each call where it was drawn."""
        return self.causes if isinstance(self.causes, nx.DiGraph) else digraph_of(self.causes)


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

    Examples:
        >>> from priors.streams import stream
        >>> structures = sample_structures(PriorConfig(), "random_tree", 6, 3, stream(0, 0), stream(0, 1))
        >>> structure = next(structures)
        >>> len(structure.causes), len(structure.features), structure.target in structure.features
        (6, 3, False)
    """
    own = config.graph
    while own is not None:
        yield Structure(own.digraph, own.feature_names, own.target_name, OWN)
    while True:
        ranges, draw_parents = config.parameters.get(family, {}), find_family(GRAPHS, family)
        parameters = {name: from_range(ranges[name], graph_rng.random()) for name in ranges}
        relevant_fraction = config.relevant_fraction.at(column_rng.random())
        for _ in range(KEPT):
            parents = draw_parents(num_nodes, graph_rng, **parameters)
            columns = choose_columns(
                parents,
                num_features,
                relevant_fraction,
                column_rng,
                config.target_position,
                config.allow_descendants,
            )
            yield columns and Structure(parents, *columns, family)
        family = sample_name(config.graphs, graph_rng)


def choose_columns(
    parents: Sequence[Sequence[int]],
    num_features: int,
    relevant_fraction: float,
    rng: np.random.Generator,
    target_position: str = "any",
    allow_descendants: bool = True,
) -> tuple[list[int], int] | None:
    """Draw the observed nodes of a graph, given the parents of each node, which have lower numbers.

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

    >>> features, target = choose_columns([[], [0], [1]], 2, 1.0, np.random.default_rng(0))
    >>> sorted([*features, target])
    [0, 1, 2]
    """
    num_nodes = len(parents)
    if num_nodes < num_features + 1:
        raise ValueError(f"a graph of {num_nodes} nodes has no {num_features} features and a target")
    descendants = _descendant_bits(parents)
    relatives_of = _relative_bits(parents, descendants)
    num_relevant = ceil(relevant_fraction * num_features)
    nodes = rng.permutation(num_nodes).tolist()
    third = -(-num_nodes // 3)
    candidates = {"any": range(num_nodes), "early": range(third), "late": range(num_nodes - third, num_nodes)}
    everything = (1 << num_nodes) - 1
    for target in nodes:
        if target not in candidates[target_position]:
            continue
        possible = everything ^ (1 << target if allow_descendants else descendants[target])
        relatives = relatives_of[target] & possible
        if relatives.bit_count() >= num_relevant and possible.bit_count() >= num_features:
            required = [node for node in nodes if relatives >> node & 1][:num_relevant]
            for node in required:
                possible ^= 1 << node
            features = (required + [node for node in nodes if possible >> node & 1])[:num_features]
            return [features[place] for place in rng.permutation(num_features).tolist()], target
    return None


def _descendant_bits(parents: Sequence[Sequence[int]]) -> list[int]:
    """The descendants of each node 0..V-1, itself included, as the bits of an integer."""
    descendants = [1 << node for node in range(len(parents))]
    for node in reversed(range(len(parents))):
        for cause in parents[node]:
            descendants[cause] |= descendants[node]
    return descendants


def _relative_bits(parents: Sequence[Sequence[int]], descendants: list[int]) -> list[int]:
    """The nodes that share an ancestor with each node: the descendants of its roots."""
    relatives = []
    for node, causes in enumerate(parents):
        bits = 0 if causes else descendants[node]
        for cause in causes:
            bits |= relatives[cause]
        relatives.append(bits)
    return relatives
