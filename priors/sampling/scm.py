"""SCM: a directed acyclic graph with a mechanism and a noise for each node; sampling, interventions."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from math import isfinite, nan
from typing import Any

import networkx as nx
import numpy as np

from priors.arguments import check_generator, check_integer
from priors.blas_threads import one_blas_thread
from priors.families.graphs import ancestral_order, digraph_of
from priors.families.noise import Noise
from priors.notebook import block, graph_drawing
from priors.registry import nearest_or_all
from priors.streams import draw_states, generator_of, split

Do = float | np.ndarray | Noise
"""What a node is set to by an intervention: a number, one for each row, or a distribution."""


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

    Examples:
        >>> graph = nx.DiGraph([("x", "y")])
        >>> double = lambda parents, rng: 2 * parents[:, 0]
        >>> scm = SCM(graph, {"y": double}, {"x": lambda num_datapoints, rng: rng.random(num_datapoints)})
        >>> values = scm.sample(4, np.random.default_rng(0))
        >>> bool((values["y"] == 2 * values["x"]).all()), scm.order
        (True, ['x', 'y'])
    """

    def __init__(
        self,
        graph: nx.DiGraph,
        mechanisms: Mapping[Hashable, Callable[[np.ndarray, np.random.Generator], np.ndarray]],
        noises: Mapping[Hashable, Noise],
        noise_kinds: Mapping[Hashable, Callable[[np.ndarray, np.ndarray], np.ndarray]] | None = None,
        converters: Mapping[Hashable, Callable[[np.ndarray, np.random.Generator], np.ndarray]] | None = None,
        relative: frozenset[Hashable] = frozenset(),
        standardize: bool = False,
    ):
        if not isinstance(graph, nx.Graph):
            raise TypeError(f"graph must be a networkx.DiGraph, got a {type(graph).__name__}")
        self.graph = graph
        self._take(mechanisms, noises, noise_kinds or {}, converters or {}, relative, standardize)
        self._check()

    @classmethod
    def of_parents(cls, parents: Sequence[Sequence[int]], *args: Any, **kwargs: Any) -> "SCM":
        """A model on the nodes 0..V-1, given the parents of each, which have lower numbers.

        Nothing is checked: for graphs and functions that are known to be right.

        Args:
            args: and `kwargs`: as of `SCM` after its graph, none left out.
        """
        self = cls.__new__(cls)
        self.nodes = self.order = self.places = self.ranks = range(len(parents))
        self.parent_places = parents
        self._take(*args, **kwargs)
        return self

    def _take(
        self,
        mechanisms: Mapping,
        noises: Mapping,
        noise_kinds: Mapping,
        converters: Mapping,
        relative: frozenset,
        standardize: bool,
    ) -> None:
        self.mechanisms, self.noises, self.noise_kinds = mechanisms, noises, noise_kinds
        self.converters, self.relative, self.standardize = converters, relative, standardize

    def _check(self) -> None:
        graph = self.graph
        if len(graph) == 0:
            raise ValueError("graph has no nodes")
        if not graph.is_directed():
            raise ValueError("graph must be directed (a networkx.DiGraph)")
        for name in ("mechanisms", "noises", "noise_kinds", "converters"):
            given = getattr(self, name).keys()
            if not given <= self.parents.keys():
                unknown = [node for node in given if node not in self.parents]
                raise ValueError(
                    f"{name} given for nodes that are not in the graph: {unknown}; "
                    f"{self._similar_nodes(unknown[0])}"
                )
        if not self.relative <= self.converters.keys():
            raise ValueError(
                f"relative nodes without a converter: {[*self.relative - self.converters.keys()]}"
            )
        for node, parents in self.parents.items():
            if node not in (self.mechanisms if parents else self.noises):
                lacks = "has parents but no mechanism" if parents else "has no noise to draw its values from"
                raise ValueError(f"{'node' if parents else 'root'} {node!r} {lacks}")
        self.order  # noqa: B018, raises where there is a cycle

    def __repr__(self) -> str:
        roots = sum(not parents for parents in self.parents.values())
        return (
            f"<SCM: {len(self.graph)} nodes, {self.graph.number_of_edges()} edges, {roots} roots, "
            f"{len(self.converters)} categories>"
        )

    def _repr_html_(self) -> str:
        kinds = {
            node: "category" if node in self.converters else "node" if parents else "root"
            for node, parents in self.parents.items()
        }
        return block(repr(self).strip("<>"), graph_drawing(self.graph, kinds))

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The causal graph."""
        return digraph_of(self.parent_places)

    @cached_property
    def parents(self) -> dict[Hashable, list[Hashable]]:
        """The parents of each node, in the order in which its mechanism gets them."""
        if "parent_places" in self.__dict__:  # the nodes are their own places
            return dict(enumerate(self.parent_places))
        return {node: list(self.graph.predecessors(node)) for node in self.graph}

    @cached_property
    def nodes(self) -> list[Hashable]:
        """All nodes, in the order of the graph."""
        return list(self.graph)

    @cached_property
    def places(self) -> dict[Hashable, int]:
        """The place of each node in `nodes`."""
        return {node: place for place, node in enumerate(self.nodes)}

    @cached_property
    def parent_places(self) -> list[list[int]]:
        """For each place, those of the node's parents."""
        places = self.places
        return [[places[parent] for parent in parents] for parents in self.parents.values()]

    @cached_property
    def ranks(self) -> list[int]:
        """For each place, that of the node in `order`."""
        rank_of = {node: rank for rank, node in enumerate(self.order)}
        return [rank_of[node] for node in self.nodes]

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

        With `do`, the values are counterfactuals of those that an equal `rng` gives without it (Pearl,
        Causality, 2009, ch. 7): only the nodes that are set and their descendants differ, see `Sample.under`.

        Args:
            num_datapoints: rows R.
            nodes: those wanted, all by default; only they and their ancestors are computed.
            do: for each node that is set, what it is set to in place of mechanism, noise and converter: a
                number, one for each row (R,), or a distribution (num_datapoints, rng) -> (R,), which draws
                from a stream of its own. A category is set to the value that its children read, one of those
                that the node has without intervention in the rows sampled.

        Returns:
            The values (R,) float32 of each computed node.

        Raises:
            ValueError: `num_datapoints` below 1, a node that is not in the graph, a mechanism whose values do
                not have the shape (R,), or a `do` that is no finite number and not (R,) of them, or not
                one of a category's values.

        >>> graph = nx.DiGraph([("x", "y")])
        >>> noises = {"x": lambda num_datapoints, rng: rng.standard_normal(num_datapoints)}
        >>> scm = SCM(graph, {"y": lambda parents, rng: 2 * parents[:, 0]}, noises)
        >>> values = scm.sample(3, np.random.default_rng(0), do={"x": [1, 2, 3]})
        >>> values["y"].tolist()
        [2.0, 4.0, 6.0]
        """
        sample = self.draw(num_datapoints, rng)
        order = self.order if nodes is None else self.with_ancestors(nodes)
        if do:
            given = self._given(do, num_datapoints, rng)
            _check_categories(sample, given)
            sample = sample.under(given)
        with one_blas_thread():
            return {node: sample.values(node) for node in order}

    def draw(self, num_datapoints: int, rng: np.random.Generator) -> "Sample":
        """Rows of the model, of which each node is computed when it is first read."""
        check_integer("num_datapoints", num_datapoints)
        check_generator(rng)
        if num_datapoints < 1:
            raise ValueError(f"num_datapoints must be at least 1, got {num_datapoints}")
        return Sample(self, num_datapoints, draw_states(rng, len(self.nodes)))

    def with_ancestors(self, nodes: Iterable[Hashable]) -> list[Hashable]:
        """`nodes` and all their ancestors, each after its parents.

        Raises:
            ValueError: one of them is not in the graph.
        """
        wanted = set(nodes)
        unknown = [node for node in wanted if node not in self.parents]
        if unknown:
            raise ValueError(f"node {unknown[0]!r} is not in the graph; {self._similar_nodes(unknown[0])}")
        for node in reversed(self.order):
            if node in wanted:
                wanted.update(self.parents[node])
        return [node for node in self.order if node in wanted]

    def _similar_nodes(self, node: Hashable) -> str:
        """What there is in place of an unknown node."""
        return nearest_or_all(str(node), map(str, self.parents))

    def _given(
        self, do: Mapping[Hashable, Do], num_datapoints: int, rng: np.random.Generator
    ) -> dict[Hashable, np.ndarray]:
        """The values (R,) of each node that is set."""
        if not isinstance(do, Mapping):
            raise TypeError(f"do must be a dict of nodes and values, got {do!r:.100}")
        streams, given = dict(zip(self.nodes, split(rng, len(self.nodes)), strict=True)), {}
        for node, what in do.items():
            if node not in self.parents:
                raise ValueError(f"do: node {node!r} is not in the graph; {self._similar_nodes(node)}")
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


class Sample:
    """Rows drawn from a model: a node, with its ancestors, is computed when it is first read.

    Every node draws from a stream of its own, so its values do not depend on which other nodes are read, nor
    in which order. Of its stream a node draws its noise first: with another mechanism it has the same noise.

    Examples:
        >>> from priors.families.noise import NOISES
        >>> from priors.streams import stream
        >>> double = {"effect": lambda parents, rng: 2 * parents[:, 0]}
        >>> scm = SCM(nx.DiGraph([("cause", "effect")]), double, {"cause": NOISES["normal"]})
        >>> sample = scm.draw(4, stream(0))
        >>> after = sample.under({"cause": np.ones(4)})
        >>> after.values("effect").tolist()
        [2.0, 2.0, 2.0, 2.0]
    """

    def __init__(
        self,
        scm: SCM,
        num_datapoints: int,
        states: np.ndarray,
        given: Mapping[Hashable, np.ndarray] | None = None,
        factual: "Sample | None" = None,
    ):
        self.scm, self.num_datapoints, self.states, self.factual = scm, num_datapoints, states, factual
        self.given = given or {}
        self.rows = np.empty((len(scm.nodes), num_datapoints), np.float32)  # (V, R)
        self.signals, self.unconverted = {}, {}  # place -> (R,), before standardizing and before conversion
        self.changed = set()  # places of the nodes that differ from `factual`
        self.computed = set()
        for node, values in self.given.items():
            place = scm.places[node]
            self.rows[place] = values
            self.computed.add(place)
            self.changed.add(place)

    def values(self, node: Hashable) -> np.ndarray:
        """The values (R,) float32 of a node, which is computed with its ancestors where it is not yet.

        Raises:
            ValueError: the values of a mechanism do not have the shape (R,).
        """
        place = self.scm.places[node]
        if place not in self.computed:
            self._compute_with_ancestors([place])
        return self.rows[place]

    def columns(self, nodes: Sequence[Hashable]) -> np.ndarray:
        """The values (N, R) float32 of several nodes: a copy.

        Raises:
            ValueError: as `values`.
        """
        places = [self.scm.places[node] for node in nodes]
        self._compute_with_ancestors(places)
        return self.rows[places]

    def under(self, given: Mapping[Hashable, np.ndarray]) -> "Sample":
        """The counterfactual of this sample in which nodes are set to the values (R,) that are given.

        Nodes that are set and their descendants differ. The descendants have the same mechanisms and the same
        noise, row by row; what a node computes from all rows (mean and standard deviation in `standardize`,
        cuts in `relative`) is computed from this sample, without the intervention.

        Nodes that are set in this sample stay set, and of a counterfactual the intervention is added to its
        own.
        """
        return Sample(
            self.scm, self.num_datapoints, self.states, {**self.given, **given}, self.factual or self
        )

    def _compute_with_ancestors(self, places: list[int]) -> None:
        scm, computed = self.scm, self.computed
        parents, stack, needed = scm.parent_places, [*places], set()
        while stack:
            found = stack.pop()
            if found not in computed and found not in needed:
                needed.add(found)
                stack += parents[found]
        for found in sorted(needed, key=scm.ranks.__getitem__):
            self._compute(found)
            computed.add(found)

    def _compute(self, place: int) -> None:
        parents, factual = self.scm.parent_places[place], self.factual
        if factual is not None:
            factual.values(self.scm.nodes[place])
            if self.changed.isdisjoint(parents):
                self.rows[place] = factual.rows[place]
                return
            self.changed.add(place)
        scm, node, rng = self.scm, self.scm.nodes[place], generator_of(self.states[place])
        draw_noise, noise = scm.noises.get(node), None
        if draw_noise is not None:
            noise = np.asarray(draw_noise(self.num_datapoints, rng))
            if noise.shape != (self.num_datapoints,):
                raise ValueError(
                    f"the noise of node {node!r} must return ({self.num_datapoints},), got {noise.shape}"
                )
        value = noise
        if parents:
            value = self._signal(place, parents, rng)
            if noise is not None:
                kind = scm.noise_kinds.get(node)
                value = value + noise if kind is None else kind(value, noise)
        convert = scm.converters.get(node)
        if convert is not None:
            self.unconverted[place] = value
            reference = value if factual is None else factual.unconverted[place]
            value = convert(value, rng, *[reference] * (node in scm.relative))
        self.rows[place] = value

    def _signal(self, place: int, parents: list[int], rng: np.random.Generator) -> np.ndarray:
        """What the mechanism of a node gives (R,), standardized if the model asks for it."""
        rows, scm = self.rows, self.scm
        # One row is a view; several are copied together.
        inputs = (rows.take(parents, axis=0) if len(parents) > 1 else rows[parents[0], None]).T  # (R, P)
        inputs.flags.writeable = False  # a mechanism that wrote into it would change its parent
        signal = self.signals[place] = scm.mechanisms[scm.nodes[place]](inputs, rng)
        if signal.shape != (self.num_datapoints,):
            raise ValueError(
                f"the mechanism of node {scm.nodes[place]!r} must return ({self.num_datapoints},), "
                f"got {signal.shape}"
            )
        if not scm.standardize:
            return signal
        return standardized(signal, None if self.factual is None else self.factual.signals[place])


def _check_categories(sample: Sample, given: Mapping[Hashable, np.ndarray]) -> None:
    """Refuse values of a category that the sample without intervention does not have.

    Raises:
        ValueError: naming the node, its values and the one that is not among them.
    """
    for node in (node for node in given if node in sample.scm.converters):
        known = np.unique(sample.values(node))
        unknown = np.setdiff1d(given[node].astype(np.float32), known)
        if len(unknown):
            values = ", ".join(map(str, known[:10])) + ", ..." * (len(known) > 10)
            raise ValueError(
                f"do: node {node!r} is a category and must be set to one of its values in these rows, "
                f"{values}, got {unknown[0]}"
            )


def all_finite(values: np.ndarray) -> bool:
    """Whether each of `values`, of any shape, is finite.

    Examples:
        >>> all_finite(np.array([0.0, 1.0])), all_finite(np.array([0.0, np.nan]))
        (True, False)
    """
    # A finite sum means finite values; the sum of finite values may overflow, so they are checked again.
    return isfinite(np.add.reduce(values, axis=None)) or bool(np.isfinite(values).all())


def standardized(values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """`values` (R,) minus their mean, divided by their standard deviation; zeros where they do not vary.

    The result is not finite where the values, or their squares, are not: callers check it.

    Args:
        reference: (R,), whose mean and standard deviation are used instead.

    Examples:
        >>> standardized(np.array([1.0, 3.0])).tolist(), standardized(np.array([2, 2])).tolist()
        ([-1.0, 1.0], [0.0, 0.0])
    """
    whole = values if reference is None else reference
    mean = float(np.add.reduce(whole)) / len(whole)
    centred = whole - mean  # truth values and ints become real
    deviation = (float(centred.dot(centred)) / len(whole)) ** 0.5
    if reference is not None:
        centred = values - mean
    if deviation <= 1e-6 or deviation <= 1e-6 * abs(mean):  # the mean of equal values is off by rounding
        return np.zeros_like(centred)
    centred *= 1 / deviation if isfinite(deviation) else nan
    return centred
