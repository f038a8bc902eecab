"""The keys of a study: a hash of all that a training, or a set of scores, depends on.

A key is the name of a folder or file, so that a changed study file finds all results that its change leaves
valid.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from inspect import getsource, unwrap
from typing import Any, NamedTuple

import numpy as np

from nanotabpfn.data.loaders import Loader
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies.arms import (
    COMMON_PRIOR,
    Arm,
    Cell,
    architecture,
    cells_of,
    common_prior,
    resolve_arms,
    warm_starts_of,
)
from nanotabpfn.studies.real_tables import suite_key, suite_tasks
from nanotabpfn.studies.spec import DRAWN, WARM_START, Study, StudyError
from priors.config import PriorConfig
from priors.families.registries import FAMILIES, NODE_FAMILIES
from priors.registry import lookup
from priors.streams import PRIOR_VERSION


class Target(NamedTuple):
    """What models are scored on: a suite of real tables, held-out datasets of an arm's prior, or of the
    common prior, which are the same for all cells."""

    kind: str  # "real", "prior" or "common"
    name: str  # of the suite, the arm or the preset
    arm: Arm | None
    data_seed: int | None  # of the datasets
    key: str
    data_key: str | None = None  # of the prior's datasets


class PlannedCell(NamedTuple):
    """A cell, or a warm start, with the key of its folder, or with the error of its prior."""

    cell: Cell
    key: str
    data_key: str  # of its own prior's datasets
    settings: dict[str, Any]  # all that the key is a hash of
    error: str | None = None
    warm_start: str | None = None  # key of the training from whose end it starts


class Plan(NamedTuple):
    """A study with the keys of all its cells and targets.

    Examples:
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> plan = plan_study(study)
        >>> [target.name for target in plan.targets_of(plan.cells[0])][:2]
        ['builtin', 'linear']
    """

    study: Study
    cells: tuple[PlannedCell, ...]
    targets: tuple[Target, ...]
    first_datasets: dict[str, dict[str, np.ndarray]]  # by the key of the data: of its first batch
    warm_starts: tuple[PlannedCell, ...] = ()  # one for each model seed, if the study has them

    @property
    def suites(self) -> list[Target]:
        """The targets that are real tables."""
        return [target for target in self.targets if target.kind == "real"]

    @property
    def measured(self) -> list[Target]:
        """The targets whose properties are measured: all but the common prior, which is no arm."""
        return [target for target in self.targets if target.kind != "common"]

    def targets_of(self, planned: PlannedCell) -> list[Target]:
        """The targets of a cell: all suites, the common prior, and every arm's held-out datasets for the
        cell's data seed. A warm start has none.

        Those of a drawn arm are for its own models and the untrained one: else the number of scores would
        grow with the square of the number of arms."""
        arm = planned.cell.arm
        if arm.role == WARM_START:
            return []
        return [
            target
            for target in self.targets
            if target.kind != "prior"
            or (
                target.data_seed == planned.cell.data_seed
                and (target.arm.role != DRAWN or arm.name == target.name or not arm.has_prior)
            )
        ]


class DataKey(NamedTuple):
    """The key of an arm's datasets for one data seed, or the error that prevents it."""

    key: str
    error: str | None
    first_datasets: dict[str, np.ndarray] | None = None


def plan_study(study: Study) -> Plan:
    """Give every cell and target of a study its key. Samples a batch of each prior, which takes some seconds.

    Raises:
        StudyError: an arm cannot be resolved, or a table has more classes than the model has outputs.
        ModuleNotFoundError: a suite needs a package that is not installed.

    Examples:
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> [planned] = plan_study(study).cells
        >>> len(planned.key), planned.settings["steps"]
        (16, 384)
    """
    _check_outputs(study)
    data_keys = _data_keys(study)
    of_warm_starts = {cell: _data_key_of(cell.arm, study, cell.data_seed) for cell in warm_starts_of(study)}
    first = {
        one.key: one.first_datasets
        for one in [*data_keys.values(), *of_warm_starts.values()]
        if one.first_datasets is not None
    }
    # An option that came later, where it is off, is no part of the keys: those of earlier cells stay.
    model = {name: value for name, value in architecture(study).items() if name != "target_aware" or value}
    warm_starts = tuple(_planned(cell, own, model, study) for cell, own in of_warm_starts.items())
    cells = _plan_cells(study, data_keys, model, warm_starts)
    return Plan(study, cells, _plan_targets(study, data_keys), first, warm_starts)


def _check_outputs(study: Study) -> None:
    num_outputs = architecture(study)["num_outputs"]
    for suite in study.suites:
        for task, *_ in suite_tasks(suite, study.row_samples):
            num_classes = len(task.classes)
            if num_classes > num_outputs:
                raise StudyError(
                    f"suites: the table {task.name} of {suite} has {num_classes} classes, and the models "
                    f"have {num_outputs} outputs, the most classes of any arm; set an arm's num_classes to "
                    f"[2, {num_classes}], for example"
                )


