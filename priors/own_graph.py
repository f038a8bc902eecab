"""A user's own graph: named nodes, which of them a table shows, and what is known of each; checked.

What the graph leaves open of a node is drawn from the families of the prior's config, anew for every dataset.
"""

import json
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import networkx as nx
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from priors.families.categories import CONVERTERS
from priors.families.graphs import ancestral_order
from priors.families.mechanisms import MECHANISMS
from priors.families.noise import NOISES
from priors.frozen import frozen
from priors.registry import check_parameter, lookup, parameter_type, parameters_of

MOST_CHARACTERS = 100
"""Of a node's name, which becomes a column's."""


def _family_of(registry: dict[str, Callable]) -> AfterValidator:
    def check(name: str) -> str:
        lookup(registry, name)
        return name

    return AfterValidator(check)


def _decoded(value: Any) -> Any:
    """GraphML and DOT have no objects: there, `parameters` is JSON in a text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f'must be a JSON object such as {{"depth": 3}}, got {value!r}') from error


class Node(TypedDict, total=False):
    """The attributes of a node that the user has set; docs/own-graph.md explains each.

    Examples:
        >>> Node(role="target")
        {'role': 'target'}
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    role: Literal["feature", "target", "hidden"]
    kind: Literal["real", "categorical"]
    num_categories: Annotated[int, Field(ge=2, le=1000)]
    converter: Annotated[str, _family_of(CONVERTERS)]
    mechanism: Annotated[str, _family_of(MECHANISMS)]
    parameters: Annotated[dict[str, int | float | str], BeforeValidator(_decoded)]
    noise: Annotated[str, _family_of(NOISES)]
    noise_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]


ATTRIBUTES = tuple(Node.__annotations__)


def _known_attributes(nodes: Any) -> Any:
    """Refuse an unknown attribute with the names of the known ones, which pydantic's message lacks."""
    if isinstance(nodes, Mapping):
        for name, attributes in nodes.items():
            for attribute in attributes if isinstance(attributes, Mapping) else ():
                if attribute not in ATTRIBUTES:
                    raise ValueError(
                        f"node {name!r} has an unknown attribute {attribute}={attributes[attribute]!r}; "
                        f"a node may have {', '.join(ATTRIBUTES)}"
                    )
    return nodes


Weight = Annotated[float, Field(allow_inf_nan=False)]
Edge = tuple[str, str] | tuple[str, str, Weight]


