"""A study as its folder holds it: all that a report needs, in study.json and the records.

study.json has the study, its arms resolved to priors, and for each cell its state and what computed it. So a
report needs no dump, no file of a config, no trained model, and can be made on another machine.
"""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.arms import Arm, reference_of, resolve_arms, varied_arms
from nanotabpfn.studies.designs import VariedArms
from nanotabpfn.studies.folder import STUDY_FILE, cell_folder, done_note, pandas, state_of
from nanotabpfn.studies.keys import Plan, PlannedCell
from nanotabpfn.studies.records import COLUMNS, RECORDS, TYPES
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.training.run import CONFIG_FILE
from priors.config import ConfigError, PriorConfig
from priors.registry import UntrustedNameError, imports_allowed
from priors.streams import PRIOR_VERSION

if TYPE_CHECKING:
    import pandas as pd


class SavedArm(NamedTuple):
    """An arm with the words that describe it. The config is None too if it names families of another package,
    which a report does not import."""

    arm: Arm
    description: str


class SavedCell(NamedTuple):
    """A cell, its state at the last run, and what computed it."""

    arm: str
    data_seed: int
    model_seed: int
    key: str
    state: str
    notes: dict[str, Any]  # provenance, device, CPU time; empty before the training


class SavedStudy(NamedTuple):
    """A study with its arms and cells.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> saved_of(plan_study(study), Path("absent")).states
        Counter({'waiting': 1})
    """

    study: Study
    reference: str
    arms: tuple[SavedArm, ...]
    cells: tuple[SavedCell, ...]
    prior_version: int | None = None
    """`PRIOR_VERSION` of the code that drew the datasets; None if the file is of a version that did not
    save it."""
    warm_starts: tuple[SavedCell, ...] = ()
    """The trainings from which the cells start, if there are any."""
    designs: tuple[VariedArms, ...] = ()
    """The arms that vary several settings at once."""

    @property
    def states(self) -> Counter[str]:
        """How many cells are in each state."""
        return Counter(cell.state for cell in self.cells)


def saved_of(plan: Plan, folder: Path) -> SavedStudy:
    """The study of a plan, with the present states of its cells."""
    return SavedStudy(
        plan.study,
        reference_of(plan.study),
        tuple(SavedArm(arm, arm.describe()) for arm in resolve_arms(plan.study)),
        tuple(_saved_cell(plan, planned, folder) for planned in plan.cells),
        PRIOR_VERSION,
        tuple(_saved_cell(plan, planned, folder) for planned in plan.warm_starts),
        tuple(varied_arms(plan.study)),
    )


def _saved_cell(plan: Plan, planned: PlannedCell, folder: Path) -> SavedCell:
    cell, state = planned.cell, state_of(plan, planned, folder)
    notes = _notes(folder, planned.key)
    return SavedCell(cell.arm.name, cell.data_seed, cell.model_seed, planned.key, state, notes)


def _notes(folder: Path, key: str) -> dict[str, Any]:
    notes, place = {}, cell_folder(folder, key)
    if (place / CONFIG_FILE).exists():
        settings = json.loads((place / CONFIG_FILE).read_bytes())
        notes = {"device": settings.get("device"), **settings["provenance"]}
    return notes | done_note(folder, key)


def write_saved(saved: SavedStudy, folder: Path) -> None:
    """Write study.json."""
    settings = {arm: values for design in saved.designs for arm, values in design.values.items()}
    arms = [
        arm._asdict()
        | {
            "config": None if arm.config is None else json.loads(arm.config.to_json()),
            "dump": None if arm.dump is None else str(arm.dump),
            "description": description,
            "settings": settings.get(arm.name),
        }
        for arm, description in saved.arms
    ]
    values = {
        "study": saved.study.model_dump(mode="json"),
        "reference": saved.reference,
        "arms": arms,
        "cells": [cell._asdict() for cell in saved.cells],
        "warm_starts": [cell._asdict() for cell in saved.warm_starts],
        "prior_version": saved.prior_version,
    }
    write_atomically(folder / STUDY_FILE, json.dumps(values, indent=1).encode())


def read_saved(folder: str | Path) -> SavedStudy:
    """Read study.json. It imports no code that the file names.

    Raises:
        StudyError: there is no study in `folder`, or it cannot be read.

    Examples:
        >>> read_saved("absent")
        Traceback (most recent call last):
        nanotabpfn.studies.spec.StudyError: absent holds no study: there is no study.json
    """
    path = Path(folder) / STUDY_FILE
    try:
        values = json.loads(path.read_bytes())
        with imports_allowed(False):
            if "arms" in values and "study" not in values:  # of an earlier version: the study alone
                study = Study.model_validate(_of_this_version(values))
                arms = tuple(SavedArm(arm, arm.describe()) for arm in resolve_arms(study))
                designs = tuple(varied_arms(study))
                return SavedStudy(study, reference_of(study), arms, (), designs=designs)
            study = Study.model_validate_json(json.dumps(_of_this_version(values["study"])))
            return SavedStudy(
                study,
                values["reference"],
                tuple(map(_read_arm, values["arms"])),
                tuple(SavedCell(**cell) for cell in values["cells"]),
                values.get("prior_version"),
                tuple(SavedCell(**cell) for cell in values.get("warm_starts", ())),
                _read_designs(study, values["arms"]),
            )
    except FileNotFoundError as error:
        raise StudyError(f"{folder} holds no study: there is no {STUDY_FILE}") from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        UntrustedNameError,
    ) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error


def _of_this_version(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a study as this version names them, with the defaults of the version that wrote
    them."""
    settings = {"seed_design": "crossed", "metric": "roc_auc"} | settings
    if isinstance(settings.get("rope"), float):  # of the study's metric
        settings["rope"] = {settings["metric"]: settings["rope"]}
    return settings


def _read_designs(study: Study, arms: list[dict[str, Any]]) -> tuple[VariedArms, ...]:
    """The designs with the values that were drawn when the study was run."""
    saved = {arm["name"]: arm["settings"] for arm in arms if arm.get("settings")}
    return tuple(
        design._replace(values={arm: saved.get(arm, drawn) for arm, drawn in design.values.items()})
        for design in varied_arms(study)
    )


def _read_arm(values: dict[str, Any]) -> SavedArm:
    values = {name: value for name, value in values.items() if name != "settings"}
    description, config, dump = values.pop("description"), values.pop("config"), values.pop("dump")
    try:
        prior = None if config is None else PriorConfig.from_json(json.dumps(config), trust=False)
    except (ConfigError, UntrustedNameError, ValidationError):
        prior = None  # of another version, or with families of another package
    return SavedArm(Arm(config=prior, dump=None if dump is None else Path(dump), **values), description)


def read_records(folder: str | Path) -> "pd.DataFrame":
    """Read the records of a study, with COLUMNS: those of an earlier version lack the last ones.

    Raises:
        StudyError: there are none, or they cannot be read.

    Examples:
        >>> read_records("absent")
        Traceback (most recent call last):
        nanotabpfn.studies.spec.StudyError: absent: no cell is scored yet; `nanotabpfn study run` does that
    """
    path = Path(folder) / RECORDS[0]
    try:
        return pandas().read_parquet(path).reindex(columns=COLUMNS).astype(TYPES)
    except FileNotFoundError as error:
        raise StudyError(f"{folder}: no cell is scored yet; `nanotabpfn study run` does that") from error
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
