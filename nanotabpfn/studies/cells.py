"""The cells of a study: each is trained and scored once, under a key made of all that it depends on.

DIR/study.json                  the study, as it was run last
DIR/cells/KEY/                  the directory of a training run, and
    models/step-00000096...     the averaged model after each step at which it is scored
    done.json                   written last: the training is complete
    scores/TARGET.parquet       what it reached on one target: a suite, or an arm's held-out datasets
DIR/baselines/                  what the baselines reached on a suite
DIR/properties/                 what the datasets of a prior and of a suite look like
DIR/errors/KEY.txt              the traceback of a cell that failed
DIR/locks/KEY.begun             a process is at this job, or was killed at it
DIR/records.parquet, .csv       all scores, tidy
"""

import hashlib
import json
import platform
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr
from functools import lru_cache, partial
from importlib.metadata import version
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from nanotabpfn.data.loaders import Loader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.metrics import METRICS, measure
from nanotabpfn.evaluation.protocol import Task, predict_out_of_fold, prepare
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.model.architecture import NanoTabPFNModel, get_default_device
from nanotabpfn.model.checkpoint import CheckpointError, load_model, save_model, write_atomically
from nanotabpfn.studies.properties import (
    DISTANCES,
    PROPERTIES,
    distances,
    properties_of_batches,
    properties_of_tables,
)
from nanotabpfn.studies.study import Arm, Cell, Study, StudyError, architecture, cells_of, resolve_arms
from nanotabpfn.training.loop import train
from nanotabpfn.training.run import CONFIG_FILE, HISTORY_FILE, Run, RunError, create_run, resume_run
from priors.generation.engines import WorkerLostError, run_tasks

if TYPE_CHECKING:
    import pandas as pd

STUDY_FILE, DONE_FILE, MODELS_FOLDER, SCORES_FOLDER = "study.json", "done.json", "models", "scores"
RECORDS = "records.parquet", "records.csv"
POOLED = "all"  # in the place of a fold: the out-of-fold probabilities of all folds together
COLUMNS = [
    "arm", "role", "data_seed", "model_seed", "step", "is_final", "target", "suite", "task", "fold",
    "metric", "value",
]  # fmt: skip
"""Of the records. role: arm, control, baseline or suite. target: `real` for tables, `prior` for held-out
datasets, `properties` for what these look like, whose metrics are PROPERTIES and DISTANCES. suite: that of
the tables, or the arm whose datasets they are. task: the table, or the dataset's number."""


# ---------------------------------------------------------------------------------------------- planning


class Target(NamedTuple):
    """What models are scored on: a suite of real tables, or the held-out datasets of an arm's prior."""

    kind: str  # "real" or "prior"
    name: str  # of the suite or the arm
    arm: Arm | None
    data_seed: int | None
    key: str
    data_key: str | None = None  # of the prior's datasets


class PlannedCell(NamedTuple):
    """A cell with the key of its folder, or with the error that keeps it from having one."""

    cell: Cell
    key: str
    data_key: str  # of its own prior's datasets
    model: dict[str, Any]
    error: str | None = None


class Plan(NamedTuple):
    """A study made ready to run."""

    study: Study
    cells: tuple[PlannedCell, ...]
    targets: tuple[Target, ...]

    def targets_of(self, planned: PlannedCell) -> list[Target]:
        """What a cell is scored on: all suites, and every arm's datasets of the cell's data seed."""
        return [target for target in self.targets if target.data_seed in (None, planned.cell.data_seed)]