def _edge(edge: Any) -> Any:
    if not isinstance(edge, list | tuple) or len(edge) not in (2, 3):
        raise ValueError(f"an edge is [cause, effect] or [cause, effect, weight], got {edge!r}")
    return edge


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class OwnGraph:
    """Named nodes and their edges; the target's classes, row counts and all else are the config's.

    Raises:
        pydantic.ValidationError: (a ValueError) no nodes, an unknown attribute or value, an edge of a node
            that is not there, a cycle, not exactly one target, no feature, an attribute that a node
            cannot have, or a target that is independent of all features; the message names it.

    Examples:
        >>> nodes = {"age": {}, "income": {}, "default": {"role": "target"}}
        >>> graph = OwnGraph(nodes, [("age", "income"), ("income", "default")])
        >>> graph.feature_names, graph.target_name
        (['age', 'income'], 'default')
    """

    nodes: Annotated[dict[str, Node], BeforeValidator(_known_attributes)]
    """Name -> attributes; the features of a table are in this order."""
    edges: list[Annotated[Edge, BeforeValidator(_edge)]]
    """(cause, effect) or, where the effect is the weighted sum of its causes, (cause, effect, weight)."""

    @model_validator(mode="after")
    def _is_a_model(self):
        if not self.nodes:
            raise ValueError("has no nodes")
        for name in self.nodes:
            if not 0 < len(name) <= MOST_CHARACTERS or not name.isprintable():
                raise ValueError(
                    f"a node's name must be 1..{MOST_CHARACTERS} printable characters, got {name[:200]!r}"
                )
        seen = set()
        for cause, effect, *_ in self.edges:
            for name in (cause, effect):
                if name not in self.nodes:
                    raise ValueError(f"edge {cause!r} -> {effect!r}: there is no node {name!r}")
            if (cause, effect) in seen:
                raise ValueError(f"edge {cause!r} -> {effect!r} is there twice")
            seen.add((cause, effect))
        parents_of = {name: list(self.digraph.predecessors(name)) for name in self.nodes}
        order = ancestral_order(parents_of)
        for name, attributes in self.nodes.items():
            check_node(name, attributes, len(parents_of[name]), weights_into(self.digraph, name))
        self._check_roles(parents_of, order)
        object.__setattr__(self, "nodes", frozen(self.nodes))
        object.__setattr__(self, "edges", frozen(self.edges))
        return self

    def _check_roles(self, parents_of: dict[str, list[str]], order: list[str]) -> None:
        targets = [name for name, node in self.nodes.items() if node.get("role") == "target"]
        if not targets:
            raise ValueError("has no target: give one node the attribute role='target'")
        if len(targets) > 1:
            raise ValueError(f"must have one target, got {', '.join(map(repr, targets))}")
        target = targets[0]
        for attribute in ("num_categories", "converter"):
            if attribute in self.nodes[target]:
                raise ValueError(
                    f"node {target!r} must not have {attribute}={self.nodes[target][attribute]!r}: the "
                    f"target's classes are the config's, num_classes and class_methods"
                )
        if not self.feature_names:
            raise ValueError("has no features: give some nodes the attribute role='feature'")
        ancestors = {}  # of each node, itself included
        for name in order:
            ancestors[name] = {name}.union(*(ancestors[parent] for parent in parents_of[name]))
        if all(ancestors[target].isdisjoint(ancestors[name]) for name in self.feature_names):
            raise ValueError(
                f"target {target!r} has no cause in common with any feature: it is independent of all of them"
            )

    def __repr__(self) -> str:
        return (
            f"<OwnGraph: {len(self.nodes)} nodes, {len(self.edges)} edges, "
            f"{len(self.feature_names)} features, target {self.target_name!r}>"
        )

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """The nodes, with their attributes, and the edges, with their weights."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.nodes.items())
        graph.add_weighted_edges_from(edge for edge in self.edges if len(edge) == 3)
        graph.add_edges_from(edge for edge in self.edges if len(edge) == 2)
        return graph

    @cached_property
    def feature_names(self) -> list[str]:
        """The observed nodes except the target; a node without a role is one of them."""
        return [name for name, node in self.nodes.items() if node.get("role", "feature") == "feature"]

    @cached_property
    def target_name(self) -> str:
        return next(name for name, node in self.nodes.items() if node.get("role") == "target")


def check_node(name: Hashable, attributes: Node, num_parents: int, weights: list[float]) -> None:
    """Refuse attributes that a node cannot have.

    Args:
        weights: of those of its incoming edges that have one.

    Raises:
        ValueError: naming the node, the attribute and the value.

    Examples:
        >>> check_node("age", {"mechanism": "mlp"}, num_parents=0, weights=[])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: node 'age' must not have mechanism='mlp': it has no parents, ...
    """
    given = {attribute: value for attribute, value in attributes.items() if attribute != "role"}
    _check_kind(name, given, is_root=not num_parents)
    if weights:
        _check_weights(name, given, num_parents, weights)
    if given.get("parameters"):
        _check_parameters(name, given, weights)


def _check_kind(name: Hashable, given: Node, is_root: bool) -> None:
    """A root has no mechanism, and only a category has a number of categories."""
    if is_root:
        for attribute in ("mechanism", "parameters", "noise_scale"):
            if attribute in given:
                raise ValueError(
                    f"node {name!r} must not have {attribute}={given[attribute]!r}: it has no parents, so "
                    f"its values are its `noise`, of standard deviation 1"
                )
    if given.get("kind") != "categorical":
        for attribute in ("num_categories", "converter"):
            if attribute in given:
                raise ValueError(f"node {name!r}: {attribute}={given[attribute]!r} needs kind='categorical'")


def _check_weights(name: Hashable, given: Node, num_parents: int, weights: list[float]) -> None:
    """Weights are those of a linear mechanism, on all edges into a node, and not all 0."""
    if len(weights) < num_parents:
        raise ValueError(
            f"node {name!r}: all of its {num_parents} incoming edges need a weight, or none; got "
            f"{len(weights)}"
        )
    if given.get("mechanism", "linear") != "linear":
        raise ValueError(
            f"node {name!r} must not have mechanism={given['mechanism']!r}: its edges have weights"
        )
    if not any(weights):
        raise ValueError(f"node {name!r}: one of the weights of its incoming edges must not be 0")


def _check_parameters(name: Hashable, given: Node, weights: list[float]) -> None:
    """Parameters are those of the given mechanism, with values of their types and domains."""
    parameters = given["parameters"]
    if "mechanism" not in given or weights:
        raise ValueError(
            f"node {name!r}: parameters={parameters!r} needs a mechanism, and edges without weights"
        )
    known = parameters_of(lookup(MECHANISMS, given["mechanism"]))
    for parameter, value in parameters.items():
        where = f"node {name!r}: parameters: {parameter}"
        if parameter not in known:
            raise ValueError(f"{where} is unknown: {given['mechanism']} has {', '.join(known) or 'none'}")
        kind = parameter_type(known[parameter])
        if kind in (int, float) and not isinstance(value, (int, float)[: 1 + (kind is float)]):
            raise ValueError(f"{where} must be {'an integer' if kind is int else 'a number'}, got {value!r}")
        check_parameter(where, known[parameter], (value,))


_NODES = TypeAdapter(Annotated[dict[Any, Node], BeforeValidator(_known_attributes)])


def nodes_of(graph: nx.DiGraph) -> dict[Hashable, Node]:
    """The attributes of any graph's nodes, checked; edges may have a `weight`.

    Raises:
        ValueError: an unknown attribute or value, or one that its node cannot have.

    Examples:
        >>> nodes_of(nx.DiGraph([("age", "income")]))
        {'age': {}, 'income': {}}
    """
    return checked_nodes(dict(graph.nodes(data=True)), graph.pred, lambda name: weights_into(graph, name))


def checked_nodes(
    attributes: Mapping[Hashable, Mapping[str, Any]],
    parents_of: Mapping[Hashable, Collection[Hashable]],
    weights_of: Callable[[Hashable], list[float]] = lambda name: [],
) -> dict[Hashable, Node]:
    """The attributes of some nodes, checked.

    Args:
        attributes: of nodes that `parents_of` has.
        weights_of: for a node those of its incoming edges.

    Raises:
        ValueError: an unknown attribute or value, or one that its node cannot have.

    Examples:
        >>> checked_nodes({"income": {"noise": "normal"}}, {"age": [], "income": ["age"]})
        {'income': {'noise': 'normal'}}
    """
    nodes = _NODES.validate_python({name: dict(own) for name, own in attributes.items()})
    for name, own in nodes.items():
        check_node(name, own, len(parents_of[name]), weights_of(name))
    return nodes


def weights_into(graph: nx.DiGraph, node: Hashable) -> list[float]:
    """The weights of a node's incoming edges, in the order of its parents; empty where they have none.

    Examples:
        >>> graph = nx.DiGraph()
        >>> graph.add_edge("age", "income", weight=0.5)
        >>> weights_into(graph, "income"), weights_into(graph, "age")
        ([0.5], [])
    """
    return [edge["weight"] for edge in graph.pred[node].values() if "weight" in edge]


def from_networkx(graph: nx.Graph) -> dict[str, Any]:
    """What makes an `OwnGraph` of a networkx graph, whose nodes' names become texts.

    Raises:
        ValueError: it is no DiGraph, two nodes have the same name, or an edge an attribute but `weight`.

    Examples:
        >>> from_networkx(nx.DiGraph([(1, 2)]))
        {'nodes': {'1': {}, '2': {}}, 'edges': [('1', '2')]}
    """
    if not graph.is_directed() or graph.is_multigraph():
        raise ValueError(f"must be a networkx.DiGraph, got a {type(graph).__name__}")
    names = {node: str(node) for node in graph}
    if len(set(names.values())) < len(names):
        raise ValueError("must have nodes of different names, as texts")
    edges = []
    for effect, causes in graph.pred.items():  # by effect, which keeps the order of each one's causes
        for cause, attributes in causes.items():
            for attribute, value in attributes.items():
                if attribute != "weight":
                    raise ValueError(
                        f"edge {cause!r} -> {effect!r} has an unknown attribute {attribute}={value!r}; "
                        f"an edge may have weight"
                    )
            edges.append((names[cause], names[effect], *attributes.values()))
    nodes = {names[node]: dict(attributes) for node, attributes in graph.nodes(data=True)}
    return {"nodes": nodes, "edges": edges}
