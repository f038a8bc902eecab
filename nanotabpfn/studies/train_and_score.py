"""What the jobs of a study do: train and score a cell, score a baseline, measure properties.

Each function writes its results to files in the study's folder. Which jobs there are is in jobs.py.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanotabpfn.data.loaders import Loader
from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import CheckpointError, load_model, save_model, write_atomically
from nanotabpfn.studies.earlier import copy_training, finished_trainings, shorter_training
from nanotabpfn.studies.folder import (
    DONE_FILE,
    MODELS_FOLDER,
    baseline_path,
    cell_folder,
    done_note,
    eval_steps,
    is_trained,
    properties_path,
    scores_path,
    write_frame,
)
from nanotabpfn.studies.keys import PlannedCell, Target
from nanotabpfn.studies.properties import distances, properties_of_batches
from nanotabpfn.studies.provenance import provenance
from nanotabpfn.studies.real_tables import suite_properties, suite_tasks
from nanotabpfn.studies.scoring import POOLED, score_model, score_tables
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.training.beginning import began_in_time
from nanotabpfn.training.branch import branch_state, open_source
from nanotabpfn.training.curves import read_history
from nanotabpfn.training.loop import train
from nanotabpfn.training.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    DamagedRunError,
    Run,
    checkpoints,
    create_run,
    read_settings,
    resume_run,
    write_settings,
)
from priors.audit.properties import PROPERTIES

SCHEDULE = {"schedule": "schedule_free", "schedule_steps": None}
"""The defaults of `train`: no recipe has another schedule."""


def run_cell(
    planned: PlannedCell, targets: dict[str, Target], folder: Path, study: Study, device: str
) -> None:
    """Train a cell and score it on the targets, as far as that is not done yet.

    Raises:
        Exception: the first error of those met while scoring, after all targets have been tried: the broken
            prior of one arm must not cost the scores on the others.
    """
    if not is_trained(planned, folder):
        train_cell(planned, folder, study, device)
    errors = []
    for target in targets.values():
        path = scores_path(folder, planned, target)
        if not path.exists():
            try:
                scores = _score_steps(planned, target, folder, study, device)
            except Exception as error:
                error.add_note(f"while scoring on {target.name}")
                errors.append(error)
                continue
            write_frame(path, ["step", "task", "fold", "metric", "value"], scores)
    if errors:
        raise errors[0]


def _score_steps(
    planned: PlannedCell, target: Target, folder: Path, study: Study, device: str
) -> list[tuple[int, str, str, str, float]]:
    """(step, task, fold, metric, value): after each step on suites and the own prior, after the last on
    other priors and the common one."""
    steps = eval_steps(planned.cell, study)
    if target.kind != "real" and planned.data_key != target.data_key:
        steps = steps[-1:]
    scores = []
    for step in steps:
        model = load_model(_model_path(cell_folder(folder, planned.key), step)).to(device)
        scores += [(step, *score) for score in score_model(model, target, study, device)]
    return scores


def train_cell(planned: PlannedCell, folder: Path, study: Study, device: str) -> None:
    """Train a cell, or a warm start, from its last checkpoint to its last step, and mark it as trained.

    It resumes from the end of a shorter training of the study that is the same otherwise, if there is one.
    Therefore the last checkpoint of a trained cell is kept. A cell with a warm start begins at its end.

    Raises:
        StudyError: the warm start of the cell is not trained.
        KeyboardInterrupt: the training was stopped by Ctrl-C.
    """
    cell, place = planned.cell, cell_folder(folder, planned.key)
    if not (place / CONFIG_FILE).exists():
        shorter = shorter_training(planned, finished_trainings(folder))
        if shorter is not None:
            copy_training(shorter, place)
    (place / MODELS_FOLDER).mkdir(parents=True, exist_ok=True)
    torch.manual_seed(cell.model_seed)  # the same weights for every arm; `run_job` forks the generator
    model = NanoTabPFNModel(**planned.settings["model"])
    with _open_run(place, _settings(planned, device)) as run:
        cost = _Cost(run.state)
        if not cell.arm.has_prior:
            save_model(model, _model_path(place, 0))
        elif run.step < cell.arm.steps:
            _train_from(run, model, planned, folder, study, device, cost)
    note = cost.so_far() | {"begun": _has_begun(planned, folder) if cell.arm.has_prior else None}
    write_atomically(place / DONE_FILE, json.dumps(note, indent=1).encode())


class _Cost:
    """What a training takes, with what it took before it was stopped, which its checkpoint holds."""

    def __init__(self, state: dict[str, Any] | None):
        self.before = (state or {}).get("cost", {"seconds": 0.0, "cpu_seconds": 0.0, "num_skipped": 0})
        self.begun = {"seconds": time.time(), "cpu_seconds": time.process_time()}
        self.num_skipped = 0  # damaged datasets

    def so_far(self) -> dict[str, float]:
        now = {"seconds": time.time(), "cpu_seconds": time.process_time()}
        taken = {name: self.before[name] + now[name] - self.begun[name] for name in now}
        return taken | {"num_skipped": self.before["num_skipped"] + self.num_skipped}


def _has_begun(planned: PlannedCell, folder: Path) -> bool | None:
    """By the rule of `began_in_time`; None if the training is too short for it. Steps count from the end of
    the warm start, and one that had not begun makes all its cells late."""
    if planned.warm_start is not None and done_note(folder, planned.warm_start).get("begun") is False:
        return False
    history = read_history(cell_folder(folder, planned.key) / HISTORY_FILE)
    if any("class_entropy" not in record for record in history):  # extends a training of an earlier version
        return None
    losses, entropies = ([record[name] for record in history] for name in ("loss", "class_entropy"))
    return began_in_time(losses, entropies)


def _settings(planned: PlannedCell, device: str) -> dict[str, Any]:
    """The settings of a cell's run, for its config.json."""
    cell = planned.cell
    return {
        "cell": planned.key,
        "depends_on": planned.settings,
        "label": cell.label,  # of the first of the arms that share this cell
        "prior": json.loads(cell.arm.config.to_json()) if cell.arm.config else str(cell.arm.dump),
        "sampling_seed": cell.arm.sampling_seed(cell.data_seed),
        "model_seed": cell.model_seed,
        "device": device,
        "provenance": provenance(),
    }


