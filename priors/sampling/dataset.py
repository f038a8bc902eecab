"""sample_dataset(config, rng): the prior as a pure function."""

from bisect import bisect
from collections.abc import Hashable
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from priors.config import PriorConfig
from priors.families.classes import CLASS_METHODS
from priors.registry import lookup
from priors.sampling.columns import classify, feature_columns, target_column
from priors.sampling.draws import sample_integer, sample_name
from priors.sampling.interventions import sample_shift
from priors.sampling.learnability import out_of_bag_score
from priors.sampling.model import Model, sample_scm
from priors.sampling.scm import all_finite
from priors.sampling.structure import Structure, sample_structure
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


class Sizes(NamedTuple):
    """What is drawn first, before the graph."""

    num_features: int
    num_classes: int
    num_nodes: int
    num_train: int


def _sample_sizes(config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None) -> Sizes:
    num_features = sample_integer(config.num_features, rng)
    num_classes = sample_integer(config.num_classes, rng)
    num_nodes = max(sample_integer(config.num_nodes, rng), num_features + 1)
    if single_eval_pos is None:
        single_eval_pos = sample_integer(config.split_range, rng)
    return Sizes(num_features, num_classes, num_nodes, single_eval_pos)


def _sample_once(
    config: PriorConfig,
    rng: np.random.Generator,
    single_eval_pos: int | None,
    scores: tuple[float, float] | None,
) -> tuple[Dataset, Structure] | None:
    """One draw of everything; None if it is degenerate."""
    size_rng, graph_rng, column_rng, model_rng, node_rng, target_rng, table_rng = split(rng, 7)
    sizes = _sample_sizes(config, size_rng, single_eval_pos)
    structure = sample_structure(config, sizes.num_nodes, sizes.num_features, graph_rng, column_rng)
    if structure is None:
        return None
    model = _sample_model(config, sizes, structure, model_rng, target_rng)
    with np.errstate(all="ignore"):  # an overflow leaves a value that is not finite, which is refused below
        observed = _observed_values(config, sizes, structure, model, node_rng)
        table = observed and _table(config, sizes, structure, model, observed.values, target_rng, table_rng)
    if not table:
        return None
    x, y = table
    properties = {
        "graph": structure.family,
        "num_nodes": sizes.num_nodes,
        "num_edges": structure.graph.number_of_edges(),
        "num_classes": sizes.num_classes,
        "noise_scale": model.noise_scale,
    }
    if config.drift_fraction[1] > 0:
        properties["num_drifting_nodes"] = model.num_drifting
    properties |= observed.properties
    num_rows = config.num_datapoints
    if scores is not None:
        score = out_of_bag_score(x[:num_rows], y[:num_rows], table_rng)
        if not scores[0] <= score <= scores[1]:
            return None
        properties["out_of_bag_score"] = score
    twin = None
    if config.twins:
        twin = Twin(x[num_rows:], y[num_rows:])
        properties["do_value"] = float(np.nanmax(twin.x[:, properties["do_feature"]]))  # equal in all rows
    return Dataset(x[:num_rows], y[:num_rows], sizes.num_train, properties, twin), structure


def _sample_model(
    config: PriorConfig,
    sizes: Sizes,
    structure: Structure,
    model_rng: np.random.Generator,
    target_rng: np.random.Generator,
) -> Model:
    converter = None
    if config.problem_type == "classification":
        method = lookup(CLASS_METHODS, sample_name(config.class_methods, target_rng))
        ordered = target_rng.random() < config.ordered_labels
        converter = partial(classify, method, sizes.num_classes, sizes.num_train, ordered)
    attributes = config.graph.nodes if config.graph is not None else {}
    return sample_scm(config, structure.graph, model_rng, structure.target, converter, attributes)


class Observed(NamedTuple):
    """The values of the nodes that a table shows, and what happened to them."""

    values: dict[Hashable, np.ndarray]
    """(R,) of each node; (2 R,) with twins: the rows of the counterfactual follow those of the dataset."""
    properties: dict[str, int | float]


def _observed_values(
    config: PriorConfig, sizes: Sizes, structure: Structure, model: Model, rng: np.random.Generator
) -> Observed | None:
    """The values of features and target, under an intervention where the prior draws one."""
    sample = model.scm.draw(config.num_datapoints, rng)
    nodes = model.scm.with_ancestors([*structure.features, structure.target])
    values = {node: sample.values(node) for node in nodes}
    done = {"num_shifted_nodes": 0, "shift_size": 0.0} if config.shift else {}
    # The draws of an intervention come last: without one the dataset is the same.
    if not config.twins and not (config.shift and rng.random() < config.shift):
        return Observed(values, done)
    if not all(map(all_finite, values.values())):
        return None
    done, do = _intervention(config, values, structure.features, structure.target, model.categorical, rng)
    after = sample.under(do)
    # The counterfactual rows follow those of the dataset; in a shift they take the place of its test rows.
    before, begin = (config.num_datapoints, 0) if config.twins else (sizes.num_train, sizes.num_train)
    values = {node: np.concatenate([values[node][:before], after.values(node)[begin:]]) for node in values}
    return Observed(values, done)


def _table(
    config: PriorConfig,
    sizes: Sizes,
    structure: Structure,
    model: Model,
    values: dict[Hashable, np.ndarray],
    target_rng: np.random.Generator,
    table_rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The features (R, F) and the target (R,); None if one of them is degenerate."""
    y = target_column(config, values[structure.target], sizes.num_classes, sizes.num_train, target_rng)
    if y is None:
        return None
    columns = [values[node] for node in structure.features]
    categorical = [node in model.categorical for node in structure.features]
    x = feature_columns(config, columns, categorical, sizes.num_train, table_rng)
    return None if x is None else (x, y)


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
