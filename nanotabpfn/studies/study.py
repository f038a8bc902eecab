"""The study file: which priors are compared, with which seeds and budget, on what, against which controls.

A study is a frozen value, read from YAML or JSON and checked on reading. Its arms are resolved to priors
(configs or dumps), its arms times seeds to cells: one training each.
"""

import json
import unicodedata
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_origin, get_type_hints

import networkx as nx
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nanotabpfn.data.loaders import Loader, PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.suites import check_suite
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.recipes import RECIPES
from priors.config import ConfigError, PriorConfig, explain, load_config, with_overrides
from priors.dumps.download import PUBLISHED
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.families.graphs import GRAPHS
from priors.presets import PRESETS
from priors.registry import lookup
from priors.sampling.draws import sample_integer, sample_name
from priors.streams import STUDY, stream

CONTROLS = {
    "untrained": "the model before its first step",
    "scrambled": "the reference with labels that are independent of the features",
    "repeated": "the reference once more, with other data seeds",
}
"""The controls by name: what each is."""

LEARNS_NOTHING = {"label_noise": (1.0, 1.0), "learnability": None, "difficulty": None}
REPEATED, GALLERY = 0, 1  # stream(seed, STUDY, ...)


class StudyError(Exception):
    """A study file that cannot be read or run; the message names the field, the rule and the value."""


class Settings(BaseModel):
    """What all parts of a study file share: they are frozen, and know no other fields than their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=60)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1)]


class ArmSettings(Settings):
    """One arm of the file: where its datasets come from. Exactly one of preset, config and dump."""

    preset: str | None = None
    """Name of a preset."""
    config: Path | None = None
    """JSON file of a prior."""
    dump: Path | None = None
    """HDF5 prior dump."""
    set: dict[str, Any] = {}
    """Fields of the prior to change."""
    vary: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Fields of the prior, each with the values that it takes: the arm stands for several."""
    design: Literal["factorial", "one_at_a_time"] = "factorial"
    """Of `vary`: all combinations of the values; or the prior as it is, and each value alone."""

    @model_validator(mode="after")
    def _has_one_source(self):
        given = [name for name in ("preset", "config", "dump") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of preset, config and dump, got {' and '.join(given) or 'none'}"
            )
        if self.dump and (self.set or self.vary):
            raise ValueError("a dump is what it is: set and vary need a preset or a config")
        return self

    @field_validator("preset")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
        return name


class ModelSettings(Settings):
    """The architecture; the published one by default. Its outputs are as many as the arms have classes."""

    embedding_size: Count = 96
    num_attention_heads: Count = 4
    mlp_hidden_size: Count = 192
    num_layers: Count = 3


