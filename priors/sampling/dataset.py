"""sample_dataset(config, rng): the prior as a pure function."""

from bisect import bisect
from collections.abc import Callable, Hashable, Mapping
from copy import deepcopy
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS, has_every_class
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS, Mechanism, aggregate, drifting, weighted_sum
from priors.families.missingness import MISSING_KINDS
from priors.families.noise import NOISE_KINDS, NOISES, Noise
from priors.own_graph import Node, nodes_of, weights_into
from priors.registry import lookup
from priors.sampling.coherence import coherent_names, coherent_uniforms
from priors.sampling.interventions import sample_shift
from priors.sampling.learnability import out_of_bag_score
from priors.sampling.scm import SCM, all_finite, standardized
from priors.sampling.table import (
    add_outliers,
    category_codes,
    choose_columns,
    quantize,
    scale_columns,
    warp,
)
from priors.streams import split

MAX_ATTEMPTS = 1000
"""Draws in a row that are refused before `sample_dataset` gives up; the presets need one or two."""


class Twin(NamedTuple):
    """A dataset's table in the world in which one feature is set, with the same treatment of columns."""

    x: np.ndarray
    """(R, F) float32; missing where the dataset's is."""
    y: np.ndarray
    """(R,), of the dataset's classes, not all of which need occur."""


class Dataset(NamedTuple):
    """One table, training rows first."""

    x: np.ndarray
    """(R, F) float32, each column with mean 0 and variance 1 over the training rows; NaN where missing."""
    y: np.ndarray
    """(R,) int64 in 0..K-1; every class occurs among the training rows and among the test rows. In
    regression float32, with mean 0 and variance 1 over the training rows."""
    single_eval_pos: int
    """Number of training rows."""
    properties: dict[str, int | float | str]
    """What a study may want to regress on: graph, num_nodes, num_edges, num_classes, noise_scale (the mean
    over the nodes), attempts; with a `learnability` also out_of_bag_score; with a `drift_fraction`
    num_drifting_nodes; with a `shift` num_shifted_nodes and shift_size, both 0 where there was none; with
    `twins` do_feature, the column that is set in the twin, and do_value, its value there."""
    twin: Twin | None = None
    """With `twins`, the dataset under an intervention."""


class Structure(NamedTuple):
    """The graph behind a dataset, and what of it the table shows."""

    graph: nx.DiGraph
    features: list[Hashable]
    """The node behind each column of x."""
    target: Hashable


