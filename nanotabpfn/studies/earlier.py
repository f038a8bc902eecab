"""Earlier trainings in the folder of a study: which a changed study still uses, and which it does again.

A cell whose key has changed is trained again. If only the number of steps has grown, the earlier training is
extended instead: schedule-free training does not depend on where it will end.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nanotabpfn.studies.arms import Arm
from nanotabpfn.studies.folder import (
    DONE_FILE,
    SCORES_FOLDER,
    STUDY_FILE,
    cell_folder,
    steps_done,
)
from nanotabpfn.studies.keys import Plan, PlannedCell
from nanotabpfn.studies.saved import read_saved
from nanotabpfn.training.run import CONFIG_FILE, LOCK_FILE, checkpoints
from priors.settings import differences


class Replaced(NamedTuple):
    """A cell that a changed study trains again, though its folder has a training of that name."""

    planned: PlannedCell
    steps: int  # that the earlier training has done
    reason: str


def replaced_trainings(plan: Plan, folder: Path) -> list[Replaced]:
    """The cells of the last run of a study that the plan does not use, and must train again.

    Cells whose training is extended, or whose arm or seeds are no longer in the study, are not among them.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> from nanotabpfn.studies.spec import Study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> replaced_trainings(plan_study(study), Path("absent"))  # there is no earlier run
        []
    """
    if not (folder / STUDY_FILE).exists():
        return []
    earlier = {(cell.arm, cell.data_seed, cell.model_seed): cell.key for cell in read_saved(folder).cells}
    found, finished = [], finished_trainings(folder)
    for planned in plan.cells:
        cell = planned.cell
        key = earlier.get((cell.arm.name, cell.data_seed, cell.model_seed), planned.key)
        steps = steps_done(key, folder)
        is_new = planned.error is None and not steps_done(planned.key, folder) and cell.arm.has_prior
        if key != planned.key and steps and is_new and shorter_training(planned, finished) is None:
            found.append(Replaced(planned, steps, _reason(planned, cell_folder(folder, key))))
    return found


def _reason(planned: PlannedCell, place: Path) -> str:
    """Which of the settings that decide a training have changed."""
    settings = _read_settings(place)
    before = settings.get("depends_on")
    if not isinstance(before, dict):
        return "trained by an earlier version of this package"
    changes = []
    for path, old, new in _changes(before, planned.settings):
        if path == "data":
            changes.append(_change_of_data(planned.cell.arm, settings.get("prior")))
        elif path == "warm_start":  # a whole training is there, or is not
            changes.append("warm_start added" if old is None else "warm_start removed")
        elif path == "warm_start.data":
            changes.append("the prior of warm_start")
        else:
            changes.append(f"{path} {json.dumps(old)} -> {json.dumps(new)}")
    return "; ".join(changes)


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted path, value before, value now) of all that differs."""
    for name in {**now, **before}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from ((f"{name}.{path}", *values) for path, *values in _changes(old, new))
        elif old != new:
            yield name, old, new


def _change_of_data(arm: Arm, before: Any) -> str:
    now = json.loads(arm.config.to_json()) if arm.config else str(arm.dump)
    if now == before:
        return "the content of the dump, or held_out" if arm.dump else "the code of the prior or of a family"
    if isinstance(now, dict) and isinstance(before, dict):
        return f"the prior: {', '.join(differences(now, before))}"
    return f"the prior: {before} -> {now}"


def finished_trainings(folder: Path) -> dict[Path, dict[str, Any]]:
    """The folder of each finished training that can be extended -> the settings that decided it."""
    found = {}
    for file in folder.glob(f"cells/*/{DONE_FILE}"):
        settings = _read_settings(file.parent).get("depends_on")
        if isinstance(settings, dict) and "steps" in settings and checkpoints(file.parent):
            found[file.parent] = settings
    return found


def shorter_training(planned: PlannedCell, finished: dict[Path, dict[str, Any]]) -> Path | None:
    """The folder of the longest of `finished_trainings` that this cell extends: only the steps are fewer."""
    steps = planned.settings["steps"]
    shorter = [
        (before["steps"], place)
        for place, before in finished.items()
        if before["steps"] < steps and before | {"steps": steps} == planned.settings
    ]
    return max(shorter)[1] if shorter else None


def copy_training(source: Path, place: Path) -> None:
    """Copy a finished training, without its scores, for a longer one; complete or not at all."""
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    left_out = shutil.ignore_patterns(DONE_FILE, SCORES_FOLDER, LOCK_FILE)
    shutil.copytree(source, partial, ignore=left_out)
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)


def _read_settings(place: Path) -> dict[str, Any]:
    """The settings of a cell's run; nothing where they cannot be read."""
    try:
        settings = json.loads((place / CONFIG_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
