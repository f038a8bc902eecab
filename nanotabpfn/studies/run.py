"""Runs a study: plans it, does all jobs that are left, and writes its records."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from nanotabpfn.model.device import find_device
from nanotabpfn.studies.first_batches import check_first_batches
from nanotabpfn.studies.folder import pandas
from nanotabpfn.studies.jobs import Job, Outcome, jobs_of, run_job, run_jobs
from nanotabpfn.studies.keys import Plan, plan_study
from nanotabpfn.studies.records import collect_records, keep_fuller_records, write_records
from nanotabpfn.studies.saved import saved_of, write_saved
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.studies.workers import Workers
from priors.generation.engines import run_tasks

SAVE_EVERY = 60.0
"""Seconds from one writing of the records to the next while a study runs, so that one that is killed can be
reported."""

SAVE_SHARE = 0.02
"""Share of the time that these writings take at most: each reads all scores, and a large study has many."""


def run_study(
    study: Study,
    folder: str | Path,
    workers: Workers | None = None,
    on_plan: Callable[[Plan, list[Job]], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Train and score all cells that `folder` does not have yet, and write the records.

    After a stop of any kind the same call resumes: a finished cell is kept, one that was under way resumes
    from the last step at which it was scored. A cell depends on its arm, its seeds and the settings of the
    training alone, so another arm, suite or seed adds cells and leaves those that are there.

    Args:
        folder: of the study; on a cluster, a place that all machines see under that name.
        workers: which processes do the jobs; by default this one.
        on_plan: called with the plan and the jobs that are left, before any work.
        on_outcome: called with the outcome of each job.

    Returns:
        How the jobs ended; those that failed, or could not be planned, have an `error`.

    Raises:
        StudyError: an arm cannot be resolved, a package is missing, another process runs this study.
        ValueError: the device is not available here.
        EngineError: the backend is not available.
        WorkerLostError: the workers were lost before any job had begun; the same call resumes.

    Examples:
        >>> import tempfile
        >>> sizes = {"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1}
        >>> study = Study(
        ...     name="mine",
        ...     arms={"linear": {"preset": "linear", "set": {"num_datapoints": 20, "block_size": 4}}},
        ...     controls=(),
        ...     data_seeds=(0,),
        ...     model_seeds=(0,),
        ...     steps=2,
        ...     batch_size=4,
        ...     held_out=4,
        ...     model=sizes,
        ...     suites=("builtin",),
        ...     baselines=(),
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     outcomes = run_study(study, folder)
        ...     sorted(file.name for file in Path(folder).glob("*.parquet"))
        ['records.parquet']
        >>> [outcome.label for outcome in outcomes if outcome.error is None][0]
        'linear, data seed 0, model seed 0'
    """
    workers = workers or Workers()
    pandas()
    if workers.scheduler is None:  # else the machines of the cluster check their own device
        find_device(workers.device)
    folder = Path(folder).absolute()  # workers may have another current folder
    plan = plan_study(study)
    with _locked(folder):
        jobs = jobs_of(plan, folder)
        if on_plan is not None:  # it may ask, and end here with an exception: nothing has been written
            on_plan(plan, jobs)
        check_first_batches(plan, folder)
        keep_fuller_records(folder, collect_records(plan, folder))
        _save(plan, folder)
        outcomes, next_save = [], time.monotonic() + SAVE_EVERY
        try:
            for outcome in _outcomes(plan, jobs, folder, workers):
                outcomes.append(outcome)
                begun = time.monotonic()
                if begun >= next_save:
                    _save(plan, folder)
                    ended = time.monotonic()
                    next_save = ended + max(SAVE_EVERY, (ended - begun) / SAVE_SHARE)
                if on_outcome is not None:
                    on_outcome(outcome)
        finally:  # a study that was stopped has records too
            _save(plan, folder)
    return outcomes


def _save(plan: Plan, folder: Path) -> None:
    write_records(collect_records(plan, folder), folder)
    write_saved(saved_of(plan, folder), folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder, created if need be, is used by this process alone.

    Raises:
        StudyError: another process runs the study, or the folder cannot be written.
    """
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise StudyError(f"{folder}: another process is running this study") from None
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _outcomes(plan: Plan, jobs: list[Job], folder: Path, workers: Workers) -> Iterator[Outcome]:
    """The cells that could not be planned, then the jobs as they end."""
    for planned in plan.cells:
        if planned.error is not None:
            yield Outcome(planned.cell.label, planned.error)
    yield from run_jobs(jobs, folder, partial(_run_pool, folder, plan.study, workers))


def _run_pool(folder: Path, study: Study, workers: Workers, jobs: list[Job]) -> Iterator[Outcome]:
    tasks = [(folder, study, job, workers.num_threads, workers.device) for job in jobs]
    return run_tasks(run_job, tasks, workers.backend, workers.num_workers, workers.scheduler)