def sample_dataset(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> Dataset:
    """Draw one dataset: a graph, its observed columns, the values of its nodes, a table made of them.

    The generator is split by stage, so that a change of one stage (other mechanisms, say) leaves what the
    others draw (the graph): datasets of two configs and one seed are paired. A degenerate draw (no target
    with enough relatives, a constant, repeated or empty column, a class missing on one side, an overflow,
    a score outside of what `learnability` and `difficulty` ask for) is replaced by the next one from the
    same generator; `properties["attempts"]` counts them.

    Args:
        config: the prior.
        rng: moved on by the call; ``stream(seed, DATASET, i)`` for the i-th dataset of a dump.
        single_eval_pos: number of training rows; drawn from the config's `train_fraction` by default.

    Raises:
        ValueError: `single_eval_pos` leaves fewer rows on one side than there may be classes.
        RuntimeError: every one of 1000 draws was refused: the config asks for what it cannot give.
    """
    return sample_with_structure(config, rng, single_eval_pos)[0]


def sample_with_structure(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> tuple[Dataset, Structure]:
    """What `sample_dataset` draws, and the graph that it comes from."""
    is_classification = config.problem_type == "classification"
    least = config.num_classes[0] if is_classification else 2  # one row has no variance
    if single_eval_pos is not None and not least <= single_eval_pos <= config.num_datapoints - least:
        rows = f"{least} rows, one for each class," if is_classification else f"{least} rows"
        raise ValueError(
            f"single_eval_pos must leave {rows} on both sides of num_datapoints={config.num_datapoints}, "
            f"got {single_eval_pos}"
        )
    scores = _score_range(config, rng.random())
    for attempt in range(1, MAX_ATTEMPTS + 1):
        drawn = _sample_once(config, rng, single_eval_pos, scores)
        if drawn is not None:
            drawn[0].properties["attempts"] = attempt
            return drawn
    raise RuntimeError(f"{MAX_ATTEMPTS} draws in a row were refused; this prior is too narrow: {config}")


def _score_range(config: PriorConfig, uniform: float) -> tuple[float, float] | None:
    """Where the score of a dataset has to lie: the range `learnability`, or the part of it that it drew."""
    if config.difficulty is None:
        return config.learnability
    low, high = config.learnability
    width = (high - low) / len(config.difficulty)
    *ends, total = accumulate(config.difficulty)
    part = bisect(ends, uniform * total)
    return low + part * width, low + (part + 1) * width


def _sample_once(
    config: PriorConfig,
    rng: np.random.Generator,
    single_eval_pos: int | None,
    scores: tuple[float, float] | None,
) -> tuple[Dataset, Structure] | None:
    size_rng, graph_rng, column_rng, model_rng, node_rng, target_rng, table_rng = split(rng, 7)
    num_features = sample_integer(config.num_features, size_rng)
    num_classes = sample_integer(config.num_classes, size_rng)
    num_nodes = max(sample_integer(config.num_nodes, size_rng), num_features + 1)
    if single_eval_pos is None:
        single_eval_pos = sample_integer(config.split_range, size_rng)

    if config.graph is not None:
        family, graph, told = "own", config.graph.digraph, config.graph.nodes
        features, target = config.graph.feature_names, config.graph.target_name
    else:
        family, told = sample_name(config.graphs, graph_rng), {}
        ranges = config.parameters.get(family, {})
        parameters = {name: _from_range(ranges[name], graph_rng.random()) for name in ranges}
        graph = lookup(GRAPHS, family)(num_nodes, graph_rng, **parameters)
        columns = choose_columns(
            graph,
            num_features,
            _from_range(config.relevant_fraction, column_rng.random()),
            column_rng,
            config.target_position,
            config.allow_descendants,
        )
        if columns is None:
            return None
        features, target = columns

    classify = None
    if config.problem_type == "classification":
        method = lookup(CLASS_METHODS, sample_name(config.class_methods, target_rng))
        ordered = target_rng.random() < config.ordered_labels
        classify = partial(_classify, method, num_classes, single_eval_pos, ordered)
    scm, categorical, noise_scale = sample_scm(config, graph, model_rng, target, classify, told)
    done, num_rows = {}, config.num_datapoints
    with np.errstate(all="ignore"):  # an overflow leaves a value that is not finite: drawn again below
        world = deepcopy(node_rng) if config.shift or config.twins else node_rng
        values = scm.sample(num_rows, node_rng, nodes=[*features, target])
        # What is drawn for an intervention comes after all nodes: without one the dataset is the same.
        if config.twins or (config.shift and node_rng.random() < config.shift):
            if not all(map(all_finite, values.values())):
                return None
            done, do = _intervention(config, values, features, target, categorical, node_rng)
            after = scm.sample(num_rows, world, [*values], do)
            # The rows of the twin follow those of the dataset; of a shifted world, they take their place.
            before = num_rows if config.twins else single_eval_pos
            begin = 0 if config.twins else single_eval_pos
            values = {node: np.concatenate([values[node][:before], after[node][begin:]]) for node in values}
        y = _target(config, values[target], num_classes, single_eval_pos, target_rng)
        if y is None:
            return None
        columns = [values[node] for node in features]
        x = _columns(config, columns, [node in categorical for node in features], single_eval_pos, table_rng)
    if x is None:
        return None
    properties = {
        "graph": family,
        "num_nodes": num_nodes,
        "num_edges": sum(map(len, scm.parents.values())),
        "num_classes": num_classes,
        "noise_scale": noise_scale,
    }
    if config.drift_fraction[1] > 0:
        drifts = [m for m in scm.mechanisms.values() if isinstance(m, partial) and m.func is drifting]
        properties["num_drifting_nodes"] = len(drifts)
    if config.shift:
        properties |= {"num_shifted_nodes": 0, "shift_size": 0.0}
    properties |= done
    if scores is not None:
        score = out_of_bag_score(x[:num_rows], y[:num_rows], table_rng)
        if not scores[0] <= score <= scores[1]:
            return None
        properties["out_of_bag_score"] = score
    structure = Structure(graph, features, target)
    if not config.twins:
        return Dataset(x, y, single_eval_pos, properties), structure
    twin = Twin(x[num_rows:], y[num_rows:])
    properties["do_value"] = float(np.nanmax(twin.x[:, properties["do_feature"]]))  # the same in all rows
    return Dataset(x[:num_rows], y[:num_rows], single_eval_pos, properties, twin), structure


def _intervention(
    config: PriorConfig,
    values: dict[Hashable, np.ndarray],
    features: list[Hashable],
    target: Hashable,
    categorical: set[Hashable],
    rng: np.random.Generator,
) -> tuple[dict[str, int | float], dict[Hashable, float | np.ndarray]]:
    """Draw the intervention of a twin, or of a shift: the properties that tell of it, and what is set."""
    if config.twins:
        feature, row = int(rng.random() * len(features)), int(rng.random() * config.num_datapoints)
        return {"do_feature": feature}, {features[feature]: values[features[feature]][row]}
    low, high = config.shift_size
    size = low * (high / low) ** rng.random()
    num_nodes = sample_integer(config.shift_nodes, rng)
    do = sample_shift(
        {node: column for node, column in values.items() if node != target}, categorical, num_nodes, size, rng
    )
    return {"num_shifted_nodes": len(do), "shift_size": size}, do


def sample_scm(
    config: PriorConfig,
    graph: nx.DiGraph,
    rng: np.random.Generator,
    target: Hashable | None = None,
    classify: Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray] | None = None,
    told: Mapping[Hashable, Node] | None = None,
    mechanisms: Mapping[Hashable, Mechanism] | None = None,
    noises: Mapping[Hashable, Noise] | None = None,
) -> tuple[SCM, set[Hashable], float]:
    """Draw a mechanism, a noise and perhaps a conversion to categories for each node of `graph`.

    What is told or given of a node stays, and leaves what the other nodes draw. Mechanisms that are given are
    standardized like those that are drawn; known equations throughout are an `SCM` of their own.

    Args:
        graph: any nodes; a node's draws follow from its place among them.
        target: a node that is made no category of its own: `classify`, if given, converts it.
        told: what is known of some nodes; by default what the attributes of the graph's nodes say.
        mechanisms: functions (parents (R, P), rng) -> (R,), for some nodes.
        noises: functions (num_datapoints, rng) -> (R,), for some nodes.

    Returns:
        The model, the nodes that are categories (the target not among them), and the mean noise scale.

    Raises:
        ValueError: an unknown attribute of a node or a value that it cannot have, an unknown node, or no
            model (see `SCM`).
    """
    told = nodes_of(graph) if told is None else told
    num_nodes = len(graph)
    slots = config.parameter_slots
    parameter_rng, name_rng, category_rng = split(rng, 3)
    coherent = coherent_uniforms(config.coherence, num_nodes, len(slots) + 1, parameter_rng)  # (V, slots + 1)
    low, high = config.noise_scale
    noise_scales = (low * (high / low) ** coherent[:, -1]).tolist()  # log-uniform
    coherent = coherent.tolist()
    # Where no node can be a category, names of converters would be drawn for nobody.
    converters_of = config.converters if told or config.categorical_fraction[1] > 0 else {"none": 1.0}
    choices = [
        config.mechanisms,
        config.aggregations,
        config.roots,
        config.noises,
        config.noise_kinds,
        converters_of,
    ]
    names = coherent_names(choices, config.coherence, config.mix, num_nodes, name_rng)
    mechanism_of, aggregation_of, root_of, noise_of, noise_kind_of, converter_of = names
    share = _from_range(config.categorical_fraction, category_rng.random())
    is_category = (category_rng.random(num_nodes) < share).tolist()
    drifts = [False] * num_nodes
    if config.drift_fraction[1] > 0:
        share = _from_range(config.drift_fraction, category_rng.random())
        drifts = (category_rng.random(num_nodes) < share).tolist()

    def with_parameters(registry: dict[str, Callable], name: str, place: int, **known: Any) -> Callable:
        family, ranges = lookup(registry, name), config.parameters.get(name, {})
        if not ranges and not known:
            return family
        uniforms = coherent[place]
        drawn = {p: _from_range(ranges[p], uniforms[slots[name, p]]) for p in ranges if p not in known}
        return partial(family, **drawn, **known)

    def mechanism_at(place: int, node: Hashable, num_parents: int, known: Node) -> Mechanism:
        if told and (weights := weights_into(graph, node)):
            return partial(weighted_sum, weights)
        if "mechanism" in known:
            mechanism = with_parameters(MECHANISMS, known["mechanism"], place, **known.get("parameters", {}))
        else:
            mechanism = with_parameters(MECHANISMS, mechanism_of[place], place)
            if num_parents > 1 and aggregation_of[place] != "joint":
                mechanism = partial(aggregate, aggregation_of[place], mechanism)
        return partial(drifting, mechanism) if drifts[place] else mechanism

    mechanisms, noises = dict(mechanisms or {}), dict(noises or {})
    noise_kinds, converters = {}, {}
    for place, node in enumerate(graph):
        known, num_parents = told.get(node, {}), sum(1 for _ in graph.predecessors(node))
        if not num_parents:
            noises.setdefault(node, lookup(NOISES, known.get("noise", root_of[place])))
        else:
            if node not in mechanisms:
                mechanisms[node] = mechanism_at(place, node, num_parents, known)
            if node not in noises:
                noise_scales[place] = known.get("noise_scale", noise_scales[place])
                noise = lookup(NOISES, known.get("noise", noise_of[place]))
                noises[node] = partial(_scaled, noise, noise_scales[place])
            if noise_kind_of[place] != "additive":
                noise_kinds[node] = lookup(NOISE_KINDS, noise_kind_of[place])
        if node != target and (known["kind"] == "categorical" if "kind" in known else is_category[place]):
            name = known.get("converter", converter_of[place])
            number = {"num_categories": known["num_categories"]} if "num_categories" in known else {}
            converters[node] = with_parameters(CONVERTERS, name, place, **number)
    categorical = set(converters)
    relative = frozenset()
    if classify is not None:
        converters[target], relative = classify, frozenset([target])
    scm = SCM(graph, mechanisms, noises, noise_kinds, converters, relative, standardize=True)
    return scm, categorical, sum(noise_scales) / num_nodes


def _scaled(noise: Noise, scale: float, num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    return noise(num_datapoints, rng) * scale


def _classify(
    method: Callable,
    num_classes: int,
    num_train: int,
    ordered: bool,
    values: np.ndarray,
    rng: np.random.Generator,
    reference: np.ndarray,
) -> np.ndarray:
    """The target's converter: each class has a value of its own, in the order of the classes or in none.

    Args:
        reference: (R,) values without intervention, whose training rows decide the cuts.
    """
    if not all_finite(values):
        return np.full_like(values, np.nan)
    of_class = rng.standard_normal(num_classes, dtype=np.float32)
    if ordered:
        of_class.sort()
    return standardized(of_class)[method(values, num_classes, reference[:num_train], rng)]


def _target(
    config: PriorConfig, values: np.ndarray, num_classes: int, num_train: int, rng: np.random.Generator
) -> np.ndarray | None:
    """The target column (R,): classes by the order of their values, or real; None if it is degenerate.

    Rows past the config's are a twin's: they get what the dataset's own decide.
    """
    if not all_finite(values):
        return None
    num_rows = config.num_datapoints
    noise = _from_range(config.label_noise, rng.random())
    if noise > 0:  # random rows exchange their targets, which keeps the shares of the classes
        chosen = np.flatnonzero(rng.random(num_rows) < noise)
        exchanged, values = rng.permutation(chosen), values.copy()
        for world in values.reshape(-1, num_rows):
            world[chosen] = world[exchanged]
    if config.problem_type == "regression":
        y = scale_columns(values[:, None], num_train)
        return None if y is None else y[:, 0]
    ordered = np.sort(values[:num_rows])
    of_class = np.append(ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]])
    if len(of_class) < num_classes:
        return None
    y = of_class.searchsorted(values)
    return y if has_every_class(y[:num_rows], num_classes, num_train) else None