def plan_study(study: Study) -> Plan:
    """Give every cell and target of a study its key. Samples a batch of each prior: some seconds.

    Raises:
        StudyError: an arm cannot be resolved.
        ModuleNotFoundError: a suite's extra is not installed.
    """
    model = architecture(study)
    data_keys: dict[tuple[str, int], tuple[str, str | None]] = {}
    for arm in resolve_arms(study):
        for data_seed in study.data_seeds:
            try:
                data_keys[arm.name, data_seed] = data_key(arm.loader(study, data_seed)), None
            except Exception as error:  # whatever a user's own mechanism raises
                data_keys[arm.name, data_seed] = "", f"{type(error).__name__}: {error}"
    cells = []
    for cell in cells_of(study):
        own_data, error = data_keys[cell.arm.name, cell.data_seed]
        settings = {
            "data": own_data if cell.arm.has_prior else None,
            "model": model,
            "model_seed": cell.model_seed,
            "steps": cell.arm.steps,
            "eval_every": study.eval_every if cell.arm.has_prior else None,
            "batch_size": study.batch_size,
            "training": study.training,
            "version": version("nanotabpfn-priors"),
        }
        cells.append(PlannedCell(cell, _key(settings), own_data, model, error))
    targets = [Target("real", name, None, None, suite_key(name)) for name in study.suites]
    for arm in resolve_arms(study):
        for data_seed in study.data_seeds:
            own_data, error = data_keys[arm.name, data_seed]
            if arm.has_prior and not error:
                key = _key({"data": own_data, "held_out": study.held_out, "metrics": list(METRICS)})
                targets.append(Target("prior", arm.name, arm, data_seed, key, own_data))
    return Plan(study, tuple(cells), tuple(targets))


def data_key(loader: Loader) -> str:
    """A hash of what a loader gives: its settings, and its first batch, which tells of changes of code."""
    settings = loader.state_dict()
    del settings["position"], settings["skipped"]
    return _key({"settings": settings, "first_batch": hash_batch(next(iter(loader)))})