def _data_keys(study: Study) -> dict[tuple[str, int], DataKey]:
    """(name of the arm, data seed) -> the key of its datasets."""
    return {
        (arm.name, data_seed): _data_key_of(arm, study, data_seed)
        for arm in resolve_arms(study)
        for data_seed in study.data_seeds
    }


def _data_key_of(arm: Arm, study: Study, data_seed: int) -> DataKey:
    try:
        loader = arm.loader(study, data_seed)
        batch = next(iter(loader))  # shows too whether the prior can be sampled
        return DataKey(data_key(arm, loader), None, _first_datasets(batch))
    except Exception as error:  # a mechanism of the user's own may raise anything
        return DataKey("", f"{type(error).__name__}: {error}")


def _first_datasets(batch: dict[str, Any]) -> dict[str, np.ndarray]:
    """The first sub-batch of a batch, as arrays."""
    part = batch.get("parts", [batch])[0]
    return {"x": part["x"].numpy(), "y": part["y"].numpy()}


def _plan_cells(
    study: Study,
    data_keys: dict[tuple[str, int], DataKey],
    model: dict[str, Any],
    warm_starts: tuple[PlannedCell, ...],
) -> tuple[PlannedCell, ...]:
    warm_start_of = {planned.cell.model_seed: planned for planned in warm_starts}
    return tuple(
        _planned(
            cell,
            data_keys[cell.arm.name, cell.data_seed],
            model,
            study,
            warm_start_of.get(cell.model_seed) if cell.arm.has_prior else None,
        )
        for cell in cells_of(study)
    )


def _planned(
    cell: Cell, own: DataKey, model: dict[str, Any], study: Study, warm_start: PlannedCell | None = None
) -> PlannedCell:
    settings = {
        "data": own.key if cell.arm.has_prior else None,
        "model": model,
        "model_seed": cell.model_seed,
        "steps": cell.arm.steps,
        "eval_every": study.eval_every if cell.arm.has_prior else None,
        "batch_size": study.batch_size,
        "training": study.training,
    }
    error = own.error
    if warm_start is not None:  # without one, keys are those of studies before there were warm starts
        settings["warm_start"] = warm_start.settings
        error = error or (f"{WARM_START}: {warm_start.error}" if warm_start.error else None)
    key = hash_settings(settings)
    return PlannedCell(cell, key, own.key, settings, error, warm_start.key if warm_start else None)


def _plan_targets(study: Study, data_keys: dict[tuple[str, int], DataKey]) -> tuple[Target, ...]:
    targets = [Target("real", name, None, None, suite_key(name, study.row_samples)) for name in study.suites]
    for arm in resolve_arms(study):
        for data_seed in study.data_seeds:
            own = data_keys[arm.name, data_seed]
            if arm.has_prior and not own.error:
                key = _held_out_key(own.key, study)
                targets.append(Target("prior", arm.name, arm, data_seed, key, own.key))
    arm, seed = common_prior()
    own_key = data_key(arm, arm.loader(study, seed))
    targets.append(Target("common", COMMON_PRIOR, arm, seed, _held_out_key(own_key, study), own_key))
    return tuple(targets)


def _held_out_key(own_key: str, study: Study) -> str:
    return hash_settings({"data": own_key, "held_out": study.held_out, "metrics": list(METRICS)})


def data_key(arm: Arm, loader: Loader) -> str:
    """A hash of what decides the datasets of a loader: its settings, the version of the code that samples,
    and the source of families that are not part of this package.

    Floats of sampled datasets are not in it: other machines may round them differently.
    """
    settings = loader.state_dict()
    del settings["position"], settings["skipped"]
    own = {} if arm.config is None else own_sources(arm.config)
    return hash_settings({"settings": settings, "prior_version": PRIOR_VERSION, "own": own})


def own_sources(config: PriorConfig) -> dict[str, str]:
    """Name -> hash of the source, of each family that a prior names and that is not part of this package.

    >>> own_sources(PriorConfig())
    {}
    """
    found = {}
    for registry, name in _families_of(config):
        family = unwrap(lookup(registry, name))
        if getattr(family, "__module__", "").partition(".")[0] != "priors":
            try:
                source = getsource(family)
            except (OSError, TypeError):  # of no file: an interactive session, or compiled
                source = getattr(family, "__qualname__", repr(type(family)))
            found[name] = hash_settings({"source": source})
    return found


def _families_of(config: PriorConfig) -> Iterator[tuple[Mapping[str, Callable], str]]:
    """The families that a prior names, each with its registry."""
    for field, registry in FAMILIES.items():
        for name in getattr(config, field):
            yield registry, name
    if config.graph is not None:
        for node in config.graph.nodes.values():
            yield from ((NODE_FAMILIES[name], node[name]) for name in NODE_FAMILIES if name in node)


def hash_settings(settings: dict[str, Any]) -> str:
    """16 hexadecimal digits that stand for some settings, whatever the order of their names.

    >>> hash_settings({"steps": 384, "lr": 0.004})
    '0856d955fcfb378f'
    >>> hash_settings({"lr": 0.004, "steps": 384}) == hash_settings({"steps": 384, "lr": 0.004})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