class Study(Settings):
    """All that decides what a study does. See the example of `nanotabpfn study init`."""

    name: Name
    """Title of the report; the file's name by default."""
    question: str = ""
    """What the study is to find out, for the report."""
    arms: Annotated[dict[Name, ArmSettings], Field(min_length=1)]
    """The priors to compare, by name."""
    reference: str | None = None
    """The arm that all others are compared with; the first by default."""
    controls: tuple[Literal["untrained", "scrambled", "repeated"], ...] = tuple(CONTROLS)
    """Arms that show what the study would say if there were nothing to find, or everything broken."""
    data_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1)
    """Of the datasets; the same one pairs the graphs of different arms."""
    model_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2)
    """Of the initial weights; the same one gives every arm the same."""
    steps: Count = 384
    """Training steps, the same for every arm."""
    batch_size: Count = 32
    """Datasets of a step."""
    recipe: Literal[tuple(RECIPES)] = "published"  # type: ignore[valid-type]
    """Settings of model and training by name; see `recipes.py`."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Learning rate in the place of the recipe's."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward and backward pass in training; scoring is in float32."""
    eval_every: Count = 96
    """The model is kept and scored after every so many steps, and after the last."""
    model: ModelSettings = ModelSettings()
    suites: Annotated[tuple[str, ...], Field(min_length=1)] = ("open",)
    """Real tables, by suite; the first is the one that the verdicts are about."""
    baselines: tuple[str, ...] = ("random_forest", "logistic_regression")
    """Estimators scored on the same folds."""
    held_out: Count = 64
    """Datasets of each arm's prior, for each data seed, that nobody is trained on and everybody scored on."""
    metric: Literal[tuple(METRICS)] = "roc_auc"  # type: ignore[valid-type]
    """The metric that the verdicts are about; all are recorded."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of the intervals; 1 - level is the chance of a wrong claim that is accepted."""
    rope: Annotated[float, Field(gt=0)] = 0.01
    """Region of practical equivalence: differences of the metric below it do not matter."""

    @field_validator("data_seeds", "model_seeds", "suites", "baselines", "controls")
    @classmethod
    def _has_no_duplicates(cls, values: tuple) -> tuple:
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            raise ValueError(f"each only once, got {repeated[0]!r} more often")
        return values

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
                raise ValueError(f"names must be printable, without blanks around them, got {name!r}")
            if name in CONTROLS or name in BASELINES:
                raise ValueError(f"{name!r} is the name of a control or a baseline")
        return arms

    @model_validator(mode="after")
    def _fits_together(self):
        if self.model.embedding_size % self.model.num_attention_heads:
            raise ValueError(
                f"model.embedding_size: must be a multiple of num_attention_heads, "
                f"got {self.model.embedding_size} and {self.model.num_attention_heads}"
            )
        return self

    @property
    def training(self) -> dict[str, Any]:
        """Arguments of `train`: the recipe's, and what the study says itself."""
        own = {"precision": self.precision} | ({} if self.lr is None else {"lr": self.lr})
        return RECIPES[self.recipe].training | own

    @property
    def budget(self) -> str:
        """What every arm gets, in a line."""
        return (
            f"{self.steps} steps of {self.batch_size} datasets, recipe {self.recipe}, "
            f"learning rate {self.training['lr']:g}, {self.precision}"
        )

    @property
    def eval_steps(self) -> list[int]:
        """The steps after which the model is scored."""
        return sorted({*range(self.eval_every, self.steps + 1, self.eval_every), self.steps})


def _known(names: tuple[str, ...], registry: dict[str, Any], what: str) -> tuple[str, ...]:
    for name in names:
        if name not in registry:
            raise ValueError(f"unknown {what} {name!r}; known: {', '.join(registry)}")
    return names


# ------------------------------------------------------------------------------------------------ reading


