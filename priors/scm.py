"""SCM: a directed acyclic graph with a mechanism and a noise for each node; ancestral sampling."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, nan

import networkx as nx
import numpy as np

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
        noise_kinds: for nodes whose noise is not simply added, (signal (R,), noise (R,)) -> values (R,); see
            `priors.noise.NOISE_KINDS`.
        converters: for nodes that are categories, (values (R,), rng) -> values (R,), the last step of a
            node: its children read what it gives; see `priors.categories`.
        standardize: bring each mechanism's values to mean 0 and variance 1 over the rows sampled, before
            the noise joins them. Mechanisms drawn from families need it (they expect parents of about unit
            scale); a model of known equations does not.

    Raises:
        ValueError: the graph is empty, undirected or has a cycle, a node lacks its mechanism or a root its
            noise, or something is given for an unknown node; the message names the nodes.
    """

    graph: nx.DiGraph
    mechanisms: Mapping[Hashable, Callable[[np.ndarray, np.random.Generator], np.ndarray]]
    noises: Mapping[Hashable, Noise]
    noise_kinds: Mapping[Hashable, Callable[[np.ndarray, np.ndarray], np.ndarray]] = field(
        default_factory=dict
    )
    converters: Mapping[Hashable, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = field(
        default_factory=dict
    )
    standardize: bool = False

    def __post_init__(self):
        graph = self.graph
        if len(graph) == 0:
            raise ValueError("graph has no nodes")
        if not graph.is_directed():
            raise ValueError("graph must be directed (a networkx.DiGraph)")
        for name in ("mechanisms", "noises", "noise_kinds", "converters"):
            unknown = [node for node in getattr(self, name) if node not in graph]
            if unknown:
                raise ValueError(f"{name} given for nodes that are not in the graph: {unknown}")
        for node, parents in self.parents.items():
            if parents and node not in self.mechanisms:
                raise ValueError(f"node {node!r} has parents but no mechanism")
            if not parents and node not in self.noises:
                raise ValueError(f"root {node!r} has no noise to draw its values from")
        self.order  # noqa: B018, raises where there is a cycle

    @cached_property
    def parents(self) -> dict[Hashable, list[Hashable]]:
        """The parents of each node, in the order in which its mechanism gets them."""
        return {node: list(self.graph.predecessors(node)) for node in self.graph}

    @cached_property
    def order(self) -> list[Hashable]:
        """All nodes, each after its parents."""
        return ancestral_order(self.parents)

    def sample(
        self, num_datapoints: int, rng: np.random.Generator, nodes: Iterable[Hashable] | None = None
    ) -> dict[Hashable, np.ndarray]:
        """Sample each node after its parents.

        Every node draws from a stream of its own, split from `rng` for all nodes at once: a node's draws do
        not depend on which others are computed. Of its stream, a node draws its noise first, so that another
        mechanism has the same noise.

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
        order = self.order if nodes is None else self._with_ancestors(nodes)
        rows = {node: row for row, node in enumerate(order)}
        parents_of, values = self.parents, np.empty((len(order), num_datapoints), np.float32)
        for node, row in rows.items():
            node_rng = streams[node]
            noise = self.noises[node](num_datapoints, node_rng) if node in self.noises else None
            parents = [rows[parent] for parent in parents_of[node]]
            if parents:
                # One row is a view; several are copied together.
                inputs = values.take(parents, axis=0) if len(parents) > 1 else values[parents[0], None]
                value = self.mechanisms[node](inputs.T, node_rng)  # parents (R, P)
                if value.shape != (num_datapoints,):
                    raise ValueError(
                        f"the mechanism of node {node!r} must return ({num_datapoints},), got {value.shape}"
                    )
                if self.standardize:
                    value = standardized(value)
                if noise is not None:
                    kind = self.noise_kinds.get(node)
                    value = value + noise if kind is None else kind(value, noise)
            else:
                value = noise
            if node in self.converters:
                value = self.converters[node](value, node_rng)
            values[row] = value
        return {node: values[row] for node, row in rows.items()}

    def _with_ancestors(self, nodes: Iterable[Hashable]) -> list[Hashable]:
        """`nodes` and all their ancestors, each after its parents."""
        wanted = set(nodes)
        unknown = [node for node in wanted if node not in self.parents]
        if unknown:
            raise ValueError(f"node {unknown[0]!r} is not in the graph")
        for node in reversed(self.order):
            if node in wanted:
                wanted.update(self.parents[node])
        return [node for node in self.order if node in wanted]


def ancestral_order(parents_of: Mapping[Hashable, Iterable[Hashable]]) -> list[Hashable]:
    """The nodes of a graph, given the parents of each, in an order in which each comes after its parents.

    Raises:
        ValueError: a cycle; the message names two nodes of it.
    """
    order, is_done = [], {}  # False for nodes under way, which wait for parents above them in the stack
    for first in parents_of:
        stack = [] if first in is_done else [first]
        while stack:
            node = stack[-1]
            waiting = [parent for parent in parents_of[node] if not is_done.get(parent)]
            if waiting and node not in is_done:
                is_done[node] = False
                stack += waiting
            elif waiting:
                raise ValueError(f"graph must not have a cycle, got one through {waiting[0]!r} and {node!r}")
            else:
                stack.pop()
                if not is_done.get(node):
                    is_done[node] = True
                    order.append(node)
    return order


def standardized(values: np.ndarray) -> np.ndarray:
    """`values` (R,) minus their mean, divided by their deviation; zeros where they do not vary.

    Not finite where the values, or their squares, are not: whoever asked for them sees it.
    """
    num_datapoints = len(values)
    # The mean of equal values is off by rounding, of zeros it is not; truth values and ints become real.
    values = values - np.float32(values[0])
    values -= float(values.sum()) / num_datapoints
    deviation = (float(values @ values) / num_datapoints) ** 0.5
    if deviation <= 1e-6:
        return np.zeros_like(values)
    values *= 1 / deviation if isfinite(deviation) else nan
    return values
