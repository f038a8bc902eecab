"""PriorConfig: all that decides which datasets a prior draws. Frozen, checked at birth, JSON both ways."""

import json
from dataclasses import fields, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal

import networkx as nx
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from priors.arguments import as_path
from priors.distributions import Range, Uniform, integers, log_uniform, uniform
from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.families.missingness import MISSING_KINDS
from priors.families.noise import NOISE_KINDS, NOISES
from priors.families.ranges import default_parameters
from priors.field_types import (
    FractionRange,
    HiddenRange,
    Interval,
    IntRange,
    LogScaleRange,
    ParameterRange,
    Share,
    ShareRange,
    Weight,
    Weights,
    of_field,
    summable,
    weights_of,
)
from priors.frozen import frozen
from priors.notebook import block, facts, folded
from priors.own_graph import OwnGraph, from_networkx
from priors.parameter_ranges import checked_parameters
from priors.registry import (
    ConfigError,
    imports_allowed,
)
from priors.settings import as_weights, changed_fields, differences, explain, write_value


def _own_graph(graph: Any) -> Any:
    return from_networkx(graph) if isinstance(graph, nx.Graph) else graph


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PriorConfig:
    """A prior over datasets. Ranges are (low, high), inclusive; weights need not sum to one.

    Make variants with `dataclasses.replace(config, num_features=(2, 10))`, which checks them again.

    Raises:
        pydantic.ValidationError: (a ValueError) naming each field that is wrong, its rule and its value.

    Examples:
        >>> config = PriorConfig(num_features=(2, 10), mechanisms="mlp")
        >>> config.num_features, config.mechanisms, config.num_datapoints
        ((2, 10), {'mlp': 1.0}, 150)
        >>> PriorConfig.from_json(config.to_json()) == config
        True
    """

    num_datapoints: Annotated[int, Field(ge=4)] = 150
    """Rows of every dataset, training and test together."""
    num_features: IntRange = integers(5, 5)
    """Features of a dataset, the columns of X; at least 1. Drawn once per block of datasets, so that a block
    stacks into one batch."""
    num_classes: IntRange = integers(2, 2)
    """Classes of a dataset, at least 2; drawn per dataset."""
    train_fraction: FractionRange = uniform(0.1, 0.9)
    """Share of the rows that are training rows (`single_eval_pos`); the others are test rows. Drawn once per
    block. The default is the published dump's, whose splits lie between 15 and 135 of 150 rows."""
    problem_type: Literal["classification", "regression"] = "classification"
    """What is predicted: a class, or the target's real value (scaled to mean 0 and variance 1 over the
    training rows). In regression `num_classes` has no effect."""

    num_nodes: IntRange = integers(6, 16)
    """Nodes of the causal graph, at least 2; drawn per dataset. A dataset with F features gets more nodes
    where these would leave a smaller share hidden than `hidden_fraction`: at least (F + 1) / (1 -
    hidden_fraction), since the target is a node too."""
    hidden_fraction: HiddenRange = uniform(0.05, 0.25)
    """Smallest share of the nodes that are no column of the table; drawn per dataset. Hidden nodes are common
    causes of several columns, steps between cause and effect, or causes of nothing that is a column. With 0
    all nodes may be columns, if `num_nodes` is at most F + 1."""
    graphs: Annotated[Weights, weights_of(GRAPHS)] = Field(
        default_factory=lambda: dict.fromkeys(
            ["erdos_renyi", "barabasi_albert", "growing_network_with_redirection", "layered", "random_tree"],
            1.0,
        )
    )
    """How often each graph family is drawn; one per dataset. The graph decides which columns depend on each
    other, and through what."""
    graph: Annotated[OwnGraph | None, BeforeValidator(_own_graph)] = None
    """A graph of your own, the same for every dataset, in place of `graphs`. It says which nodes are features
    and which is the target, and sets `num_features` and `num_nodes`. `graphs`, `hidden_fraction`,
    `target_position`, `allow_descendants` and `relevant_fraction` then have no effect."""
    mechanisms: Annotated[Weights, weights_of(MECHANISMS)] = Field(
        default_factory=lambda: dict.fromkeys(
            ["linear", "mlp", "oblivious_trees", "random_fourier_features"], 1.0
        )
    )
    """How often each mechanism family is drawn, for the nodes that have parents. A mechanism is the function
    from a node's parents to its values: it decides what a model must learn."""
    aggregations: Annotated[
        dict[Literal["joint", "sum", "product", "maximum"], Weight],
        BeforeValidator(as_weights),
        AfterValidator(summable),
    ] = Field(default_factory=lambda: {"joint": 1.0})
    """How a mechanism takes several parents: as one function of all (`joint`), or as the sum, product or
    maximum of one function of each."""
    parameters: dict[str, dict[str, ParameterRange]] = Field(default_factory=default_parameters)
    """The range of each parameter of each graph, mechanism and converter family, by name, or a list of
    choices; drawn per dataset or node. A parameter that is left out has the function's own default."""
    roots: Annotated[Weights, weights_of(NOISES)] = Field(default_factory=lambda: dict.fromkeys(NOISES, 1.0))
    """How often each distribution is drawn for the values of a root, a node without parents."""
    noises: Annotated[Weights, weights_of(NOISES)] = Field(
        default_factory=lambda: {"normal": 3.0, "uniform": 1.0, "laplace": 1.0, "student_t": 1.0}
    )
    """How often each distribution is drawn for the noise of a node that has parents; mostly the normal."""
    noise_kinds: Annotated[Weights, weights_of(NOISE_KINDS)] = Field(
        default_factory=lambda: {"additive": 1.0}
    )
    """How the noise of a node and the values of its mechanism are combined."""
    noise_scale: LogScaleRange = log_uniform(0.05, 1.0)
    """Standard deviation of a node's noise, where the values of its mechanism have 1; log-uniform. Large
    values make all columns harder to predict."""
    grouped_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the nodes whose noise is the same in all rows of a group; drawn per dataset. Rows of one site
    have such causes in common. Training and test rows are of the same groups. A root, which is its noise
    alone, is then a property of the group."""
    group_size: LogScaleRange = log_uniform(5.0, 50.0)
    """Mean number of rows of a group, at least 2; log-uniform, drawn per dataset. Groups have random sizes;
    there are at least two. Without a `grouped_fraction` it has no effect."""
    mix: Literal["node", "dataset"] = "node"
    """Whether families (mechanisms, noise, converters) are drawn for each node, or once for a dataset."""
    coherence: Literal["meta", "independent", "shared"] = "meta"
    """How alike the nodes of one dataset are in a setting (noise scale, depth, activation ...): each node
    draws its own value (`independent`), all have the same one (`shared`), or the values are correlated
    (`meta`), with a correlation that is drawn once per dataset and setting. Over datasets the distribution is
    the same in all three. Without coherence, all datasets are much alike (Qu et al., TabICL, 2025)."""

    categorical_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the nodes that are categories; drawn per dataset. A category's children depend on the
    category. The table holds integer codes."""
    converters: Annotated[Weights, weights_of(CONVERTERS)] = Field(
        default_factory=lambda: dict.fromkeys(CONVERTERS, 1.0)
    )
    """How the real values of a categorical node become categories."""
    class_methods: Annotated[Weights, weights_of(CLASS_METHODS)] = Field(
        default_factory=lambda: {"quantile_cuts": 1.0}
    )
    """How the target's real values become classes; one per dataset. It decides how balanced the classes are,
    and whether a class is one side of a threshold."""
    ordered_labels: Share = 0.0
    """How often labels keep the order of the classes along the target's values, and are not permuted."""
    label_noise: ShareRange = uniform(0.0, 0.0)
    """Share of the labels that are replaced by random ones (in regression, share of the target's variance
    that is noise); drawn per dataset. 1 makes the target independent of the features."""
    target_position: Literal["any", "early", "late"] = "any"
    """Where in the causal order the target lies: any node, or one of the first or the last third."""
    allow_descendants: bool = True
    """Whether features may be effects of the target (anti-causal prediction). Otherwise they are its causes
    and siblings only."""
    relevant_fraction: ShareRange = uniform(0.4, 1.0)
    """Smallest share of the features that share an ancestor with the target; drawn per dataset. The other
    features may be independent of the target, as some columns of real tables are."""

    drift_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the mechanisms that change along the rows; drawn per dataset. Such a mechanism turns from one
    function of its family in the first row into another in the last row. Rows are then in the order of time,
    training rows first."""
    shift: Share = 0.0
    """How often the test rows of a dataset are drawn under an intervention that the training rows do not
    have: some nodes are cut off from their causes and moved (distribution shift)."""
    shift_nodes: IntRange = integers(1, 1)
    """Nodes that a shift moves, at least 1; drawn per dataset among the features and the causes of features
    and target."""
    shift_size: LogScaleRange = log_uniform(0.5, 2.0)
    """How far a shift moves these nodes, in standard deviations; log-uniform, drawn per dataset."""

    twins: bool = False
    """Whether each dataset has a twin (`Dataset.twin`), its counterfactual: the same rows with the same
    noise, but one feature, drawn at random, is set in all rows to the value that it has in a random row."""

    duplicate_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the rows that repeat an earlier row, target included; drawn per dataset. A test row may repeat
    a training row. Label noise, outliers and missing cells come after it, so repeats may differ in them."""
    warp_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the real columns that go through a monotone function, which makes them skewed; drawn per
    dataset."""
    quantized_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the real columns that are rounded to 5 to 41 levels, as counts are; drawn per dataset."""
    outlier_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the cells that are moved by 5 to 20 standard deviations; drawn per dataset."""
    missing_fraction: ShareRange = uniform(0.0, 0.0)
    """Share of the cells that are missing (NaN); drawn per dataset. `nanotabpfn train` refuses such
    datasets."""
    missing_kinds: Annotated[Weights, weights_of(MISSING_KINDS)] = Field(
        default_factory=lambda: dict.fromkeys(MISSING_KINDS, 1.0)
    )
    """Which cells are missing; one per dataset: completely at random, depending on another column, or
    depending on the missing value itself."""

    clip: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 100.0
    """Largest absolute value of a cell, and of a target in regression, in standard deviations of the training
    rows; larger ones get this value. 100 is TabICL's bound. Training rows reach it only where there are over
    10,000."""

    learnability: Interval | None = None
    """Keep only datasets on which a small tree ensemble has an out-of-bag ROC AUC (in regression R2) in this
    range; null keeps all. Scoring takes some tens of milliseconds per draw."""
    difficulty: tuple[Weight, ...] | None = None
    """How often datasets are hard or easy: weights of equal parts of the range `learnability`, from hard to
    easy. Each dataset draws a part, and is drawn again until its score lies in it: with learnability [0.5,
    1], five equal weights spread datasets evenly over the range. null leaves the scores as they come."""
    block_size: Annotated[int, Field(ge=1)] = 32
    """Consecutive datasets that share their split and number of features, so that they stack into one batch.
    The default is the published batch size."""

    @model_validator(mode="after")
    def _fits_together(self):
        if self.graph is not None:
            self._take_sizes_of(self.graph)
        if self.num_features[0] < 1:
            raise ValueError(f"num_features: needs at least 1 feature, got {self.num_features}")
        if self.num_classes[0] < 2:
            raise ValueError(f"num_classes: needs at least 2 classes, got {self.num_classes}")
        if self.num_nodes[0] < 2:
            raise ValueError(f"num_nodes: needs at least 2 nodes, got {self.num_nodes}")
        if self.twins and self.shift > 0:
            raise ValueError(f"twins: are of datasets without a shift, got shift={self.shift}")
        if self.twins and self.outlier_fraction[1] > 0:
            raise ValueError(f"twins: are of tables without outliers, got {self.outlier_fraction}")
        if self.group_size[0] < 2:
            raise ValueError(f"group_size: needs at least 2 rows, got {self.group_size}")
        if self.shift_nodes[0] < 1:
            raise ValueError(f"shift_nodes: needs at least 1 node, got {self.shift_nodes}")
        smallest = min(min(split, self.num_datapoints - split) for split in self.split_range)
        if self.problem_type == "regression" and smallest < 2:
            raise ValueError(
                f"train_fraction: {self.train_fraction} of num_datapoints={self.num_datapoints} rows leaves "
                f"{smallest} rows on one side, too few for regression, which needs 2"
            )
        if self.problem_type == "classification" and smallest < self.num_classes[1]:
            raise ValueError(
                f"train_fraction: {self.train_fraction} of num_datapoints={self.num_datapoints} rows leaves "
                f"{smallest} rows on one side, too few for num_classes={self.num_classes}"
            )
        if self.difficulty is not None:
            if self.learnability is None:
                raise ValueError(f"difficulty: needs a learnability to divide, got {self.difficulty}")
            of_field("difficulty", summable, dict(enumerate(self.difficulty)))
        object.__setattr__(self, "parameters", checked_parameters(self.parameters))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, dict):
                object.__setattr__(self, field.name, frozen(value))
        return self

    def _take_sizes_of(self, graph: OwnGraph) -> None:
        count = len(graph.feature_names)
        default = PriorConfig.__dataclass_fields__["num_features"].default
        if self.num_features not in (default, (count, count)):
            raise ValueError(f"num_features: the graph has {count}, got {self.num_features}")
        object.__setattr__(self, "num_features", integers(count, count))  # frozen, but under construction
        object.__setattr__(self, "num_nodes", integers(len(graph.nodes), len(graph.nodes)))
        kind = {"classification": "categorical", "regression": "real"}[self.problem_type]
        declared = graph.nodes[graph.target_name].get("kind", kind)
        if declared != kind:
            raise ValueError(
                f"graph: target {graph.target_name!r} must have kind={kind!r} in {self.problem_type}, "
                f"got {declared!r}"
            )

    @cached_property
    def parameter_slots(self) -> dict[str, dict[str, tuple[int, ParameterRange]]]:
        """By family, a number from 1 for each parameter in `parameters` that a node may have, and its range.

        It is the parameter's column among a dataset's named draws; column 0 is the noise scale. The first
        `num_drawn_slots` columns are all that nodes draw; a graph of one's own may name other families.
        """
        families = [family for family in self.parameters if family not in GRAPHS]
        families.sort(key=lambda family: not self._is_drawn(family))
        slots = count(1)
        return {
            family: {name: (next(slots), values) for name, values in self.parameters[family].items()}
            for family in families
        }

    @cached_property
    def num_drawn_slots(self) -> int:
        """1 and the number of parameters of the families that nodes draw."""
        return 1 + sum(len(slots) for family, slots in self.parameter_slots.items() if self._is_drawn(family))

    def _is_drawn(self, family: str) -> bool:
        if family in self.converters:
            return self.categorical_fraction[1] > 0
        return self.mechanisms.get(family, 0) > 0

    @cached_property
    def choice_slots(self) -> dict[int, int]:
        """The number of choices of each slot of `parameter_slots` whose parameter has a list of them."""
        return {
            slot: len(values)
            for slots in self.parameter_slots.values()
            for slot, values in slots.values()
            if isinstance(values[0], str)
        }

    @cached_property
    def drawn_choice_slots(self) -> dict[int, int]:
        """Those of `choice_slots` that nodes draw."""
        return {slot: number for slot, number in self.choice_slots.items() if slot < self.num_drawn_slots}

    @property
    def most_classes(self) -> int | None:
        """Most classes of any dataset; None in regression."""
        return self.num_classes[1] if self.problem_type == "classification" else None

    @cached_property
    def split_range(self) -> Range:
        """The distribution of `single_eval_pos`: at least one row on each side."""
        most = self.num_datapoints - 1
        return self.train_fraction.map(lambda share: min(max(1, round(share * self.num_datapoints)), most))

    def __repr__(self) -> str:
        """The fields that do not have their defaults: Python that makes the config again."""
        default = PriorConfig()
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = (
            f"{name}={_python(value, getattr(default, name))}"
            for name, value in shown.items()
            if value != getattr(default, name)
        )
        return f"PriorConfig({', '.join(changed)})"

    def _repr_html_(self) -> str:
        values, default = self.plain(), PriorConfig().plain()
        changed = {path: write_value(value) for path, (value, _) in differences(values, default).items()}
        every = {name: write_value(value) for name, value in values.items() if name != "parameters"}
        title = f"PriorConfig: {len(changed)} changed settings" if changed else "PriorConfig: the defaults"
        return block(title, facts(changed), folded("all settings", facts(every)))

    def plain(self) -> dict[str, Any]:
        """The fields as JSON has them.

        A range of the field's own distribution is a pair.

        Examples:
            >>> fields = PriorConfig(num_features=log_uniform(2, 50)).plain()
            >>> fields["num_features"], fields["num_datapoints"], fields["noise_scale"]
            ({'log_uniform': [2, 50]}, 150, [0.05, 1.0])
        """
        return TypeAdapter(PriorConfig).dump_python(
            self,
            mode="json",
            warnings=False,  # that an immutable tuple stands where a list was read
        )

    def to_json(self, indent: int | None = None) -> str:
        """The whole resolved config as JSON; `from_json` takes it back."""
        return json.dumps(self.plain(), indent=indent)

    @staticmethod
    def from_json(text: str, trust: bool = True) -> "PriorConfig":
        """The config written by `to_json`; fields left out have their defaults.

        Args:
            text: the JSON.
            trust: whether families of other packages that it names may be imported. False for a text from a
                file that somebody else may have written.

        Raises:
            ConfigError: not JSON, an unknown field, or a value out of its range.
            UntrustedNameError: it names such families, and `trust` is False.
        """
        try:
            with imports_allowed(trust):
                return TypeAdapter(PriorConfig).validate_json(text)
        except ValidationError as error:
            raise ConfigError(explain(error)) from error


def _python(value: Any, default: Any) -> str:
    """The Python of a field's value, where a pair means the distribution of its default."""
    if isinstance(value, Range) and type(value) is type(default):
        return repr(tuple(value))
    if isinstance(value, Uniform):
        return f"uniform({value[0]!r}, {value[1]!r})"
    return repr(value)


