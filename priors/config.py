"""PriorConfig: all that decides which datasets a prior draws. Frozen, checked at birth, JSON both ways."""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from priors.graphs import GRAPHS
from priors.mechanisms import MECHANISMS
from priors.noise import NOISES


class ConfigError(ValueError):
    """A value that no prior can have; the message names the field, the rule and the value."""


def lookup(registry: dict[str, Callable], name: str) -> Callable:
    """The family called `name`: a key of `registry`, or a dotted path such as ``"mypackage.priors:mine"``.

    A dotted path is imported, so worker processes find it too.

    Raises:
        ConfigError: no such family; the message lists those there are.
    """
    if name in registry:
        return registry[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f'unknown family {name!r}; known: {", ".join(registry)}, or a dotted path "module:function"'
        )
    try:
        family = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises while it is imported
        raise ConfigError(f"family {name!r} cannot be imported: {error}") from error
    if not callable(family):
        raise ConfigError(f"family {name!r} must be callable, got {type(family).__name__}")
    return family


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"low must not exceed high, got {bounds}")
    return bounds


def _weights_of(registry: dict[str, Callable]) -> Callable:
    def check(weights: dict[str, float]) -> dict[str, float]:
        if not weights:
            raise ValueError(f"needs at least one family; known: {', '.join(registry)}")
        for name in weights:
            lookup(registry, name)
        if not 0 < sum(weights.values()) < float("inf"):
            raise ValueError(f"needs at least one weight above 0, and a finite sum, got {weights}")
        return weights

    return AfterValidator(check)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
IntRange = Annotated[tuple[int, int], AfterValidator(_ordered)]
ShareRange = Annotated[tuple[Share, Share], AfterValidator(_ordered)]
FractionRange = Annotated[tuple[Fraction, Fraction], AfterValidator(_ordered)]
ScaleRange = Annotated[tuple[Scale, Scale], AfterValidator(_ordered)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PriorConfig:
    """A prior over datasets. Ranges are (low, high), inclusive; weights need not sum to one.

    Make variants with `dataclasses.replace(config, num_features=(2, 10))`, which checks them again.

    Raises:
        pydantic.ValidationError: (a ValueError) naming each field that is wrong, its rule and its value.
    """

    num_datapoints: Annotated[int, Field(ge=4)] = 150
    """Rows of every dataset, training and test together."""
    num_features: IntRange = (5, 5)
    """Features, drawn once per block of datasets, so that a block stacks into one batch."""
    num_classes: IntRange = (2, 2)
    """Classes, drawn per dataset."""
    train_fraction: FractionRange = (0.1, 0.9)
    """Share of the rows that are training rows (`single_eval_pos`), drawn once per block, as in the
    published dump, whose splits lie between 15 and 135 of 150 rows."""
    num_nodes: IntRange = (8, 20)
    """Nodes of the causal graph; a dataset with F features gets at least F + 1 (the target is a node too)."""
    graphs: Annotated[dict[str, Weight], _weights_of(GRAPHS)] = Field(
        default_factory=lambda: dict.fromkeys(GRAPHS, 1.0)
    )
    """How often each graph family is drawn, one per dataset."""
    mechanisms: Annotated[dict[str, Weight], _weights_of(MECHANISMS)] = Field(
        default_factory=lambda: dict.fromkeys(MECHANISMS, 1.0)
    )
    """How often each mechanism family is drawn, one per node that has parents."""
    noises: Annotated[dict[str, Weight], _weights_of(NOISES)] = Field(
        default_factory=lambda: dict.fromkeys(NOISES, 1.0)
    )
    """How often each distribution is drawn, for a root's values and for the noise of every other node."""
    noise_scale: ScaleRange = (0.02, 0.5)
    """Standard deviation of a node's noise where its signal has 1; log-uniform, drawn per dataset."""
    relevant_fraction: ShareRange = (0.4, 1.0)
    """Smallest share of the features that share an ancestor with the target, drawn per dataset. The rest
    may happen to, or be pure noise, as columns of real tables often are."""
    block_size: Annotated[int, Field(ge=1)] = 32
    """Consecutive datasets that share their split and number of features: the published batch size."""

    @model_validator(mode="after")
    def _fits_together(self):
        if self.num_features[0] < 1:
            raise ValueError(f"num_features: needs at least 1 feature, got {self.num_features}")
        if self.num_classes[0] < 2:
            raise ValueError(f"num_classes: needs at least 2 classes, got {self.num_classes}")
        if self.num_nodes[0] < 2:
            raise ValueError(f"num_nodes: needs at least 2 nodes, got {self.num_nodes}")
        smallest = min(min(split, self.num_datapoints - split) for split in self.split_range)
        if smallest < self.num_classes[1]:
            raise ValueError(
                f"train_fraction: {self.train_fraction} of num_datapoints={self.num_datapoints} rows leaves "
                f"{smallest} rows on one side, too few for num_classes={self.num_classes}"
            )
        return self

    @property
    def split_range(self) -> tuple[int, int]:
        """Smallest and largest `single_eval_pos`: at least one row on each side."""
        low, high = (round(fraction * self.num_datapoints) for fraction in self.train_fraction)
        return max(1, low), min(self.num_datapoints - 1, high)

    def to_json(self, indent: int | None = None) -> str:
        """The whole resolved config as JSON; `from_json` takes it back."""
        return json.dumps(asdict(self), indent=indent)

    @staticmethod
    def from_json(text: str) -> "PriorConfig":
        """The config written by `to_json`; fields left out have their defaults.

        Raises:
            ConfigError: not JSON, an unknown field, or a value out of its range.
        """
        try:
            return TypeAdapter(PriorConfig).validate_json(text)
        except ValidationError as error:
            raise ConfigError(explain(error)) from error


def with_overrides(config: PriorConfig, overrides: dict[str, Any]) -> PriorConfig:
    """`config` with some fields replaced.

    Raises:
        ConfigError: an unknown field (the message lists the fields) or a value out of its range.
    """
    known = [field.name for field in fields(PriorConfig)]
    for name in overrides:
        if name not in known:
            raise ConfigError(f"unknown field {name!r}; a PriorConfig has {', '.join(known)}")
    try:
        return replace(config, **overrides)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def load_config(path: str | Path) -> PriorConfig:
    """Read a config from a JSON file.

    Raises:
        ConfigError: the file cannot be read or holds no valid config; the message names the file.
    """
    try:
        return PriorConfig.from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def explain(error: ValidationError) -> str:
    """What pydantic found, in one line: `field: rule, got value; field: ...`."""
    findings = []
    for finding in error.errors(include_url=False):
        message = finding["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        field = ".".join(str(part) for part in finding["loc"])
        # Our own rules name the value already; a text that is not JSON may be a whole file.
        shown = "" if finding["type"] in ("value_error", "json_invalid") else f", got {finding['input']!r}"
        findings.append(f"{field + ': ' if field else ''}{message}{shown}")
    return "; ".join(findings)
