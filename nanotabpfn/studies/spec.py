"""A study: which priors are compared, with which seeds and budget, on what, against which controls.

A `Study` is a frozen value whose fields are checked when it is made. `study_file.py` reads one from a file;
`arms.py` turns its arms into priors, and its arms and seeds into trainings.
"""

import unicodedata
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.suites import check_suite
from nanotabpfn.studies.designs import Setting, check_paths, check_random, setting_of
from nanotabpfn.training.recipes import DEFAULT_RECIPE, RECIPES
from priors.presets import PRESETS
from priors.registry import nearest_or_all

CONTROLS = {
    "untrained": "the model before its first training step",
    "scrambled": "the reference with labels that are independent of the features",
    "repeated": "the reference once more, with other data seeds",
}
"""The controls: name -> what it is."""
WARM_START = "warm start"
"""The name and the role of the arm of warm starts, which is compared with none."""


DRAWN = "drawn"
"""The role of the arms of a random design: they are compared by their settings, not one by one."""


class StudyError(Exception):
    """A study file that cannot be read or run; the message names the field, the rule and the value."""


class Settings(BaseModel):
    """The base of all parts of a study: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=60)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def dose_of(value: Any) -> float | None:
    """The dose that a value of a field stands for: a number, or the middle of a range; None if it is neither.

    >>> dose_of(0.2), dose_of([0.25, 0.75]), dose_of("mlp")
    (0.2, 0.5, None)
    """
    ends = value if isinstance(value, list | tuple) and len(value) == 2 else [value]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        return None
    return float(sum(ends) / len(ends))


class ArmSettings(Settings):
    """One arm of the file: the source of its datasets, exactly one of preset, config and dump."""

    preset: str | None = None
    """Name of a preset."""
    config: Path | None = None
    """JSON file of a prior."""
    dump: Path | None = None
    """HDF5 prior dump."""
    set: dict[str, Any] = {}
    """Fields of the prior to change."""
    vary: dict[str, Any] = {}
    """Fields of the prior, each with a list of values, or in a random design with a distribution: such an arm
    stands for several arms."""
    design: Literal["factorial", "one_at_a_time", "doses", "random"] = "factorial"
    """How `vary` makes arms: all combinations of the values; or the prior unchanged and each value alone;
    or the values of one field as doses, whose trend the report tests; or arms that draw all fields at
    random, whose effects the report estimates."""
    num_arms: Count | None = None
    """How many arms a random design draws."""
    design_seed: Seed = 0
    """Of the draws of a random design."""

    @model_validator(mode="after")
    def _has_one_source(self):
        given = [name for name in ("preset", "config", "dump") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of preset, config and dump, got {' and '.join(given) or 'none'}"
            )
        if self.dump and (self.set or self.vary):
            raise ValueError("set and vary need a preset or a config: a dump cannot be changed")
        return self

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that vary."""
        return tuple(setting_of(path, values) for path, values in self.vary.items())

    @model_validator(mode="after")
    def _has_values(self):
        check_paths(self.vary)
        for path, values in self.vary.items():
            if values == []:
                raise ValueError(f"vary.{path}: needs at least one value, got []")
            if not isinstance(values, list):
                setting_of(path, values)
        return self

    @model_validator(mode="after")
    def _can_be_drawn(self):
        if self.design == "random":
            if not self.vary or self.num_arms is None:
                raise ValueError(
                    "design: random needs fields in vary, and num_arms, such as num_arms: 40; got "
                    f"{len(self.vary)} fields and num_arms: {self.num_arms}"
                )
            check_random(self.settings, self.num_arms)
        else:
            for path, values in self.vary.items():
                if not isinstance(values, list):
                    raise ValueError(
                        f"vary.{path}: design: {self.design} needs a list of values, got {values!r}; "
                        "design: random draws from a distribution"
                    )
            if self.num_arms is not None:
                raise ValueError(f"num_arms needs design: random, got design: {self.design}")
        return self

    @model_validator(mode="after")
    def _has_doses(self):
        if self.design == "doses":
            if len(self.vary) != 1:
                raise ValueError(f"design: doses needs one field in vary, got {len(self.vary)}")
            [(field, values)] = self.vary.items()
            doses = [dose_of(value) for value in values]
            if None in doses or len(set(doses)) < 3:
                raise ValueError(
                    "design: doses needs at least 3 numbers or ranges with different middles in "
                    f"vary.{field}, got {values}"
                )
        return self

    @field_validator("preset")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        return _known_preset(name)


