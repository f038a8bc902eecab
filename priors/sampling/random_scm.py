"""A random structural causal model: drawn from a config and a graph, node by node."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.distributions import Range
from priors.families.categories import CONVERTERS
from priors.families.graphs import Parents
from priors.families.groups import Groups, grouped
from priors.families.mechanisms import (
    MECHANISMS,
    Mechanism,
    aggregate,
    drifting,
    weighted_sum,
)
from priors.families.noise import NOISE_KINDS, NOISES, Noise
from priors.frozen import FrozenDict
from priors.own_graph import Node, checked_nodes, nodes_of, weights_into
from priors.presets import check_config
from priors.registry import nearest_or_all
from priors.sampling.coherence import coherent_ends, coherent_names, coherent_uniforms
from priors.sampling.own_families import find_family
from priors.sampling.ranges_and_weights import from_range
from priors.sampling.scm import SCM
from priors.streams import draw_states, generator_of

NO_CHOICE = FrozenDict(none=1.0)

Classifier = Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray]
"""A relative converter, see `SCM`: (values (R,), rng, reference (R,)) -> (R,)."""


class RandomSCM(NamedTuple):
    """A structural causal model that a prior has drawn.

    Examples:
        >>> from priors.streams import stream
        >>> model = sample_scm(PriorConfig(drift_fraction=1), [[], [0], [0, 1]], stream(0))
        >>> len(model.scm.nodes), model.num_drifting
        (3, 2)
    """

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

    @property
    def grouped_nodes(self) -> list[Hashable]:
        """The nodes with the same noise in all rows of a group."""
        return [node for node, noise in self.scm.noises.items() if _is_grouped(noise)]

    @property
    def groups(self) -> Groups | None:
        """The groups of the rows, the same for all nodes; None where no node has the noise of its group."""
        return next((noise.args[1] for noise in self.scm.noises.values() if _is_grouped(noise)), None)


def _is_grouped(noise: Noise) -> bool:
    return isinstance(noise, partial) and noise.func is grouped


class NodeDraws(NamedTuple):
    """What a config draws for each node, by the node's place, used as far as the node needs it."""

    mechanism: list[str]
    aggregation: list[str]
    root: list[str]
    noise: list[str]
    noise_kind: list[str]
    converter: list[str]
    noise_scale: list[float]
    is_category: list[bool]
    drifts: list[bool]
    is_grouped: list[bool]
    groups: Groups | None
    uniforms: list[list[float]]
    """For each node a number in [0, 1) for each parameter of a family, see `PriorConfig.parameter_slots`."""
    ends: dict[int, list[float]]
    """By slot, for parameters with a list of choices: the cumulated shares, the same for all nodes."""


