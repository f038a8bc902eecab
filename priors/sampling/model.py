"""The model of a dataset: from a config and a graph to a structural causal model, node by node."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.mechanisms import (
    BUILT_IN_MECHANISMS,
    MECHANISMS,
    Mechanism,
    aggregate,
    drifting,
    weighted_sum,
)
from priors.families.noise import NOISE_KINDS, NOISES, Noise
from priors.own_graph import Node, nodes_of, weights_into
from priors.registry import lookup
from priors.sampling.coherence import coherent_ends, coherent_names, coherent_uniforms
from priors.sampling.draws import from_range
from priors.sampling.scm import SCM
from priors.streams import split

Classifier = Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray]
"""A relative converter, see `SCM`: (values (R,), rng, reference (R,)) -> (R,)."""


class Model(NamedTuple):
    """A structural causal model that a prior has drawn."""

    scm: SCM
    categorical: set[Hashable]
    """Nodes that are categories; the target, which is converted to classes, is not among them."""
    noise_scale: float
    """Mean standard deviation of the exogenous noise over the nodes with parents and drawn noise; 0 if there
    are none."""

    @property
    def num_drifting(self) -> int:
        """Number of nodes whose mechanism drifts along the rows."""
        mechanisms = self.scm.mechanisms.values()
        return sum(isinstance(found, partial) and found.func is drifting for found in mechanisms)


class NodeDraw(NamedTuple):
    """What a config draws for one node, used as far as the node needs it."""

    mechanism: str
    aggregation: str
    root: str
    noise: str
    noise_kind: str
    converter: str
    noise_scale: float
    is_category: bool
    drifts: bool
    uniforms: list[float]
    """One number in [0, 1) for each parameter of a family, see `PriorConfig.parameter_slots`."""
    ends: dict[int, list[float]]
    """By slot, for parameters with a list of choices: the cumulated shares, the same for all nodes."""


def sample_scm(
    config: PriorConfig,
    graph: nx.DiGraph,
    rng: np.random.Generator,
    target: Hashable | None = None,
    classify: Classifier | None = None,
    attributes: Mapping[Hashable, Node] | None = None,
    mechanisms: Mapping[Hashable, Mechanism] | None = None,
    noises: Mapping[Hashable, Noise] | None = None,
) -> Model:
    """Draw a mechanism, exogenous noise and perhaps a conversion to categories for each node of `graph`.

    What is given for a node is kept, and does not change what is drawn for the other nodes. Given mechanisms
    are standardized like drawn ones; for known equations throughout, use `SCM` itself.

    Args:
        graph: any nodes; a node's draws depend on its place among them.
        target: a node that becomes no category: `classify`, if given, converts it.
        attributes: what is known of some nodes; by default the attributes of the graph's nodes.
        mechanisms: functions (parents (R, P), rng) -> (R,), for some nodes.
        noises: functions (num_datapoints, rng) -> (R,), for some nodes.

    Raises:
        ValueError: an unknown attribute of a node or a value that it cannot have, an unknown node, or no
            model (see `SCM`).

    >>> from priors.streams import stream
    >>> chain = nx.DiGraph([("cause", "effect")])
    >>> model = sample_scm(PriorConfig(mechanisms={"linear": 1}), chain, stream(0))
    >>> model.scm.sample(100, stream(1))["effect"].shape
    (100,)
    """
    attributes = nodes_of(graph) if attributes is None else attributes
    draws = _draw_nodes(config, graph, rng, bool(attributes))
    noise_scales = []
    mechanisms, noises = dict(mechanisms or {}), dict(noises or {})
    noise_kinds, converters = {}, {}
    for node, draw in zip(graph, draws, strict=True):
        known, num_parents = attributes.get(node, {}), sum(1 for _ in graph.predecessors(node))
        if not num_parents:
            noises.setdefault(node, lookup(NOISES, known.get("noise", draw.root)))
        else:
            if node not in mechanisms:
                weights = weights_into(graph, node) if attributes else []
                mechanisms[node] = _mechanism(config, draw, num_parents, known, weights)
            if node not in noises:
                scale = known.get("noise_scale", draw.noise_scale)
                noise_scales.append(scale)
                noises[node] = partial(_scaled, lookup(NOISES, known.get("noise", draw.noise)), scale)
            if draw.noise_kind != "additive":
                noise_kinds[node] = lookup(NOISE_KINDS, draw.noise_kind)
        is_category = known["kind"] == "categorical" if "kind" in known else draw.is_category
        if is_category and node != target:
            converters[node] = _converter(config, draw, known)
    categorical = set(converters)
    relative = frozenset()
    if classify is not None:
        converters[target], relative = classify, frozenset([target])
    scm = SCM(graph, mechanisms, noises, noise_kinds, converters, relative, standardize=True)
    return Model(scm, categorical, sum(noise_scales) / max(1, len(noise_scales)))


def _draw_nodes(
    config: PriorConfig, graph: nx.DiGraph, rng: np.random.Generator, has_attributes: bool
) -> list[NodeDraw]:
    """Draw all that a config leaves open, for each node of `graph` in order."""
    num_nodes = len(graph)
    parameter_rng, name_rng, category_rng = split(rng, 3)
    num_slots, choices_of = len(config.parameter_slots), config.choice_slots
    uniforms = coherent_uniforms(  # (V, slots + 1)
        config.coherence, num_nodes, num_slots + 1, parameter_rng, free=[*choices_of]
    )
    all_ends = coherent_ends(config.coherence, [*choices_of.values()], parameter_rng)
    ends = dict(zip(choices_of, all_ends, strict=True))
    low, high = config.noise_scale
    noise_scales = (low * (high / low) ** uniforms[:, -1]).tolist()  # log-uniform
    # Where no node can be a category, no converter is drawn.
    has_categories = has_attributes or config.categorical_fraction[1] > 0
    choices = [
        config.mechanisms,
        config.aggregations,
        config.roots,
        config.noises,
        config.noise_kinds,
        config.converters if has_categories else {"none": 1.0},
    ]
    names = coherent_names(choices, config.coherence, config.mix, num_nodes, name_rng)
    is_category = _nodes_by_share(config.categorical_fraction, num_nodes, category_rng)
    drifts = _nodes_by_share(config.drift_fraction, num_nodes, category_rng)
    per_node = zip(*names, noise_scales, is_category, drifts, uniforms.tolist(), strict=True)
    return [NodeDraw(*values, ends) for values in per_node]


def _nodes_by_share(fraction: tuple[float, float], num_nodes: int, rng: np.random.Generator) -> list[bool]:
    """Draw a share from its range, and each node with that probability."""
    if fraction[1] == 0:
        return [False] * num_nodes
    share = from_range(fraction, rng.random())
    return (rng.random(num_nodes) < share).tolist()


def _mechanism(
    config: PriorConfig, draw: NodeDraw, num_parents: int, known: Node, weights: list[float]
) -> Mechanism:
    """The mechanism of a node with parents; `weights` are those of its incoming edges, if they have any."""
    if weights:
        return partial(weighted_sum, weights)
    if "mechanism" in known:
        mechanism = _with_parameters(
            config, draw, MECHANISMS, known["mechanism"], **known.get("parameters", {})
        )
    else:
        mechanism = _with_parameters(config, draw, MECHANISMS, draw.mechanism)
        if num_parents > 1 and draw.aggregation != "joint":
            mechanism = partial(aggregate, draw.aggregation, mechanism)
    return partial(drifting, mechanism) if draw.drifts else mechanism


def _converter(config: PriorConfig, draw: NodeDraw, known: Node) -> Callable:
    number = {"num_categories": known["num_categories"]} if "num_categories" in known else {}
    return _with_parameters(config, draw, CONVERTERS, known.get("converter", draw.converter), **number)


def _with_parameters(
    config: PriorConfig, draw: NodeDraw, registry: dict[str, Callable], name: str, **known: Any
) -> Callable:
    """A family with its known parameters, and the others drawn from their ranges."""
    family, ranges = lookup(registry, name), config.parameters.get(name, {})
    if registry is MECHANISMS and family not in BUILT_IN_MECHANISMS:
        family = partial(_checked_mechanism, name, family)
    if not ranges and not known:
        return family
    drawn = {}
    for parameter in ranges:
        if parameter not in known:
            slot = config.parameter_slots[name, parameter]
            drawn[parameter] = from_range(ranges[parameter], draw.uniforms[slot], draw.ends.get(slot))
    return partial(family, **drawn, **known)


def _checked_mechanism(
    name: str, mechanism: Mechanism, parents: np.ndarray, rng: np.random.Generator, **parameters: Any
) -> np.ndarray:
    """The values (R,) of a user's mechanism, or an error that names it and the rule that they break."""
    values = np.asarray(mechanism(parents, rng, **parameters))
    if values.shape != (len(parents),) or values.dtype.kind not in "biuf":
        raise ValueError(
            f"mechanism {name} must return ({len(parents)},) numbers, one for each row of its parents "
            f"{parents.shape}, got {values.dtype} {values.shape}"
        )
    if np.isfinite(parents).all() and not np.isfinite(values).all():
        row = int(np.isfinite(values).argmin())
        raise ValueError(
            f"mechanism {name} must return finite numbers, got {values[row]} for the parents "
            f"{parents[row].tolist()}"
        )
    return values


def _scaled(noise: Noise, scale: float, num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    return noise(num_datapoints, rng) * scale