def hash_batch(batch: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for part in batch.get("parts", [batch]):
        for name in ("x", "y"):
            digest.update(part[name].numpy().tobytes())
        digest.update(str(part["train_test_split_index"]).encode())
    return digest.hexdigest()


@lru_cache
def suite_tasks(name: str) -> tuple[Task, ...]:
    """The tables of a suite made ready for the protocol, once for each process."""
    return tuple(prepare(table) for table in load_suite(name))


@lru_cache
def suite_properties(name: str) -> dict[str, np.ndarray]:
    """Table -> its PROPERTIES, once for each process: about a second for `open`."""
    return properties_of_tables(suite_tasks(name))


@lru_cache
def suite_key(name: str) -> str:
    """A hash of the tables of a suite, their folds and encoded cells."""
    digest = hashlib.sha256(" ".join(METRICS).encode())
    for task in suite_tasks(name):
        digest.update(task.name.encode())
        for fold in task.folds:
            for array in (fold.x_train, fold.x_test, fold.test_rows):
                digest.update(np.ascontiguousarray(array).tobytes())
        digest.update((task.y == task.classes[1]).tobytes())
    return digest.hexdigest()[:16]


def _key(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


# --------------------------------------------------------------------------------------------- the jobs

Score = tuple[str, str, str, float]
"""task, fold, metric, value"""


class Job(NamedTuple):
    """Something that a worker does on its own; what it leaves are files of the study's folder."""

    label: str
    key: str
    work: Callable[[Path, Study, str], None]  # the last is the device


class Outcome(NamedTuple):
    """How a job ended: well, or with an error, or not at all since another process is at it."""

    label: str
    error: str | None
    is_busy: bool = False


def jobs_of(plan: Plan, folder: Path) -> list[Job]:
    """What is left to do: the baselines, the cells that are not trained or not scored on everything, and what
    the datasets of priors and suites look like. Cells of one key, such as those of two arms that are the
    same, are one job."""
    jobs: dict[str, Job] = {}
    targets_of_key: dict[str, dict[str, Target]] = {}
    for target in plan.targets:
        if target.kind == "real":
            for name in plan.study.baselines:
                path = baseline_path(folder, target, name)
                if not path.exists():
                    label = f"baseline {name} on {target.name}"
                    jobs[path.stem] = Job(label, path.stem, partial(_score_baseline, target, name))
    for planned in plan.cells:
        if planned.error is None and not is_complete(plan, planned, folder):
            targets = targets_of_key.setdefault(planned.key, {})
            targets |= {target.key: target for target in plan.targets_of(planned)}
            work = partial(_run_cell, planned, targets)
            jobs.setdefault(planned.key, Job(planned.cell.label, planned.key, work))
    suites = [target for target in plan.targets if target.kind == "real"]
    for target in plan.targets:
        paths = [properties_path(folder, target)]
        if target.kind == "prior":
            paths += [properties_path(folder, target, suite) for suite in suites]
        if not all(path.exists() for path in paths):
            label = f"properties of {target.name}"
            label += "" if target.data_seed is None else f", data seed {target.data_seed}"
            key = f"properties-{target.key}"
            jobs.setdefault(key, Job(label, key, partial(_measure, target, suites)))
    return list(jobs.values())


def run_job(folder: Path, study: Study, job: Job, num_threads: int, device: str) -> Outcome:
    """Do a job, in this process. An error of it is told in its outcome, and its traceback kept in a file."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    (folder / "locks").mkdir(exist_ok=True)
    lock, begun = folder / "locks" / f"{job.key}.lock", begun_path(folder, job)
    try:
        # Bars of many workers in one terminal are unreadable; the one of the study is enough.
        with FileLock(lock, blocking=False), redirect_stderr(StringIO()), torch.random.fork_rng():
            begun.touch()
            try:
                job.work(folder, study, resolve_device(device))
            finally:  # a process that is killed does not come here
                begun.unlink()
        _error_path(folder, job).unlink(missing_ok=True)
        return Outcome(job.label, None)
    except Timeout:
        return Outcome(job.label, "another process is at it", is_busy=True)
    except Exception as error:
        return _failed(folder, job, f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        torch.set_num_threads(threads_before)


def begun_path(folder: Path, job: Job) -> Path:
    """A file that is there while a job is under way, and stays if its process is killed."""
    return folder / "locks" / f"{job.key}.begun"


def _error_path(folder: Path, job: Job) -> Path:
    return folder / "errors" / f"{job.key}.txt"


def _failed(folder: Path, job: Job, error: str, details: str) -> Outcome:
    note = _error_path(folder, job)
    note.parent.mkdir(exist_ok=True)
    write_atomically(note, f"{job.label}\n{details}".encode())
    return Outcome(job.label, error)


def run_jobs(
    jobs: list[Job], folder: Path, run: Callable[[list[Job]], Iterator[Outcome]]
) -> Iterator[Outcome]:
    """The outcome of each job, as they end, also where one kills its process, by its memory, say.

    A worker that is lost takes its pool with it, and nobody says which job it was at. So each job that was
    under way is run again alone, from its last checkpoint; one that loses its worker again has failed. The
    rest goes on in a new pool.

    Args:
        run: `run_job` of each job, in a pool.

    Raises:
        WorkerLostError: a worker was lost before any job began.
    """
    left = {job.key: job for job in jobs}
    of_label = {job.label: job.key for job in jobs}
    for job in jobs:  # marks of a study that was killed
        begun_path(folder, job).unlink(missing_ok=True)
    while left:
        try:
            for outcome in run(list(left.values())):
                del left[of_label[outcome.label]]
                yield outcome
        except WorkerLostError:
            suspects = [job for job in left.values() if begun_path(folder, job).exists()]
            if not suspects:
                raise
            for job in suspects:
                try:
                    [outcome] = run([job])
                except WorkerLostError as error:
                    begun_path(folder, job).unlink(missing_ok=True)
                    outcome = _failed(folder, job, str(error), str(error))
                del left[job.key]
                yield outcome


def _run_cell(
    planned: PlannedCell, targets: dict[str, Target], folder: Path, study: Study, device: str
) -> None:
    """Train the cell unless that is done, and score it on the targets that it was not scored on."""
    place = folder / "cells" / planned.key
    if not (place / DONE_FILE).exists():
        _train_cell(planned, place, study, device)
    errors = []
    for target in targets.values():
        path = scores_path(folder, planned, target)
        if not path.exists():
            steps = eval_steps(planned.cell, study)
            if target.kind == "prior" and planned.data_key != target.data_key:
                steps = steps[-1:]  # of other priors, what it knows in the end
            scores = []
            try:
                for step in steps:
                    model = load_model(place / MODELS_FOLDER / f"step-{step:08}.safetensors").to(device)
                    scores += [(step, *score) for score in _score_model(model, target, study, device)]
            except Exception as error:  # one arm's broken prior must not keep the others' scores from all
                error.add_note(f"while scoring on {target.name}")
                errors.append(error)
                continue
            _write_scores(path, ["step", "task", "fold", "metric", "value"], scores)
    if errors:
        raise errors[0]


def _train_cell(planned: PlannedCell, place: Path, study: Study, device: str) -> None:
    cell = planned.cell
    begun, cpu_begun = time.time(), time.process_time()
    torch.manual_seed(cell.model_seed)  # the same weights for every arm; `run_job` forks the generator
    model = NanoTabPFNModel(**planned.model)
    settings = {
        "cell": planned.key,
        "label": cell.label,  # of the first arm that asked for it
        "prior": json.loads(cell.arm.config.to_json()) if cell.arm.config else str(cell.arm.dump),
        "sampling_seed": cell.arm.sampling_seed(cell.data_seed),
        "model_seed": cell.model_seed,
        "device": device,
        "provenance": provenance(),
    }
    models = place / MODELS_FOLDER
    models.mkdir(parents=True, exist_ok=True)
    num_skipped = 0
    with ExitStack() as stack:
        run = _open_run(place, settings, stack)
        done = run.state["step"] if run.state else 0
        if not cell.arm.has_prior:
            save_model(model, models / f"step-{0:08}.safetensors")
        elif done < cell.arm.steps:
            loader = cell.arm.loader(study, cell.data_seed)
            loader.num_steps = cell.arm.steps - done

            def keep(averaged: NanoTabPFNModel, state: dict[str, Any]) -> None:
                save_model(averaged, models / f"step-{state['step']:08}.safetensors")
                run.checkpoint(averaged, state)

            def record(values: dict[str, float]) -> None:
                nonlocal done
                done = values["step"]
                run.record(values)

            train(
                model,
                loader,
                device=device,
                on_step=record,
                state=run.state,
                steps_per_checkpoint=study.eval_every,
                on_checkpoint=keep,
                **study.training,
            )
            num_skipped = loader.num_skipped
            if done < cell.arm.steps:  # Ctrl-C ends a training quietly
                raise KeyboardInterrupt
    shutil.rmtree(place / "checkpoints")  # nothing goes on from here
    note = {
        "seconds": time.time() - begun,
        "cpu_seconds": time.process_time() - cpu_begun,
        "num_skipped": num_skipped,
    }
    write_atomically(place / DONE_FILE, json.dumps(note, indent=1).encode())


def _open_run(place: Path, settings: dict[str, Any], stack: ExitStack) -> Run:
    """The cell's run where it was stopped, or a new one: a damaged one, in a cache, is simply made again."""
    if (place / CONFIG_FILE).exists():
        try:
            return stack.enter_context(resume_run(place, settings))
        except (RunError, CheckpointError):
            pass
    return stack.enter_context(create_run(place, settings, overwrite=True))


def _score_model(model: NanoTabPFNModel, target: Target, study: Study, device: str) -> Iterator[Score]:
    if target.kind == "real":
        yield from score_tables(NanoTabPFNClassifier(model, device, n_estimators=1), suite_tasks(target.name))
    else:
        batches = target.arm.loader(study, target.data_seed).held_out_batches()
        yield from score_datasets(model, batches, device)


def score_tables(estimator: Any, tasks: tuple[Task, ...]) -> Iterator[Score]:
    """(table, fold, metric, value) of an estimator, refitted in place: for each fold, and over all folds."""
    for task in tasks:
        positive = predict_out_of_fold(estimator, task)
        probabilities = np.stack([1 - positive, positive], axis=1)  # (R, 2)
        y = (task.y == task.classes[1]).astype(int)
        rows_of = {str(number): fold.test_rows for number, fold in enumerate(task.folds)}
        for fold, rows in (rows_of | {POOLED: np.arange(len(y))}).items():
            for metric, value in measure(y[rows], probabilities[rows]).items():
                yield task.name, fold, metric, value


def score_datasets(
    model: NanoTabPFNModel, batches: list[dict[str, Any]], device: str = "cpu"
) -> Iterator[Score]:
    """(dataset's number, "all", metric, value) of a model on the test rows of held-out datasets.

    Metrics that a dataset does not have, such as the ROC AUC of test rows of one class, are left out.
    """
    for batch in batches:
        for part in batch.get("parts", [batch]):
            num_train = part["train_test_split_index"]
            x, y = part["x"].to(device), part["y"].to(device)
            with torch.inference_mode():
                logits = model((x, y[:, :num_train]), train_test_split_index=num_train).cpu()
            labels = part["y"].numpy().astype(int)  # (B, R)
            for number, own_logits, own_labels in zip(part["datasets"], logits, labels, strict=True):
                num_classes = own_labels.max() + 1
                probabilities = torch.softmax(own_logits[:, :num_classes].double(), dim=1).numpy()
                for metric, value in measure(own_labels[num_train:], probabilities).items():
                    if np.isfinite(value):
                        yield str(number), POOLED, metric, value


def _score_baseline(target: Target, name: str, folder: Path, study: Study, device: str) -> None:
    """On the CPU, whatever the device."""
    scores = list(score_tables(BASELINES[name](), suite_tasks(target.name)))
    _write_scores(baseline_path(folder, target, name), ["task", "fold", "metric", "value"], scores)


def _measure(target: Target, suites: list[Target], folder: Path, study: Study, device: str) -> None:
    """Measure the tables of a suite; or the held-out datasets of a prior, and how far from each suite they
    are. On the CPU, whatever the device."""
    if target.kind == "real":
        found = suite_properties(target.name)
    else:
        found = properties_of_batches(target.arm.loader(study, target.data_seed).held_out_batches())
        for suite in suites:
            tables = np.stack(list(suite_properties(suite.name).values()))
            away = distances(np.stack(list(found.values())), tables)
            rows = [(POOLED, name, value) for name, value in away.items() if np.isfinite(value)]
            _write_scores(properties_path(folder, target, suite), ["task", "metric", "value"], rows)
    rows = [
        (task, name, value)
        for task, values in found.items()
        for name, value in zip(PROPERTIES, values.tolist(), strict=True)
        if np.isfinite(value)
    ]
    _write_scores(properties_path(folder, target), ["task", "metric", "value"], rows)


# -------------------------------------------------------------------------------------------- the folder


def eval_steps(cell: Cell, study: Study) -> list[int]:
    """The steps after which this cell is scored; the untrained model, before the first."""
    return study.eval_steps if cell.arm.has_prior else [0]


def scores_path(folder: Path, planned: PlannedCell, target: Target) -> Path:
    return folder / "cells" / planned.key / SCORES_FOLDER / f"{target.key}.parquet"


def baseline_path(folder: Path, target: Target, name: str) -> Path:
    return folder / "baselines" / f"{name}-{target.key}.parquet"


def properties_path(folder: Path, target: Target, suite: Target | None = None) -> Path:
    """Of the properties of a target's datasets, or of its distances from a suite."""
    key = {"of": target.key, "properties": list(PROPERTIES)}
    if suite is not None:
        key |= {"from": suite.key, "distances": list(DISTANCES)}
    return folder / "properties" / f"{_key(key)}.parquet"


def is_complete(plan: Plan, planned: PlannedCell, folder: Path) -> bool:
    """Whether a cell is trained and scored on all that the study has."""
    return (folder / "cells" / planned.key / DONE_FILE).exists() and all(
        scores_path(folder, planned, target).exists() for target in plan.targets_of(planned)
    )


def steps_done(planned: PlannedCell, folder: Path) -> int:
    """How many training steps of a cell are behind it, from its history."""
    history = folder / "cells" / planned.key / HISTORY_FILE
    try:
        return history.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def state_of(plan: Plan, planned: PlannedCell, folder: Path) -> str:
    """done, failed, waiting, or how far it is."""
    if planned.error is None and is_complete(plan, planned, folder):
        return "done"
    if planned.error is not None or (folder / "errors" / f"{planned.key}.txt").exists():
        return "failed"
    if (folder / "cells" / planned.key / DONE_FILE).exists():
        return "trained"
    steps = steps_done(planned, folder)
    return f"step {steps} of {planned.cell.arm.steps}" if steps else "waiting"


def _write_scores(path: Path, columns: list[str], scores: list[tuple]) -> None:
    content = BytesIO()
    pandas().DataFrame(scores, columns=columns).to_parquet(content, index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def pandas() -> Any:
    """The module, or an error that says what to install.

    Raises:
        StudyError: pandas, or pyarrow beside it, is not installed.
    """
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise StudyError(
            f'a study needs what is not installed ({error}): pip install "nanotabpfn-priors[studies]"'
        ) from error
    return pandas


@lru_cache
def provenance() -> dict[str, str]:
    """What computed: versions of packages, a hash of our code, its commit where it is in a repository."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted([*root.glob("priors/*.py"), *root.glob("nanotabpfn/*.py")]):
        digest.update(path.read_bytes())
    found = {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree", "numpy")}
    found |= {"python": platform.python_version(), "machine": platform.platform()}
    found["code"] = digest.hexdigest()[:12]
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, check=False
    )
    if git.returncode == 0:
        found["commit"] = git.stdout.decode().strip()
    return found


# ------------------------------------------------------------------------------------------ running it all


def run_study(
    study: Study,
    folder: str | Path,
    backend: str = "loky",
    num_workers: int = 1,
    scheduler: str | None = None,
    num_threads: int = 1,
    device: str = "cpu",
    on_plan: Callable[[Plan, list[Job]], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Train and score all cells that `folder` does not have yet, and write its records.

    Whatever stopped it, the same call goes on: a finished cell is kept, one that was under way goes on from
    the last step at which it was to be scored. A cell depends on its arm, its seeds and the settings of the
    training alone, so that another arm, suite or seed adds cells and leaves those that are there.

    Args:
        folder: of the study; on a cluster, a place that all machines see under that name.
        backend: what runs the cells, see `run_tasks`: loky, dask or ray.
        num_workers: processes of this machine.
        scheduler: address of a running cluster of dask or ray.
        num_threads: of each worker. With another number the last digits differ.
        device: where models are trained and scored: cpu, cuda, mps, or auto, the best that a worker has. With
            another one the last digits differ, so a study should keep to one.
        on_plan: told the plan and what is left to do, before any work.
        on_outcome: told how each job ended.

    Returns:
        How the jobs ended; those that failed, or could not be planned, have an `error`.

    Raises:
        StudyError: an arm cannot be resolved, a package or the device is missing, another process runs this
            study.
        EngineError: the backend cannot be had.
        WorkerLostError: the workers were lost before any had begun; the same call goes on.
    """
    pandas()
    if scheduler is None:  # else the workers know what they have
        resolve_device(device)
    folder = Path(folder).absolute()  # workers may have another current folder
    plan = plan_study(study)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        with lock.acquire(blocking=False):
            write_atomically(folder / STUDY_FILE, study.model_dump_json(indent=1).encode())
            jobs = jobs_of(plan, folder)
            if on_plan is not None:
                on_plan(plan, jobs)
            outcomes = []
            for planned in plan.cells:
                if planned.error is not None:
                    outcomes.append(Outcome(planned.cell.label, planned.error))
                    if on_outcome is not None:
                        on_outcome(outcomes[-1])

            def run(some: list[Job]) -> Iterator[Outcome]:
                tasks = [(folder, study, job, num_threads, device) for job in some]
                return run_tasks(run_job, tasks, backend, num_workers, scheduler)

            try:
                for outcome in run_jobs(jobs, folder, run):
                    outcomes.append(outcome)
                    if on_outcome is not None:
                        on_outcome(outcome)
            finally:  # what is there is worth a look, even if the rest was stopped
                write_records(collect_records(plan, folder), folder)
    except Timeout:
        raise StudyError(f"{folder}: another process is running this study") from None
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written: {error}") from error
    return outcomes


def collect_records(plan: Plan, folder: Path) -> "pd.DataFrame":
    """All scores of a study that are there, with COLUMNS; one row for each metric of each fold."""
    pd = pandas()
    frames = []
    for planned in plan.cells:
        cell = planned.cell
        for target in plan.targets_of(planned) if planned.error is None else []:
            path = scores_path(folder, planned, target)
            if path.exists():
                frame = pd.read_parquet(path)
                frames.append(
                    frame.assign(
                        arm=cell.arm.name,
                        role=cell.arm.role,
                        data_seed=cell.data_seed,
                        model_seed=cell.model_seed,
                        is_final=frame["step"] == cell.arm.steps,
                        target=target.kind,
                        suite=target.name,
                    )
                )
    for target in plan.targets:
        for name in plan.study.baselines:
            path = baseline_path(folder, target, name)
            if target.kind == "real" and path.exists():
                frame = pd.read_parquet(path)
                frames.append(
                    frame.assign(arm=name, role="baseline", is_final=True, target="real", suite=target.name)
                )
    suites = [target for target in plan.targets if target.kind == "real"]
    for target in plan.targets:
        path = properties_path(folder, target)
        own = {"arm": target.name, "role": "suite", "suite": target.name}
        if target.kind == "prior":
            own |= {"role": target.arm.role, "data_seed": target.data_seed}
        found = {path: own}
        if target.kind == "prior":
            found |= {properties_path(folder, target, one): own | {"suite": one.name} for one in suites}
        for path, columns in found.items():
            if path.exists():
                frame = pd.read_parquet(path)
                fold, target_kind = POOLED, "properties"
                frames.append(frame.assign(**columns, is_final=True, target=target_kind, fold=fold))
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    whole = pd.concat([frame.reindex(columns=COLUMNS) for frame in frames], ignore_index=True)
    return whole.astype(dict.fromkeys(["data_seed", "model_seed", "step"], "Int64"))  # baselines have none


def resolve_device(device: str) -> str:
    """cpu, cuda or mps.

    Raises:
        StudyError: this machine has none of that name.
    """
    there = {"auto": True, "cpu": True}
    there |= {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, False):
        known = ", ".join(name for name, is_there in there.items() if is_there)
        raise StudyError(f"device: must be one of those that this machine has, {known}; got {device!r}")
    return get_default_device() if device == "auto" else device


def write_records(records: "pd.DataFrame", folder: Path) -> None:
    """Write `records.parquet` and `records.csv`, each complete or not at all."""
    content = BytesIO()
    records.to_parquet(content, index=False)
    write_atomically(folder / RECORDS[0], content.getvalue())
    write_atomically(folder / RECORDS[1], records.to_csv(index=False).encode())


def read_study(folder: str | Path) -> Study:
    """The study that was run in `folder`.

    Raises:
        StudyError: there is none, or it cannot be read.
    """
    path = Path(folder) / STUDY_FILE
    try:
        return Study.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StudyError(f"{folder} holds no study: there is no {STUDY_FILE}") from error
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error


# ------------------------------------------------------------------------------------------ what it takes


class Estimate(NamedTuple):
    """What is left of a study to do, from a few steps, tables and datasets that were timed."""

    train_seconds: float  # of one process, all cells
    score_seconds: float
    measure_seconds: float  # properties of priors
    disk_bytes: int
    step_seconds: dict[str, float]  # arm -> a step of it, with what its datasets take to sample


TIMED_STEPS, TIMED_TABLES, TIMED_DATASETS = 2, 2, 4


def estimate(plan: Plan, folder: Path, num_threads: int = 1, device: str = "cpu") -> Estimate:
    """Time a few steps of every arm that is not done, some tables and datasets, and count.

    Raises:
        StudyError: the device is missing.
    """
    study, device = plan.study, resolve_device(device)
    todo = {
        planned.key: planned
        for planned in plan.cells
        if planned.error is None and not is_complete(plan, planned, folder)
    }
    jobs = jobs_of(plan, folder)
    arms = {planned.cell.arm.name: planned.cell for planned in todo.values() if planned.cell.arm.has_prior}
    with torch.random.fork_rng():
        model = NanoTabPFNModel(**architecture(study)).to(device)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        step_seconds, held_out_seconds, measured = {}, {}, 0.0
        for name, cell in tqdm(arms.items(), desc="timing", unit="arm", disable=None, leave=False):
            step_seconds[name] = _time_steps(model, cell, study, device)
            few = study.model_copy(update={"held_out": min(study.held_out, TIMED_DATASETS)})
            begun = time.perf_counter()
            batches = cell.arm.loader(few, cell.data_seed).held_out_batches()
            list(score_datasets(model, batches, device))
            scored = time.perf_counter()
            held_out_seconds[name] = (scored - begun) * study.held_out / few.held_out
            properties_of_batches(batches)
            measured = (time.perf_counter() - scored) * study.held_out / few.held_out
        suite_seconds = 0.0
        if todo:
            begun = time.perf_counter()
            for name in study.suites:
                list(
                    score_tables(
                        NanoTabPFNClassifier(model, device, n_estimators=1), suite_tasks(name)[:TIMED_TABLES]
                    )
                )
            sizes = [len(suite_tasks(name)) for name in study.suites]
            num_timed = sum(min(TIMED_TABLES, size) for size in sizes)
            suite_seconds = (time.perf_counter() - begun) * sum(sizes) / num_timed
    finally:
        torch.set_num_threads(before)
    own_held_out = sum(held_out_seconds.values()) / max(1, len(held_out_seconds))  # the untrained has none
    model_bytes = sum(4 * parameter.numel() for parameter in model.parameters())
    train_seconds = score_seconds = num_bytes = 0.0
    for planned in todo.values():
        name, num_evaluations = planned.cell.arm.name, len(eval_steps(planned.cell, study))
        if not (folder / "cells" / planned.key / DONE_FILE).exists():
            steps_left = planned.cell.arm.steps - steps_done(planned, folder)
            train_seconds += steps_left * step_seconds.get(name, 0.0)
            num_bytes += (num_evaluations + 1) * model_bytes + steps_left * 200
        score_seconds += num_evaluations * (suite_seconds + held_out_seconds.get(name, own_held_out))
        score_seconds += sum(seconds for other, seconds in held_out_seconds.items() if other != name)
    num_measured = sum(job.key.startswith("properties-") for job in jobs)
    return Estimate(train_seconds, score_seconds, num_measured * measured, int(num_bytes), step_seconds)


def _time_steps(model: NanoTabPFNModel, cell: Cell, study: Study, device: str) -> float:
    """Seconds of a training step, what its datasets take to sample included; the model changes."""
    loader = cell.arm.loader(study, cell.data_seed)
    loader.num_steps = 1 + TIMED_STEPS
    times: list[float] = []
    with redirect_stderr(StringIO()):
        train(
            model,
            loader,
            device=device,
            on_step=lambda record: times.append(record["wall_time"]),
            **study.training,
        )
    return (times[-1] - times[0]) / TIMED_STEPS