def sample_scm(
    config: PriorConfig,
    graph: nx.DiGraph | Parents,
    rng: np.random.Generator,
    target: Hashable | None = None,
    classify: Classifier | None = None,
    attributes: Mapping[Hashable, Node] | None = None,
    mechanisms: Mapping[Hashable, Mechanism] | None = None,
    noises: Mapping[Hashable, Noise] | None = None,
) -> RandomSCM:
    """Draw a mechanism, exogenous noise and perhaps a conversion to categories for each node of `graph`.

    What is given for a node is kept, and does not change what is drawn for the other nodes. Given mechanisms
    are standardized like drawn ones; for known equations throughout, use `SCM` itself.

    Args:
        graph: any nodes; a node's draws depend on its place among them. For nodes 0..V-1 the parents of each,
            all of lower numbers, will do.
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
    check_config(config)
    is_graph = isinstance(graph, nx.Graph)
    parents_of = {node: list(graph.pred[node]) for node in graph} if is_graph else dict(enumerate(graph))
    known_nodes = nodes_of(graph) if is_graph and attributes is None else attributes or {}

    def weights_of(node: Hashable) -> list[float]:
        return weights_into(graph, node) if is_graph else []

    for argument, given in {
        "target": [] if target is None else [target],
        "attributes": known_nodes,
        "mechanisms": mechanisms,
        "noises": noises,
    }.items():
        unknown = next((node for node in given or () if node not in parents_of), None)
        if unknown is not None:
            known = nearest_or_all(str(unknown), map(str, parents_of))
            raise ValueError(f"{argument}: node {unknown!r} is not in the graph; {known}")
    are_checked = config.graph is not None and attributes is config.graph.nodes
    if attributes and not are_checked:
        known_nodes = checked_nodes(attributes, parents_of, weights_of)
    for node in mechanisms or ():
        if not parents_of[node]:
            raise ValueError(
                f"mechanisms: node {node!r} has no parents; noises gives the values of such a node"
            )
    draws = _draw_nodes(config, len(parents_of), rng, bool(known_nodes))
    mechanisms, noises = dict(mechanisms or {}), dict(noises or {})
    noise_kinds, noise_scales, converters = {}, [], {}
    for place, (node, parents) in enumerate(parents_of.items()):
        known = known_nodes.get(node, {})
        if not parents:
            if node not in noises:  # a root is its noise alone, of standard deviation 1
                family = find_family(NOISES, known.get("noise", draws.root[place]))
                noises[node] = _noise(draws, place, family)
        else:
            if node not in mechanisms:
                weights = weights_of(node) if known_nodes else []
                mechanisms[node] = _mechanism(config, draws, place, len(parents), known, weights)
            if node not in noises:
                noise_scales.append(known.get("noise_scale", draws.noise_scale[place]))
                family = find_family(NOISES, known.get("noise", draws.noise[place]))
                noises[node] = _noise(draws, place, partial(_scaled, family, noise_scales[-1]))
            if draws.noise_kind[place] != "additive":
                noise_kinds[node] = find_family(NOISE_KINDS, draws.noise_kind[place])
        is_category = known["kind"] == "categorical" if "kind" in known else draws.is_category[place]
        if is_category and node != target:
            converters[node] = _converter(config, draws, place, known)
    categorical = set(converters)
    relative = frozenset()
    if classify is not None:
        converters[target], relative = classify, frozenset([target])
    make = SCM if is_graph else SCM.of_parents
    scm = make(graph, mechanisms, noises, noise_kinds, converters, relative, standardize=True)
    return RandomSCM(scm, categorical, sum(noise_scales) / max(1, len(noise_scales)))


def _draw_nodes(
    config: PriorConfig, num_nodes: int, rng: np.random.Generator, has_attributes: bool
) -> NodeDraws:
    """Draw all that a config leaves open, for each node in order."""
    parameter_state, name_state, category_state = draw_states(rng, 3)
    num_slots, choices_of = config.num_drawn_slots, config.drawn_choice_slots
    if has_attributes:
        num_slots = 1 + sum(map(len, config.parameter_slots.values()))
        choices_of = config.choice_slots
    uniforms = coherent_uniforms(  # (V, slots)
        config.coherence, num_nodes, num_slots, generator_of(parameter_state), free=[*choices_of]
    )
    noise_scales = list(map(config.noise_scale.at, uniforms[:, 0].tolist()))
    # Where no node can be a category, no converter is drawn.
    has_categories = has_attributes or config.categorical_fraction[1] > 0
    choices = [
        config.mechanisms,
        config.aggregations,
        config.roots,
        config.noises,
        config.noise_kinds,
        config.converters if has_categories else NO_CHOICE,
    ]
    name_rng = generator_of(name_state)
    names = coherent_names(choices, config.coherence, config.mix, num_nodes, name_rng)
    all_ends = coherent_ends(config.coherence, [*choices_of.values()], name_rng)
    is_category = drifts = is_grouped = [False] * num_nodes
    groups = None
    if config.categorical_fraction[1] > 0 or config.drift_fraction[1] > 0:
        category_rng = generator_of(category_state)
        is_category = _nodes_by_share(config.categorical_fraction, num_nodes, category_rng)
        drifts = _nodes_by_share(config.drift_fraction, num_nodes, category_rng)
    if config.grouped_fraction[1] > 0:
        # So far along the stream of categories that it is another one: those do not move the groups.
        group_rng = np.random.Generator(generator_of(category_state).bit_generator.jumped())
        is_grouped = _nodes_by_share(config.grouped_fraction, num_nodes, group_rng)
        groups = _draw_groups(config, group_rng)
    ends = dict(zip(choices_of, all_ends, strict=True))
    return NodeDraws(*names, noise_scales, is_category, drifts, is_grouped, groups, uniforms.tolist(), ends)


def _nodes_by_share(fraction: Range, num_nodes: int, rng: np.random.Generator) -> list[bool]:
    """Draw a share from its range, and each node with that probability."""
    if fraction[1] == 0:
        return [False] * num_nodes
    share = fraction.at(rng.random())
    return (rng.random(num_nodes) < share).tolist()


def _draw_groups(config: PriorConfig, rng: np.random.Generator) -> Groups:
    """Groups of which any sizes are as likely as any others (a flat Dirichlet distribution)."""
    size = config.group_size.at(rng.random())
    # Of G such groups, G R / (G + R - 1) are expected to have any of R rows.
    num_groups = max(2, round((config.num_datapoints - 1) / (size - 1)))
    return Groups(rng.standard_exponential(num_groups).tolist(), *draw_states(rng, 1))


def _noise(draws: NodeDraws, place: int, noise: Noise) -> Noise:
    """The noise of a node, of its own in each row or the same in all rows of a group."""
    return partial(grouped, noise, draws.groups) if draws.is_grouped[place] else noise


def _mechanism(
    config: PriorConfig, draws: NodeDraws, place: int, num_parents: int, known: Node, weights: list[float]
) -> Mechanism:
    """The mechanism of a node with parents; `weights` are those of its incoming edges, if they have any."""
    if weights:
        return partial(weighted_sum, weights)
    if "mechanism" in known:
        parameters = known.get("parameters", {})
        mechanism = _with_parameters(config, draws, place, MECHANISMS, known["mechanism"], parameters)
    else:
        mechanism = _with_parameters(config, draws, place, MECHANISMS, draws.mechanism[place], {})
        if num_parents > 1 and draws.aggregation[place] != "joint":
            mechanism = partial(aggregate, draws.aggregation[place], mechanism)
    return partial(drifting, mechanism) if draws.drifts[place] else mechanism


def _converter(config: PriorConfig, draws: NodeDraws, place: int, known: Node) -> Callable:
    number = {"num_categories": known["num_categories"]} if "num_categories" in known else {}
    name = known.get("converter", draws.converter[place])
    return _with_parameters(config, draws, place, CONVERTERS, name, number)


def _with_parameters(
    config: PriorConfig,
    draws: NodeDraws,
    place: int,
    registry: dict[str, Callable],
    name: str,
    known: Mapping[str, Any],
) -> Callable:
    """A family with its known parameters, and the others drawn from their ranges."""
    family, slots = find_family(registry, name), config.parameter_slots.get(name)
    if not slots and not known:
        return family
    uniforms, drawn = draws.uniforms[place], {}
    for parameter, (slot, values) in (slots or {}).items():
        if parameter not in known:
            drawn[parameter] = from_range(values, uniforms[slot], draws.ends.get(slot))
    return partial(family, **drawn, **known)


def _scaled(noise: Noise, scale: float, num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    return noise(num_datapoints, rng) * scale
