"""sample_dataset(config, rng): the prior as a pure function."""

from typing import NamedTuple

import networkx as nx
import numpy as np

from priors.config import PriorConfig, lookup
from priors.graphs import GRAPHS
from priors.mechanisms import MECHANISMS
from priors.noise import NOISES
from priors.scm import SCM, scaled
from priors.streams import split
from priors.table import (
    choose_columns,
    cut_into_classes,
    has_every_class,
    sample_class_shares,
    scale_columns,
)

MAX_ATTEMPTS = 100
"""Degenerate draws in a row before `sample_dataset` gives up; the presets need one or two."""


class Dataset(NamedTuple):
    """One table, training rows first."""

    x: np.ndarray
    """(R, F) float32, each column with mean 0 and variance 1 over the training rows."""
    y: np.ndarray
    """(R,) int64 in 0..K-1; every class occurs among the training rows and among the test rows."""
    single_eval_pos: int
    """Number of training rows."""
    properties: dict[str, int | float | str]
    """What a study may want to regress on: graph, num_nodes, num_edges, num_classes, noise_scale and how many
    attempts it took."""


def sample_dataset(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> Dataset:
    """Draw one dataset: a graph, its observed columns, the values of its nodes, a table made of them.

    The generator is split by stage, so that a change of one stage (other mechanisms, say) leaves what the
    others draw (the graph): datasets of two configs and one seed are paired. A degenerate draw (no target
    with enough relatives, a constant or repeated column, a class missing on one side, an overflow) is
    replaced by the next one from the same generator; `properties["attempts"]` counts them.

    Args:
        config: the prior.
        rng: moved on by the call; ``stream(seed, DATASET, i)`` for the i-th dataset of a dump.
        single_eval_pos: number of training rows; drawn from the config's `train_fraction` by default.

    Raises:
        ValueError: `single_eval_pos` leaves fewer rows on one side than there may be classes.
        RuntimeError: every one of 100 draws was degenerate: the config asks for what it cannot give.
    """
    least, most = config.num_classes[0], config.num_datapoints - config.num_classes[0]
    if single_eval_pos is not None and not least <= single_eval_pos <= most:
        raise ValueError(
            f"single_eval_pos must leave {least} rows, one for each class, on both sides of "
            f"num_datapoints={config.num_datapoints}, got {single_eval_pos}"
        )
    for attempt in range(1, MAX_ATTEMPTS + 1):
        dataset = _sample_once(config, rng, single_eval_pos)
        if dataset is not None:
            dataset.properties["attempts"] = attempt
            return dataset
    raise RuntimeError(f"{MAX_ATTEMPTS} draws in a row were degenerate; this prior is too narrow: {config}")


def _sample_once(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None
) -> Dataset | None:
    size_rng, graph_rng, column_rng, model_rng, node_rng, table_rng = split(rng, 6)
    num_features = sample_integer(config.num_features, size_rng)
    num_classes = sample_integer(config.num_classes, size_rng)
    num_nodes = max(sample_integer(config.num_nodes, size_rng), num_features + 1)
    if single_eval_pos is None:
        single_eval_pos = sample_integer(config.split_range, size_rng)

    family = _family(config.graphs, graph_rng)
    graph = lookup(GRAPHS, family)(num_nodes, graph_rng)
    columns = choose_columns(graph, num_features, column_rng.uniform(*config.relevant_fraction), column_rng)
    if columns is None:
        return None
    features, target = columns

    noise_scale = _log_uniform(config.noise_scale, model_rng)
    scm = sample_scm(config, graph, noise_scale, model_rng)
    with np.errstate(all="ignore"):  # an overflow leaves a value that is not finite: drawn again below
        values = scm.sample(config.num_datapoints, node_rng, nodes=[*features, target])
        x = scale_columns(np.stack([values[node] for node in features], axis=1), single_eval_pos)
    if x is None or not np.isfinite(values[target]).all():
        return None

    smallest_side = min(single_eval_pos, config.num_datapoints - single_eval_pos)
    shares = sample_class_shares(num_classes, smallest_side, table_rng)
    y = cut_into_classes(values[target], shares, single_eval_pos)
    if not has_every_class(y, num_classes, single_eval_pos):
        return None
    y = table_rng.permutation(num_classes)[y]
    properties = {
        "graph": family,
        "num_nodes": num_nodes,
        "num_edges": graph.number_of_edges(),
        "num_classes": num_classes,
        "noise_scale": noise_scale,
    }
    return Dataset(x, y, single_eval_pos, properties)


def sample_scm(config: PriorConfig, graph: nx.DiGraph, noise_scale: float, rng: np.random.Generator) -> SCM:
    """Draw a mechanism and a noise distribution for each node of `graph` from the config's families."""
    mechanisms, noises = {}, {}
    for node, node_rng in zip(graph, split(rng, len(graph)), strict=True):
        noise = lookup(NOISES, _family(config.noises, node_rng))
        if graph.pred[node]:
            mechanisms[node] = lookup(MECHANISMS, _family(config.mechanisms, node_rng))
            noise = scaled(noise, noise_scale)
        noises[node] = noise
    return SCM(graph, mechanisms, noises, standardize=True)


def sample_integer(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw from (low, high), inclusive, with one uniform number, whatever the bounds.

    `rng.integers` draws nothing where low equals high: widening one range would then move all later draws.
    """
    return bounds[0] + int(rng.random() * (bounds[1] - bounds[0] + 1))


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _family(weights: dict[str, float], rng: np.random.Generator) -> str:
    """Draw a name by weight, with one uniform number, whatever the weights and their order."""
    names = sorted(weights)
    threshold = rng.random() * sum(weights.values())
    for name in names:
        threshold -= weights[name]
        if threshold < 0:
            return name
    return next(name for name in reversed(names) if weights[name] > 0)  # rounding at the very end