def _columns(
    config: PriorConfig,
    values: list[np.ndarray],
    categorical: list[bool],
    num_train: int,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The features (R, F) from their nodes' values: warped, rounded, coded, scaled; None if degenerate.

    Rows past the config's are a twin's: they get what the dataset's own decide.
    """
    num_rows = config.num_datapoints
    shares = config.warp_fraction, config.quantized_fraction, config.outlier_fraction, config.missing_fraction
    warped, quantized, outliers, missing = map(_from_range, shares, rng.random(4).tolist())
    chances = rng.random((len(values), 2)).tolist()
    columns = []
    for column, is_category, (warp_chance, quantize_chance) in zip(values, categorical, chances, strict=True):
        if is_category:
            column = category_codes(column, rng, num_rows)
        else:
            if warp_chance < warped:
                column = warp(column, num_train, rng)
            if quantize_chance < quantized:
                column = quantize(column, num_train, rng)
        columns.append(column)
    x = np.array(columns).T  # (R, F)
    if outliers > 0:
        x = add_outliers(x, outliers, num_train, rng)
    x = scale_columns(x, num_train, num_rows)
    if x is not None and missing > 0:
        kind = lookup(MISSING_KINDS, sample_name(config.missing_kinds, rng))
        is_missing = kind(x[:num_rows], missing, num_train, rng)
        for start in range(0, len(x), num_rows):
            x[start : start + num_rows][is_missing] = np.nan
        if np.isnan(x[:num_train]).all(axis=0).any():
            return None
    return x


def sample_integer(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw from (low, high), inclusive, with one uniform number, whatever the bounds.

    `rng.integers` draws nothing where low equals high: widening one range would then move all later draws.
    """
    return _from_range(bounds, rng.random())


def _from_range(values: tuple[float, float] | list[str], uniform: float) -> int | float | str:
    """What a number in [0, 1) stands for in a range of integers or reals, or in a list of choices."""
    if isinstance(values, list):
        return values[int(uniform * len(values))]
    low, high = values
    if isinstance(low, int):
        return low + int(uniform * (high - low + 1))
    return low + uniform * (high - low)


def sample_name(weights: dict[str, float], rng: np.random.Generator) -> str:
    """Draw a name by weight, with one uniform number, whatever the weights and their order."""
    names = sorted(weights)
    ends = list(accumulate(weights[name] for name in names))
    return names[min(bisect(ends, rng.random() * ends[-1]), len(names) - 1)]