def load_study(path: str | Path, folder: str | Path | None = None) -> Study:
    """Read a study file, YAML or JSON. Files that it names are looked for in `folder`, by default beside it.

    Raises:
        StudyError: it cannot be read, or a field is wrong; the message names the file and the field.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
    values = _parse_json(path, text) if path.suffix == ".json" else _parse_yaml(path, text)
    if not isinstance(values, dict):
        raise StudyError(f"{path}: must hold the fields of a study (arms, steps ...), got {values!r}")
    folder = path.parent if folder is None else Path(folder)
    for arm in values["arms"].values() if isinstance(values.get("arms"), dict) else ():
        for source in ("config", "dump"):
            if isinstance(arm, dict) and isinstance(arm.get(source), str):
                arm[source] = str((folder / arm[source]).absolute())
    try:
        study = Study(**{"name": path.stem, **values})
        resolve_arms(study)
    except ValidationError as error:
        raise StudyError(f"{path}: {explain(error)}") from error
    except TypeError as error:  # keys that are no text
        raise StudyError(f"{path}: names of fields must be text: {error}") from error
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return study


def _parse_json(path: Path, text: str) -> Any:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_duplicates([key for key, _ in pairs])
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except ValueError as error:
        raise StudyError(f"{path}: is not JSON as it should be: {error}") from error


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise StudyError(
            f'{path}: YAML needs the package pyyaml: pip install "nanotabpfn-priors[studies]"; '
            "a study can be written as JSON too"
        ) from error

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            _refuse_duplicates([self.construct_object(key, deep=True) for key, _ in node.value])
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: is not YAML as it should be: {' '.join(str(error).split())}") from error


def _refuse_duplicates(keys: list[Any]) -> None:
    """What both formats would let pass in silence: the second of two arms of one name wins."""
    for key, count in Counter(map(str, keys)).items():
        if count > 1:
            raise ValueError(f"the key {key!r} stands there {count} times")


# --------------------------------------------------------------------------------------------------- arms


class Arm(NamedTuple):
    """One prior of a study, with all that its training depends on but the seeds."""

    name: str
    config: PriorConfig | None  # sampled from while training; None for a dump
    dump: Path | None
    steps: int
    role: str = "arm"  # or "control"
    own_data_seeds: bool = False  # other data seeds than the study's, one for each of them

    @property
    def has_prior(self) -> bool:
        """Whether there are datasets of its own to score models on: the untrained model has none."""
        return self.steps > 0

    def sampling_seed(self, data_seed: int) -> int:
        """The seed of the datasets that this arm takes for the study's `data_seed`."""
        if not self.own_data_seeds:
            return data_seed
        return int(stream(data_seed, STUDY, REPEATED).integers(2**62, 2**63))

    def loader(self, study: Study, data_seed: int) -> Loader:
        """Its batches, on the CPU: sampled live, or of a dump in an order drawn from the seed.

        Raises:
            DumpError: the dump cannot be read.
            ValueError: it has no more datasets than are held out.
        """
        seed = self.sampling_seed(data_seed)
        shared = {
            "num_steps": max(self.steps, 1),
            "batch_size": study.batch_size,
            "device": "cpu",
            "seed": seed,
            "held_out": study.held_out,
        }
        if self.dump is not None:
            return PriorDumpDataLoader(self.dump, **shared)
        return PriorDataLoader(self.config, **shared)

    @property
    def max_num_classes(self) -> int:
        if self.config is not None:
            return self.config.num_classes[1]
        with open_dump(self.dump) as dump:
            return dump.max_num_classes

    def describe(self) -> str:
        """Where its datasets come from, in a line: the fields that are not those of the preset `default`."""
        if not self.has_prior:
            return "no training"
        if self.dump is not None:
            return f"dump {self.dump.name}"
        default = json.loads(PRESETS["default"].to_json())
        own = json.loads(self.config.to_json())
        changed = [f"{field} {_short(value)}" for field, value in own.items() if value != default[field]]
        return "; ".join(changed) or "as it is"


class Cell(NamedTuple):
    """One training: an arm, the seed of its data, the seed of its weights."""

    arm: Arm
    data_seed: int
    model_seed: int

    @property
    def label(self) -> str:
        return f"{self.arm.name}, data seed {self.data_seed}, model seed {self.model_seed}"


def resolve_arms(study: Study) -> list[Arm]:
    """The arms of a study in the order of its file, what varies spelt out, and the controls at the end.

    Raises:
        StudyError: a prior that cannot be, or a dump that cannot be read; the message names the arm.
    """
    arms: list[Arm] = []
    for name, settings in study.arms.items():
        try:
            arms += _resolve(name, settings, study.steps)
        except (ConfigError, DumpError, ValueError) as error:
            raise StudyError(f"arms.{name}: {error}") from error
    for name, count in Counter(arm.name for arm in arms).items():
        if count > 1:
            raise StudyError(f"arms: {count} of them are called {name!r}")
    names = [arm.name for arm in arms]
    if study.reference is not None and study.reference not in names:
        raise StudyError(f"reference: must be one of the arms {', '.join(names)}; got {study.reference!r}")
    reference = arms[names.index(study.reference)] if study.reference else arms[0]
    for control in study.controls:
        arms.append(_control(control, reference))
    return arms


def reference_of(study: Study) -> str:
    """The name of the arm that all others are compared with."""
    return study.reference or resolve_arms(study)[0].name


def cells_of(study: Study) -> list[Cell]:
    """All cells, arm after arm within a pair of seeds: a study that is stopped has whole comparisons."""
    arms = resolve_arms(study)
    return [
        Cell(arm, data_seed, model_seed)
        for data_seed, model_seed in product(study.data_seeds, study.model_seeds)
        for arm in arms
    ]


def architecture(study: Study) -> dict[str, Any]:
    """The model of every cell: as many outputs as the arm with most classes has."""
    num_outputs = max(arm.max_num_classes for arm in resolve_arms(study) if arm.has_prior)
    changes = RECIPES[study.recipe].architecture
    with torch.device("meta"):
        return NanoTabPFNModel(**study.model.model_dump(), num_outputs=num_outputs, **changes).config


