"""The arms of a study, each with its prior, and its cells: an arm with a data seed and a model seed."""

import json
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin, get_type_hints

from nanotabpfn.studies.designs import VariedArms, draw
from nanotabpfn.studies.spec import DRAWN, WARM_START, ArmSettings, Study, StudyError, dose_of
from nanotabpfn.training.recipes import RECIPES
from priors.config import ConfigError, PriorConfig, load_config, with_overrides
from priors.dumps.download import PUBLISHED
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.presets import PRESETS
from priors.settings import write_setting
from priors.streams import STUDY, stream

if TYPE_CHECKING:
    from nanotabpfn.data.loaders import Loader

SCRAMBLED = {"label_noise": (1.0, 1.0), "learnability": None, "difficulty": None}
REPEATED, COMMON, WARM = 0, 2, 3  # stream(seed, STUDY, ...)
COMMON_PRIOR = "mixed"
"""The preset whose held-out datasets are the same for all cells of all studies: the richest."""


class Arm(NamedTuple):
    """One prior of a study, and all that its training depends on except the seeds.

    Examples:
        >>> arms = {"trees": {"preset": "default", "set": {"mechanisms": "decision_trees"}}}
        >>> arm = resolve_arms(Study(name="mine", arms=arms))[0]
        >>> arm.describe(), arm.sampling_seed(data_seed=3)
        ('mechanisms decision_trees', 3)
    """

    name: str
    config: PriorConfig | None  # sampled while training; None for a dump
    dump: Path | None
    steps: int
    role: str = "arm"  # or DRAWN, "control", "common", WARM_START
    own_data_seeds: bool = False  # a data seed of its own for each of the study's

    @property
    def has_prior(self) -> bool:
        """Whether the arm is trained on a prior; the untrained model is not."""
        return self.steps > 0

    def sampling_seed(self, data_seed: int) -> int:
        """The seed of this arm's datasets for the study's `data_seed`."""
        if not self.own_data_seeds:
            return data_seed
        return int(stream(data_seed, STUDY, REPEATED).integers(2**62, 2**63))

    def loader(self, study: Study, data_seed: int) -> "Loader":
        """Batches of the arm on the CPU: sampled live, or from a dump in an order drawn from the seed.

        Raises:
            DumpError: the dump cannot be read.
            ValueError: the dump has no more datasets than are held out.
        """
        from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader  # a file is checked without

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
        """The largest number of classes in the arm's datasets."""
        if self.config is not None:
            return self.config.num_classes[1]
        with open_dump(self.dump) as dump:
            return dump.max_num_classes

    def describe(self) -> str:
        """The source of the datasets: a dump, or the fields that differ from the preset `default`."""
        if not self.has_prior:
            return "no training"
        if self.dump is not None:
            return f"dump {self.dump.name}"
        default = json.loads(PRESETS["default"].to_json())
        own = json.loads(self.config.to_json())
        changed = [
            f"{field} {_short(_one_number(value))}" for field, value in own.items() if value != default[field]
        ]
        return "; ".join(changed) or "unchanged"


class Cell(NamedTuple):
    """One training: an arm, the seed of its datasets, the seed of its initial weights."""

    arm: Arm
    data_seed: int
    model_seed: int

    @property
    def label(self) -> str:
        """The name of the cell in messages."""
        if self.arm.role == WARM_START:
            return f"{WARM_START}, model seed {self.model_seed}"
        return f"{self.arm.name}, data seed {self.data_seed}, model seed {self.model_seed}"


def resolve_arms(study: Study) -> list[Arm]:
    """The arms of a study in the order of its file, an arm for each variant, and the controls at the end.

    >>> study = Study(name="trees", arms={"all": {"preset": "default"}}, controls=("repeated",))
    >>> [arm.name for arm in resolve_arms(study)]
    ['all', 'repeated']

    Raises:
        StudyError: a prior is not valid, or a dump cannot be read; the message names the arm.
    """
    arms: list[Arm] = []
    for name, settings in study.arms.items():
        try:
            arms += _resolve(name, settings, study.steps)
        except (ConfigError, DumpError, ValueError) as error:
            raise StudyError(f"arms.{name}: {error}") from error
    for name, count in Counter(arm.name for arm in arms).items():
        if count > 1:
            raise StudyError(f"arms: names must differ, got {count} arms called {name!r}")
    names = [arm.name for arm in arms]
    if study.reference is not None and study.reference not in names:
        raise StudyError(f"reference: must be one of the arms {', '.join(names)}; got {study.reference!r}")
    reference = arms[names.index(study.reference)] if study.reference else arms[0]
    for control in study.controls:
        arms.append(_control(control, reference))
    return arms


