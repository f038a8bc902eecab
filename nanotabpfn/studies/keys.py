"""The keys of a study: a hash of all that a training, or a set of scores, depends on.

A key is the name of a folder or file, so that a changed study file finds all results that its change leaves
valid.
"""

import hashlib
import json
from importlib.metadata import version
from typing import Any, NamedTuple

from nanotabpfn.data.loaders import Loader
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies.arms import Arm, Cell, architecture, cells_of, resolve_arms
from nanotabpfn.studies.real_tables import suite_key
from nanotabpfn.studies.spec import Study


class Target(NamedTuple):
    """What models are scored on: a suite of real tables, or the held-out datasets of an arm's prior."""

    kind: str  # "real" or "prior"
    name: str  # of the suite or the arm
    arm: Arm | None
    data_seed: int | None
    key: str
    data_key: str | None = None  # of the prior's datasets


class PlannedCell(NamedTuple):
    """A cell with the key of its folder, or with the error of its prior."""

    cell: Cell
    key: str
    data_key: str  # of its own prior's datasets
    model: dict[str, Any]
    error: str | None = None


class Plan(NamedTuple):
    """A study with the keys of all its cells and targets."""

    study: Study
    cells: tuple[PlannedCell, ...]
    targets: tuple[Target, ...]

    @property
    def suites(self) -> list[Target]:
        """The targets that are real tables."""
        return [target for target in self.targets if target.kind == "real"]

    def targets_of(self, planned: PlannedCell) -> list[Target]:
        """The targets of a cell: all suites, and every arm's held-out datasets for the cell's data seed."""
        return [target for target in self.targets if target.data_seed in (None, planned.cell.data_seed)]


class DataKey(NamedTuple):
    """The key of an arm's datasets for one data seed, or the error that prevents it."""

    key: str
    error: str | None


def plan_study(study: Study) -> Plan:
    """Give every cell and target of a study its key. Samples a batch of each prior, which takes some seconds.

    Raises:
        StudyError: an arm cannot be resolved.
        ModuleNotFoundError: a suite needs a package that is not installed.
    """
    data_keys = _data_keys(study)
    return Plan(study, _plan_cells(study, data_keys), _plan_targets(study, data_keys))


def _data_keys(study: Study) -> dict[tuple[str, int], DataKey]:
    """(name of the arm, data seed) -> the key of its datasets."""
    found = {}
    for arm in resolve_arms(study):
        for data_seed in study.data_seeds:
            try:
                found[arm.name, data_seed] = DataKey(data_key(arm.loader(study, data_seed)), None)
            except Exception as error:  # a mechanism of the user's own may raise anything
                found[arm.name, data_seed] = DataKey("", f"{type(error).__name__}: {error}")
    return found


def _plan_cells(study: Study, data_keys: dict[tuple[str, int], DataKey]) -> tuple[PlannedCell, ...]:
    model = architecture(study)
    cells = []
    for cell in cells_of(study):
        own = data_keys[cell.arm.name, cell.data_seed]
        settings = {
            "data": own.key if cell.arm.has_prior else None,
            "model": model,
            "model_seed": cell.model_seed,
            "steps": cell.arm.steps,
            "eval_every": study.eval_every if cell.arm.has_prior else None,
            "batch_size": study.batch_size,
            "training": study.training,
            "version": version("nanotabpfn-priors"),
        }
        cells.append(PlannedCell(cell, hash_settings(settings), own.key, model, own.error))
    return tuple(cells)


def _plan_targets(study: Study, data_keys: dict[tuple[str, int], DataKey]) -> tuple[Target, ...]:
    targets = [Target("real", name, None, None, suite_key(name, study.row_samples)) for name in study.suites]
    for arm in resolve_arms(study):
        for data_seed in study.data_seeds:
            own = data_keys[arm.name, data_seed]
            if arm.has_prior and not own.error:
                key = hash_settings({"data": own.key, "held_out": study.held_out, "metrics": list(METRICS)})
                targets.append(Target("prior", arm.name, arm, data_seed, key, own.key))
    return tuple(targets)


def data_key(loader: Loader) -> str:
    """A hash of the datasets of a loader: its settings, and its first batch, which changes with the code."""
    settings = loader.state_dict()
    del settings["position"], settings["skipped"]
    return hash_settings({"settings": settings, "first_batch": hash_batch(next(iter(loader)))})


def hash_batch(batch: dict[str, Any]) -> str:
    """A hash of the features, labels and splits of a batch."""
    digest = hashlib.sha256()
    for part in batch.get("parts", [batch]):
        for name in ("x", "y"):
            digest.update(part[name].numpy().tobytes())
        digest.update(str(part["train_test_split_index"]).encode())
    return digest.hexdigest()


def hash_settings(settings: dict[str, Any]) -> str:
    """16 hexadecimal digits that stand for some settings, whatever the order of their names.

    >>> hash_settings({"steps": 384, "lr": 0.004})
    '0856d955fcfb378f'
    >>> hash_settings({"lr": 0.004, "steps": 384}) == hash_settings({"steps": 384, "lr": 0.004})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