def _resolve(name: str, settings: ArmSettings, steps: int) -> list[Arm]:
    if settings.dump is not None:
        if not settings.dump.is_file():
            fetched = settings.dump.stem in PUBLISHED
            remedy = f"; `priors download {settings.dump.stem}` fetches it" if fetched else ""
            raise ValueError(f"dump: there is no file {settings.dump}{remedy}")
        with open_dump(settings.dump) as dump:
            if dump.max_num_classes is None:
                raise ValueError(f"dump: {settings.dump} is no dump of classification datasets")
            if dump.allow_missing:
                raise ValueError(f"dump: {settings.dump} has missing cells, which the model does not take")
        return [Arm(name, None, settings.dump, steps)]
    base = load_config(settings.config) if settings.config else PRESETS[settings.preset]
    base = with_overrides(base, {field: weights(field, value) for field, value in settings.set.items()})
    arms = []
    for changes in _variants(settings):
        config = with_overrides(base, {field: weights(field, value) for field, value in changes.items()})
        if config.problem_type != "classification":
            raise ValueError(f"problem_type: must be classification, got {config.problem_type}")
        if config.missing_fraction[1] > 0:
            raise ValueError(
                f"missing_fraction: the model takes no missing cells, got {config.missing_fraction}"
            )
        suffix = "".join(f" {field}={_short(value)}" for field, value in changes.items())
        arms.append(Arm(name + suffix, config, None, steps))
    return arms


def _variants(settings: ArmSettings) -> list[dict[str, Any]]:
    """The changes of each prior that an arm stands for: one without any where nothing varies."""
    if not settings.vary:
        return [{}]
    if settings.design == "factorial":
        return [dict(zip(settings.vary, values, strict=True)) for values in product(*settings.vary.values())]
    return [{}, *({field: value} for field, values in settings.vary.items() for value in values)]


def weights(field: str, value: Any) -> Any:
    """In the place of a field's weights may stand a name, or names: each then has the weight 1."""
    hints = get_type_hints(PriorConfig, include_extras=False)
    if get_origin(hints.get(field)) is dict and field != "parameters":
        if isinstance(value, str):
            return {value: 1.0}
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return dict.fromkeys(value, 1.0)
    return value


def _short(value: Any) -> str:
    """A value for a name: 4-8 for a range, linear+mlp for weights."""
    if isinstance(value, dict):
        return "+".join(key for key, weight in value.items() if weight != 0) or "none"
    if isinstance(value, list | tuple):
        text = ["-", "+"][any(isinstance(part, str) for part in value)].join(map(_short, value))
        return text or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _control(control: str, reference: Arm) -> Arm:
    if control == "untrained":
        return reference._replace(name=control, role="control", steps=0)
    if control == "repeated":
        return reference._replace(name=control, role="control", own_data_seeds=True)
    if reference.config is None:
        raise StudyError(
            f"controls: scrambled needs a reference with a config, whose labels it can scramble, and "
            f"{reference.name!r} is a dump: name another reference, or leave scrambled out of controls"
        )
    config = replace(reference.config, **LEARNS_NOTHING)
    return reference._replace(name=control, role="control", config=config)


# ------------------------------------------------------------------------------------------------ gallery


def sample_graphs(config: PriorConfig, num_graphs: int, seed: int) -> list[tuple[str, nx.DiGraph]]:
    """Causal graphs as the prior draws them, with the names of their families, for the report's gallery."""
    if config.graph is not None:
        return [("your own", config.graph.digraph)]
    graphs = []
    for number in range(num_graphs):
        rng = stream(seed, STUDY, GALLERY, number)
        num_features = sample_integer(config.num_features, rng)
        num_nodes = max(sample_integer(config.num_nodes, rng), num_features + 1)
        family = sample_name(config.graphs, rng)
        parameters = {
            name: values[0] + (values[1] - values[0]) * rng.random()
            if isinstance(values[0], float)
            else sample_integer(values, rng)
            if isinstance(values[0], int)
            else values[int(rng.random() * len(values))]
            for name, values in config.parameters.get(family, {}).items()
        }
        graphs.append((family, lookup(GRAPHS, family)(num_nodes, rng, **parameters)))
    return graphs
