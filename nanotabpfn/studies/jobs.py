"""The jobs of a study: what is left to do, each as a unit that a worker does on its own."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.model.device import find_device
from nanotabpfn.studies.folder import (
    baseline_path,
    begun_path,
    error_path,
    is_complete,
    properties_path,
    warm_starts_left,
)
from nanotabpfn.studies.keys import Plan, Target
from nanotabpfn.studies.spec import Study
from nanotabpfn.studies.train_and_score import measure_properties, run_cell, score_baseline, train_cell
from priors.generation.engines import WorkerLostError

KINDS = {
    "warm start": "warm starts",
    "baseline": "baselines",
    "cell": "cells",
    "measurement": "measurements of priors and tables",
}
"""The kinds of jobs: singular -> plural."""


class Job(NamedTuple):
    """A unit of work that a worker does on its own. Its results are files in the study's folder."""

    kind: str  # one of KINDS
    label: str
    key: str
    work: Callable[[Path, Study, str], None]  # the last is the device


class Outcome(NamedTuple):
    """How a job ended: well, with an error, or not at all since another process works at it."""

    label: str
    error: str | None
    is_busy: bool = False


def jobs_of(plan: Plan, folder: Path) -> list[Job]:
    """What is left to do: the warm starts that a cell still needs, the baselines, the cells that are not
    trained or not scored on all targets, and the properties of priors and suites. Cells of one key, such as
    those of two equal arms, are one job.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> seeds = {"data_seeds": (0,), "model_seeds": (0,)}
        >>> arms = {"linear": {"preset": "linear"}}
        >>> study = Study(name="mine", arms=arms, controls=(), suites=("builtin",), **seeds)
        >>> [job.label for job in jobs_of(plan_study(study), Path("absent"))][:2]
        ['baseline random_forest on builtin', 'baseline logistic_regression on builtin']
    """
    return [
        *_warm_start_jobs(plan, folder),
        *_baseline_jobs(plan, folder),
        *_cell_jobs(plan, folder),
        *_properties_jobs(plan, folder),
    ]


def _warm_start_jobs(plan: Plan, folder: Path) -> list[Job]:
    return [
        Job("warm start", planned.cell.label, planned.key, partial(train_cell, planned))
        for planned in warm_starts_left(plan, folder)
    ]


def _baseline_jobs(plan: Plan, folder: Path) -> list[Job]:
    jobs = []
    for target in plan.suites:
        for name in plan.study.baselines:
            path = baseline_path(folder, target, name)
            if not path.exists():
                label = f"baseline {name} on {target.name}"
                jobs.append(Job("baseline", label, path.stem, partial(score_baseline, target, name)))
    return jobs


def _cell_jobs(plan: Plan, folder: Path) -> list[Job]:
    jobs: dict[str, Job] = {}
    targets_of_key: dict[str, dict[str, Target]] = {}
    for planned in plan.cells:
        if planned.error is None and not is_complete(plan, planned, folder):
            targets = targets_of_key.setdefault(planned.key, {})  # shared with the job, and added to
            targets |= {target.key: target for target in plan.targets_of(planned)}
            work = partial(run_cell, planned, targets)
            jobs.setdefault(planned.key, Job("cell", planned.cell.label, planned.key, work))
    return list(jobs.values())


def _properties_jobs(plan: Plan, folder: Path) -> list[Job]:
    jobs: dict[str, Job] = {}
    for target in plan.measured:
        paths = [properties_path(folder, target)]
        if target.kind == "prior":
            paths += [properties_path(folder, target, suite) for suite in plan.suites]
        if not all(path.exists() for path in paths):
            label = f"properties of {target.name}"
            label += "" if target.data_seed is None else f", data seed {target.data_seed}"
            key = f"properties-{target.key}"
            jobs.setdefault(
                key, Job("measurement", label, key, partial(measure_properties, target, plan.suites))
            )
    return list(jobs.values())


def run_job(folder: Path, study: Study, job: Job, num_threads: int, device: str) -> Outcome:
    """Do a job in this process. An error is part of the outcome, and its traceback is written to a file."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    (folder / "locks").mkdir(exist_ok=True)
    lock, begun = folder / "locks" / f"{job.key}.lock", begun_path(folder, job.key)
    try:
        # Progress bars of many workers in one terminal are unreadable; the study has one of its own.
        with FileLock(lock, blocking=False), redirect_stderr(StringIO()), torch.random.fork_rng():
            begun.touch()
            error_path(folder, job.key).unlink(missing_ok=True)  # of an earlier try
            try:
                job.work(folder, study, str(find_device(device)))
            finally:  # a process that is killed does not reach this
                begun.unlink()
        return Outcome(job.label, None)
    except Timeout:
        return Outcome(job.label, "another process works at it", is_busy=True)
    except Exception as error:
        return _failed(folder, job, f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        torch.set_num_threads(threads_before)


def _failed(folder: Path, job: Job, error: str, details: str) -> Outcome:
    note = error_path(folder, job.key)
    note.parent.mkdir(exist_ok=True)
    write_atomically(note, f"{job.label}\n{details}".encode())
    return Outcome(job.label, error)


def run_jobs(
    jobs: list[Job], folder: Path, run: Callable[[list[Job]], Iterator[Outcome]]
) -> Iterator[Outcome]:
    """The outcome of each job, in the order in which they end, even if a job kills its process.

    If there are warm starts, the cells wait until these, and all other jobs, have ended.

    If a worker is killed (it may have run out of memory), its pool ends without saying which job it worked
    at. So each job that was under way is run again alone, from its last checkpoint. A job that loses its
    worker again has failed. The other jobs run in a new pool.

    Args:
        run: `run_job` of each job, in a pool.

    Raises:
        WorkerLostError: a worker was lost before any job began.
    """
    for job in jobs:  # marks of an earlier run that was killed
        begun_path(folder, job.key).unlink(missing_ok=True)
    if any(job.kind == "warm start" for job in jobs):
        yield from _run_together([job for job in jobs if job.kind != "cell"], folder, run)
        jobs = [job for job in jobs if job.kind == "cell"]
    yield from _run_together(jobs, folder, run)


def _run_together(
    jobs: list[Job], folder: Path, run: Callable[[list[Job]], Iterator[Outcome]]
) -> Iterator[Outcome]:
    left = {job.key: job for job in jobs}
    of_label = {job.label: job.key for job in jobs}
    while left:
        try:
            for outcome in run(list(left.values())):
                del left[of_label[outcome.label]]
                yield outcome
        except WorkerLostError:
            suspects = [job for job in left.values() if begun_path(folder, job.key).exists()]
            if not suspects:
                raise
            for job in suspects:
                try:
                    [outcome] = run([job])
                except WorkerLostError as error:
                    begun_path(folder, job.key).unlink(missing_ok=True)
                    outcome = _failed(folder, job, str(error), str(error))
                del left[job.key]
                yield outcome
