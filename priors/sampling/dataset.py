"""sample_dataset(config, rng): the prior as a pure function, stage by stage."""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, islice
from math import ceil
from typing import NamedTuple

import numpy as np

from priors.arguments import check_generator, check_integer
from priors.blas_threads import one_blas_thread
from priors.config import PriorConfig
from priors.dataset import Dataset, Twin
from priors.families.classes import CLASS_METHODS, has_every_class
from priors.presets import check_config
from priors.sampling.column_treatments import fitted_columns
from priors.sampling.features_and_target import Classifier, Features, Target, fit_features, fit_target
from priors.sampling.interventions import sample_shift
from priors.sampling.learnability import out_of_bag_score
from priors.sampling.own_families import find_family, name_of
from priors.sampling.random_scm import RandomSCM, sample_scm
from priors.sampling.ranges_and_weights import choice_of
from priors.sampling.repeated_rows import draw_rows, num_duplicates
from priors.sampling.scm import Sample, all_finite
from priors.sampling.structure import OWN, Structure, sample_structures
from priors.streams import draw_states, generator_of

GRAPH_DRAWS = 1000
"""Graphs in a row without a possible target before `sample_dataset` gives up."""
STRUCTURES, MODELS_PER_STRUCTURE, VALUES_PER_MODEL = 10, 25, 4
"""Values are drawn again with the same model, models with the same graph, at most so many times."""
TABLE_DRAWS = 10
"""Treatments of columns that are drawn for the same values."""
INTERVENTION_DRAWS = 50
"""Interventions that are drawn for the same table."""


class Sizes(NamedTuple):
    """What is drawn first and once: refused draws of later stages never change it."""

    num_features: int
    num_classes: int
    num_nodes: int
    num_train: int
    family: str
    """Of graphs; another one only if this one allows no target, see `sample_structures`."""
    class_method: str
    is_ordered: bool
    """Whether labels keep the order of their classes."""
    scores: tuple[float, float] | None
    """The range in which the dataset's out-of-bag score must lie."""
    duplicates: float = 0.0
    """The expected share of rows that repeat an earlier one."""


class Streams(NamedTuple):
    """One generator for each stage after the sizes; the last two are None where there is no such stage."""

    graph: np.random.Generator
    columns: np.random.Generator
    model: np.random.Generator
    nodes: np.random.Generator
    target: np.random.Generator
    table: np.random.Generator
    intervention: np.random.Generator | None
    score: np.random.Generator | None


