"""SCM: a directed acyclic graph with a mechanism and a noise for each node; sampling, interventions."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, nan

import networkx as nx
import numpy as np

from priors.families.graphs import ancestral_order
from priors.families.noise import Noise
from priors.streams import split

Do = float | np.ndarray | Noise
"""What a node is set to by an intervention: a number, one for each row, or a distribution."""


@dataclass(frozen=True)
class SCM:
    """A structural causal model: each node is ``mechanism(parents) + noise``; a root is its noise alone.

    Args:
        graph: the causes of each node are its predecessors; any hashable nodes.
        mechanisms: for each node with parents, a function (parents (R, P) float32, rng) -> values (R,);
            the columns of `parents` are in the order of ``graph.predecessors(node)``.
        noises: for each root, and for each other node that has noise, (num_datapoints, rng) -> (R,).
        noise_kinds: for nodes whose noise is not simply added, (signal (R,), noise (R,)) -> values (R,); see
            `priors.families.noise.NOISE_KINDS`.
        converters: for nodes that are categories, (values (R,), rng) -> values (R,), the last step of a
            node: its children read what it gives; see `priors.families.categories`.
        relative: nodes whose converter depends on the values of all rows (cuts at quantiles, say). It gets a
            third argument, the values (R,) to take that from: those of the world without intervention.
        standardize: bring each mechanism's values to mean 0 and variance 1 over the rows sampled, before
            the noise joins them. Mechanisms drawn from families need it (they expect parents of about unit
            scale); a model of known equations does not.

    Raises:
        ValueError: the graph is empty, undirected or has a cycle, a node lacks its mechanism or a root its
            noise, or something is given for an unknown node, or a relative node has no converter; the message
            names the nodes.
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
    relative: frozenset[Hashable] = frozenset()
    standardize: bool = False

    def __post_init__(self):
        graph = self.graph
        if len(graph) == 0:
            raise ValueError("graph has no nodes")
        if not graph.is_directed():
            raise ValueError("graph must be directed (a networkx.DiGraph)")
        for name in ("mechanisms", "noises", "noise_kinds", "converters"):
            given = getattr(self, name).keys()
            if not given <= self.parents.keys():
                unknown = [node for node in given if node not in self.parents]
                raise ValueError(f"{name} given for nodes that are not in the graph: {unknown}")
        if not self.relative <= self.converters.keys():
            raise ValueError(
                f"relative nodes without a converter: {[*self.relative - self.converters.keys()]}"
            )
        for node, parents in self.parents.items():
            if node not in (self.mechanisms if parents else self.noises):
                lacks = "has parents but no mechanism" if parents else "has no noise to draw its values from"
                raise ValueError(f"{'node' if parents else 'root'} {node!r} {lacks}")
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
        self,
        num_datapoints: int,
        rng: np.random.Generator,
        nodes: Iterable[Hashable] | None = None,
        do: Mapping[Hashable, Do] | None = None,
    ) -> dict[Hashable, np.ndarray]:
        """Sample each node after its parents.

        Every node draws from a stream of its own, split from `rng` for all nodes at once: a node's draws do
        not depend on which others are computed. Of its stream, a node draws its noise first, so that another
        mechanism has the same noise.

        With `do`, the world is the one that an equal `rng` gives without it, but for the nodes that are set
        and their descendants: these follow the same functions with the same noise, row by row, and what a
        function takes from all rows (`standardize`, `relative`) is taken from the world without intervention.
        The two samples are therefore counterfactuals of each other (Pearl, Causality, 2009, ch. 7).

        Args:
            num_datapoints: rows R.
            nodes: those wanted, all by default; only they and their ancestors are computed.
            do: for each node that is set, what it is set to in place of mechanism, noise and converter: a
                number, one for each row (R,), or a distribution (num_datapoints, rng) -> (R,), which draws
                from a stream of its own. A category is set to the value that its children read.

        Returns:
            The values (R,) float32 of each computed node.

        Raises:
            ValueError: `num_datapoints` below 1, a node that is not in the graph, a mechanism whose values do
                not have the shape (R,), or a `do` that is no finite number and not (R,) of them.
        """
        if num_datapoints < 1:
            raise ValueError(f"num_datapoints must be at least 1, got {num_datapoints}")
        order = self.order if nodes is None else self._with_ancestors(nodes)
        streams = self._streams(deepcopy(rng) if do else rng)
        rows = {node: row for row, node in enumerate(order)}
        values = np.empty((len(order), num_datapoints), np.float32)
        wholes = {}
        for node, row in rows.items():
            inputs = self._inputs(node, rows, values)
            values[row], wholes[node] = self._value(node, inputs, num_datapoints, streams[node])
        if do:
            streams = self._streams(rng)
            given = self._given(do, num_datapoints, rng)
            moved = set()
            for node, row in rows.items():
                if node in given:
                    values[row] = given[node]
                elif moved.isdisjoint(self.parents[node]):
                    continue
                else:
                    inputs = self._inputs(node, rows, values)
                    values[row], _ = self._value(node, inputs, num_datapoints, streams[node], wholes[node])
                moved.add(node)
        return {node: values[row] for node, row in rows.items()}

    def _streams(self, rng: np.random.Generator) -> dict[Hashable, np.random.Generator]:
        return dict(zip(self.graph, split(rng, len(self.graph)), strict=True))

    def _inputs(self, node: Hashable, rows: dict[Hashable, int], values: np.ndarray) -> np.ndarray | None:
        """The values (R, P) of a node's parents; None for a root."""
        parents = [rows[parent] for parent in self.parents[node]]
        if not parents:
            return None
        # One row is a view; several are copied together.
        return (values.take(parents, axis=0) if len(parents) > 1 else values[parents[0], None]).T

    def _value(
        self,
        node: Hashable,
        inputs: np.ndarray | None,
        num_datapoints: int,
        rng: np.random.Generator,
        wholes: tuple[np.ndarray | None, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray | None, np.ndarray]]:
        """The values (R,) of a node, and those from which it took what depends on all rows: what its
        mechanism gave and what its converter got, both (R,). With `wholes`, it takes that from these.
        """
        noise = self.noises[node](num_datapoints, rng) if node in self.noises else None
        signal = None
        if inputs is None:
            value = noise
        else:
            value = signal = self.mechanisms[node](inputs, rng)
            if value.shape != (num_datapoints,):
                raise ValueError(
                    f"the mechanism of node {node!r} must return ({num_datapoints},), got {value.shape}"
                )
            if self.standardize:
                value = standardized(value, wholes and wholes[0])
            if noise is not None:
                kind = self.noise_kinds.get(node)
                value = value + noise if kind is None else kind(value, noise)
        unconverted = value
        if node in self.converters:
            more = (wholes[1] if wholes else value,) if node in self.relative else ()
            value = self.converters[node](value, rng, *more)
        return value, (signal, unconverted)

    def _given(
        self, do: Mapping[Hashable, Do], num_datapoints: int, rng: np.random.Generator
    ) -> dict[Hashable, np.ndarray]:
        """The values (R,) of each node that is set."""
        streams, given = self._streams(rng), {}
        for node, what in do.items():
            if node not in self.parents:
                raise ValueError(f"do: node {node!r} is not in the graph")
            values = np.asarray(what(num_datapoints, streams[node]) if callable(what) else what)
            if values.shape not in ((), (num_datapoints,)) or values.dtype.kind not in "biuf":
                gives = f", which gives {values.dtype} {values.shape}" if callable(what) else ""
                raise ValueError(
                    f"do: node {node!r} must be set to a number or to ({num_datapoints},) numbers, "
                    f"got {what!r}{gives}"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"do: node {node!r} must be set to finite numbers, got {what!r}")
            given[node] = np.broadcast_to(values, num_datapoints)
        return given

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


def all_finite(values: np.ndarray) -> bool:
    """Whether each of `values`, of any shape, is finite."""
    # A sum is not finite where a value is not; a sum that overflows says nothing.
    return isfinite(np.add.reduce(values, axis=None)) or bool(np.isfinite(values).all())


def standardized(values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """`values` (R,) minus their mean, divided by their deviation; zeros where they do not vary.

    Not finite where the values, or their squares, are not: whoever asked for them sees it.

    Args:
        reference: (R,), whose mean and deviation to take instead.
    """
    whole = values if reference is None else reference
    # The mean of equal values is off by rounding, of zeros it is not; truth values and ints become real.
    origin = np.float32(whole[0])
    centred = whole - origin
    mean = float(np.add.reduce(centred)) / len(whole)
    centred -= mean
    deviation = (float(centred.dot(centred)) / len(whole)) ** 0.5
    if reference is not None:
        centred = values - origin - mean
    if deviation <= 1e-6:
        return np.zeros_like(centred)
    centred *= 1 / deviation if isfinite(deviation) else nan
    return centred
