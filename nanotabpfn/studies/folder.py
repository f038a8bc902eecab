"""The folder of a study: where each result is, and how far each cell has come.

DIR/study.json                  the study of the last run, its arms, the states of its cells: see saved.py
DIR/cells/KEY/                  the directory of a training run, of a cell or of a warm start, and
    models/step-00000096...     the averaged model after each step at which it is scored
    done.json                   written last: the training is complete
    scores/TARGET.parquet       scores on one target: a suite, or the held-out datasets of an arm
DIR/baselines/                  scores of the baselines on a suite
DIR/properties/                 properties of the datasets of a prior, or of the tables of a suite
DIR/first_batches/               the first datasets of each prior
DIR/errors/KEY.txt              the traceback of a job that failed
DIR/locks/KEY.begun             a process works at this job, or was killed at it
DIR/records.parquet, .csv       all scores, a row for each
"""

import json
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from nanotabpfn.evaluation.pandas_import import import_pandas
from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.arms import Cell
from nanotabpfn.studies.keys import Plan, PlannedCell, Target, hash_settings
from nanotabpfn.studies.properties import DISTANCES
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.training.run import HISTORY_FILE
from priors.audit.properties import PROPERTIES

STUDY_FILE, DONE_FILE, MODELS_FOLDER, SCORES_FOLDER = "study.json", "done.json", "models", "scores"


def eval_steps(cell: Cell, study: Study) -> list[int]:
    """The steps after which a cell is scored. The untrained model is scored before the first step."""
    return study.eval_steps if cell.arm.has_prior else [0]


def cell_folder(folder: Path, key: str) -> Path:
    """The folder of a cell: a training run with its models and scores."""
    return folder / "cells" / key


def scores_path(folder: Path, planned: PlannedCell, target: Target) -> Path:
    """The scores of a cell on one target."""
    return cell_folder(folder, planned.key) / SCORES_FOLDER / f"{target.key}.parquet"


def baseline_path(folder: Path, target: Target, name: str) -> Path:
    """The scores of a baseline on a suite, by this version of scikit-learn."""
    return folder / "baselines" / f"{name}-{target.key}-{version('scikit-learn')}.parquet"


def properties_path(folder: Path, target: Target, suite: Target | None = None) -> Path:
    """The properties of the datasets of a target, or its distances from a suite."""
    key = {"of": target.key, "properties": list(PROPERTIES)}
    if suite is not None:
        key |= {"from": suite.key, "distances": list(DISTANCES)}
    return folder / "properties" / f"{hash_settings(key)}.parquet"


def begun_path(folder: Path, key: str) -> Path:
    """A file that exists while a job is under way. It stays if the process of the job is killed.

    Examples:
        >>> begun_path(Path("runs/mine"), "0856d955fcfb378f").as_posix()
        'runs/mine/locks/0856d955fcfb378f.begun'
    """
    return folder / "locks" / f"{key}.begun"


def error_path(folder: Path, key: str) -> Path:
    """The traceback of a job that failed."""
    return folder / "errors" / f"{key}.txt"


def done_note(folder: Path, key: str) -> dict[str, Any]:
    """What done.json says of a training: `seconds`, `cpu_seconds`, `num_skipped`, and `begun`, whether it had
    begun by the step of the watchdog's first verdict, as had its warm start. Empty if the training is not
    complete."""
    try:
        return json.loads((cell_folder(folder, key) / DONE_FILE).read_bytes())
    except FileNotFoundError:
        return {}


def is_trained(planned: PlannedCell, folder: Path) -> bool:
    """Whether the training of a cell is complete."""
    return (cell_folder(folder, planned.key) / DONE_FILE).exists()


def is_complete(plan: Plan, planned: PlannedCell, folder: Path) -> bool:
    """Whether a cell is trained, and scored on all of its targets.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> plan = plan_study(study)
        >>> is_complete(plan, plan.cells[0], Path("absent"))
        False
    """
    return is_trained(planned, folder) and all(
        scores_path(folder, planned, target).exists() for target in plan.targets_of(planned)
    )


def warm_starts_left(plan: Plan, folder: Path) -> list[PlannedCell]:
    """The warm starts that are not trained and that a cell which is not trained starts from.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, suites=("builtin",), warm_start={}, **seeds)
        >>> [planned.cell.label for planned in warm_starts_left(plan_study(study), Path("absent"))]
        ['warm start, model seed 0']
    """
    needed = {
        planned.warm_start
        for planned in plan.cells
        if planned.error is None and not is_trained(planned, folder)
    }
    return [one for one in plan.warm_starts if one.key in needed and not is_trained(one, folder)]


def steps_done(key: str, folder: Path) -> int:
    """The number of training steps that the cell of a key has done, from its history.

    Examples:
        >>> steps_done("0856d955fcfb378f", Path("absent"))
        0
    """
    history = cell_folder(folder, key) / HISTORY_FILE
    try:
        return history.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def state_of(plan: Plan, planned: PlannedCell, folder: Path) -> str:
    """done, failed, waiting, or how far a cell has come: the step of its training, its scores.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> plan = plan_study(study)
        >>> state_of(plan, plan.cells[0], Path("absent"))
        'waiting'
    """
    if planned.error is None and is_complete(plan, planned, folder):
        return "done"
    if planned.error is not None or error_path(folder, planned.key).exists():
        return "failed"
    if is_trained(planned, folder):
        targets = plan.targets_of(planned)
        scored = sum(scores_path(folder, planned, target).exists() for target in targets)
        return f"trained, scored on {scored} of {len(targets)} targets"
    steps = steps_done(planned.key, folder)
    return f"step {steps} of {planned.cell.arm.steps}" if steps else "waiting"


def write_frame(path: Path, columns: list[str], scores: list[tuple]) -> None:
    """Write rows as a Parquet file, complete or not at all."""
    content = BytesIO()
    pandas().DataFrame(scores, columns=columns).to_parquet(content, index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def pandas() -> Any:
    """The module pandas, imported where it is first needed: it is an optional dependency.

    Raises:
        StudyError: pandas or pyarrow is not installed.

    Examples:
        >>> pandas().DataFrame({"auc": [0.5, 0.7]}).shape
        (2, 1)
    """
    try:
        return import_pandas("studies", "pyarrow")
    except ModuleNotFoundError as error:
        raise StudyError(str(error)) from error