class Table(NamedTuple):
    """An accepted draw of the values of nodes, and the columns made of them.

    Examples:
        >>> from priors.streams import stream
        >>> dataset, structure, model, table = sample_with_table(PriorConfig(num_datapoints=50), stream(0))
        >>> columns, target = table.observed(structure, table.sample)
        >>> len(columns), bool((table.target.apply(target) == dataset.y).all())
        (5, True)
    """

    sample: Sample
    features: Features
    target: Target
    rows: np.ndarray | slice
    """(R,) the row of the sample that each row of the table shows; a slice of all if none repeats another."""

    def observed(self, structure: Structure, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """The values (F, R) of the features and (R,) of the target in a sample of the same rows.

        Args:
            sample: that of the table, or its counterfactual under an intervention.
        """
        return _columns(structure, sample, self.rows), sample.values(structure.target)[self.rows]


class NoDatasetError(RuntimeError):
    """A prior of which every draw was refused; the message says by which stage, how often, and what helps."""


class Refused(Exception):  # noqa: N818, it ends a draw, not the program
    """A draw that is no dataset, by the stage that refused it."""


def sample_dataset(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> Dataset:
    """Draw one dataset: a graph, its observed columns, the values of its nodes, a table made of them.

    The generator is split by stage, so that a change of one stage (other mechanisms, say) leaves what the
    stages before it draw (the graph): datasets of two configs and one seed are paired. Rejection sampling
    draws a refused stage again and keeps all that was drawn before it: sizes, class count, split and graph
    family are drawn once. What refuses a draw: no target with enough relatives (graph); a class missing on
    one side (classes, values); a column that is constant, repeated or not finite before (values) or after its
    treatment (columns); a score outside of `learnability` and `difficulty` (score). `properties` counts them.

    Args:
        config: the prior.
        rng: advanced by the call. For dataset i of a dump use `dataset_at`: a block shares some draws.
        single_eval_pos: number of training rows; drawn from the config's `train_fraction` by default.

    Raises:
        ValueError: `single_eval_pos` leaves fewer rows on one side than there may be classes.
        NoDatasetError: every one of about 1000 draws was refused; the message says by which stage, and which
            families gave values that cannot be a column.
        ConfigError: a family of the user's own raised an error or broke a rule; the message names both.

    >>> from priors.streams import stream
    >>> dataset = sample_dataset(PriorConfig(num_datapoints=50), stream(0), single_eval_pos=30)
    >>> dataset.x.shape, dataset.y.shape, dataset.single_eval_pos
    ((50, 5), (50,), 30)
    """
    return sample_with_table(config, rng, single_eval_pos)[0]


def sample_with_structure(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> tuple[Dataset, Structure]:
    """What `sample_dataset` draws, and the graph that it comes from.

    Examples:
        >>> from priors.streams import stream
        >>> dataset, structure = sample_with_structure(PriorConfig(num_datapoints=50), stream(0))
        >>> dataset.x.shape[1] == len(structure.features)
        True
    """
    return sample_with_table(config, rng, single_eval_pos)[:2]


def sample_with_model(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> tuple[Dataset, Structure, RandomSCM]:
    """What `sample_dataset` draws, and the graph and the model that it comes from.

    Examples:
        >>> from priors.streams import stream
        >>> dataset, structure, model = sample_with_model(PriorConfig(num_datapoints=50), stream(0))
        >>> dataset.properties["num_nodes"] == len(model.scm.nodes)
        True
    """
    return sample_with_table(config, rng, single_eval_pos)[:3]


def sample_with_table(
    config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None = None
) -> tuple[Dataset, Structure, RandomSCM, Table]:
    """What `sample_dataset` draws, the graph and the model that it comes from, and the values of its nodes.

    The table can be sampled again under an intervention: the same rows with the same noise. Where the test
    rows of the dataset have a shift, the table is the one without it.

    Examples:
        >>> from priors.streams import stream
        >>> dataset, structure, model, table = sample_with_table(PriorConfig(num_datapoints=50), stream(0))
        >>> bool((table.features.x == dataset.x).all())
        True
        >>> feature = structure.features[0]
        >>> after = table.sample.under({feature: np.zeros(50)})
        >>> after.values(feature)[:3].tolist()
        [0.0, 0.0, 0.0]
    """
    check_config(config)
    check_generator(rng)
    _check_split(config, single_eval_pos)
    *states, intervention, score = draw_states(rng, len(Streams._fields))
    sizes = _sample_sizes(config, rng, single_eval_pos)
    streams = Streams(
        *map(generator_of, states),
        generator_of(intervention) if config.shift or config.twins else None,
        generator_of(score) if sizes.scores else None,
    )
    if config.duplicate_fraction[1] > 0:
        sizes = sizes._replace(duplicates=config.duplicate_fraction.at(streams.table.random()))
    redrawn = dict.fromkeys(["graph", "classes", "values", "columns"], 0)
    redrawn |= {"score": 0} if sizes.scores else {}
    redrawn |= {"intervention": 0} if config.shift or config.twins else {}
    model, structures = None, _accepted_structures(config, sizes, streams, redrawn)
    # An overflow leaves a value that is not finite, which is refused.
    with one_blas_thread(), np.errstate(all="ignore"):
        for structure in islice(structures, STRUCTURES):
            for _ in range(MODELS_PER_STRUCTURE):
                model = _sample_model(config, sizes, structure, streams.model)
                for _ in range(VALUES_PER_MODEL):
                    try:
                        dataset, table = _sample_rows(config, sizes, structure, model, streams, redrawn)
                    except Refused as refused:
                        redrawn[str(refused)] += 1
                        if str(refused) == "score":  # other values of this model would score alike
                            break
                    else:
                        return dataset, structure, model, table
    raise NoDatasetError(_too_narrow(config, sizes, redrawn, streams, model and (structure, model)))


def _check_split(config: PriorConfig, single_eval_pos: int | None) -> None:
    if single_eval_pos is not None:
        check_integer("single_eval_pos", single_eval_pos)
    is_classification = config.problem_type == "classification"
    least = config.num_classes[1] if is_classification else 2  # one row has no variance
    if single_eval_pos is not None and not least <= single_eval_pos <= config.num_datapoints - least:
        rows = f"{least} rows, one for each class," if is_classification else f"{least} rows"
        raise ValueError(
            f"single_eval_pos must leave {rows} on both sides of num_datapoints={config.num_datapoints}, "
            f"got {single_eval_pos}"
        )


def _sample_sizes(config: PriorConfig, rng: np.random.Generator, single_eval_pos: int | None) -> Sizes:
    uniforms = iter(rng.random(9).tolist())  # one for each, so that no range moves the other draws
    num_features = config.num_features.at(next(uniforms))
    num_classes = config.num_classes.at(next(uniforms))
    num_nodes = config.num_nodes.at(next(uniforms))
    hidden_fraction = config.hidden_fraction.at(next(uniforms))
    num_train = config.split_range.at(next(uniforms))
    family = choice_of(config.graphs).at(next(uniforms))
    class_method = choice_of(config.class_methods).at(next(uniforms))
    is_ordered = next(uniforms) < config.ordered_labels
    scores = _score_range(config, next(uniforms))
    num_nodes = max(num_nodes, ceil((num_features + 1) / (1 - hidden_fraction)))
    if config.graph is not None:
        family = OWN
    if single_eval_pos is not None:
        num_train = single_eval_pos
    return Sizes(num_features, num_classes, num_nodes, num_train, family, class_method, is_ordered, scores)


def _score_range(config: PriorConfig, uniform: float) -> tuple[float, float] | None:
    """Where the score of a dataset has to lie: in `learnability`, or in the interval of it that it drew."""
    if config.difficulty is None:
        return config.learnability
    low, high = config.learnability
    width = (high - low) / len(config.difficulty)
    *ends, total = accumulate(config.difficulty)
    interval = bisect(ends, uniform * total)
    return low + interval * width, low + (interval + 1) * width


def _accepted_structures(
    config: PriorConfig, sizes: Sizes, streams: Streams, redrawn: dict[str, int]
) -> Iterator[Structure]:
    """Structures with a target, until too many in a row have none."""
    drawn = sample_structures(
        config, sizes.family, sizes.num_nodes, sizes.num_features, streams.graph, streams.columns
    )
    in_a_row = 0
    for structure in drawn:
        if structure is not None:
            yield structure
        redrawn["graph"] += 1  # also where all models of an accepted one were refused
        in_a_row = 0 if structure is not None else in_a_row + 1
        if in_a_row == GRAPH_DRAWS:
            return


def _sample_model(
    config: PriorConfig, sizes: Sizes, structure: Structure, rng: np.random.Generator
) -> RandomSCM:
    classifier = None
    if config.problem_type == "classification":
        method = find_family(CLASS_METHODS, sizes.class_method)
        classifier = Classifier(method, sizes.num_classes, sizes.num_train, sizes.is_ordered)
    attributes = config.graph.nodes if config.graph is not None else {}
    return sample_scm(config, structure.causes, rng, structure.target, classifier, attributes)


def _sample_rows(
    config: PriorConfig,
    sizes: Sizes,
    structure: Structure,
    model: RandomSCM,
    streams: Streams,
    redrawn: dict[str, int],
) -> tuple[Dataset, Table]:
    """One draw of the rows of a model, as a dataset.

    Raises:
        Refused: by the stage that must be drawn again.
    """
    table = _sample_table(config, sizes, structure, model, streams, redrawn)
    x, y, twin = table.features.x, table.target.y, None
    properties = {
        "graph": structure.family,
        "num_nodes": len(structure.causes),
        "num_edges": sum(map(len, model.scm.parent_places)),
        "num_classes": sizes.num_classes if config.problem_type == "classification" else 0,
        "noise_scale": model.noise_scale,
    }
    if config.drift_fraction[1] > 0:
        properties["num_drifting_nodes"] = model.num_drifting
    if config.grouped_fraction[1] > 0:
        properties["num_grouped_nodes"] = len(model.grouped_nodes)
        properties["num_groups"] = (
            len(np.unique(model.groups.first_rows(len(y))[table.rows])) if model.groups else 0
        )
    if sizes.scores is not None:
        score = out_of_bag_score(x, y, streams.score)
        if not sizes.scores[0] <= score <= sizes.scores[1]:
            raise Refused("score")
        properties["out_of_bag_score"] = score
    if config.twins:
        twin, properties["do_feature"] = _sample_twin(structure, table, streams.intervention, redrawn)
        properties["do_value"] = float(np.nanmax(twin.x[:, properties["do_feature"]]))  # equal in all rows
    if config.shift:
        shifted = _sample_shifted(config, sizes, structure, model, table, streams.intervention, redrawn)
        x, y, properties["num_shifted_nodes"], properties["shift_size"] = shifted
    if config.duplicate_fraction[1] > 0:
        num_unlike = sizes.num_train if properties.get("num_shifted_nodes") else 0
        properties["num_duplicates"] = num_duplicates(table.rows, num_unlike)
    properties["attempts"] = 1 + sum(redrawn.get(stage, 0) for stage in ("graph", "values", "score"))
    properties |= {f"redrawn_{stage}": count for stage, count in redrawn.items()}
    return Dataset(x, y, sizes.num_train, properties, twin), table


def _sample_table(
    config: PriorConfig,
    sizes: Sizes,
    structure: Structure,
    model: RandomSCM,
    streams: Streams,
    redrawn: dict[str, int],
) -> Table:
    """Draw the values of the observed nodes, the target first, and make columns of them."""
    sample = model.scm.draw(config.num_datapoints, streams.nodes)
    of_target, classes = sample.values(structure.target), None
    classifier = model.scm.converters.get(structure.target)
    if isinstance(classifier, Classifier):
        redrawn["classes"] += classifier.num_redrawn
        classes = classifier.classes
    if classifier is not None and classes is None:
        raise Refused("values")
    rows = draw_rows(sizes.duplicates, config.num_datapoints, streams.table)
    target = fit_target(config, of_target[rows], classes, sizes.num_train, streams.target)
    if target is None:
        raise Refused("values")
    may_lack_a_class = classes is not None and isinstance(rows, np.ndarray)
    if may_lack_a_class and not has_every_class(target.y, sizes.num_classes, sizes.num_train):
        raise Refused("values")
    values = _columns(structure, sample, rows)
    is_categorical = [node in model.categorical for node in structure.features]
    for attempt in range(TABLE_DRAWS):
        features = fit_features(config, values, is_categorical, sizes.num_train, streams.table)
        if features is not None:
            return Table(sample, features, target, rows)
        if attempt == 0 and fitted_columns(values, sizes.num_train) is None:
            break  # no treatment can make different columns of these values
        redrawn["columns"] += 1
    raise Refused("values")


def _sample_twin(
    structure: Structure, table: Table, rng: np.random.Generator, redrawn: dict[str, int]
) -> tuple[Twin, int]:
    """The dataset in which a random feature has the value of a random row in all rows; which feature."""
    for _ in range(INTERVENTION_DRAWS):
        feature, place = rng.random(2).tolist()
        feature = int(feature * len(structure.features))
        values = table.sample.values(structure.features[feature])[table.rows]
        do = {structure.features[feature]: values[int(place * len(values))]}
        after = table.sample.under(do)
        columns, target = table.observed(structure, after)
        if all_finite(target) and all_finite(columns):
            x = table.features.apply(columns, table.features.is_missing)
            return Twin(x, table.target.apply(target)), feature
        redrawn["intervention"] += 1
    raise Refused("values")


def _sample_shifted(
    config: PriorConfig,
    sizes: Sizes,
    structure: Structure,
    model: RandomSCM,
    table: Table,
    rng: np.random.Generator,
    redrawn: dict[str, int],
) -> tuple[np.ndarray, np.ndarray, int, float]:
    """x, y with the test rows under an intervention, where one is drawn; how many nodes it moves, how far."""
    x, y, num_train = table.features.x, table.target.y, sizes.num_train
    is_shifted, uniform = rng.random(2).tolist()
    num_nodes = config.shift_nodes.at(rng.random())
    if is_shifted >= config.shift:
        return x, y, 0, 0.0
    size = config.shift_size.at(uniform)
    nodes = model.scm.with_ancestors([*structure.features, structure.target])
    values = {node: table.sample.values(node) for node in nodes if node != structure.target}
    for _ in range(INTERVENTION_DRAWS):
        do = sample_shift(values, model.categorical, num_nodes, size, rng)
        before, after = (
            table.observed(structure, sample) for sample in (table.sample, table.sample.under(do))
        )
        columns = np.concatenate([before[0][:, :num_train], after[0][:, num_train:]], axis=1)
        target = np.concatenate([before[1][:num_train], after[1][num_train:]])
        if all_finite(target) and all_finite(columns):
            x, y = table.features.apply(columns), table.target.apply(target)
            if config.problem_type == "regression" or set(y[num_train:]) == set(y[:num_train]):
                return x, y, len(do), size
        redrawn["intervention"] += 1
    raise Refused("values")


def _columns(structure: Structure, sample: Sample, rows: np.ndarray | slice) -> np.ndarray:
    """The values (F, R) of the features in these rows."""
    columns = sample.columns(structure.features)
    return columns.take(rows, axis=1) if isinstance(rows, np.ndarray) else columns


REMEDIES = {
    "graph": "relevant_fraction, target_position, allow_descendants, num_nodes or graphs",
    "classes": "num_classes, train_fraction, class_methods, grouped_fraction, group_size or num_datapoints",
    "values": "mechanisms, categorical_fraction, grouped_fraction, group_size, num_classes, train_fraction "
    "or num_datapoints",
    "columns": "quantized_fraction, warp_fraction, missing_fraction or num_datapoints",
    "score": "learnability or difficulty",
    "intervention": "shift_size or shift_nodes",
}
"""For each stage, the fields of a config that make it refuse less."""


def _too_narrow(
    config: PriorConfig,
    sizes: Sizes,
    redrawn: dict[str, int],
    streams: Streams,
    last: tuple[Structure, RandomSCM] | None,
) -> str:
    """Which stages refused all draws, how often, the families that are to blame for it, and the remedy.

    Args:
        last: the last graph and model, if there was any.
    """
    stage = max(redrawn, key=redrawn.__getitem__)
    counts = ", ".join(f"{name} {count}" for name, count in redrawn.items() if count)
    blamed = _unusable(config, sizes, *last, streams.nodes) if last and stage == "values" else {}
    unusable = ", ".join(f"{count} of {name}" for name, count in blamed.items())
    return (
        f"all of {sum(redrawn.values())} draws of a dataset with {sizes.num_features} features, "
        f"{sizes.num_nodes} nodes and graphs such as {sizes.family} were refused (by stage: {counts})"
        + (f"; in the last one these columns were constant, infinite or copies: {unusable}" if blamed else "")
        + f": widen {REMEDIES[stage]}"
    )


def _unusable(
    config: PriorConfig, sizes: Sizes, structure: Structure, model: RandomSCM, rng: np.random.Generator
) -> Counter[str]:
    """Family -> how many observed nodes of a model cannot be columns, in one more draw of its values."""
    found, blamed = [], Counter()
    with np.errstate(all="ignore"):
        sample = model.scm.draw(config.num_datapoints, rng)
        observed = structure.features + [structure.target] * (config.problem_type == "regression")
        for node in observed:
            values = sample.values(node)
            if all_finite(values) and fitted_columns(np.array([*found, values]), sizes.num_train):
                found.append(values)
            else:
                function = model.scm.mechanisms.get(node) or model.scm.noises[node]
                blamed[name_of(function)] += 1
    return blamed