def reference_of(study: Study) -> str:
    """The name of the arm with which all others are compared.

    Examples:
        >>> reference_of(Study(name="mine", arms={"first": {"preset": "linear"}, "second": {"preset": "gp"}}))
        'first'
    """
    return study.reference or resolve_arms(study)[0].name


def common_prior() -> tuple[Arm, int]:
    """A broad prior, and the seed of its datasets: every model of every study is scored on the same ones.

    No training draws them: the seed is larger than those that people choose.
    """
    arm = Arm("common prior", PRESETS[COMMON_PRIOR], None, steps=0, role="common")
    return arm, int(stream(0, STUDY, COMMON).integers(2**62, 2**63))


def cells_of(study: Study) -> list[Cell]:
    """All cells, with all arms for each pair of seeds: a study that is stopped early can compare these.

    Examples:
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), data_seeds=(3, 4), model_seeds=(0, 1))
        >>> [cell.label for cell in cells_of(study)]
        ['linear, data seed 3, model seed 0', 'linear, data seed 4, model seed 1']
    """
    arms = resolve_arms(study)
    return [Cell(arm, data_seed, model_seed) for data_seed, model_seed in study.seeds for arm in arms]


def warm_starts_of(study: Study) -> list[Cell]:
    """The trainings from which the cells start, one for each model seed; none without `warm_start`.

    Their datasets are those of no cell: their seeds are drawn from the model seeds.

    Examples:
        >>> study = Study(name="mine", arms={"a": {"preset": "linear"}}, warm_start={"preset": "default"})
        >>> [cell.label for cell in warm_starts_of(study)][:2]
        ['warm start, model seed 0', 'warm start, model seed 1']

    Raises:
        StudyError: its prior, or an arm, is not valid.
    """
    if study.warm_start is None:
        return []
    preset, steps = study.warm_start.preset, study.warm_start.steps
    if preset is None:
        [arm] = [arm for arm in resolve_arms(study) if arm.name == reference_of(study)]
    else:
        try:
            [arm] = _resolve(WARM_START, ArmSettings(preset=preset), steps)
        except ValueError as error:
            raise StudyError(f"warm_start.preset: {error}") from error
    arm = arm._replace(name=WARM_START, role=WARM_START, steps=steps)
    return [
        Cell(arm, int(stream(model_seed, STUDY, WARM).integers(2**62, 2**63)), model_seed)
        for model_seed in study.model_seeds
    ]


def architecture(study: Study) -> dict[str, Any]:
    """The settings of every cell's model, with an output for each class of the prior with most classes.

    Examples:
        >>> arms = {"two": {"preset": "linear"}, "five": {"preset": "linear", "set": {"num_classes": [2, 5]}}}
        >>> architecture(Study(name="mine", arms=arms))["num_outputs"]
        5
    """
    arms = [*resolve_arms(study), *(cell.arm for cell in warm_starts_of(study)[:1])]
    num_outputs = max(arm.max_num_classes for arm in arms if arm.has_prior)
    changes = RECIPES[study.recipe].architecture
    import torch  # slow to import, and the arms of a file are checked without it

    from nanotabpfn.model.architecture import NanoTabPFNModel

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
                raise ValueError(f"dump: the datasets must have classes, those of {settings.dump} have none")
            if dump.allow_missing:
                raise ValueError(f"dump: the model takes no missing cells, and {settings.dump} has some")
        return [Arm(name, None, settings.dump, steps)]
    base = load_config(settings.config) if settings.config else PRESETS[settings.preset]
    base = with_overrides(base, {field: weights(field, value) for field, value in settings.set.items()})
    arms, role = [], DRAWN if settings.design == "random" else "arm"
    for arm, changes in _variants(name, settings):
        try:
            config = _changed(base, changes)
        except ValueError as error:
            if role != DRAWN:  # else its name does not say the values
                raise
            drawn = ", ".join(write_setting(path, value) for path, value in changes.items())
            raise ValueError(f"the drawn arm {arm!r} ({drawn}) is not valid: {error}") from error
        arms.append(Arm(arm, config, None, steps, role))
    return arms


