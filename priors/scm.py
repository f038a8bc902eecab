"""SCM: a directed acyclic graph with a mechanism and a noise for each node; ancestral sampling."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

import networkx as nx
import numpy as np

from priors.mechanisms import Mechanism
from priors.noise import Noise
from priors.streams import split


@dataclass(frozen=True)
class SCM:
    """A structural causal model: each node is ``mechanism(parents) + noise``; a root is its noise alone.

    Args:
        graph: the causes of each node are its predecessors; any hashable nodes.
        mechanisms: for each node with parents, a function (parents (R, P) float32, rng) -> values (R,);
            the columns of `parents` are in the order of ``graph.predecessors(node)``.
        noises: for each root, and for each other node that has noise, (num_datapoints, rng) -> (R,).
        standardize: bring each mechanism's values to mean 0 and variance 1 over the rows sampled, before
            the noise is added. Mechanisms drawn from families need it (they expect parents of about unit
            scale); a model of known equations does not.

    Raises:
        ValueError: the graph is empty, undirected or has a cycle, a node lacks its mechanism or a root its
            noise, or one is given for an unknown node; the message names the nodes.
    """

    graph: nx.DiGraph
    mechanisms: Mapping[Hashable, Mechanism]
    noises: Mapping[Hashable, Noise]
    standardize: bool = False

    def __post_init__(self):
        if len(self.graph) == 0:
            raise ValueError("graph has no nodes")
        if not self.graph.is_directed():
            raise ValueError("graph must be directed (a networkx.DiGraph)")
        if not nx.is_directed_acyclic_graph(self.graph):
            cycle = " -> ".join(str(edge[0]) for edge in nx.find_cycle(self.graph))
            raise ValueError(f"graph must not have a cycle, got one through {cycle}")
        for name, given in (("mechanisms", self.mechanisms), ("noises", self.noises)):
            unknown = [node for node in given if node not in self.graph]
            if unknown:
                raise ValueError(f"{name} given for nodes that are not in the graph: {unknown}")
        for node in self.graph:
            if self.graph.in_degree(node) and node not in self.mechanisms:
                raise ValueError(f"node {node!r} has parents but no mechanism")
            if not self.graph.in_degree(node) and node not in self.noises:
                raise ValueError(f"root {node!r} has no noise to draw its values from")

    def sample(
        self, num_datapoints: int, rng: np.random.Generator, nodes: Iterable[Hashable] | None = None
    ) -> dict[Hashable, np.ndarray]:
        """Sample each node after its parents.

        Every node draws from a stream of its own, split from `rng` for all nodes at once: a node's draws do
        not depend on which others are computed.

        Args:
            num_datapoints: rows R.
            nodes: those wanted, all by default; only they and their ancestors are computed.

        Returns:
            The values (R,) float32 of each computed node.

        Raises:
            ValueError: `num_datapoints` below 1, a node that is not in the graph, or a mechanism whose values
                do not have the shape (R,).
        """
        if num_datapoints < 1:
            raise ValueError(f"num_datapoints must be at least 1, got {num_datapoints}")
        streams = dict(zip(self.graph, split(rng, len(self.graph)), strict=True))
        parents_of = self.graph.pred
        values = {}
        for node in ancestral_order(self.graph, self.graph if nodes is None else nodes):
            node_rng = streams[node]
            if parents_of[node]:
                parents = np.stack([values[parent] for parent in parents_of[node]], axis=1)  # (R, P)
                value = self.mechanisms[node](parents, node_rng)
                if value.shape != (num_datapoints,):
                    raise ValueError(
                        f"the mechanism of node {node!r} must return ({num_datapoints},), got {value.shape}"
                    )
                if self.standardize:
                    value = standardized(value)
                if node in self.noises:
                    value = value + self.noises[node](num_datapoints, node_rng)
            else:
                value = self.noises[node](num_datapoints, node_rng)
            values[node] = value.astype(np.float32, copy=False)
        return values


def ancestral_order(graph: nx.DiGraph, nodes: Iterable[Hashable]) -> list[Hashable]:
    """`nodes` and all their ancestors, each after its parents.

    Raises:
        ValueError: a node that is not in the graph.
    """
    order, seen = [], set()
    stack = [(node, False) for node in nodes]
    for node, _ in stack:
        if node not in graph:
            raise ValueError(f"node {node!r} is not in the graph")
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in graph.pred[node] if parent not in seen)
    return order


def standardized(values: np.ndarray) -> np.ndarray:
    """`values` (R,) minus their mean, divided by their deviation; zeros where they do not vary.

    Not finite where the values, or their squares, are not: whoever asked for them sees it.
    """
    num_datapoints = len(values)
    values = values - values[0]  # the mean of equal values is off by rounding, of zeros it is not
    values = values - values.sum() / num_datapoints
    deviation = (values @ values / num_datapoints) ** 0.5
    if deviation <= 1e-6:
        return np.zeros_like(values)
    return values / deviation if np.isfinite(deviation) else np.full_like(values, np.nan)


def scaled(noise: Noise, scale: float) -> Callable[[int, np.random.Generator], np.ndarray]:
    """`noise` times `scale`."""
    return lambda num_datapoints, rng: noise(num_datapoints, rng) * np.float32(scale)