class WarmStart(Settings):
    """The training from which all cells of a model seed start: one for each model seed, before the cells."""

    steps: Count = 200
    """Training steps. By step 200 all recorded trainings that began had begun, except those on TabICL's
    `mix_scm`."""
    preset: str | None = None
    """The preset that it is trained on; null is the prior of the reference."""

    @field_validator("preset")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        return _known_preset(name)


class ModelSettings(Settings):
    """The architecture, by default the published one. It has as many outputs as the arms have classes."""

    embedding_size: Count = 96
    """Numbers that a cell is embedded in; a multiple of `num_attention_heads`."""
    num_attention_heads: Count = 4
    """Heads of each attention."""
    mlp_hidden_size: Count = 192
    """Hidden units of each layer's MLP and of the decoder."""
    num_layers: Count = 3
    """Transformer layers."""


class Ropes(Settings):
    """Regions of practical equivalence: smaller differences of a metric do not matter.

    The defaults are the changes that go together while a model learns: as ROC AUC rises by 0.01 between steps
    80 and 240 of the study of mechanisms in docs/studies.
    """

    roc_auc: Positive = 0.01
    """Of ROC AUC."""
    accuracy: Positive = 0.01
    """Of accuracy."""
    balanced_accuracy: Positive = 0.025
    """Of balanced accuracy."""
    log_loss: Positive = 0.015
    """Of log loss, in nats."""
    brier_score: Positive = 0.005
    """Of the Brier score."""
    calibration_error: Positive = 0.007
    """Of the calibration error."""