def _changed(base: PriorConfig, changes: dict[str, Any]) -> PriorConfig:
    """A prior with changes.

    Raises:
        ValueError: a change is not valid, or no model of a study can be trained on such a prior.
    """
    config = with_overrides(base, {field: weights(field, value) for field, value in changes.items()})
    if config.problem_type != "classification":
        raise ValueError(f"problem_type: must be classification, got {config.problem_type}")
    if config.missing_fraction[1] > 0:
        raise ValueError(f"missing_fraction: the model takes no missing cells, got {config.missing_fraction}")
    return config


def _variant_name(name: str, changes: dict[str, Any]) -> str:
    return name + "".join(f" {field}={_short(value)}" for field, value in changes.items())


class DoseSeries(NamedTuple):
    """Arms that differ in one setting, along a range."""

    name: str  # of the arm in the study file
    field: str
    doses: dict[str, float]  # arm -> dose, the lowest first


def dose_series(study: Study) -> list[DoseSeries]:
    """The arms of a study with `design: doses`.

    >>> noise = {"preset": "default", "vary": {"label_noise": [0.2, 0, 0.1]}, "design": "doses"}
    >>> dose_series(Study(name="s", arms={"noise": noise}))[0].doses
    {'noise label_noise=0': 0.0, 'noise label_noise=0.1': 0.1, 'noise label_noise=0.2': 0.2}
    """
    found = []
    for name, settings in study.arms.items():
        if settings.design == "doses":
            [(field, values)] = settings.vary.items()
            doses = {_variant_name(name, {field: value}): dose_of(value) for value in values}
            found.append(DoseSeries(name, field, dict(sorted(doses.items(), key=lambda item: item[1]))))
    return found


def varied_arms(study: Study) -> list[VariedArms]:
    """The arms of a study that vary several settings at once: of random designs, and of all combinations.

    >>> vary = {"mechanisms": ["linear", "mlp"], "label_noise": "uniform(0, 0.3)"}
    >>> many = {"preset": "default", "vary": vary, "design": "random", "num_arms": 5}
    >>> [found] = varied_arms(Study(name="s", arms={"many": many}))
    >>> list(found.values)
    ['many 1', 'many 2', 'many 3', 'many 4', 'many 5']
    """
    return [
        VariedArms(name, settings.design, settings.settings, dict(_variants(name, settings)))
        for name, settings in study.arms.items()
        if settings.design == "random" or (settings.design == "factorial" and _num_varied(settings) > 1)
    ]


def _num_varied(settings: ArmSettings) -> int:
    """How many settings have more than one value."""
    return sum(len(setting.effects) > 0 for setting in settings.settings)


def _variants(name: str, settings: ArmSettings) -> list[tuple[str, dict[str, Any]]]:
    """The names of the arms that an arm of the file stands for, each with its changes of the prior."""
    if settings.design == "random":
        drawn = draw(settings.settings, settings.vary, settings.num_arms, settings.design_seed)
        digits = len(str(settings.num_arms))  # so that the names sort
        return [(f"{name} {number:0{digits}}", changes) for number, changes in enumerate(drawn, 1)]
    if settings.design == "one_at_a_time":
        variants = [{}, *({field: value} for field, values in settings.vary.items() for value in values)]
    else:  # of one field, the doses are all combinations; if nothing varies, that is one without changes
        combinations = product(*settings.vary.values())
        variants = [dict(zip(settings.vary, values, strict=True)) for values in combinations]
    return [(_variant_name(name, changes), changes) for changes in variants]


def weights(field: str, value: Any) -> Any:
    """The weights of a field of a prior, where one name or a list of names stands for equal weights.

    >>> weights("mechanisms", ["linear", "mlp"])
    {'linear': 1.0, 'mlp': 1.0}
    >>> weights("num_nodes", [4, 8])
    [4, 8]
    """
    hints = get_type_hints(PriorConfig, include_extras=False)
    if get_origin(hints.get(field)) is dict and field != "parameters":
        if isinstance(value, str):
            return {value: 1.0}
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return dict.fromkeys(value, 1.0)
    return value


def _one_number(value: Any) -> Any:
    """The number of a range that holds one, else the value."""
    is_range = isinstance(value, list | tuple) and len(value) == 2
    return value[0] if is_range and value[0] == value[1] else value


def _short(value: Any) -> str:
    """A value as part of a name: 4-8 for a range, linear+mlp for weights."""
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
            f"controls: scrambled needs a reference with a config, and {reference.name!r} is a dump, whose "
            "labels cannot be scrambled: choose another reference, or remove scrambled from controls"
        )
    config = replace(reference.config, **SCRAMBLED)
    return reference._replace(name=control, role="control", config=config)