def _train_from(
    run: Run,
    model: NanoTabPFNModel,
    planned: PlannedCell,
    folder: Path,
    study: Study,
    device: str,
    cost: _Cost,
) -> None:
    """Train from where `run` is to the last step."""
    cell, last_kept = planned.cell, run.step
    loader = cell.arm.loader(study, cell.data_seed)
    if planned.warm_start is not None and run.state is None:
        _begin_at_warm_start(run, planned, loader, folder, study)
    loader.num_steps = cell.arm.steps - run.step

    def keep(averaged: NanoTabPFNModel, state: dict[str, Any]) -> None:
        nonlocal last_kept
        cost.num_skipped = loader.num_skipped
        save_model(averaged, _model_path(run.folder, state["step"]))
        run.checkpoint(averaged, state | {"cost": cost.so_far()})
        last_kept = state["step"]

    train(
        model,
        loader,
        device=device,
        on_step=run.record,
        state=run.state,
        steps_per_checkpoint=study.eval_every,
        on_checkpoint=keep,
        **study.training,
    )
    if last_kept < cell.arm.steps:  # Ctrl-C ends a training quietly, even while the last model is written
        raise KeyboardInterrupt


def _begin_at_warm_start(run: Run, planned: PlannedCell, loader: Loader, folder: Path, study: Study) -> None:
    """Write the end of the warm start, with its optimizer's state, as the checkpoint of step 0, so that the
    cell does not depend on that folder any more."""
    place = cell_folder(folder, planned.warm_start)
    if not (place / DONE_FILE).exists() or not checkpoints(place):
        raise StudyError(
            f"the warm start of model seed {planned.cell.model_seed} failed, or {place} has lost its "
            "checkpoint; without that folder, the next run trains it again"
        )
    training = SCHEDULE | study.training
    source = open_source(place)
    source = source._replace(settings={"training": training})  # the same: it is part of both keys
    state, taken_over = branch_state(source, loader, training)
    provenance = source.provenance
    run.settings["from"] = {
        "cell": planned.warm_start,
        "weights": provenance["weights"],
        "step": provenance["step"],
        "taken_over": taken_over,
    }
    write_settings(run.folder, run.settings)
    run.checkpoint(source.model, state)
    run.state = state


def _model_path(place: Path, step: int) -> Path:
    return place / MODELS_FOLDER / f"step-{step:08}.safetensors"


@contextmanager
def _open_run(place: Path, settings: dict[str, Any]) -> Iterator[Run]:
    """The run of a cell, resumed from its last checkpoint; a new one if there is none or it is damaged."""
    with ExitStack() as stack:
        run = None
        if (place / CONFIG_FILE).exists():
            with suppress(DamagedRunError, CheckpointError):
                earlier = read_settings(place)
                start = {"from": earlier["from"]} if "from" in earlier else {}  # of its warm start
                run = stack.enter_context(resume_run(place, settings | start))
        yield run or stack.enter_context(create_run(place, settings, overwrite=True))


def score_baseline(target: Target, name: str, folder: Path, study: Study, device: str) -> None:
    """Score a baseline on a suite: on the CPU, whatever the device."""
    scores = list(score_tables(BASELINES[name](), suite_tasks(target.name, study.row_samples)))
    write_frame(baseline_path(folder, target, name), ["task", "fold", "metric", "value"], scores)


def measure_properties(target: Target, suites: list[Target], folder: Path, study: Study, device: str) -> None:
    """Measure the tables of a suite, or the held-out datasets of a prior and their distances from each suite:
    on the CPU, whatever the device."""
    if target.kind == "real":
        found = suite_properties(target.name)
    else:
        found = properties_of_batches(target.arm.loader(study, target.data_seed).held_out_batches())
        for suite in suites:
            tables = np.stack(list(suite_properties(suite.name).values()))
            away = distances(np.stack(list(found.values())), tables)
            rows = [(POOLED, name, value) for name, value in away.items() if np.isfinite(value)]
            write_frame(properties_path(folder, target, suite), ["task", "metric", "value"], rows)
    rows = [
        (task, name, value)
        for task, values in found.items()
        for name, value in zip(PROPERTIES, values.tolist(), strict=True)
        if np.isfinite(value)
    ]
    write_frame(properties_path(folder, target), ["task", "metric", "value"], rows)