class Study(Settings):
    """All settings of a study. `nanotabpfn study init` writes an example with a comment for each.

    >>> study = Study(name="noise", arms={"linear": {"preset": "linear"}}, steps=200, eval_every=96)
    >>> study.eval_steps
    [96, 192, 200]
    >>> study.budget
    '200 steps of 32 datasets, recipe warm-up, learning rate 0.004, float32'
    """

    name: Name
    """Title of the report; the file's name by default."""
    question: str = ""
    """What the study is to find out; shown in the report."""
    arms: Annotated[dict[Name, ArmSettings], Field(min_length=1)]
    """The priors to compare, by name."""
    reference: str | None = None
    """The arm that all others are compared with; the first by default."""
    controls: tuple[Literal["untrained", "scrambled", "repeated"], ...] = tuple(CONTROLS)
    """Arms that show what the study would report without any effect, or with a model that learned nothing."""
    data_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2, 3, 4, 5)
    """Seeds of the datasets. The same seed gives different arms the same graphs, as far as they allow."""
    model_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2, 3, 4, 5)
    """Seeds of the initial weights. The same seed gives every arm the same weights."""
    seed_design: Literal["paired", "crossed"] = "paired"
    """paired: the first data seed with the first model seed, and so on, with as many of each. Every pair is
    an independent repetition: the same number of trainings shows smaller differences. crossed: every data
    seed with every model seed."""
    steps: Count = 384
    """Training steps, the same for every arm."""
    batch_size: Count = 32
    """Datasets of a step."""
    recipe: Literal[tuple(RECIPES)] = DEFAULT_RECIPE  # type: ignore[valid-type]
    """Settings of model and training by name: one of RECIPES."""
    lr: Positive | None = None
    """Learning rate instead of the recipe's."""
    warm_start: WarmStart | None = None
    """One training for each model seed, from whose end all its cells start, so that the luck of the first
    steps is the same for every arm; null: they start from the initial weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward and backward pass in training; scoring is in float32."""
    eval_every: Count = 96
    """The model is saved and scored each time after this many steps, and after the last step."""
    model: ModelSettings = ModelSettings()
    """The architecture, the same for every arm."""
    suites: Annotated[tuple[str, ...], Field(min_length=1)] = ("open",)
    """Suites of real tables. The verdicts are about the first."""
    row_samples: Count = 1
    """Draws of at most 200 rows of each real table; a table's score is the mean over them."""
    baselines: tuple[str, ...] = ("random_forest", "logistic_regression")
    """Estimators scored on the same folds."""
    held_out: Count = 64
    """Datasets of each prior, for each data seed, on which no model is trained and all are scored."""
    metric: Literal[tuple(METRICS)] = "log_loss"  # type: ignore[valid-type]
    """The metric that the verdicts are about; all are recorded. Log loss shows smaller changes than ROC AUC
    with the same trainings."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of the intervals; 1 - level is the accepted probability of a wrong claim."""
    rope: Ropes = Ropes()
    """Regions of practical equivalence, for each metric: smaller differences do not matter."""

    @field_validator("data_seeds", "model_seeds", "suites", "baselines", "controls")
    @classmethod
    def _has_no_duplicates(cls, values: tuple) -> tuple:
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            raise ValueError(f"values must differ, got {repeated[0]!r} more than once")
        return values

    @field_validator("rope", mode="before")
    @classmethod
    def _is_for_each_metric(cls, rope: Any) -> Any:
        if isinstance(rope, int | float):
            raise ValueError(f"is given for each metric, such as {{log_loss: {rope}}}, got {rope}")
        return rope

    @field_validator("suites")
    @classmethod
    def _are_suites(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check_suite(name, has_classes=True)
        return names

    @field_validator("baselines")
    @classmethod
    def _are_baselines(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known(names, BASELINES, "baseline")

    @field_validator("arms")
    @classmethod
    def _can_be_shown(cls, arms: dict[str, ArmSettings]) -> dict[str, ArmSettings]:
        for name in arms:
            if not name.isprintable() or unicodedata.normalize("NFC", name).strip() != name:
                raise ValueError(f"names must be printable, without spaces at their ends, got {name!r}")
            if name in CONTROLS or name.replace(" ", "_") in BASELINES:  # as reports write them
                raise ValueError(f"{name!r} is the name of a control or a baseline")
        return arms

    @model_validator(mode="after")
    def _fits_together(self):
        if self.model.embedding_size % self.model.num_attention_heads:
            raise ValueError(
                f"model.embedding_size: must be a multiple of num_attention_heads, "
                f"got {self.model.embedding_size} and {self.model.num_attention_heads}"
            )
        if self.warm_start is not None and WARM_START in self.arms:
            raise ValueError(f"arms: {WARM_START!r} is the name of the trainings of warm_start")
        if self.seed_design == "paired" and len(self.data_seeds) != len(self.model_seeds):
            raise ValueError(
                f"seed_design: paired needs as many model_seeds as data_seeds, got {len(self.model_seeds)} "
                f"and {len(self.data_seeds)}; seed_design: crossed takes any number of each"
            )
        return self

    @property
    def seeds(self) -> list[tuple[int, int]]:
        """(data seed, model seed) of the trainings of an arm.

        >>> arms = {"a": {"preset": "linear"}}
        >>> Study(name="two", arms=arms, data_seeds=(3, 4), model_seeds=(0, 1)).seeds
        [(3, 0), (4, 1)]
        """
        if self.seed_design == "paired":
            return list(zip(self.data_seeds, self.model_seeds, strict=True))
        return list(product(self.data_seeds, self.model_seeds))

    @property
    def repetitions(self) -> str:
        """The trainings of an arm, in words."""
        if self.seed_design == "paired":
            number = len(self.seeds)
            return f"{number} {'pair' if number == 1 else 'pairs'} of a data seed and a model seed"
        return f"{len(self.data_seeds)} data seeds x {len(self.model_seeds)} model seeds"

    @property
    def second_metric(self) -> str:
        """The metric that is reported in addition to that of the verdicts: ROC AUC or, with it, log loss."""
        return "log_loss" if self.metric == "roc_auc" else "roc_auc"

    def rope_of(self, metric: str) -> float:
        """The region of practical equivalence of a metric."""
        return getattr(self.rope, metric)

    @property
    def training(self) -> dict[str, Any]:
        """Arguments of `train`: those of the recipe, changed by `lr` and `precision`."""
        own = {"precision": self.precision} | ({} if self.lr is None else {"lr": self.lr})
        return RECIPES[self.recipe].training | own

    @property
    def budget(self) -> str:
        """The training that every arm gets, in a line."""
        return (
            f"{self.steps} steps of {self.batch_size} datasets, recipe {self.recipe}, "
            f"learning rate {self.training['lr']:g}, {self.precision}{self.after_warm_start}"
        )

    @property
    def after_warm_start(self) -> str:
        """The warm start in words that follow those of the steps; empty if there is none.

        >>> Study(name="s", arms={"a": {"preset": "linear"}}, warm_start={"steps": 100}).after_warm_start
        ', after a warm start of 100 steps on the prior of the reference'
        """
        if self.warm_start is None:
            return ""
        preset = self.warm_start.preset
        prior = "the prior of the reference" if preset is None else f"the preset {preset}"
        return f", after a warm start of {self.warm_start.steps} steps on {prior}"

    @property
    def eval_steps(self) -> list[int]:
        """The steps after which the model is scored."""
        return sorted({*range(self.eval_every, self.steps + 1, self.eval_every), self.steps})


def _known_preset(name: str | None) -> str | None:
    return None if name is None else _known((name,), PRESETS, "preset")[0]


def _known(names: tuple[str, ...], registry: dict[str, Any], what: str) -> tuple[str, ...]:
    for name in names:
        if name not in registry:
            raise ValueError(f"unknown {what} {name!r}; {nearest_or_all(name, registry)}")
    return names
