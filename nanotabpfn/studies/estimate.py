"""Estimates the time and disk that the rest of a study needs, from a few timed steps, tables and datasets."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.device import find_device
from nanotabpfn.studies.arms import Arm, Cell, architecture
from nanotabpfn.studies.earlier import finished_trainings, shorter_training
from nanotabpfn.studies.folder import (
    eval_steps,
    is_complete,
    is_trained,
    steps_done,
    warm_starts_left,
)
from nanotabpfn.studies.jobs import jobs_of
from nanotabpfn.studies.keys import Plan, PlannedCell
from nanotabpfn.studies.properties import properties_of_batches
from nanotabpfn.studies.real_tables import encoded_suite
from nanotabpfn.studies.scoring import score_datasets, score_suite
from nanotabpfn.studies.spec import DRAWN, WARM_START, Study
from nanotabpfn.training.loop import train

TIMED_STEPS, TIMED_TABLES, TIMED_DATASETS, TIMED_DRAWN = 2, 2, 4, 4
BYTES_OF_RECORD = 200  # of a step in history.jsonl
MODELS_IN_CHECKPOINT = 4  # a checkpoint holds so many values for each weight


class Estimate(NamedTuple):
    """What is left to do, in seconds of one process."""

    train_seconds: float
    score_seconds: float
    measure_seconds: float  # properties of priors
    disk_bytes: int
    step_seconds: dict[str, float]  # timed arm -> a step of it, with the sampling of its datasets
    warm_start_steps: int  # of the trainings that come before the cells; part of train_seconds


class Timings(NamedTuple):
    """Measured seconds. Of the drawn arms, TIMED_DRAWN are timed; the others are taken to need their mean."""

    step: dict[str, float]  # arm -> a training step
    held_out: dict[str, float]  # arm -> to score a model on its held-out datasets
    properties: float  # to measure the properties of one prior
    suites: float  # to score a model on all suites


def estimate(plan: Plan, folder: Path, num_threads: int = 1, device: str = "cpu") -> Estimate:
    """Time a few steps of each arm that is not done, a few tables and datasets, and add up what is left.

    Raises:
        ValueError: the device is not available here.

    Examples:
        >>> from nanotabpfn.studies.keys import plan_study
        >>> study = Study(
        ...     name="mine",
        ...     arms={"linear": {"preset": "linear", "set": {"num_datapoints": 20, "block_size": 4}}},
        ...     controls=(),
        ...     data_seeds=(0,),
        ...     model_seeds=(0,),
        ...     batch_size=4,
        ...     held_out=4,
        ...     model={"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1},
        ...     suites=("builtin",),
        ... )
        >>> found = estimate(plan_study(study), Path("absent"))
        >>> list(found.step_seconds), found.train_seconds > 0, found.score_seconds > 0
        (['linear'], True, True)
    """
    device = str(find_device(device))
    todo = {
        planned.key: planned
        for planned in plan.cells
        if planned.error is None and not is_complete(plan, planned, folder)
    }
    warm_starts = warm_starts_left(plan, folder)
    with torch.random.fork_rng():
        model = NanoTabPFNModel(**architecture(plan.study)).to(device)
    with _threads(num_threads):
        timings = _measure(model, plan.study, list(todo.values()), device)
        if warm_starts:
            timings.step[WARM_START] = _time_steps(model, warm_starts[0].cell, plan.study, device)
    num_measured = sum(job.kind == "measurement" for job in jobs_of(plan, folder))
    train_seconds = score_seconds = num_bytes = 0.0
    model_bytes = sum(4 * parameter.numel() for parameter in model.parameters())
    finished = finished_trainings(folder)
    drawn = {planned.cell.arm.name for planned in plan.cells if planned.cell.arm.role == DRAWN}

    def steps_left_of(planned: PlannedCell) -> int:
        shorter = shorter_training(planned, finished)
        done = steps_done(planned.key, folder) or (steps_done(shorter.name, folder) if shorter else 0)
        return planned.cell.arm.steps - done

    warm_start_steps = sum(map(steps_left_of, warm_starts))
    train_seconds += warm_start_steps * timings.step.get(WARM_START, 0.0)
    num_bytes += len(warm_starts) * (2 + MODELS_IN_CHECKPOINT) * model_bytes
    num_bytes += warm_start_steps * BYTES_OF_RECORD
    for planned in todo.values():
        steps_left = steps_left_of(planned)
        num_evaluations = len(eval_steps(planned.cell, plan.study))
        if not is_trained(planned, folder):
            train_seconds += steps_left * _step_seconds(planned.cell.arm, timings, drawn)
            num_models = num_evaluations + 1 + MODELS_IN_CHECKPOINT
            num_bytes += num_models * model_bytes + steps_left * BYTES_OF_RECORD
        score_seconds += _seconds_to_score(plan, planned, num_evaluations, timings)
    return Estimate(
        train_seconds,
        score_seconds,
        num_measured * timings.properties,
        int(num_bytes),
        timings.step,
        warm_start_steps,
    )


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(model: NanoTabPFNModel, study: Study, todo: list[PlannedCell], device: str) -> Timings:
    """Time each arm once, whatever its seeds."""
    arms = {planned.cell.arm.name: planned.cell for planned in todo if planned.cell.arm.has_prior}
    drawn = [name for name, cell in arms.items() if cell.arm.role == DRAWN]
    left_out = {*drawn} - {*drawn[:: max(1, len(drawn) // TIMED_DRAWN)][:TIMED_DRAWN]}
    arms = {name: cell for name, cell in arms.items() if name not in left_out}
    few = study.model_copy(update={"held_out": min(study.held_out, TIMED_DATASETS)})
    share = few.held_out / study.held_out
    step, held_out, properties = {}, {}, 0.0
    for name, cell in tqdm(arms.items(), desc="timing", unit="arm", disable=None, leave=False):
        step[name] = _time_steps(model, cell, study, device)
        begun = time.perf_counter()
        batches = cell.arm.loader(few, cell.data_seed).held_out_batches()
        list(score_datasets(model, batches, device))
        scored = time.perf_counter()
        held_out[name] = (scored - begun) / share
        properties_of_batches(batches)
        properties = (time.perf_counter() - scored) / share
    return Timings(step, held_out, properties, _time_suites(model, study, device) if todo else 0.0)


def _time_steps(model: NanoTabPFNModel, cell: Cell, study: Study, device: str) -> float:
    """Seconds of a training step, including the sampling of its datasets. Changes the model."""
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
    if len(times) <= TIMED_STEPS:  # Ctrl-C ends a training quietly
        raise KeyboardInterrupt
    return (times[-1] - times[0]) / TIMED_STEPS


def _time_suites(model: NanoTabPFNModel, study: Study, device: str) -> float:
    """Seconds to score a model on all tables of all suites, from the first few of each."""
    sizes = [len(encoded_suite(name, study.row_samples)) for name in study.suites]  # once, for all models
    begun = time.perf_counter()
    for name in study.suites:
        list(score_suite(model, name, study.row_samples, device, TIMED_TABLES))
    num_timed = sum(min(TIMED_TABLES, size) for size in sizes)
    return (time.perf_counter() - begun) * sum(sizes) / num_timed


def _step_seconds(arm: Arm, timings: Timings, drawn: set[str]) -> float:
    """Of one training step of an arm."""
    of_drawn = [seconds for name, seconds in timings.step.items() if name in drawn]
    if arm.role == DRAWN and arm.name not in timings.step:
        return sum(of_drawn) / len(of_drawn)
    return timings.step.get(arm.name, 0.0)


def _seconds_to_score(plan: Plan, planned: PlannedCell, num_evaluations: int, timings: Timings) -> float:
    """Of a cell: suites and own prior at each evaluation, other priors and the common one, which takes about
    as long as the others do, at the end."""
    mean = sum(timings.held_out.values()) / max(1, len(timings.held_out))  # the untrained model has no prior
    priors = [target.name for target in plan.targets_of(planned) if target.kind == "prior"]
    seconds = {name: timings.held_out.get(name, mean) for name in priors}
    own = seconds.pop(planned.cell.arm.name, mean)
    return num_evaluations * (timings.suites + own) + sum(seconds.values()) + mean