def with_overrides(config: PriorConfig, overrides: dict[str, Any]) -> PriorConfig:
    """`config` with some settings changed; `priors.settings` describes their grammar.

    Args:
        overrides: path -> value. A path is a field, or leads into one: "mechanisms.mlp" is a weight,
            "parameters.mlp.width" a range. `parameters` is merged; "replace.parameters" takes its place.

    Raises:
        ConfigError: an unknown field (the message has the nearest names), or a value out of its range (the
            message has the rule, the value and a right one).

    Examples:
        >>> config = with_overrides(PriorConfig(), {"mechanisms": "mlp", "parameters.mlp.width": [30, 40]})
        >>> config.mechanisms, config.parameters["mlp"]["width"], config.parameters["mlp"]["gain"]
        ({'mlp': 1.0}, (30, 40), (0.8, 2.2))
    """
    if not isinstance(config, PriorConfig):
        raise TypeError(f"config must be a PriorConfig, got {config!r:.100}")
    present = {field.name: getattr(config, field.name) for field in fields(PriorConfig)}
    try:
        return replace(config, **changed_fields(present, overrides))
    except ValidationError as error:
        raise ConfigError(explain(error, PriorConfig())) from error


def changes_from(config: PriorConfig, base: PriorConfig) -> dict[str, tuple[Any, Any]]:
    """path -> (value, value in `base`) for everything in which the two differ.

    Examples:
        >>> changes_from(PriorConfig(num_features=3), PriorConfig())
        {'num_features': ([3, 3], [5, 5])}
    """
    return differences(config.plain(), base.plain())


def load_config(path: str | Path) -> PriorConfig:
    """Read a config from a JSON file that a user wrote, in the grammar of `priors.settings`.

    Fields that are left out have their defaults, and so have the families and parameters left out of
    `parameters`, unless it is given as "replace.parameters". A "$schema" is for editors (`priors schema`).

    Raises:
        ConfigError: the file cannot be read or holds no valid config; the message names the file.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "mine.json")
        ...     _ = path.write_text('{"num_features": [2, 10], "mechanisms": "mlp"}')
        ...     config = load_config(path)
        >>> config.num_features, config.mechanisms
        ((2, 10), {'mlp': 1.0})
    """
    try:
        return _config_of(as_path("path", path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _config_of(text: str) -> PriorConfig:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return PriorConfig.from_json(text)  # which says what is wrong with it
    values.pop("$schema", None)  # for the editor
    return PriorConfig.from_json(json.dumps(changed_fields(PriorConfig().plain(), values)))
